"""Runs graphs on the tape machine and on NumPy alike: random graphs, awkward points, and comparisons bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward
from gradmill_server.engine.backends.native.levels import LEVELS, Level, runs_on_host
from gradmill_server.engine.backends.native.tape import TapeExecutable, stride_of
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.backends.results import ColumnResults, ResultGroup
from gradmill_server.engine.checkpoints import Checkpoint
from gradmill_server.engine.ir import Graph, GraphBuilder, Output
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.points import PointBatch

from tests.engine.building import no_checkpoint

Array = npt.NDArray[np.floating[Any]]

SPECIALS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan)
HOST_LEVELS = [level for level in LEVELS if runs_on_host(level)]
FLAG = 1
Results = ColumnResults


def one_by_one(graph: Graph) -> list[ResultGroup]:
    """Return groups of one output each."""
    return [ResultGroup(FLAG, (graph.nodes[output.node].shape,), is_row=False) for output in graph.outputs]


def as_row(graph: Graph) -> list[ResultGroup]:
    """Return one group of all outputs: the columns of one matrix, when points come as a matrix."""
    return [ResultGroup(FLAG, ((),) * len(graph.outputs), is_row=True)]


def tape_of(graph: Graph, level: Level, groups: Sequence[ResultGroup] | None = None) -> TapeExecutable:
    """Return a graph's tape."""
    return TapeExecutable(graph, one_by_one(graph) if groups is None else groups, level)


def by_columns(graph: Graph, columns: Sequence[Array]) -> PointBatch:
    """Return points with an array for each input; one of a single element is shared."""
    rows = max(len(column) for column in columns)
    named = {entry.name: column for entry, column in zip(graph.inputs, columns, strict=True)}
    shared = [name for name, column in named.items() if len(column) == 1 != rows]
    return PointBatch.from_inputs(
        graph.inputs, {name: column[0] if name in shared else column for name, column in named.items()}, shared
    )


def by_matrix(graph: Graph, columns: Sequence[Array]) -> PointBatch:
    """Return points as one matrix."""
    return PointBatch.from_matrix(graph.inputs, np.ascontiguousarray(np.column_stack(columns)))


def evaluated(executable: TapeExecutable | NumpyExecutable, points: PointBatch, limits: Limits = Limits()) -> Results:  # noqa: B008 - a frozen value
    """Evaluate to the end."""
    return evaluate(executable, points, limits, no_checkpoint)


def evaluate(
    executable: TapeExecutable | NumpyExecutable, points: PointBatch, limits: Limits, checkpoint: Checkpoint
) -> Results:
    """Evaluate as a program does."""
    if points.matrix is None:
        return executable.evaluate_columns(points.arrays, points.count, limits, checkpoint)
    arrays, flags = executable.evaluate_rows(points.matrix, limits, checkpoint)
    return [[values] for values in arrays], flags


def arrays_of(results: Results) -> list[Array]:
    """Return all arrays of some results."""
    return [values for group in results[0] for values in group]


def limited_to(executable: TapeExecutable, lanes: int) -> Limits:
    """Return limits under which blocks are no wider than this."""
    return replace(Limits(), maximum_scratch_bytes=executable.slots * stride_of(lanes))


def bits(arrays: Sequence[Array]) -> list[bytes]:
    """Return the bits of arrays, one pattern for every NaN."""
    return [np.where(np.isnan(values), np.nan, values).tobytes() for values in arrays]


def assert_same(found: Sequence[Array], expected: Sequence[Array]) -> None:
    """Compare; a NaN is a NaN, and a zero of either sign may come of a tie between the two."""
    for have, want in zip(found, expected, strict=True):
        np.testing.assert_array_equal(have, want)


def awkward_points(seed: int, inputs: int, rows: int) -> list[Array]:
    """Return ordinary points with awkward ones among them, a column for each input."""
    random = np.random.default_rng(seed)
    columns = random.normal(size=(inputs, rows)) * 3.0
    awkward = random.random((inputs, rows)) < 0.1
    columns[awkward] = random.choice(SPECIALS, size=int(awkward.sum()))
    return list(columns)


def with_gradients(graph: Graph) -> Graph:
    """Return a graph with the gradient of its first output by all inputs, as further outputs."""
    builder = GraphBuilder.extending(graph)
    adjoints = backward(builder, graph.outputs[0].node, range(len(graph.inputs)), Propagation())
    found = [adjoint for adjoint in adjoints[: len(graph.inputs)] if adjoint != NO_ADJOINT]
    nodes = [output.node for output in graph.outputs] + found
    return builder.build([Output(f"r{place}", node) for place, node in enumerate(nodes)])
