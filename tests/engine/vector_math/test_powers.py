"""Powers and the cube root on lanes: where they overflow and underflow, and where they are exact."""

from __future__ import annotations

import numpy as np

from tests.engine.vector_math.compiled import bits_of, evaluated
from tests.engine.vector_math.numbers import LEAST


def test_powers_overflow_and_underflow_where_they_should() -> None:
    """A power turns infinite past the largest float64, and zero below half the least."""
    base = np.array([2.0, 2.0, 2.0, 2.0, -2.0, -2.0, 4.0])
    exponent = np.array([1023.0, 1024.0, -1074.0, -1076.0, 1025.0, -1077.0, -537.0])
    expected = np.array([2.0**1023, np.inf, LEAST, 0.0, -np.inf, -0.0, LEAST])
    assert bits_of(evaluated("power", base, exponent)) == bits_of(expected)


def test_whole_powers_of_small_whole_numbers_are_exact() -> None:
    """Squares, cubes and the like are exact as long as a float64 holds them."""
    base, exponent = np.meshgrid(np.arange(-13.0, 14.0), np.arange(0.0, 14.0))
    x, y = base.ravel().copy(), exponent.ravel().copy()
    expected = np.array([float(int(one) ** int(other)) for one, other in zip(x, y, strict=True)])
    assert bits_of(evaluated("power", x, y)) == bits_of(expected)


def test_cube_roots_of_cubes_are_exact() -> None:
    """The cube root takes a cube back."""
    roots = np.arange(-2000.0, 2001.0)
    assert bits_of(evaluated("cbrt", roots**3)) == bits_of(roots)
