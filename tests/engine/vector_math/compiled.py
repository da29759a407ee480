"""Vector functions compiled for each level that this machine runs, and what must hold of all of them on each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from gradmill_server.engine import vector_math
from gradmill_server.engine.backends.native import arrays, compiler
from gradmill_server.engine.backends.native.arrays import ArrayFunctions
from gradmill_server.engine.backends.native.compiler import compile_object, module_text
from gradmill_server.engine.backends.native.levels import LEVELS, Level, host_level
from gradmill_server.engine.backends.native.llvm_text import function_text
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.vector_math import FUNCTIONS, VectorFunction

from tests.engine.vector_math.numbers import generator

_ALONE = 50
"""How many points are also computed with no neighbour."""


def host_levels() -> list[Level]:
    """Return the levels that this machine runs, the best first."""
    best = host_level()
    if best is None:
        pytest.skip("this processor has no level that the native backend compiles for")
    # Levels of a platform stand from the best to the least, each with all that the next one has.
    return [level for level in LEVELS[LEVELS.index(best) :] if level.triple == best.triple]


@cache
def compiled(name: str, level: Level) -> ArrayFunctions:
    """Return a function compiled for a level."""
    return ArrayFunctions([name], level)


def results_of(name: str, *arguments: FloatArray) -> list[FloatArray]:
    """Return all results of a function, on the best level of this machine."""
    return compiled(name, host_levels()[0])(name, *arguments)


def evaluated(name: str, *arguments: FloatArray) -> FloatArray:
    """Return the result of a function of one result, on the best level of this machine."""
    (result,) = results_of(name, *arguments)
    return result


def define(monkeypatch: pytest.MonkeyPatch, function: VectorFunction) -> ArrayFunctions:
    """Add a function to those that can be compiled, and compile it for the best level of this machine."""
    functions: Mapping[str, VectorFunction] = {**FUNCTIONS, function.name: function}
    for module in (vector_math, arrays, compiler):
        monkeypatch.setattr(module, "FUNCTIONS", functions)
    return ArrayFunctions([function.name], host_levels()[0])


def bits_of(array: FloatArray) -> list[int]:
    """Return the bits of each element, one pattern for every NaN."""
    return list(np.where(np.isnan(array), np.nan, array).view(np.int64).tolist())


def assert_bits_depend_on_the_point_alone(name: str, *arguments: FloatArray) -> None:
    """Compare levels, and points in order with the same points among other neighbours and alone."""
    expected = [bits_of(result) for result in results_of(name, *arguments)]
    count = len(arguments[0])
    order = generator().permutation(count)
    # Three more points in front move every point to another place in its vector.
    shuffled_arguments = [np.concatenate([each[:3], each[order]]) for each in arguments]
    for level in host_levels():
        function = compiled(name, level)
        for result, wanted in zip(function(name, *shuffled_arguments), expected, strict=True):
            assert bits_of(result[3:]) == [wanted[place] for place in order], level.name
        # Special values stand last.
        for place in [*order[:_ALONE], *range(count - _ALONE, count)]:
            alone = function(name, *(each[place : place + 1] for each in arguments))
            assert [bits_of(result) for result in alone] == [[wanted[place]] for wanted in expected], level.name


def object_of(name: str, level: Level) -> bytes:
    """Return the object file of one function, and of what it calls."""
    return compile_object(module_text(level, [function_text(FUNCTIONS[name], level.width)]), level)
