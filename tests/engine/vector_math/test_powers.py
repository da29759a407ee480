"""Powers, the cube root and the length of a vector of two, on lanes: right at every float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
from gradmill_server.engine.backends.native.levels import LEVELS, Level
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.ops import TABLE

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
_POSITIVE_SPECIALS = np.array(
    [0.0, LEAST, LEAST_NORMAL, 0.5, 1.0, 1.0 + 2.0**-52, 1.0 - 2.0**-53, 2.0, 2.5, 3.0, 2.0**53 - 1.0, 2.0**53, LARGEST]
)
SPECIALS = np.concatenate([_POSITIVE_SPECIALS, -_POSITIVE_SPECIALS, [np.inf, -np.inf, np.nan]])


@cache
def powers() -> tuple[FloatArray, FloatArray]:
    """Return bases and exponents whose powers fill the whole range, subnormal numbers included."""
    random = generator()
    any_base = np.abs(magnitudes(-1074, 1024, 3000))
    near_one = 1.0 + random.choice([-1.0, 1.0], 2500) * 10.0 ** random.uniform(-15.5, -0.5, 2500)
    base = [any_base, near_one, random.uniform(0.05, 20.0, 4000), -np.abs(magnitudes(-40, 40, 1500))]
    exponent = [
        random.uniform(-744.4, 709.7, 3000) / np.log(any_base),
        random.uniform(-744.4, 709.7, 2500) / np.log(near_one),
        random.uniform(-10.0, 10.0, 4000),
        np.floor(random.uniform(-17.0, 17.0, 1500)),
    ]
    return np.concatenate(base), np.concatenate(exponent)


@cache
def numbers() -> FloatArray:
    """Return numbers of either sign and all magnitudes, and round the ends of the reduction."""
    bounds = [2.0**exponent * 0.5**0.5 for exponent in range(-9, 9)]
    return np.concatenate(
        [
            with_neighbours([*bounds, 1.0, 8.0, 27.0, LEAST_NORMAL]),
            [LEAST, -LEAST, LARGEST, -LARGEST],
            generator().uniform(-8.0, 8.0, 6000),
            magnitudes(-1074, 1024, 5000),
        ]
    )


@cache
def vectors() -> tuple[FloatArray, FloatArray]:
    """Return vectors of all lengths, their components alike or far apart."""
    random = generator()
    x = magnitudes(-1074, 1023, 5000)
    y = [np.ldexp(x, random.integers(-30, 1, 5000)) * random.uniform(0.5, 1.0, 5000), random.normal(size=5000)]
    edges = np.array([2.0**-450, 2.0**500, LEAST, LEAST_NORMAL])
    return np.concatenate([x, random.normal(size=5000), edges]), np.concatenate([*y, edges])


def cube_root(x: Number) -> Number:
    """Return the real cube root."""
    return mpmath.sign(x) * mpmath.cbrt(abs(x))


def test_powers_stay_within_their_bound(record_property: Callable[[str, object], None]) -> None:
    """Errors stay under 0.65 ulp, and under 1 where the power is subnormal and rounded twice."""
    x, y = powers()
    result = evaluated("power", x, y)
    normal = np.isfinite(result) & (np.abs(result) >= LEAST_NORMAL)
    # Where a power rounds to an end of the range or beyond, the other tests look.
    subnormal = ~normal & np.isfinite(result) & (result != 0.0)
    assert np.count_nonzero(normal) >= 10_000
    assert np.count_nonzero(subnormal) >= 50
    for chosen, bound, label in ((normal, 0.65, "power"), (subnormal, 1.0, "subnormal power")):
        worst, where = worst_ulp(lambda base, exponent: base**exponent, [x[chosen], y[chosen]], result[chosen])
        record_property("ulp", f"{label}: {worst:.3f} at {where}")
        assert worst <= bound, where


def test_cube_roots_stay_within_their_bound(record_property: Callable[[str, object], None]) -> None:
    """Over the whole range the cube root is, but for a thousandth of an ulp, the nearest float64."""
    assert len(numbers()) >= 10_000
    worst, where = worst_ulp(cube_root, [numbers()], evaluated("cbrt", numbers()))
    record_property("ulp", f"cbrt: {worst:.3f} at {where}")
    assert worst <= 0.501, where


def test_lengths_stay_within_their_bound(record_property: Callable[[str, object], None]) -> None:
    """Over the whole range, where squares over- or underflow too, errors stay under 0.9 ulp."""
    x, y = vectors()
    assert len(x) >= 10_000
    worst, where = worst_ulp(mpmath.hypot, [x, y], evaluated("hypot", x, y))
    record_property("ulp", f"hypot: {worst:.3f} at {where}")
    assert worst <= 0.9, where


@pytest.mark.parametrize("name", ["power", "hypot"])
def test_pairs_follow_the_reference_at_special_values(name: str) -> None:
    """Every pair of signed zeros, infinities, NaN, whole, odd and extreme numbers gives what NumPy gives."""
    x, y = pairs(SPECIALS)
    with np.errstate(all="ignore"):
        expected = TABLE[name].value(x, y)
    result = evaluated(name, x, y)
    settled = ~np.isfinite(expected) | (expected == 0.0)
    assert bits_of(result[settled]) == bits_of(expected[settled])
    np.testing.assert_array_max_ulp(result[~settled], expected[~settled], maxulp=1)


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
    """The cube root takes a cube back, and leaves zeros, infinities and NaN as they are."""
    roots = np.arange(-2000.0, 2001.0)
    assert bits_of(evaluated("cbrt", roots**3)) == bits_of(roots)
    own = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    assert bits_of(evaluated("cbrt", own)) == bits_of(own)


def test_length_knows_no_order_and_no_sign() -> None:
    """Exchanging the components, or turning one round, leaves the bits."""
    x, y = vectors()
    expected = bits_of(evaluated("hypot", x, y))
    assert bits_of(evaluated("hypot", y, x)) == expected
    assert bits_of(evaluated("hypot", -x, y)) == expected


def test_bits_depend_on_nothing_but_the_number() -> None:
    """Each processor level, place in the batch and neighbour leaves a cube root as it is."""
    assert_bits_depend_on_the_point_alone("cbrt", np.concatenate([numbers(), SPECIALS]))


@pytest.mark.parametrize(("name", "points"), [("power", powers), ("hypot", vectors)])
def test_bits_depend_on_nothing_but_the_pair(name: str, points: Callable[[], tuple[FloatArray, FloatArray]]) -> None:
    """Each processor level, place in the batch and neighbour, special ones included, leaves a result as it is."""
    together = [np.concatenate(each) for each in zip(points(), pairs(SPECIALS), strict=True)]
    assert_bits_depend_on_the_point_alone(name, *together)


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
@pytest.mark.parametrize("name", ["power", "cbrt", "hypot"])
def test_each_level_compiles(name: str, level: Level) -> None:
    """There is an object file for processors other than this one as well."""
    assert object_of(name, level).startswith(b"\x7fELF")
