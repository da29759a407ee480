"""Derivatives by several inputs side by side: the elements of all varied inputs, in order, as one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.autodiff import NO_ADJOINT
from gradmill_server.engine.ir import size
from gradmill_server.engine.ops.arrays.movement import concatenated, reshaped
from gradmill_server.engine.ops.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradmill_server.engine.ir import FloatArray, GraphBuilder, Shape


def joined(builder: GraphBuilder, parts: Sequence[int], leading: Shape, shapes: Sequence[Shape]) -> Value:
    """Return derivatives [*leading, *shape of each input] as [*leading, elements]; zeros where there are none."""
    flat = []
    for part, shape in zip(parts, shapes, strict=True):
        whole = (*leading, size(shape))
        zero = part == NO_ADJOINT
        flat.append(reshaped(Value(builder, builder.constant(np.zeros(whole)) if zero else part), whole))
    return concatenated(flat, len(leading))


def seeds_of_rows(builder: GraphBuilder, nodes: Sequence[int], rows: FloatArray) -> Mapping[int, int]:
    """Return seeds of some nodes, whose elements together are the last axis of ``rows`` [directions, elements]."""
    seeds: dict[int, int] = {}
    first = 0
    for node in nodes:
        shape = builder.nodes.shape(node)
        count = size(shape)
        part = rows[:, first : first + count].reshape(len(rows), *shape)
        seeds[node] = builder.constant(part)
        first += count
    return seeds
