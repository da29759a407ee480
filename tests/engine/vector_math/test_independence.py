"""What a point's result depends on: nothing but the point."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine.backends.native.levels import LEVELS, Level
from gradmill_server.engine.vector_math import FUNCTIONS

from tests.engine.vector_math.compiled import assert_bits_depend_on_the_point_alone, object_of
from tests.engine.vector_math.numbers import SPECIALS, pairs
from tests.engine.vector_math.ranges import LEAST_HUGE, points


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_depend_on_nothing_but_the_point(name: str) -> None:
    """Each processor level, place in the batch and neighbour, special ones included, leaves a result as it is."""
    specials = pairs(SPECIALS) if FUNCTIONS[name].arity == 2 else (SPECIALS,)
    if name == "reduction_of_huge":
        # Below, it is not defined.
        specials = (SPECIALS[~(np.abs(SPECIALS) < LEAST_HUGE)],)
    together = [np.concatenate(each) for each in zip(points(name), specials, strict=True)]
    assert_bits_depend_on_the_point_alone(name, *together)


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_level_compiles(name: str, level: Level) -> None:
    """There is an object file for processors other than this one as well."""
    assert object_of(name, level).startswith(b"\x7fELF")
