"""Remainders on lanes: exact, however large the quotient."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from gradmill_server.engine.backends.native.levels import LEVELS, Level
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.ops import TABLE

from tests.engine.vector_math.circle import bits_of, generator, magnitudes, object_of
from tests.engine.vector_math.compiled import assert_bits_depend_on_the_point_alone, evaluated, pairs

LARGEST = float(np.finfo(np.float64).max)
LEAST = 5e-324
_POSITIVE_SPECIALS = np.array([0.0, LEAST, 2.0**-1022, 0.1, 0.5, 1.0, 2.5, 3.0, 2.0**53, 1e300, LARGEST])
SPECIALS = np.concatenate([_POSITIVE_SPECIALS, -_POSITIVE_SPECIALS, [np.inf, -np.inf, np.nan]])


@cache
def quotients() -> tuple[FloatArray, FloatArray]:
    """Return dividends and divisors: ordinary, with quotients that are or almost are whole, and of all magnitudes."""
    random = generator()
    divisor = magnitudes(-3, 3, 3000)
    whole = divisor * np.floor(random.uniform(0.0, 2.0 ** random.uniform(0.0, 53.0, 3000)))
    subnormal = np.ldexp(random.integers(1, 2**50, 2000).astype(np.float64), -1074)
    x = [random.uniform(-50.0, 50.0, 4000), whole, np.nextafter(whole, np.inf), np.nextafter(whole, -np.inf)]
    y = [random.uniform(-5.0, 5.0, 4000), divisor, divisor, divisor]
    x += [magnitudes(-1074, 1024, 4000), magnitudes(-1074, 1024, 2000), subnormal]
    y += [magnitudes(-1074, 1024, 4000)[::-1], subnormal, subnormal[::-1]]
    return np.concatenate(x), np.concatenate(y)


@pytest.mark.parametrize("name", ["fmod", "mod"])
def test_remainders_are_those_of_the_reference(name: str) -> None:
    """Over the whole range, with quotients of up to two thousand bits, every bit is that of the NumPy reference."""
    x, y = quotients()
    assert len(x) >= 10_000
    assert bits_of(evaluated(name, x, y)) == bits_of(TABLE[name].value(x, y))


def test_remainders_are_exact() -> None:
    """The truncated remainder is that of the fractions the operands stand for."""
    x, y = (each[::20] for each in quotients())
    exact = [float(abs(Fraction(one)) % abs(Fraction(other))) for one, other in zip(x, y, strict=True)]
    assert bits_of(evaluated("fmod", x, y)) == bits_of(np.copysign(exact, x))


@pytest.mark.parametrize("name", ["fmod", "mod"])
def test_remainders_follow_the_reference_at_special_values(name: str) -> None:
    """Every pair of signed zeros, infinities, NaN and extremes gives what NumPy gives, signs of zeros included."""
    x, y = pairs(SPECIALS)
    with np.errstate(all="ignore"):
        expected = TABLE[name].value(x, y)
    assert bits_of(evaluated(name, x, y)) == bits_of(expected)


@pytest.mark.parametrize("name", ["fmod", "mod"])
def test_bits_depend_on_nothing_but_the_pair(name: str) -> None:
    """Each processor level, place in the batch and neighbour, however far its quotient, leaves a result as it is."""
    together = [np.concatenate(each) for each in zip(quotients(), pairs(SPECIALS), strict=True)]
    assert_bits_depend_on_the_point_alone(name, *together)


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
@pytest.mark.parametrize("name", ["fmod", "mod"])
def test_each_level_compiles(name: str, level: Level) -> None:
    """There is an object file for processors other than this one as well."""
    assert object_of(name, level).startswith(b"\x7fELF")
