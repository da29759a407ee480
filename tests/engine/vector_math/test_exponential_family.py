"""Exponentials and hyperbolic functions on lanes: right at every float64, into the last subnormal."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
from gradmill_server.engine.backends.native.levels import LEVELS, Level
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.ops import TABLE

from tests.engine.vector_math.circle import Number, bits_of, magnitudes, object_of, with_neighbours, worst_ulp
from tests.engine.vector_math.compiled import assert_bits_depend_on_the_point_alone, evaluated

LN_2 = 0.6931471805599453
OVERFLOW = 709.782712893384
SPECIALS = np.array([0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 2.0**-1022, 1e308, -1e308, np.inf, -np.inf, np.nan])

EXACT: dict[str, tuple[Callable[[Number], Number], float]] = {
    "exp": (mpmath.exp, 1.0),
    "expm1": (mpmath.expm1, 1.0),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), 2.0),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), 2.0),
    "sinh": (mpmath.sinh, 2.0),
    "cosh": (mpmath.cosh, 2.0),
    "tanh": (mpmath.tanh, 2.0),
    "sech": (mpmath.sech, 2.0),
}
"""For each function its exact value and how many units in the last place it may be off."""


@cache
def points() -> FloatArray:
    """Return numbers of all magnitudes, at every step of the reduction, and round the ends of the range."""
    random = np.random.default_rng(11)
    steps = [(count + 0.5) * LN_2 for count in range(0, 1075, 7)]
    ends = [
        OVERFLOW,
        710.4758600739439,
        708.3964185322641,
        745.1332191019412,
        744.4400719213812,
        37.4,
        36.7,
        22.0,
        19.06,
    ]
    return np.concatenate(
        [
            with_neighbours([*steps, *ends, 0.3465735902799726, 2.0**-1022]),
            random.uniform(-2.0, 2.0, 3000),
            random.uniform(-746.0, 711.0, 4000),
            magnitudes(-1074, 9, 2500),
        ]
    )


@pytest.mark.parametrize("name", sorted(EXACT))
def test_accuracy_over_the_whole_range(name: str, record_property: Callable[[str, object], None]) -> None:
    """Every finite value is within the stated units in the last place of the exact one."""
    exact, bar = EXACT[name]
    x = points()
    found = evaluated(name, x)
    finite = np.isfinite(found)
    worst, where = worst_ulp(exact, [x[finite]], found[finite])
    record_property("worst_ulp", f"{name} {worst:.3f} at {where}")
    assert worst <= bar, where
    assert np.isposinf(np.abs(found[~finite])).all()
    # What is infinite is so because the exact value, rounded, is.
    assert (np.abs(x[~finite]) > OVERFLOW - 0.01).all()


@pytest.mark.parametrize("name", sorted(EXACT))
def test_special_values_are_those_of_the_table(name: str) -> None:
    """Zeros keep their sign, infinities and NaN give what the reference gives."""
    with np.errstate(all="ignore"):
        expected = np.asarray(TABLE[name].value(SPECIALS), dtype=np.float64)
    exact_ones = ~np.isfinite(expected) | (expected == 0.0)
    found = evaluated(name, SPECIALS)
    assert bits_of(found[exact_ones]) == bits_of(expected[exact_ones])
    np.testing.assert_allclose(found[~exact_ones], expected[~exact_ones], rtol=1e-15)


@pytest.mark.parametrize("name", sorted(EXACT))
def test_bits_depend_on_the_point_alone(name: str) -> None:
    """A point has the same bits on every level, wherever it stands and whatever its neighbours."""
    assert_bits_depend_on_the_point_alone(name, np.concatenate([SPECIALS, points()[::9]]))


@pytest.mark.parametrize("level", LEVELS, ids=[level.name for level in LEVELS])
def test_every_level_compiles(level: Level) -> None:
    """Each function becomes an object for every level."""
    for name in EXACT:
        assert object_of(name, level).startswith(b"\x7fELF")
