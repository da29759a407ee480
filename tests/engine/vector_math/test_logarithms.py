"""Logarithms on lanes: right at every float64, near their zeros too."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
from gradmill_server.engine.backends.native.levels import LEVELS, Level
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.vector_math.extended import LN2_HIGH, LN2_LOW

from tests.engine.vector_math.circle import (
    Number,
    bits_of,
    generator,
    magnitudes,
    object_of,
    with_neighbours,
    worst_ulp,
)
from tests.engine.vector_math.compiled import assert_bits_depend_on_the_point_alone, evaluated, pairs

LARGEST = float(np.finfo(np.float64).max)
LEAST = 5e-324
LEAST_NORMAL = 2.0**-1022
SPECIALS = np.array(
    [0.0, -0.0, 1.0, -1.0, 2.0, -0.5, LEAST, -LEAST, LEAST_NORMAL, LARGEST, -LARGEST, np.inf, -np.inf, np.nan]
)


@cache
def positives() -> FloatArray:
    """Return numbers of all magnitudes, near 1, and round the ends of the reduction."""
    random = generator()
    bounds = [2.0**exponent * 0.5**0.5 for exponent in range(-40, 40)]
    return np.concatenate(
        [
            np.abs(with_neighbours([*bounds, 1.0, 0.5, 2.0, LEAST_NORMAL])),
            [LEAST, LARGEST],
            random.uniform(0.4, 2.0, 5000),
            1.0 + random.normal(size=1500) * 10.0 ** random.uniform(-15.0, -2.0, 1500),
            np.abs(magnitudes(-1074, 1024, 4000)),
        ]
    )


@cache
def above_minus_one() -> FloatArray:
    """Return numbers greater than -1: of all magnitudes, near 0 and near -1."""
    random = generator()
    bounds = [2.0**exponent * 0.5**0.5 - 1.0 for exponent in range(-40, 60)]
    sizes = magnitudes(-1074, 1024, 3000)
    numbers = np.concatenate(
        [
            with_neighbours([*bounds, 2.0**53, 2.0**1000, LEAST_NORMAL]),
            [LEAST, -LEAST, LARGEST, np.nextafter(-1.0, 0.0)],
            random.uniform(-1.0, 3.0, 5000),
            10.0 ** random.uniform(-16.0, 0.0, 1500) - 1.0,
            magnitudes(-60, 60, 3000),
            sizes,
        ]
    )
    return numbers[numbers > -1.0]


@cache
def summed() -> tuple[FloatArray, FloatArray]:
    """Return exponents of sums: at any distance, and such that the sum of exponentials is near 1."""
    random = generator()
    negative = -(10.0 ** random.uniform(-17.0, -0.2, 2000))
    other = np.log(-np.expm1(negative)) * (1.0 + random.normal(size=2000) * 10.0 ** random.uniform(-11.0, -1.0, 2000))
    x = [random.uniform(-50.0, 50.0, 3000), random.uniform(-1.5, 0.5, 4000), negative, magnitudes(-70, 9, 1500)]
    y = [random.uniform(-50.0, 50.0, 3000), random.uniform(-1.5, 0.5, 4000), other, random.uniform(-740.0, 1.0, 1500)]
    return np.concatenate(x), np.concatenate(y)


@cache
def factors() -> tuple[FloatArray, FloatArray]:
    """Return factors and arguments of x*log(y), such that the product stays finite."""
    random = generator()
    x = [np.ldexp(random.uniform(-1.0, 1.0, 6000), random.integers(-1070, 1000, 6000)), random.normal(size=5000)]
    y = [np.abs(magnitudes(-1074, 1024, 6000)), random.uniform(0.2, 4.0, 5000)]
    return np.concatenate(x), np.concatenate(y)


def log_of_sum(x: Number, y: Number) -> Number:
    """Return log(exp(x) + exp(y)) without losing the difference from 0."""
    larger, smaller = max(x, y), min(x, y)
    if -2 < larger < 0:
        return mpmath.log1p(mpmath.expm1(larger) + mpmath.exp(smaller))
    return larger + mpmath.log1p(mpmath.exp(smaller - larger))


@pytest.mark.parametrize(
    ("name", "exact", "points"), [("log", mpmath.log, positives), ("log1p", mpmath.log1p, above_minus_one)]
)
def test_logarithms_stay_within_their_bound(
    name: str,
    exact: Callable[[Number], Number],
    points: Callable[[], FloatArray],
    record_property: Callable[[str, object], None],
) -> None:
    """Over the whole range, subnormal numbers included, errors stay under 0.75 ulp."""
    assert len(points()) >= 10_000
    worst, where = worst_ulp(exact, [points()], evaluated(name, points()))
    record_property("ulp", f"{name}: {worst:.3f} at {where}")
    assert worst <= 0.75, where


@pytest.mark.parametrize(
    ("name", "exact", "points"),
    [("logaddexp", log_of_sum, summed), ("xlogy", lambda x, y: x * mpmath.log(y), factors)],
)
def test_sums_and_products_of_logarithms_stay_within_their_bound(
    name: str,
    exact: Callable[[Number, Number], Number],
    points: Callable[[], tuple[FloatArray, FloatArray]],
    record_property: Callable[[str, object], None],
) -> None:
    """Over the whole range, and where a sum of exponentials is near 1, errors stay under 1.6 ulp."""
    x, y = points()
    assert len(x) >= 10_000
    worst, where = worst_ulp(exact, [x, y], evaluated(name, x, y))
    record_property("ulp", f"{name}: {worst:.3f} at {where}")
    assert worst <= 1.6, where


@pytest.mark.parametrize("name", ["log", "log1p"])
def test_logarithms_follow_the_reference_at_special_values(name: str) -> None:
    """Zeros, infinities, NaN and numbers outside the domain give what the NumPy reference gives, signs included."""
    with np.errstate(all="ignore"):
        expected = TABLE[name].value(SPECIALS)
    result = evaluated(name, SPECIALS)
    settled = ~np.isfinite(expected) | (expected == 0.0)
    assert bits_of(result[settled]) == bits_of(expected[settled])
    np.testing.assert_allclose(result, expected, rtol=3e-16)


@pytest.mark.parametrize("name", ["logaddexp", "xlogy"])
def test_pairs_follow_the_reference_at_special_values(name: str) -> None:
    """Every pair of zeros, infinities, NaN and extremes gives what the NumPy reference gives."""
    x, y = pairs(np.concatenate([SPECIALS, [-800.0, -740.0, 800.0]]))
    with np.errstate(all="ignore"):
        expected = TABLE[name].value(x, y)
    result = evaluated(name, x, y)
    settled = ~np.isfinite(expected) | (expected == 0.0)
    assert bits_of(result[settled]) == bits_of(expected[settled])
    np.testing.assert_allclose(result, expected, rtol=5e-16)


def test_log1p_of_the_least_numbers_is_their_own() -> None:
    """Zeros keep their sign, and numbers too small to bend stay as they are."""
    least = np.array([0.0, -0.0, LEAST, -LEAST, LEAST_NORMAL, -1e-300])
    assert bits_of(evaluated("log1p", least)) == bits_of(least)


def test_sum_of_exponentials_knows_no_order() -> None:
    """Exchanging the operands leaves the bits."""
    x, y = summed()
    assert bits_of(evaluated("logaddexp", x, y)) == bits_of(evaluated("logaddexp", y, x))


@pytest.mark.parametrize(("name", "points"), [("log", positives), ("log1p", above_minus_one)])
def test_bits_depend_on_nothing_but_the_number(name: str, points: Callable[[], FloatArray]) -> None:
    """Each processor level, place in the batch and neighbour, special ones included, leaves a result as it is."""
    assert_bits_depend_on_the_point_alone(name, np.concatenate([points(), SPECIALS]))


@pytest.mark.parametrize(("name", "points"), [("logaddexp", summed), ("xlogy", factors)])
def test_bits_depend_on_nothing_but_the_pair(name: str, points: Callable[[], tuple[FloatArray, FloatArray]]) -> None:
    """Each processor level, place in the batch and neighbour, special ones included, leaves a result as it is."""
    together = [np.concatenate(each) for each in zip(points(), pairs(SPECIALS), strict=True)]
    assert_bits_depend_on_the_point_alone(name, *together)


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
@pytest.mark.parametrize("name", ["log", "log1p", "logaddexp", "xlogy"])
def test_each_level_compiles(name: str, level: Level) -> None:
    """There is an object file for processors other than this one as well."""
    assert object_of(name, level).startswith(b"\x7fELF")


def test_parts_of_log_2_are_the_nearest() -> None:
    """What the reductions add is log(2) to twice the digits of a float64, its first part short of eleven bits."""
    with mpmath.workprec(300):
        assert mpmath.ldexp(LN2_HIGH, 42) == mpmath.floor(mpmath.ldexp(mpmath.log(2), 42))
        assert float(mpmath.log(2) - mpmath.mpf(LN2_HIGH)) == LN2_LOW
