"""Two functions at once: nothing but the time they take differs from one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.vector_math import FUNCTIONS, PAIRS

from tests.engine.vector_math.compiled import bits_of, compiled, host_levels
from tests.engine.vector_math.numbers import SPECIALS, generator
from tests.engine.vector_math.ranges import points

AWKWARD = np.concatenate([SPECIALS, [700.0, -709.0, 730.0, -745.0, 28.5, -37.7, 38.5, -12.0, 2.0**41, 1e-320]])
"""Special values, and arguments that take the rare road of one function or another."""


def _among_the_awkward(ordinary: FloatArray) -> FloatArray:
    """Return ordinary numbers with each awkward one in every third lane for a while, so at each place of a vector."""
    together = np.resize(ordinary, 24 * len(AWKWARD))
    together[::3] = np.repeat(AWKWARD, 8)
    return together


def _arguments(name: str) -> FloatArray:
    (x,) = points(name)
    near = generator().uniform(-2.0, 2.0, 200)
    return np.concatenate([x, SPECIALS, _among_the_awkward(near)])


@pytest.mark.parametrize("operations", PAIRS, ids=PAIRS.values())
def test_each_result_has_the_bits_of_the_function_alone(operations: tuple[str, str]) -> None:
    """On every level, at every point and beside every neighbour, computing two functions at once changes neither."""
    name = PAIRS[operations]
    x = _arguments(name)
    for level in host_levels():
        both = compiled(name, level)(name, x)
        for operation, result in zip(operations, both, strict=True):
            (alone,) = compiled(operation, level)(operation, x)
            assert bits_of(result) == bits_of(alone), (operation, level.name)


def test_a_pair_is_named_by_its_operations() -> None:
    """A pair's name says what it gives, and in which order."""
    named = {name: f"{first}_and_{second}" for (first, second), name in PAIRS.items()}
    assert {name for name, by_rule in named.items() if name != by_rule} == {"sincos"}


@pytest.mark.parametrize("operations", PAIRS, ids=PAIRS.values())
def test_a_pair_is_of_operations_of_one_argument(operations: tuple[str, str]) -> None:
    """The table speaks of rows of the table of operations, and of vector functions that give two results."""
    function = FUNCTIONS[PAIRS[operations]]
    assert (function.arity, function.results) == (1, 2)
    assert function.bound == max(FUNCTIONS[operation].bound for operation in operations)
    assert [TABLE[operation].arity for operation in operations] == [1, 1]
