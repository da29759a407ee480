"""Patterns: which element of a result depends on which element of the inputs, from the structure of a graph.

Every scalar of the unrolled graph carries a set of the elements that reach it differentiably, one bit each (Griewank
and Walther, "Evaluating Derivatives", 2nd ed., SIAM 2008, section 7.1). The pattern holds at every point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.checkpoints import never, watched
from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import Graph, Output, size
from gradmill_server.engine.passes.rewrite import prune
from gradmill_server.engine.passes.scalarize import scalarize
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.passes.unroll_loops import unroll_loops

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.limits import Limits

_LARGEST_UNROLLED = 1_000_000
"""Scalars up to which a graph is unrolled to see its structure; of a larger one every element counts as dependent."""


class SparsePattern(NamedTuple):
    """The places of a sparse matrix that may differ from zero, in compressed sparse row form.

    Attributes:
        shape: rows and columns.
        row_starts: int64 [rows + 1], where each row begins in ``columns``.
        columns: int64 [nonzeros], ascending in each row.
    """

    shape: tuple[int, int]
    row_starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.row_starts))


def pattern_from_sets(sets: Sequence[npt.NDArray[np.int64]], columns: int) -> SparsePattern:
    """Return the pattern of a matrix, given the columns of each row in ascending order."""
    starts = np.concatenate([[0], np.cumsum([len(each) for each in sets])]).astype(np.int64)
    return SparsePattern((len(sets), columns), starts, np.concatenate([np.zeros(0, dtype=np.int64), *sets]))


def dependencies(
    graph: Graph, node: int, varied: Sequence[int], limits: Limits, checkpoint: Checkpoint = never
) -> SparsePattern:
    """Return on which elements of the varied inputs each element of a node depends.

    Args:
        graph: the graph, without composite operations.
        node: the value whose elements are the rows.
        varied: the inputs whose elements, in this order, are the columns.
        limits: bounds on the sets' memory, and on the places, as a value holds an element for each.
        checkpoint: called every few milliseconds; may raise to stop.

    Raises:
        LimitExceeded: when the sets would take too much memory, or there are too many places.
    """
    columns = sum(size(graph.inputs[index].shape) for index in varied)
    rows = size(graph.nodes.shape(node))
    alone = simplify(prune(Graph(graph.inputs, graph.nodes, (Output("", node),), {}), checkpoint), checkpoint)
    without_loops = unroll_loops(alone, _LARGEST_UNROLLED, checkpoint)
    scalars = None if without_loops is None else scalarize(without_loops, _LARGEST_UNROLLED, checkpoint)
    if scalars is None:
        check_elements(rows * columns, limits)
        return pattern_from_sets([np.arange(columns)] * rows, columns)
    _check(len(scalars.nodes) * (columns // 8 + 1), limits)
    sets = _sets(scalars, _columns_of(graph, varied), checkpoint)
    chosen = [sets[output.node] for output in scalars.outputs]
    check_elements(sum(members.bit_count() for members in chosen), limits)
    return pattern_from_sets([_members(members, columns) for members in watched(chosen, checkpoint)], columns)


def check_elements(elements: int, limits: Limits) -> None:
    """Let a value of a derivative pass that has so many elements.

    Raises:
        LimitExceeded: when they are too many.
    """
    if elements > limits.maximum_elements_per_value:
        raise LimitExceeded.of(
            what="elements of one value of a derivative",
            reason="DERIVATIVE_TOO_LARGE",
            value=elements,
            limit=limits.maximum_elements_per_value,
            knob="maximum_elements_per_value",
        )


def _check(needed: int, limits: Limits) -> None:
    if needed > limits.maximum_pattern_bytes:
        raise LimitExceeded.of(
            what="bytes of the sets that a sparse pattern is found with",
            reason="PATTERN_TOO_LARGE",
            value=needed,
            limit=limits.maximum_pattern_bytes,
            knob="maximum_pattern_bytes",
        )


def _columns_of(graph: Graph, varied: Sequence[int]) -> dict[int, int]:
    """Return the column of each scalar input of the unrolled graph that belongs to a varied input."""
    begins = np.cumsum([0, *(size(entry.shape) for entry in graph.inputs)]).tolist()
    places = [place for index in varied for place in range(begins[index], begins[index + 1])]
    return {place: column for column, place in enumerate(places)}


def _sets(scalars: Graph, column_of: dict[int, int], checkpoint: Checkpoint) -> list[int]:
    """Return for each scalar the set of columns it depends on, a bit for each."""
    nodes = scalars.nodes
    sets = [0] * len(nodes)
    for place, column in column_of.items():
        sets[place] = 1 << column
    for index, arguments in enumerate(watched(nodes.arguments, checkpoint)):
        if not arguments:
            continue
        union = 0
        for argument, rule in zip(arguments, ops.TABLE[nodes.operations[index]].partials, strict=True):
            if rule is not None:
                union |= sets[argument]
        sets[index] = union
    return sets


def _members(members: int, columns: int) -> npt.NDArray[np.int64]:
    """Return the members of a set in ascending order."""
    packed = np.frombuffer(members.to_bytes(columns // 8 + 1, "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(packed, bitorder="little"))
