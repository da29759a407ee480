"""Vector functions at zeros, infinities, NaN, poles and limits, as tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.vector_math import FUNCTIONS

from tests.engine.vector_math.compiled import bits_of, evaluated, results_of
from tests.engine.vector_math.numbers import LARGEST, LEAST, LEAST_NORMAL, SPECIALS, magnitudes, pairs

INF, NAN, PI = math.inf, math.nan, math.pi
BELOW_ONE, ABOVE_ONE = math.nextafter(1.0, 0.0), math.nextafter(1.0, 2.0)

AT_INFINITIES_AND_ZEROS: dict[str, tuple[float, float, float, float]] = {
    "exp": (0.0, 1.0, 1.0, INF),
    "exp2": (0.0, 1.0, 1.0, INF),
    "expm1": (-1.0, -0.0, 0.0, INF),
    "sigmoid": (0.0, 0.5, 0.5, 1.0),
    "softplus": (0.0, 0.6931471805599453, 0.6931471805599453, INF),
    "log": (NAN, -INF, -INF, INF),
    "log1p": (NAN, -0.0, 0.0, INF),
    "log2": (NAN, -INF, -INF, INF),
    "log10": (NAN, -INF, -INF, INF),
    "cbrt": (-INF, -0.0, 0.0, INF),
    "sinh": (-INF, -0.0, 0.0, INF),
    "cosh": (INF, 1.0, 1.0, INF),
    "tanh": (-1.0, -0.0, 0.0, 1.0),
    "sech": (0.0, 1.0, 1.0, 0.0),
    "sin": (NAN, -0.0, 0.0, NAN),
    "cos": (NAN, 1.0, 1.0, NAN),
    "tan": (NAN, -0.0, 0.0, NAN),
    "asin": (NAN, -0.0, 0.0, NAN),
    "acos": (NAN, PI / 2, PI / 2, NAN),
    "atan": (-PI / 2, -0.0, 0.0, PI / 2),
    "asinh": (-INF, -0.0, 0.0, INF),
    "acosh": (NAN, NAN, NAN, INF),
    "atanh": (NAN, -0.0, 0.0, NAN),
    "silu": (-0.0, -0.0, 0.0, INF),
    "gelu": (-0.0, -0.0, 0.0, INF),
    "erf": (-1.0, -0.0, 0.0, 1.0),
    "erfc": (2.0, 1.0, 1.0, 0.0),
    "normal_cdf": (0.0, 0.5, 0.5, 1.0),
    "erfinv": (NAN, -0.0, 0.0, NAN),
    "erfinv_slope": (NAN, 0.8862269254527579, 0.8862269254527579, NAN),
    "normal_ppf": (NAN, -INF, -INF, NAN),
    "normal_ppf_slope": (NAN, INF, INF, NAN),
    "lgamma": (INF, INF, INF, INF),
    "digamma": (NAN, INF, -INF, INF),
    "trigamma": (NAN, INF, INF, 0.0),
    "sinc": (0.0, 1.0, 1.0, 0.0),
    "sinc_slope": (-0.0, 0.0, -0.0, 0.0),
    "exp_minus_square": (0.0, 1.0, 1.0, 0.0),
    "normal_pdf": (0.0, 0.3989422804014327, 0.3989422804014327, 0.0),
}
"""The results at -inf, -0, 0 and inf, to the bit."""

SETTLED: dict[str, tuple[float, ...]] = {
    "exp": (1e5,),
    "exp2": (1e5,),
    "expm1": (1e5,),
    "sigmoid": (1e5,),
    "sinh": (1e5,),
    "cosh": (1e5,),
    "tanh": (20.0, 30.0, 299.0, 301.0, 1e300),
    "sech": (1e5,),
    "erf": (6.0, 7.0, 12.0, 25.9, 26.1, 28.1, 50.0, 1e22),
    "erfc": (50.0, 1e22),
    "normal_cdf": (50.0, 1e22),
    "exp_minus_square": (50.0, 1e22),
    "normal_pdf": (50.0, 1e22),
    "atan": (1e17, 2.0**60, 2.0**1000),
}
"""Arguments from which on, and at whose negatives, the results at infinity are reached."""

POINTS: dict[str, tuple[tuple[float, float], ...]] = {
    "exp2": tuple((float(place), 2.0**place) for place in range(-1074, 1024, 7)),
    "log2": tuple((2.0**place, float(place)) for place in range(-1074, 1024, 7)),
    "log10": ((1.0, 0.0), *((10.0**place, float(place)) for place in range(23)), (-1.0, NAN), (-LARGEST, NAN)),
    "acosh": ((1.0, 0.0), (BELOW_ONE, NAN), (-1.0, NAN), (-3.0, NAN), (-LARGEST, NAN)),
    "atanh": ((1.0, INF), (-1.0, -INF), (ABOVE_ONE, NAN), (-ABOVE_ONE, NAN), (1e300, NAN)),
    "erfinv": ((1.0, INF), (-1.0, -INF), (ABOVE_ONE, NAN), (-ABOVE_ONE, NAN), (1e300, NAN)),
    "erfinv_slope": ((1.0, INF), (-1.0, INF), (ABOVE_ONE, NAN), (-ABOVE_ONE, NAN)),
    "normal_ppf": ((0.5, 0.0), (1.0, INF), (-LEAST, NAN), (ABOVE_ONE, NAN), (-1.0, NAN), (LARGEST, NAN)),
    "normal_ppf_slope": ((1.0, INF), (LEAST, INF), (-LEAST, NAN), (ABOVE_ONE, NAN)),
    "sinc": tuple((float(place), 0.0) for place in (1, -1, 2, 3, -4, 1023, 2**52 + 1, 2**53, 2**1000)),
    "lgamma": ((1.0, 0.0), (2.0, 0.0), *((-float(place), INF) for place in (1, 2, 3, 170, 2**52 + 1))),
    "digamma": tuple((-float(place), NAN) for place in (1, 2, 3, 170, 2**52 + 1)),
    "trigamma": tuple((-float(place), INF) for place in (1, 2, 3, 170, 2**52 + 1)),
    "silu": ((50.0, 50.0), (LARGEST, LARGEST), (-800.5, -0.0), (-LARGEST, -0.0)),
    "gelu": ((9.0, 9.0), (LARGEST, LARGEST), (-39.5, -0.0), (-LARGEST, -0.0)),
    "log": ((1.0, 0.0), (-LEAST, NAN), (-1.0, NAN), (-LARGEST, NAN)),
    "log1p": ((-1.0, -INF), (-ABOVE_ONE, NAN), (-LARGEST, NAN)),
    "asin": ((1.0, PI / 2), (-1.0, -PI / 2), (ABOVE_ONE, NAN), (-ABOVE_ONE, NAN), (2.0, NAN), (-1e300, NAN)),
    "acos": ((1.0, 0.0), (-1.0, PI), (ABOVE_ONE, NAN), (-ABOVE_ONE, NAN), (2.0, NAN), (-1e300, NAN)),
    "softplus": ((40.0, 40.0), (709.0, 709.0), (1e5, 1e5), (1e308, 1e308), (-1e5, 0.0)),
}
"""Arguments and results, to the bit."""

IDENTITIES = ("expm1", "log1p", "sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh")
"""Functions that the smallest numbers pass unchanged."""

FLAT = (
    "exp",
    "exp2",
    "sigmoid",
    "softplus",
    "cosh",
    "sech",
    "cos",
    "acos",
    "erfc",
    "normal_cdf",
    "exp_minus_square",
    "normal_pdf",
)
"""Functions that the smallest numbers do not move from their value at 0."""

NEAREST = {"log": 1, "log2": 1, "log10": 1, "log1p": 1, "atan2": 1, "power": 1, "hypot": 1, "fmod": 0, "mod": 0}
"""How many float64 a function may be from NumPy's value; others, or the libraries' own, may be 4 away."""

ONE_ARGUMENT = [name for name, function in FUNCTIONS.items() if function.arity == 1]


@pytest.mark.parametrize("name", [name for name in ONE_ARGUMENT if name in TABLE])
def test_every_function_says_what_it_is_at_infinity_and_zero(name: str) -> None:
    """Zeros keep their sign where the function is odd, infinities give the limit, or NaN where there is none."""
    expected = np.array(AT_INFINITIES_AND_ZEROS[name])
    assert bits_of(evaluated(name, np.array([-INF, -0.0, 0.0, INF]))) == bits_of(expected)


@pytest.mark.parametrize("name", SETTLED)
def test_limits_are_reached_and_kept(name: str) -> None:
    """Far out a function is what it is at infinity."""
    at_minus_infinity, _, _, at_infinity = AT_INFINITIES_AND_ZEROS[name]
    far = np.array([*SETTLED[name], LARGEST])
    assert bits_of(evaluated(name, far)) == bits_of(np.full(len(far), at_infinity))
    assert bits_of(evaluated(name, -far)) == bits_of(np.full(len(far), at_minus_infinity))


@pytest.mark.parametrize("name", POINTS)
def test_named_points_are_exact(name: str) -> None:
    """Zeros, poles, the ends of the domain and what is beyond them give the nearest float64, or NaN."""
    arguments, results = (np.array(column) for column in zip(*POINTS[name], strict=True))
    assert bits_of(evaluated(name, arguments)) == bits_of(results)


@pytest.mark.parametrize("name", IDENTITIES)
def test_the_smallest_numbers_are_their_own(name: str) -> None:
    """Zeros keep their sign, and numbers too small to bend stay as they are."""
    least = np.concatenate([magnitudes(-1074, -55, 500), [0.0, -0.0, LEAST, -LEAST, LEAST_NORMAL, -LEAST_NORMAL]])
    assert bits_of(evaluated(name, least)) == bits_of(least)


@pytest.mark.parametrize("name", FLAT)
def test_the_smallest_numbers_change_nothing(name: str) -> None:
    """Numbers too small to be felt give the result at 0."""
    least = np.concatenate([magnitudes(-1074, -60, 500), [-0.0, LEAST, -LEAST, LEAST_NORMAL, -LEAST_NORMAL]])
    assert bits_of(evaluated(name, least)) == bits_of(np.full(len(least), AT_INFINITIES_AND_ZEROS[name][2]))


@pytest.mark.parametrize("name", ONE_ARGUMENT)
def test_nan_goes_in_and_out(name: str) -> None:
    """A NaN of either sign gives NaN, and its neighbours are as they would be without it."""
    beside = np.array([2.0**41, -(2.0**41)]) if name == "reduction_of_huge" else np.array([0.75, 0.25])
    mixed = np.array([np.nan, beside[0], -np.nan, beside[1]])
    for result, alone in zip(results_of(name, mixed), results_of(name, beside), strict=True):
        assert bits_of(result[[1, 3]]) == bits_of(alone)
        # The quadrant that the reduction of an angle tells is a pattern of bits.
        assert np.isnan(result[[0, 2]]).all() or name == "reduction_of_huge"


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name in TABLE])
def test_special_values_are_those_of_the_table(name: str) -> None:
    """Every special value, and every pair of them, gives what the NumPy reference gives, signs and NaN to the bit."""
    beside = [-800.0, -740.0, 800.0, 2.0, 3.0, 2.0**53 - 1.0, ABOVE_ONE, BELOW_ONE]
    arguments = pairs(np.concatenate([SPECIALS, beside])) if FUNCTIONS[name].arity == 2 else (SPECIALS,)
    with np.errstate(all="ignore"):
        expected = np.asarray(TABLE[name].value(*arguments), dtype=np.float64)
    result = evaluated(name, *arguments)
    settled = ~np.isfinite(expected) | (expected == 0.0)
    assert bits_of(result[settled]) == bits_of(expected[settled])
    np.testing.assert_array_max_ulp(result[~settled], expected[~settled], maxulp=NEAREST.get(name, 4))


def test_the_angle_of_a_point_follows_iso_c_on_the_axes_and_at_infinity() -> None:
    """Every pair of signed zeros, infinities, NaN and extremes gives what NumPy gives, on the axes to the bit."""
    y, x = pairs(SPECIALS)
    result, expected = evaluated("atan2", y, x), np.arctan2(y, x)
    exact = (y == 0.0) | (x == 0.0) | ~np.isfinite(y) | ~np.isfinite(x)
    assert bits_of(result[exact]) == bits_of(expected[exact])
    np.testing.assert_array_equal(np.signbit(result[~exact]), np.signbit(expected[~exact]))
