"""Machine code of every operation beside NumPy's value: equal at awkward points, within a few units elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.records import NATIVE_OPERATIONS
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.ops import TABLE, emit

from tests.engine.native.running import HOST_LEVELS, arrays_of, by_columns, evaluated, one_by_one, tape_of

Array: TypeAlias = "npt.NDArray[np.floating[Any]]"

SPECIALS = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 5e-324, -5e-324, 1e308, np.inf, -np.inf, np.nan)
UNITS = 8.0
"""Units in the last place between two results that are each within a few of the exact one."""

pytestmark = pytest.mark.skipif(not HOST_LEVELS, reason="this processor runs none of the levels there is code for")


def single(name: str) -> Graph:
    """Return the graph of one operation of inputs of its own."""
    builder = GraphBuilder([Input(f"x{place}") for place in range(TABLE[name].arity)])
    return builder.build([Output("value", emit(builder, name, range(TABLE[name].arity)))])


def both(name: str, level: Level, columns: Sequence[Array]) -> tuple[Array, Array]:
    """Return the operation's values by machine code and by NumPy."""
    graph = single(name)
    points = by_columns(graph, columns)
    (native,) = arrays_of(evaluated(tape_of(graph, level), points))
    (reference,) = arrays_of(evaluated(NumpyExecutable(graph, one_by_one(graph)), points))
    return native, reference


def assert_close(name: str, columns: Sequence[Array], native: Array, reference: Array) -> None:
    """Compare: the same NaNs, infinities and zeros, and numbers a few units apart at most."""
    with np.errstate(invalid="ignore"):
        close = np.abs(native - reference) <= UNITS * np.spacing(np.abs(reference))
    agree = close | (native == reference) | (np.isnan(native) & np.isnan(reference))
    wrong = np.flatnonzero(~agree)[:5]
    shown = [(*(float(column[at]) for column in columns), float(native[at]), float(reference[at])) for at in wrong]
    assert agree.all(), f"{name}: operands, native, reference: {shown}"


@pytest.mark.parametrize("level", HOST_LEVELS, ids=[level.name for level in HOST_LEVELS])
@pytest.mark.parametrize("name", sorted(NATIVE_OPERATIONS))
def test_awkward_points_agree_with_numpy(name: str, level: Level) -> None:
    """At zeros, infinities, NaN and the ends of the range both backends say the same."""
    combinations = np.array(list(itertools.product(SPECIALS, repeat=TABLE[name].arity)))
    columns = list(np.ascontiguousarray(combinations.T))
    assert_close(name, columns, *both(name, level, columns))


@pytest.mark.parametrize("level", HOST_LEVELS, ids=[level.name for level in HOST_LEVELS])
@pytest.mark.parametrize("name", sorted(NATIVE_OPERATIONS))
def test_the_domain_agrees_with_numpy(name: str, level: Level) -> None:
    """Over its domain each operation is within a few units in the last place of NumPy's value."""
    random = np.random.default_rng(7)
    columns = [random.uniform(low, high, 4_000) for low, high in TABLE[name].domain]
    assert_close(name, columns, *both(name, level, columns))


def test_every_operation_has_machine_code() -> None:
    """No operation sends a function of scalars to the slower backend."""
    assert set(TABLE) == NATIVE_OPERATIONS
