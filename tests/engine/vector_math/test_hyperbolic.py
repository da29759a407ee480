"""Hyperbolic functions on lanes: the ends of their ranges are exact."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.vector_math.compiled import bits_of, evaluated
from tests.engine.vector_math.numbers import LEAST, magnitudes

# Found by mpmath: the last arguments on this side of overflow, and of a secant that rounds to zero.
LAST_FINITE = 710.4758600739439
LAST_ABOVE_ZERO = 745.8263662825011


@pytest.mark.parametrize("name", ["sinh", "cosh"])
def test_overflow_begins_where_it_must(name: str) -> None:
    """The last argument with a finite result has one, and its upper neighbour is infinite."""
    below, above = evaluated(name, np.array([LAST_FINITE, math.nextafter(LAST_FINITE, math.inf)]))
    assert math.isfinite(below)
    assert above == math.inf


def test_secant_underflows_gradually() -> None:
    """Where the cosine is infinite already its reciprocal is not zero yet, down to the least float64."""
    edge = np.array([LAST_ABOVE_ZERO, math.nextafter(LAST_ABOVE_ZERO, math.inf)])
    assert bits_of(evaluated("sech", edge)) == bits_of(np.array([LEAST, 0.0]))


def test_small_numbers_are_their_own_sine_and_tangent() -> None:
    """Below a millionth of a millionth nothing but the sign and the digits of the argument remains."""
    small = np.concatenate([magnitudes(-1074, -40, 500), [0.0, -0.0, LEAST, -LEAST]])
    for name in ("sinh", "tanh"):
        assert bits_of(evaluated(name, small)) == bits_of(small)


def test_tangent_never_leaves_the_unit_interval() -> None:
    """The tangent is at most 1, gets there, and stays."""
    assert evaluated("tanh", np.linspace(0.0, 30.0, 20001)).max() == 1.0
    assert (evaluated("tanh", np.array([20.0, 30.0, 1e300, math.inf])) == 1.0).all()
