"""Derivatives by several inputs side by side: the elements of all varied inputs, in order, as one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.autodiff import NO_ADJOINT
from gradmill_server.engine.ir import size
from gradmill_server.engine.ops.arrays.movement import concatenated, filled, put_among_zeros, reshaped
from gradmill_server.engine.ops.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradmill_server.engine.ir import FloatArray, GraphBuilder, Shape


def joined(builder: GraphBuilder, parts: Sequence[int], leading: Shape, shapes: Sequence[Shape]) -> Value:
    """Return derivatives [*leading, *shape of each input] as [*leading, elements]; zeros where there are none."""
    flat = []
    for part, shape in zip(parts, shapes, strict=True):
        whole = (*leading, size(shape))
        flat.append(zeros(builder, whole) if part == NO_ADJOINT else reshaped(Value(builder, part), whole))
    return concatenated(flat, len(leading))


def zeros(builder: GraphBuilder, shape: Shape) -> Value:
    """Return zeros of any shape."""
    return filled(Value(builder, builder.constant(0.0)), 0.0, shape)


def seeds_of_rows(builder: GraphBuilder, nodes: Sequence[int], rows: FloatArray) -> Mapping[int, int]:
    """Return seeds of some nodes, whose elements together are the last axis of ``rows`` [directions, elements].

    ``rows`` holds ones and zeros. The ones are put among zeros by an operation, not written as a constant, so that the
    zeros are known to be zeros by structure when the graph is unrolled.
    """
    seeds: dict[int, int] = {}
    first = 0
    for node in nodes:
        shape = builder.nodes.shape(node)
        count = size(shape)
        part = rows[:, first : first + count]
        places = np.flatnonzero(part)
        if len(places):
            ones = Value(builder, builder.constant(np.ones(len(places))))
            seed = reshaped(put_among_zeros(ones, places.tolist(), part.size), (len(rows), *shape)).index
        else:
            seed = builder.constant(np.zeros((len(rows), *shape)))
        seeds[node] = seed
        first += count
    return seeds
