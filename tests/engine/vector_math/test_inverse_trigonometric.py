"""Arc sine, arc cosine, arc tangent and the angle of a point, on lanes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
from gradmill_server.engine.backends.native.levels import LEVELS, Level
from gradmill_server.engine.ir import FloatArray

from tests.engine.vector_math.circle import (
    Number,
    assert_same_bits_everywhere,
    bits_of,
    generator,
    magnitudes,
    object_of,
    on_host,
    with_neighbours,
    worst_ulp,
)

LARGEST = float(np.finfo(np.float64).max)
SPECIALS = np.array([0.0, 1.0, np.inf, 5e-324, 2.2250738585072014e-308, 2.0**-500, 2.0**500, LARGEST])


@cache
def sines() -> FloatArray:
    """Return numbers between -1 and 1: uniform, of all magnitudes, near the ends, and round 1/2."""
    random = generator()
    ends = 1.0 - 10.0 ** random.uniform(-16.0, -1.0, 1250)
    return np.concatenate(
        [
            with_neighbours([0.5, 2.0**-27, 0.25, 2.0**-0.5]),
            [1.0, -1.0, np.nextafter(1.0, 0.0), np.nextafter(-1.0, 0.0), 5e-324, -5e-324],
            random.uniform(-1.0, 1.0, 6000),
            magnitudes(-1074, 0, 1500),
            ends,
            -ends,
        ]
    )


@cache
def tangents() -> FloatArray:
    """Return numbers of all magnitudes, most of them where the arc tangent bends, and round 1."""
    powers = [2.0**exponent for exponent in range(-70, 70)]
    return np.concatenate(
        [
            with_neighbours([*powers, 2.0**-1000, 2.0**1000, LARGEST / 2.0]),
            [LARGEST, -LARGEST, 5e-324, -5e-324],
            generator().uniform(-3.0, 3.0, 5000),
            magnitudes(-6, 6, 2500),
            magnitudes(-1074, 1024, 2000),
        ]
    )


@cache
def plane() -> tuple[FloatArray, FloatArray]:
    """Return points of the plane: in every direction, at every distance, along the axes and the diagonals."""
    random = generator()
    direction = random.uniform(-np.pi, np.pi, 5000)
    distance = np.ldexp(1.0, random.integers(-1000, 1000, 5000))
    near = magnitudes(-1074, -480, 1000)
    far = magnitudes(480, 1024, 1000)
    any_size = magnitudes(-1074, 1024, 2000)
    diagonal = magnitudes(-20, 20, 1000)
    ends = magnitudes(-1074, -900, 500)
    y = [distance * np.sin(direction), near, far, any_size, np.nextafter(diagonal, np.inf), ends]
    x = [distance * np.cos(direction), near[::-1], far[::-1], any_size[::-1], diagonal, magnitudes(-60, 60, 500)]
    return np.concatenate(y), np.concatenate(x)


@pytest.mark.parametrize(("name", "exact"), [("asin", mpmath.asin), ("acos", mpmath.acos)])
def test_arc_sine_and_cosine_stay_within_their_bound(
    name: str, exact: Callable[[Number], Number], record_property: Callable[[str, object], None]
) -> None:
    """From -1 to 1, the ends included, errors stay under 1.25 ulp."""
    assert len(sines()) >= 10_000
    worst, where = worst_ulp(exact, [sines()], on_host(name, sines()))
    record_property("ulp", f"{name}: {worst:.3f} at {where}")
    assert worst <= 1.25, where


def test_arc_tangent_stays_within_its_bound(record_property: Callable[[str, object], None]) -> None:
    """Over the whole range errors stay under 1.75 ulp."""
    assert len(tangents()) >= 10_000
    worst, where = worst_ulp(mpmath.atan, [tangents()], on_host("atan", tangents()))
    record_property("ulp", f"atan: {worst:.3f} at {where}")
    assert worst <= 1.75, where


def test_the_angle_of_a_point_stays_within_its_bound(record_property: Callable[[str, object], None]) -> None:
    """Over the whole plane, subnormal angles included, errors stay under 1.75 ulp."""
    y, x = plane()
    assert len(y) >= 10_000
    worst, where = worst_ulp(mpmath.atan2, [y, x], on_host("atan2", y, x))
    record_property("ulp", f"atan2: {worst:.3f} at {where}")
    assert worst <= 1.75, where


def test_the_angle_of_a_point_follows_iso_c_on_the_axes_and_at_infinity() -> None:
    """Every pair of signed zeros, infinities, NaN and extremes gives what the NumPy reference gives, signs included."""
    values = np.concatenate([SPECIALS, -SPECIALS, [np.nan]])
    y, x = (np.ascontiguousarray(each.ravel()) for each in np.meshgrid(values, values))
    result, expected = on_host("atan2", y, x), np.arctan2(y, x)
    exact = (y == 0.0) | (x == 0.0) | ~np.isfinite(y) | ~np.isfinite(x)
    assert bits_of(result[exact]) == bits_of(expected[exact])
    np.testing.assert_array_max_ulp(result[~exact], expected[~exact], maxulp=1)
    np.testing.assert_array_equal(np.signbit(result[~exact]), np.signbit(expected[~exact]))


@pytest.mark.parametrize("name", ["asin", "acos"])
def test_beyond_one_there_is_no_arc(name: str) -> None:
    """Outside [-1, 1] the arc sine and cosine are NaN."""
    outside = np.array([np.nextafter(1.0, 2.0), np.nextafter(-1.0, -2.0), 2.0, -1e300, np.inf, -np.inf, np.nan])
    assert np.isnan(on_host(name, outside)).all()


@pytest.mark.parametrize("name", ["asin", "atan"])
def test_zeros_keep_their_sign(name: str) -> None:
    """The arc sine and tangent of -0 are -0, of +0 are +0, and the least numbers are their own."""
    least = np.array([0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, -1e-300])
    assert bits_of(on_host(name, least)) == bits_of(least)


def test_ends_of_the_arcs_are_the_nearest_float64() -> None:
    """The arcs end at pi/2 and pi as NumPy writes them, the arc cosine of 1 at +0."""
    ends = np.array([1.0, -1.0, 0.0, -0.0])
    assert bits_of(on_host("asin", ends)) == bits_of(np.array([np.pi / 2, -np.pi / 2, 0.0, -0.0]))
    assert bits_of(on_host("acos", ends)) == bits_of(np.array([0.0, np.pi, np.pi / 2, np.pi / 2]))
    far = np.array([np.inf, -np.inf, LARGEST, -1e17])
    assert bits_of(on_host("atan", far)) == bits_of(np.copysign(np.pi / 2, far))
    assert np.isnan(on_host("atan", np.array([np.nan]))).all()


@pytest.mark.parametrize(("name", "arguments"), [("asin", sines), ("acos", sines), ("atan", tangents)])
def test_bits_depend_on_nothing_but_the_number(name: str, arguments: Callable[[], FloatArray]) -> None:
    """Each processor level, place in the batch and neighbour leaves a result as it is."""
    assert_same_bits_everywhere(name, np.concatenate([arguments(), SPECIALS, -SPECIALS, [np.nan]]))


def test_bits_depend_on_nothing_but_the_point() -> None:
    """Points whose ratio needs care leave their neighbours' angles as they are."""
    y, x = plane()
    values = np.concatenate([SPECIALS, -SPECIALS, [np.nan]])
    assert_same_bits_everywhere("atan2", np.concatenate([y, values, values]), np.concatenate([x, values, values[::-1]]))


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
@pytest.mark.parametrize("name", ["asin", "acos", "atan", "atan2"])
def test_each_level_compiles(name: str, level: Level) -> None:
    """There is an object file for processors other than this one as well."""
    assert object_of(name, level).startswith(b"\x7fELF")
