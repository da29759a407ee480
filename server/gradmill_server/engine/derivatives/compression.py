"""Sparse derivatives: as many directions as there are colours, and the entries taken from what they give.

The entries are exact, as no two of them that share a direction meet (Curtis, Powell and Reid, "On the estimation of
sparse Jacobian matrices", IMA Journal of Applied Mathematics 13, 1974).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.autodiff import NO_ADJOINT, pull_back, push_forward
from gradmill_server.engine.derivatives.coloring import (
    Coloring,
    color_columns,
    color_symmetric,
    symmetric_pattern,
    transposed_pattern,
)
from gradmill_server.engine.derivatives.joining import joined, seeds_of_rows
from gradmill_server.engine.ir import size
from gradmill_server.engine.ops.arrays.movement import filled, reshaped, taken
from gradmill_server.engine.ops.value import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.autodiff import Propagation
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.derivatives.patterns import SparsePattern
    from gradmill_server.engine.ir import FloatArray, GraphBuilder, Shape


def compressed_jacobian(
    builder: GraphBuilder,
    node: int,
    varied: Sequence[int],
    pattern: SparsePattern,
    propagation: Propagation,
    checkpoint: Checkpoint,
) -> tuple[Value, bool]:
    """Return the entries of a node's Jacobian by its pattern, [nonzeros], and whether forward mode computed them."""
    by_column, by_row = color_columns(pattern), color_columns(transposed_pattern(pattern))
    rows, columns = pattern.shape
    if by_column.colors <= by_row.colors:
        moved = _pushed(builder, node, varied, _one_of_each(by_column), propagation, checkpoint)
        return taken(moved, (by_column.color_of[pattern.columns] * rows + pattern.rows).tolist()), True
    seeds = {node: builder.constant(_one_of_each(by_row).reshape(by_row.colors, *builder.nodes.shape(node)))}
    leading = (by_row.colors,)
    adjoints = pull_back(builder, seeds, varied, propagation, leading, checkpoint)
    flat = _flat(joined(builder, _of(adjoints, varied), leading, _shapes(builder, varied)))
    return taken(flat, (by_row.color_of[pattern.rows] * columns + pattern.columns).tolist()), False


def compressed_hessian(
    builder: GraphBuilder,
    gradient: Value,
    varied: Sequence[int],
    pattern: SparsePattern,
    propagation: Propagation,
    checkpoint: Checkpoint,
) -> tuple[Value, SparsePattern]:
    """Return the entries of a Hessian, [nonzeros], and their pattern.

    Args:
        builder: the graph that holds the gradient; it grows.
        gradient: the gradient by the varied inputs, [elements].
        varied: the inputs.
        pattern: on which elements the gradient depends.
        propagation: how tangents pass through partials.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    symmetric = symmetric_pattern(pattern)
    coloring = color_symmetric(symmetric)
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


def _of(adjoints: Sequence[int], varied: Sequence[int]) -> list[int]:
    return [adjoints[index] if index < len(adjoints) else NO_ADJOINT for index in varied]


def _shapes(builder: GraphBuilder, varied: Sequence[int]) -> list[Shape]:
    return [builder.nodes.shape(index) for index in varied]
