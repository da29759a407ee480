"""Vector functions carried out by NumPy: the machine code's numbers, but for last places."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine.vector_math import FUNCTIONS
from gradmill_server.engine.vector_math.on_numpy import OnNumpy

from tests.engine.vector_math.accuracy import measure
from tests.engine.vector_math.compiled import bits_of, evaluated
from tests.engine.vector_math.numbers import SPECIALS, pairs
from tests.engine.vector_math.ranges import points

_EVERY = 7
"""Of the points at which machine code is measured, this share is enough for what is the same text."""

USED = tuple(
    name
    for name in FUNCTIONS
    if name in {"silu", "gelu", "erfinv", "normal_ppf", "sinc", "lgamma", "digamma", "trigamma", "polygamma"}
    or name.endswith("_slope")
)
"""Functions that give the table of operations its values."""


@pytest.mark.parametrize("name", USED)
def test_numpy_keeps_the_machine_codes_bound(name: str) -> None:
    """Over its whole range a function carried out by NumPy errs by no more than it says."""
    arguments = [each[::_EVERY] for each in points(name)]
    assert measure(name, arguments, [OnNumpy(name)(*arguments)]).worst <= FUNCTIONS[name].bound


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.results == 1])
def test_every_instruction_has_its_like(name: str) -> None:
    """Whatever a function is made of, NumPy carries it out, and special values come to the bit."""
    arguments = pairs(SPECIALS) if FUNCTIONS[name].arity == 2 else (SPECIALS,)
    result, expected = OnNumpy(name)(*arguments), evaluated(name, *arguments)
    settled = ~np.isfinite(expected) | (expected == 0.0)
    assert bits_of(result[settled]) == bits_of(expected[settled])
    np.testing.assert_array_max_ulp(result[~settled], expected[~settled], maxulp=1)


def test_operands_broadcast_and_keep_their_shape() -> None:
    """Arrays of any shapes that broadcast are taken, and a number gives a number's shape."""
    x, delta = np.array([[0.5], [3.0]]), np.array([1.0, 2.0, 4.0])
    assert np.array_equal(OnNumpy("huber")(x, delta), [[0.125, 0.125, 0.125], [2.5, 4.0, 4.5]])
    assert OnNumpy("silu")(0.0).shape == ()


def test_a_long_array_is_computed_piece_by_piece() -> None:
    """A point's bits do not depend on where the pieces begin."""
    x = np.linspace(-30.0, 30.0, 10_001)
    assert np.array_equal(OnNumpy("silu")(x)[5_000:], OnNumpy("silu")(x[5_000:]))
