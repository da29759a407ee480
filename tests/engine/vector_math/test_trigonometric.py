"""Sine, cosine and tangent on lanes: right at every float64, however far from the origin."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
from gradmill_server.engine.backends.native.levels import LEVELS, Level
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.vector_math.angle_reduction import HALF_PI, HALF_PI_LOW, HUGE, TWO_OVER_PI_WORDS

from tests.engine.vector_math.circle import (
    Number,
    assert_same_bits_everywhere,
    bits_of,
    generator,
    host_functions,
    magnitudes,
    object_of,
    on_host,
    with_neighbours,
    worst_ulp,
)

# The float64 that comes nearest to a multiple of pi/2 (Muller, Elementary Functions, 3rd edition, chapter 11).
NEAREST_TO_A_QUADRANT = float(np.ldexp(6381956970095103.0, 797))
LARGEST = float(np.finfo(np.float64).max)


@cache
def points() -> FloatArray:
    """Return angles over all magnitudes, near multiples of pi/4, and round the ends of the reduction."""
    random = generator()
    turns = [*range(1, 100), *(int(turn) for turn in 10.0 ** random.uniform(2.0, 15.0, 300))]
    with mpmath.workprec(200):
        eighths = [float(turn * mpmath.pi / 4) for turn in turns]
    powers = [2.0**exponent for exponent in range(-30, 1024, 11)]
    named = [1.0, 1e22, 11.0, 355.0, HUGE, NEAREST_TO_A_QUADRANT, LARGEST / 2.0]
    return np.concatenate(
        [
            with_neighbours([*eighths, *powers, *named]),
            [LARGEST, -LARGEST, 5e-324, -5e-324, 2.2250738585072014e-308],
            random.uniform(-10.0, 10.0, 3000),
            random.uniform(-1e4, 1e4, 1000),
            magnitudes(-1074, -20, 500),
            magnitudes(-20, 40, 2500),
            magnitudes(38, 1024, 800),
        ]
    )


@pytest.mark.parametrize(
    ("name", "exact", "bound"), [("sin", mpmath.sin, 0.8), ("cos", mpmath.cos, 0.8), ("tan", mpmath.tan, 1.0)]
)
def test_errors_stay_within_an_ulp(
    name: str, exact: Callable[[Number], Number], bound: float, record_property: Callable[[str, object], None]
) -> None:
    """Over the whole range sine and cosine come within 0.8 ulp of the exact value and the tangent within 1 ulp."""
    assert len(points()) >= 10_000
    worst, where = worst_ulp(exact, [points()], on_host(name, points()))
    record_property("ulp", f"{name}: {worst:.3f} at {where}")
    assert worst <= bound, where


def test_sine_of_large_numbers_is_right() -> None:
    """Famous hard angles give the digits of the literature."""
    angles = np.array([1e22, -1e22, LARGEST, NEAREST_TO_A_QUADRANT])
    sines = np.array([-0.8522008497671888, 0.8522008497671888, 0.004961954789184062, 1.0])
    cosines = np.array([0.523214785395138945, 0.523214785395138945, -0.9999876894265599, -4.68716592425462761112e-19])
    np.testing.assert_array_max_ulp(on_host("sin", angles), sines, maxulp=1)
    np.testing.assert_array_max_ulp(on_host("cos", angles), cosines, maxulp=1)


@pytest.mark.parametrize("name", ["sin", "tan"])
def test_zeros_keep_their_sign(name: str) -> None:
    """Sine and tangent of -0 are -0, of +0 are +0, and the least numbers are their own sine and tangent."""
    least = np.array([0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, -1e-300])
    assert bits_of(on_host(name, least)) == bits_of(least)


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_infinities_and_nan_give_nan(name: str) -> None:
    """There is no angle at infinity."""
    assert np.isnan(on_host(name, np.array([np.inf, -np.inf, np.nan]))).all()


@pytest.mark.parametrize(("name", "parity"), [("sin", -1.0), ("cos", 1.0), ("tan", -1.0)])
def test_symmetry_is_exact(name: str, parity: float) -> None:
    """The value at -x has the bits of the value at x, but for the sign that the function's symmetry says."""
    assert bits_of(on_host(name, -points())) == bits_of(parity * on_host(name, points()))


def test_both_at_once_have_the_bits_of_each_alone() -> None:
    """Fusing sin(x) with cos(x) changes neither."""
    for functions in host_functions().values():
        sine, cosine = functions("sincos", points())
        assert bits_of(sine) == bits_of(functions("sin", points())[0])
        assert bits_of(cosine) == bits_of(functions("cos", points())[0])


@pytest.mark.parametrize("name", ["sin", "cos", "sincos", "tan"])
def test_bits_depend_on_nothing_but_the_angle(name: str) -> None:
    """Each processor level, place in the batch and neighbour, huge ones included, leaves a result as it is."""
    assert_same_bits_everywhere(name, np.concatenate([points(), [np.inf, -np.inf, np.nan, 0.0, -0.0]]))


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
@pytest.mark.parametrize("name", ["sin", "cos", "sincos", "tan"])
def test_each_level_compiles(name: str, level: Level) -> None:
    """There is an object file for processors other than this one as well."""
    assert object_of(name, level).startswith(b"\x7fELF")


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
