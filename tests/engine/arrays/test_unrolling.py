"""Arrays unrolled into scalars and run natively, against the NumPy backend."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import Propagation, backward
from gradmill_server.engine.backends.choice import executable, road
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.backends.results import ResultGroup
from gradmill_server.engine.ir import Graph, GraphBuilder, Output
from gradmill_server.engine.passes.scalarize import scalarize
from gradmill_server.engine.passes.simplify import simplify

from tests.engine.arrays.cases import CASES, Case, operands_of
from tests.engine.arrays.test_operations import graph_of, or_zeros
from tests.engine.building import LIMITS, no_checkpoint

_POINTS = 11
_ENOUGH = 100_000
_BY_VALUE = frozenset({"sort", "argsort", "solve", "inverse", "logdet"})
"""Operations that move elements to places that depend on their values, in sorting or in choosing pivots."""


def with_gradient(case: Case) -> Graph:
    """Return a case's value, the sum of its squares, and the gradient of that."""
    graph = graph_of(case)
    builder, node = GraphBuilder.extending(graph), graph.outputs[0].node
    square = ops.emit(builder, "multiply", (node, node))
    axes = tuple(range(len(builder.nodes.shape(node))))
    total = ops.emit(builder, "sum", (square,), (("axes", axes),))
    adjoints = backward(builder, total, range(len(graph.inputs)), Propagation())
    gradient = [or_zeros(builder, adjoints[place], entry.shape) for place, entry in enumerate(graph.inputs)]
    return simplify(builder.finish([Output("", entry) for entry in (node, total, *gradient)]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_unrolled_and_numpy_agree(case: Case) -> None:
    """Values and gradients are those of the NumPy backend, whichever way the points come."""
    graph = with_gradient(case)
    groups = [ResultGroup(1, (graph.nodes.shape(output.node),), is_row=False) for output in graph.outputs]
    operands = [operands_of(case, seed=seed) for seed in range(_POINTS)]
    columns = [np.stack(each) for each in zip(*operands, strict=True)]
    native = executable(graph, groups, by=road(graph_of(case)))
    expected, _ = NumpyExecutable(graph, groups).evaluate_columns(columns, _POINTS, LIMITS, no_checkpoint)
    by_input, _ = native.evaluate_columns(columns, _POINTS, LIMITS, no_checkpoint)
    matrix = np.concatenate([column.reshape(_POINTS, -1) for column in columns], axis=1)
    by_row, _ = native.evaluate_rows(matrix, LIMITS, no_checkpoint)
    for (reference,), (result,), row in zip(expected, by_input, by_row, strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-14, atol=1e-14 * np.abs(reference).max())
        np.testing.assert_array_equal(row, result)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_what_does_not_move_by_value_is_unrolled(case: Case) -> None:
    """Only operations whose places depend on values are left to NumPy."""
    assert (scalarize(graph_of(case), _ENOUGH) is None) == (case.operation in _BY_VALUE)


def test_a_graph_that_would_be_too_large_is_not_unrolled() -> None:
    """The caller's bound holds for the scalars that arise, not only for those of the graph as it is."""
    case = next(case for case in CASES if case.operation == "matmul")
    graph = graph_of(case)
    scalars = scalarize(graph, _ENOUGH)
    assert scalars is not None
    assert scalarize(graph, len(scalars.nodes)) is not None
    assert scalarize(graph, len(scalars.nodes) // 2) is None
