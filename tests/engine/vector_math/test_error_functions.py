"""The error function, its complement, the normal distribution and the Gaussians, on lanes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from gradmill_server.engine.backends.native.arrays import ArrayFunctions
from gradmill_server.engine.backends.native.compiler import compile_object, module_text
from gradmill_server.engine.backends.native.levels import LEVELS, Level, host_level
from gradmill_server.engine.backends.native.llvm_text import function_text
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.vector_math import FUNCTIONS

NAMES = ["erf", "erfc", "normal_cdf", "exp_minus_square", "normal_pdf"]
LARGEST = float(np.finfo(np.float64).max)
LEAST_NORMAL = 2.2250738585072014e-308
LEAST = 5e-324

# Ends of polynomials and clamps, and where results turn subnormal and then zero.
BORDERS = [7 / 8, 1.0, 4.0, 6.0, 28.0, 39.5, 26.5432, 27.2262, 26.6416, 27.2973, 37.5194, 38.4855, 37.6, 38.5856]

SPECIALS = np.array([0.0, LEAST, LEAST_NORMAL, 2.0**-500, 2.0**-60, 41.0, 1e8, 2.0**500, LARGEST, np.inf])

# Beyond this magnitude every function here is at its limit.
_FAR = 60

# Where each function has something to show: from its last subnormal to the number that it settles at.
RANGES = {
    "erf": (-6.1, 6.1),
    "erfc": (-6.1, 26.6),
    "normal_cdf": (-38.6, 8.5),
    "exp_minus_square": (-27.4, 27.4),
    "normal_pdf": (-38.7, 38.7),
}

Number = Any
"""An mpmath number; mpmath comes without types."""

EXACT: dict[str, Callable[[Number], Number]] = {
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "normal_cdf": lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "exp_minus_square": lambda x: mpmath.exp(-x * x),
    "normal_pdf": lambda x: mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi),
}


@cache
def points(name: str) -> FloatArray:
    """Return numbers over a function's whole range, round its borders, and of all magnitudes."""
    random = np.random.default_rng(20261123)
    borders = np.array(BORDERS)
    around = np.concatenate([borders, np.nextafter(borders, 0.0), np.nextafter(borders, np.inf)])
    sizes = 10.0 ** np.concatenate([random.uniform(-18.0, 1.6, 2000), random.uniform(-320.0, 308.0, 400)])
    any_size = np.concatenate([sizes, around])
    low, high = RANGES[name]
    usual = [random.uniform(low, high, 4500), random.uniform(-2.5, 2.5, 1000)]
    return np.concatenate([*usual, any_size, -any_size])


@cache
def host_functions() -> dict[str, ArrayFunctions]:
    """Return the functions compiled for each level that this machine runs, the best level first."""
    best = host_level()
    if best is None:
        pytest.skip("this processor has no level that the native backend compiles for")
    levels = [level for level in LEVELS[LEVELS.index(best) :] if level.triple == best.triple]
    return {level.name: ArrayFunctions(NAMES, level) for level in levels}


def on_host(name: str, x: FloatArray) -> FloatArray:
    """Return a function's values on the best level of this machine."""
    (result,) = next(iter(host_functions().values()))(name, x)
    return result


def bits_of(array: FloatArray) -> list[int]:
    """Return the bits of each element, one pattern for every NaN."""
    return list(np.where(np.isnan(array), np.nan, array).view(np.int64).tolist())


def ulps(name: str, x: float, result: float) -> float:
    """Return |result - exact|/ulp(exact)."""
    with mpmath.workdps(40):
        reference = EXACT[name](mpmath.mpf(max(-_FAR, min(_FAR, x))))
        return float(abs(mpmath.mpf(result) - reference) / math.ulp(float(reference)))


@pytest.mark.parametrize(
    ("name", "bound"),
    [("erf", 1.0), ("erfc", 2.0), ("normal_cdf", 2.0), ("exp_minus_square", 1.0), ("normal_pdf", 1.0)],
)
def test_errors_stay_within_their_bound(
    name: str, bound: float, record_property: Callable[[str, object], None]
) -> None:
    """Over the whole range, to the last subnormal, erf and the Gaussians err by 1 ulp at most, the tails by 2."""
    x = points(name)
    assert len(x) >= 10_000
    errors = [ulps(name, *pair) for pair in zip(x.tolist(), on_host(name, x).tolist(), strict=True)]
    worst = int(np.argmax(errors))
    record_property("ulp", f"{name}: {errors[worst]:.3f} at {x[worst].hex()}")
    assert errors[worst] <= bound, x[worst]


@pytest.mark.parametrize(
    ("name", "at_minus_infinity", "at_zero", "at_infinity"),
    [
        ("erf", -1.0, 0.0, 1.0),
        ("erfc", 2.0, 1.0, 0.0),
        ("normal_cdf", 0.0, 0.5, 1.0),
        ("exp_minus_square", 0.0, 1.0, 0.0),
        ("normal_pdf", 0.0, 0.3989422804014327, 0.0),
    ],
)
def test_values_at_zero_and_infinity_are_exact(
    name: str, at_minus_infinity: float, at_zero: float, at_infinity: float
) -> None:
    """At 0 and ±inf, and beside them, each function is the float64 nearest to its value; zeros have their sign."""
    far = np.array([np.inf, LARGEST, 1e22, 50.0])
    assert bits_of(on_host(name, far)) == bits_of(np.full(4, at_infinity))
    assert bits_of(on_host(name, -far)) == bits_of(np.full(4, at_minus_infinity))
    assert bits_of(on_host(name, np.array([0.0]))) == bits_of(np.array([at_zero]))
    if name == "erf":
        assert bits_of(on_host(name, np.array([-0.0]))) == bits_of(np.array([-0.0]))
    else:
        near = np.array([-0.0, LEAST, -LEAST, LEAST_NORMAL, -LEAST_NORMAL, 1e-200, -1e-200])
        assert bits_of(on_host(name, near)) == bits_of(np.full(7, at_zero))


@pytest.mark.parametrize("name", NAMES)
def test_nan_goes_in_and_out(name: str) -> None:
    """A NaN of either sign gives NaN, and its neighbours are as they would be without it."""
    results = on_host(name, np.array([np.nan, 1.0, -np.nan, -1.0]))
    assert np.isnan(results[[0, 2]]).all()
    assert bits_of(results[[1, 3]]) == bits_of(on_host(name, np.array([1.0, -1.0])))


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_backend_agrees(name: str) -> None:
    """The value that the table of operations computes through NumPy is within 4 ulp, special values included."""
    x = np.concatenate([points(name), SPECIALS, -SPECIALS, [np.nan]])
    expected = np.asarray(TABLE[name].value(x))
    np.testing.assert_array_max_ulp(on_host(name, x), expected, maxulp=4)


@pytest.mark.parametrize(("name", "sign"), [("erf", -1.0), ("exp_minus_square", 1.0), ("normal_pdf", 1.0)])
def test_symmetry_holds_to_the_bit(name: str, sign: float) -> None:
    """The error function is odd and the Gaussians are even, in every bit."""
    x = points(name)
    assert bits_of(on_host(name, -x)) == bits_of(sign * on_host(name, x))


@pytest.mark.parametrize("name", NAMES)
def test_bits_depend_on_nothing_but_the_number(name: str) -> None:
    """Each processor level, place in the batch and neighbour leaves a result as it is."""
    x = np.concatenate([points(name), SPECIALS, -SPECIALS, [np.nan]])
    expected = bits_of(on_host(name, x))
    order = np.random.default_rng(7).permutation(len(x))
    for level, functions in host_functions().items():
        (shuffled,) = functions(name, np.concatenate([x[:3], x[order]]))
        assert bits_of(shuffled[3:]) == [expected[place] for place in order], level
        for place in [*order[:50].tolist(), *range(len(x) - 2 * len(SPECIALS) - 1, len(x))]:
            (alone,) = functions(name, x[place : place + 1])
            assert bits_of(alone) == [expected[place]], level


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
@pytest.mark.parametrize("name", NAMES)
def test_each_level_compiles(name: str, level: Level) -> None:
    """There is an object file for processors other than this one as well."""
    text = module_text(level, [function_text(FUNCTIONS[name], level.width)])
    assert compile_object(text, level).startswith(b"\x7fELF")
