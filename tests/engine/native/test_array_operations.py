"""Every operation on arrays, with its gradient, on the array tape beside NumPy; and that no derivative leaves it."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine.autodiff import Propagation, backward, push_forward
from gradmill_server.engine.backends.native.array_tape.executable import ArrayTapeExecutable
from gradmill_server.engine.backends.native.array_tape.operations import arrays_run_natively
from gradmill_server.engine.backends.native.levels import host_level
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.ir import GraphBuilder, Output
from gradmill_server.engine.passes.expand import lower
from gradmill_server.engine.passes.simplify import simplify

from tests.engine.arrays.cases import CASES, Case, operands_of
from tests.engine.arrays.test_operations import graph_of, or_zeros, weighted_sine
from tests.engine.building import LIMITS, no_checkpoint
from tests.engine.native.array_graphs import groups_of

_POINTS = 70
_ELSEWHERE = frozenset({"sort", "argsort", "solve", "inverse", "logdet", "cholesky", "solve_triangular"})
"""What the array tape has no records for: places that depend on values, and factorisations."""

RUNNABLE = [case for case in CASES if arrays_run_natively(lower(graph_of(case)))]

pytestmark = pytest.mark.skipif(host_level() is None, reason="this processor runs none of the levels there is code for")


def test_all_but_a_few_operations_run_on_the_array_tape() -> None:
    """Only sorting and factorisations are left to others."""
    assert {case.operation for case in CASES} - {case.operation for case in RUNNABLE} == _ELSEWHERE & {
        case.operation for case in CASES
    }


@pytest.mark.parametrize("case", RUNNABLE, ids=lambda case: case.label)
def test_values_and_gradients_are_numpys(case: Case) -> None:
    """A value and the gradient of a function of it agree with NumPy's, however the points come, whatever is shared."""
    level = host_level()
    assert level is not None
    graph = graph_of(case)
    builder, node, inputs = GraphBuilder.extending(graph), graph.outputs[0].node, range(len(graph.inputs))
    weights = np.random.default_rng(1).normal(size=graph.nodes.shape(node))
    scalar = weighted_sine(builder, node, weights)
    adjoints = backward(builder, scalar, inputs, Propagation())
    gradient = [or_zeros(builder, adjoints[place], entry.shape) for place, entry in enumerate(graph.inputs)]
    whole = simplify(lower(simplify(builder.finish([Output("", entry) for entry in (node, scalar, *gradient)]))))
    assert arrays_run_natively(whole)
    operands = [operands_of(case, seed=seed) for seed in range(_POINTS)]
    columns = [np.stack(each) for each in zip(*operands, strict=True)]
    expected, _ = NumpyExecutable(whole, groups_of(whole)).evaluate_columns(columns, _POINTS, LIMITS, no_checkpoint)
    tape = ArrayTapeExecutable(whole, groups_of(whole), level)
    by_input, _ = tape.evaluate_columns(columns, _POINTS, LIMITS, no_checkpoint)
    matrix = np.concatenate([column.reshape(_POINTS, -1) for column in columns], axis=1)
    by_row, _ = tape.evaluate_rows(matrix, LIMITS, no_checkpoint)
    for (reference,), (result,), row in zip(expected, by_input, by_row, strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-13, atol=1e-13 * np.abs(reference).max())
        np.testing.assert_array_equal(row, result)
    for shared in inputs:
        given = [column[:1] if place == shared else column for place, column in enumerate(columns)]
        repeated = [np.broadcast_to(column, (_POINTS, *column.shape[1:])) for column in given]
        found, _ = tape.evaluate_columns(given, _POINTS, LIMITS, no_checkpoint)
        wanted, _ = tape.evaluate_columns(repeated, _POINTS, LIMITS, no_checkpoint)
        for (have,), (want,) in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("case", RUNNABLE, ids=lambda case: case.label)
def test_no_derivative_leaves_the_array_tape(case: Case) -> None:
    """Gradients, and tangents of gradients in several directions, are made of operations that it has records for."""
    graph = graph_of(case)
    builder, node, inputs = GraphBuilder.extending(graph), graph.outputs[0].node, range(len(graph.inputs))
    scalar = weighted_sine(builder, node, np.ones(graph.nodes.shape(node)))
    adjoints = backward(builder, scalar, inputs, Propagation())
    gradient = [or_zeros(builder, adjoints[place], entry.shape) for place, entry in enumerate(graph.inputs)]
    seeds = {place: builder.constant(np.ones((2, *entry.shape))) for place, entry in enumerate(graph.inputs)}
    moved = push_forward(builder, [node, *gradient], seeds, Propagation(), (2,))
    assert arrays_run_natively(lower(builder.finish([Output("", max(0, entry)) for entry in moved])))
