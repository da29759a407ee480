"""Operations on whole arrays, a family a module; the later ones are written in the earlier ones.

movement        elements moved, repeated, taken and put: linear, without arithmetic
sums            sums over axes and along an axis, and how a derivative finds back to the shape of a broadcast operand
rearranging     what is written in these: flips, stacks, tiles, diagonals, differences
reductions      other functions of all elements along axes
ordering        sorting, and the places of extremes
products        matrix products and contractions
factorizations  Cholesky factors and solutions of small dense systems
    loops           functions that a graph brings along, applied once or step by step
"""

from __future__ import annotations

from gradmill_server.engine.ops.array_operation import ArrayOperation
from gradmill_server.engine.ops.arrays import (
    factorizations,
    loop_derivatives,
    movement,
    ordering,
    products,
    rearranging,
    reductions,
    sums,
)

ARRAY_OPERATIONS: tuple[ArrayOperation, ...] = (
    *movement.OPERATIONS,
    *sums.OPERATIONS,
    *rearranging.OPERATIONS,
    *reductions.OPERATIONS,
    *ordering.OPERATIONS,
    *products.OPERATIONS,
    *factorizations.OPERATIONS,
    *loop_derivatives.OPERATIONS,
)
"""Every row, internal ones included."""
