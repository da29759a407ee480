"""Sparse derivatives: as many directions as there are colours, and the entries taken from what they give.

The entries are exact, as no two of them that share a direction meet (Curtis, Powell and Reid, "On the estimation of
sparse Jacobian matrices", IMA Journal of Applied Mathematics 13, 1974).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.autodiff import NO_ADJOINT, adjoints_of, pull_back, push_forward
from gradmill_server.engine.derivatives.coloring import (
    Coloring,
    color_columns,
    color_symmetric,
    symmetric_pattern,
    transposed_pattern,
)
from gradmill_server.engine.derivatives.joining import joined, seeds_of_rows
from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import size
from gradmill_server.engine.ops.arrays.movement import filled, reshaped, taken
from gradmill_server.engine.ops.value import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.autodiff import Propagation
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.derivatives.patterns import SparsePattern
    from gradmill_server.engine.ir import FloatArray, GraphBuilder, Shape
    from gradmill_server.engine.limits import Limits


def compressed_jacobian(
    builder: GraphBuilder,
    node: int,
    varied: Sequence[int],
    pattern: SparsePattern,
    propagation: Propagation,
    limits: Limits,
    checkpoint: Checkpoint,
) -> tuple[Value, bool]:
    """Return the entries of a node's Jacobian by its pattern, [nonzeros], and whether forward mode computed them.

    Raises:
        LimitExceeded: when it needs so many directions that a value would have too many elements.
    """
    coloring, forward = _colored(pattern, limits, checkpoint)
    rows, columns = pattern.shape
    if forward:
        moved = _pushed(builder, node, varied, _one_of_each(coloring), propagation, checkpoint)
        return taken(moved, (coloring.color_of[pattern.columns] * rows + pattern.rows).tolist()), True
    seeds = {node: builder.constant(_one_of_each(coloring).reshape(coloring.colors, *builder.nodes.shape(node)))}
    leading = (coloring.colors,)
    adjoints = pull_back(builder, seeds, varied, propagation, leading, checkpoint)
    flat = _flat(joined(builder, adjoints_of(adjoints, varied), leading, _shapes(builder, varied)))
    return taken(flat, (coloring.color_of[pattern.rows] * columns + pattern.columns).tolist()), False


def _colored(pattern: SparsePattern, limits: Limits, checkpoint: Checkpoint) -> tuple[Coloring, bool]:
    """Return the colouring of columns or of rows that has fewer colours, and whether it is that of columns.

    What cannot have fewer colours than the other is not coloured: as many are needed as the longest row has entries.
    """
    turned = transposed_pattern(pattern)
    found: tuple[Coloring, bool] | None = None
    for each in sorted((pattern, turned), key=_longest_row):
        most = _most_directions(each, limits)
        if found is not None:
            most = min(most, found[0].colors - (each is turned))
        coloring = color_columns(each, most, checkpoint) if _longest_row(each) <= most else None
        if coloring is not None:
            found = coloring, each is pattern
    if found is None:
        raise _too_many_directions(min(pattern, turned, key=_longest_row), limits)
    return found


def _longest_row(pattern: SparsePattern) -> int:
    return int(np.diff(pattern.row_starts).max())


def _most_directions(pattern: SparsePattern, limits: Limits) -> int:
    """Return how many directions over the columns may be: constants, each of which gives an element for each row."""
    rows, columns = pattern.shape
    return min(limits.maximum_elements_per_value // rows, limits.maximum_constant_elements // columns)


def _too_many_directions(pattern: SparsePattern, limits: Limits) -> LimitExceeded:
    return LimitExceeded.of(
        f"a matrix of {pattern.shape[0]} by {pattern.shape[1]} is not sparse enough; directions, at least",
        reason="DERIVATIVE_TOO_LARGE",
        value=max(_longest_row(pattern), _most_directions(pattern, limits) + 1),
        limit=_most_directions(pattern, limits),
        knob="maximum_elements_per_value",
    )


def compressed_hessian(
    builder: GraphBuilder,
    gradient: Value,
    varied: Sequence[int],
    pattern: SparsePattern,
    propagation: Propagation,
    limits: Limits,
    checkpoint: Checkpoint,
) -> tuple[Value, SparsePattern]:
    """Return the entries of a Hessian, [nonzeros], and their pattern.

    Args:
        builder: the graph that holds the gradient; it grows.
        gradient: the gradient by the varied inputs, [elements].
        varied: the inputs.
        pattern: on which elements the gradient depends.
        propagation: how tangents pass through partials.
        limits: bounds on the size of what arises.
        checkpoint: called every few milliseconds; may raise to stop.

    Raises:
        LimitExceeded: when it needs so many directions that a value would have too many elements.
    """
    symmetric = symmetric_pattern(pattern)
    coloring = color_symmetric(symmetric, _most_directions(symmetric, limits), checkpoint)
    if coloring is None:
        raise _too_many_directions(symmetric, limits)
    moved = _pushed(builder, gradient.index, varied, _one_of_each(coloring), propagation, checkpoint)
    return taken(moved, _places(symmetric, coloring).tolist()), symmetric


def _places(pattern: SparsePattern, coloring: Coloring) -> FloatArray:
    """Return where in the compressed Hessian [colours, elements] each entry, or its mirror image, stands alone."""
    rows, columns, count = pattern.rows, pattern.columns, pattern.shape[0]
    colors = coloring.color_of
    met = np.zeros((count, coloring.colors), dtype=np.int64)
    np.add.at(met, (rows, colors[columns]), 1)
    alone = met[rows, colors[columns]] == 1
    return np.where(alone, colors[columns] * count + rows, colors[rows] * count + columns)


def _one_of_each(coloring: Coloring) -> FloatArray:
    """Return a direction for each colour, [colours, columns]: 1 where a column has it, else 0."""
    directions = np.zeros((coloring.colors, len(coloring.color_of)))
    directions[coloring.color_of, np.arange(len(coloring.color_of))] = 1.0
    return directions


def _pushed(
    builder: GraphBuilder,
    node: int,
    varied: Sequence[int],
    directions: FloatArray,
    propagation: Propagation,
    checkpoint: Checkpoint,
) -> Value:
    """Return the tangents of a node in these directions, flattened."""
    leading = (len(directions),)
    seeds = seeds_of_rows(builder, varied, directions)
    (tangent,) = push_forward(builder, [node], seeds, propagation, leading, checkpoint)
    if tangent == NO_ADJOINT:
        return filled(Value(builder, node), 0.0, (len(directions) * size(builder.nodes.shape(node)),))
    return _flat(Value(builder, tangent))


def _flat(value: Value) -> Value:
    return reshaped(value, (size(value.shape),))


def _shapes(builder: GraphBuilder, varied: Sequence[int]) -> list[Shape]:
    return [builder.nodes.shape(index) for index in varied]
