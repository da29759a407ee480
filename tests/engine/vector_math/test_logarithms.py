"""Logarithms on lanes: the constant they add, and sums of exponentials near 1."""

from __future__ import annotations

import mpmath
import numpy as np
from gradmill_server.engine.vector_math.extended import LN2_HIGH, LN2_LOW

from tests.engine.vector_math.compiled import bits_of, evaluated
from tests.engine.vector_math.numbers import LEAST


def test_parts_of_log_2_are_the_nearest() -> None:
    """What the reductions add is log(2) to twice the digits of a float64, its first part short of eleven bits."""
    with mpmath.workprec(300):
        assert mpmath.ldexp(LN2_HIGH, 42) == mpmath.floor(mpmath.ldexp(mpmath.log(2), 42))
        assert float(mpmath.log(2) - mpmath.mpf(LN2_HIGH)) == LN2_LOW


def test_exponentials_that_cancel_among_subnormals_keep_their_digits() -> None:
    """The logarithm of 1 less something tiny plus hardly more is the difference of both, to the last subnormal."""
    x = np.array([-LEAST, -1e-320, -4.560924707859428e-305])
    y = np.array([-744.0, -738.0, -700.7709279734078])
    with mpmath.workprec(200):
        exact = [float(mpmath.mpf(one) + mpmath.exp(mpmath.mpf(other))) for one, other in zip(x, y, strict=True)]
    assert bits_of(evaluated("logaddexp", x, y)) == bits_of(np.array(exact))
