"""Sine, cosine and tangent on lanes: famous hard angles, and the digits that reduce all others."""

from __future__ import annotations

import mpmath
import numpy as np
from gradmill_server.engine.vector_math.angle_reduction import HALF_PI, HALF_PI_LOW, HUGE, TWO_OVER_PI_WORDS

from tests.engine.vector_math.compiled import evaluated
from tests.engine.vector_math.numbers import LARGEST
from tests.engine.vector_math.ranges import LEAST_HUGE, NEAREST_TO_A_QUADRANT


def test_sine_of_large_numbers_is_right() -> None:
    """Famous hard angles give the digits of the literature."""
    angles = np.array([1e22, -1e22, LARGEST, NEAREST_TO_A_QUADRANT])
    sines = np.array([-0.8522008497671888, 0.8522008497671888, 0.004961954789184062, 1.0])
    cosines = np.array([0.523214785395138945, 0.523214785395138945, -0.9999876894265599, -4.68716592425462761112e-19])
    np.testing.assert_array_max_ulp(evaluated("sin", angles), sines, maxulp=1)
    np.testing.assert_array_max_ulp(evaluated("cos", angles), cosines, maxulp=1)


def test_angles_called_huge_are_measured_from_where_they_begin() -> None:
    """The seam between both reductions is where the ranges that are measured expect it."""
    assert HUGE == LEAST_HUGE


def test_parts_of_half_pi_are_the_nearest() -> None:
    """What the reductions take away is pi/2 to twice the digits of a float64."""
    with mpmath.workprec(400):
        assert float(mpmath.pi / 2) == HALF_PI
        assert float(mpmath.pi / 2 - mpmath.mpf(HALF_PI)) == HALF_PI_LOW


def test_the_long_two_over_pi_is_right_to_its_last_bit() -> None:
    """The digits that reduce the largest angles are those of 2/pi."""
    fraction_bits = 32 * (len(TWO_OVER_PI_WORDS) - 1)
    with mpmath.workprec(2 * fraction_bits):
        digits = int(mpmath.floor(mpmath.ldexp(2 / mpmath.pi, fraction_bits)))
    assert sum(word << (32 * place) for place, word in enumerate(reversed(TWO_OVER_PI_WORDS))) == digits
