"""What the tests of the circular functions share: points, errors in ulps, and the levels this machine runs."""

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
from gradmill_server.engine.vector_math import FUNCTIONS

# An angle of 2^1024 has 1024 bits before the point; a result keeps well over 100 after the cancellation.
_REFERENCE_BITS = 160
_REFERENCE_BITS_HUGE = 1300
_LEAST_SUBNORMAL = 5e-324

Number = Any
"""An mpmath number; mpmath comes without types."""


def generator() -> np.random.Generator:
    """Return the same random numbers at every call."""
    return np.random.default_rng(20261123)


def magnitudes(lowest: int, highest: int, count: int) -> FloatArray:
    """Return numbers of either sign, spread evenly over the powers of two from 2^lowest to 2^highest."""
    random = generator()
    sizes = np.ldexp(random.uniform(1.0, 2.0, count), random.integers(lowest, highest, count))
    return np.asarray(sizes * random.choice([-1.0, 1.0], count))


def with_neighbours(numbers: list[float]) -> FloatArray:
    """Return numbers, the float64 on either side of each, and all of these negated."""
    middle = np.array(numbers)
    all_of_them = np.concatenate([middle, np.nextafter(middle, -np.inf), np.nextafter(middle, np.inf)])
    return np.concatenate([all_of_them, -all_of_them])


def worst_ulp(exact: Callable[..., Number], arguments: list[FloatArray], results: FloatArray) -> tuple[float, str]:
    """Return the largest |result - exact|/ulp(exact), and where; infinite where a result is not a number."""
    worst, where = 0.0, ""
    for result, *point in zip(results.tolist(), *(each.tolist() for each in arguments), strict=True):
        error = _ulps(exact, result, point)
        if not error <= worst:
            worst, where = error, ", ".join(value.hex() for value in point)
    return worst, where


def _ulps(exact: Callable[..., Number], result: float, point: list[float]) -> float:
    huge = max(abs(value) for value in point) > 2.0**39
    with mpmath.workprec(_REFERENCE_BITS_HUGE if huge else _REFERENCE_BITS):
        reference = exact(*(mpmath.mpf(value) for value in point))
        if not math.isfinite(result):
            return math.inf
        unit = math.ulp(float(reference)) or _LEAST_SUBNORMAL
        return float(abs(mpmath.mpf(result) - reference) / unit)


@cache
def host_functions() -> dict[str, ArrayFunctions]:
    """Return the circular functions compiled for each level that this machine runs, the best level first."""
    best = host_level()
    if best is None:
        pytest.skip("this processor has no level that the native backend compiles for")
    names = ["sin", "cos", "sincos", "tan", "asin", "acos", "atan", "atan2"]
    # Levels of a platform stand from the best to the least, each with all that the next one has.
    levels = [level for level in LEVELS[LEVELS.index(best) :] if level.triple == best.triple]
    return {level.name: ArrayFunctions(names, level) for level in levels}


def on_host(name: str, *arguments: FloatArray) -> FloatArray:
    """Return a function's results on the best level of this machine."""
    (result,) = next(iter(host_functions().values()))(name, *arguments)
    return result


def bits_of(array: FloatArray) -> list[int]:
    """Return the bits of each element, one pattern for every NaN."""
    return list(np.where(np.isnan(array), np.nan, array).view(np.int64).tolist())


def assert_same_bits_everywhere(name: str, *arguments: FloatArray) -> None:
    """Compare levels, and compare points in order with the same points among other neighbours and alone."""
    expected = [bits_of(result) for result in next(iter(host_functions().values()))(name, *arguments)]
    order = generator().permutation(len(arguments[0]))
    for level, functions in host_functions().items():
        shuffled = functions(name, *(np.concatenate([each[:3], each[order]]) for each in arguments))
        for result, wanted in zip(shuffled, expected, strict=True):
            assert bits_of(result[3:]) == [wanted[place] for place in order], (name, level)
        for place in order[:50]:
            alone = functions(name, *(each[place : place + 1] for each in arguments))
            assert [bits_of(result) for result in alone] == [[wanted[place]] for wanted in expected], (name, level)


def object_of(name: str, level: Level) -> bytes:
    """Return the object file of one function, and of what it calls."""
    return compile_object(module_text(level, [function_text(FUNCTIONS[name], level.width)]), level)
