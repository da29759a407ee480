"""Vector functions compiled for each level that this machine runs, and what must hold of all of them on each."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from gradmill_server.engine.backends.native.arrays import ArrayFunctions
from gradmill_server.engine.backends.native.levels import LEVELS, Level, host_level
from gradmill_server.engine.ir import FloatArray

from tests.engine.vector_math.circle import bits_of, generator


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


def evaluated(name: str, *arguments: FloatArray) -> FloatArray:
    """Return the result of a function of one result, on the best level of this machine."""
    (result,) = compiled(name, host_levels()[0])(name, *arguments)
    return result


def pairs(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return every value beside every other, in both orders."""
    first, second = np.meshgrid(values, values)
    return first.ravel().copy(), second.ravel().copy()


def assert_bits_depend_on_the_point_alone(name: str, *arguments: FloatArray) -> None:
    """Compare levels, and points in order with the same points among other neighbours and alone."""
    expected = bits_of(evaluated(name, *arguments))
    order = generator().permutation(len(arguments[0]))
    for level in host_levels():
        function = compiled(name, level)
        # Three more points in front move every point to another place in its vector.
        (shuffled,) = function(name, *(np.concatenate([each[:3], each[order]]) for each in arguments))
        assert bits_of(shuffled[3:]) == [expected[place] for place in order], level.name
        for place in order[:50]:
            (alone,) = function(name, *(each[place : place + 1] for each in arguments))
            assert bits_of(alone) == [expected[place]], level.name
