"""Constant folding and the algebraic identities that are exact: same bits, fewer operations.

Identities that change a rounding, a sign of zero or a NaN into a number are not here: x + 0.0 stays (it turns -0.0
into 0.0), x*0.0 stays (inf*0.0 is NaN), and so does x - x.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.ir import CONSTANT, INPUT, size
from gradmill_server.engine.passes.rewrite import rebuild

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph, GraphBuilder, Node

_LARGEST_CONSTANT = 32
"""Elements of the constants that are looked into or made here; larger ones would cost time and memory at every node."""


def simplify(graph: Graph, checkpoint: Checkpoint = never) -> Graph:
    """Return an equal graph: constants folded, exact identities applied, equal nodes shared, dead ones dropped."""
    with np.errstate(all="ignore"):
        return rebuild(graph, _simpler, checkpoint, _TRIGGERS)


def _simpler(builder: GraphBuilder, node: Node) -> int | None:
    folded = _folded(builder, node)
    if folded is not None:
        return folded
    neutral = _without_neutral(builder, node)
    if neutral is not None:
        return neutral
    identity, _ = _IDENTITIES.get(node.operation, (None, ()))
    return None if identity is None else identity(builder, node)


def _folded(builder: GraphBuilder, node: Node) -> int | None:
    """Compute an operation whose operands are all constants, unless the constants would grow in size or memory."""
    for argument in node.arguments:
        if builder.nodes.operations[argument] != CONSTANT:
            return None
    operands = [builder[argument] for argument in node.arguments]
    if size(node.shape) > min(_LARGEST_CONSTANT, max(size(operand.shape) for operand in operands)):
        return None
    dtype = builder.element_type.dtype
    arrays = [operand.constant_array().astype(dtype, copy=False) for operand in operands]
    row = ops.ARRAYS.get(node.operation)
    if row is None:
        return builder.constant(ops.TABLE[node.operation].value_in(builder.element_type)(*arrays))
    value = row.value_in(builder.element_type)
    if value is None:
        return None
    return builder.constant(value(dict(node.parameters), *[array[np.newaxis] for array in arrays])[0])


def _without_neutral(builder: GraphBuilder, node: Node) -> int | None:
    """Return the other operand when one is the operation's neutral number, bit for bit."""
    row = ops.TABLE.get(node.operation)
    neutral = () if row is None else row.neutral
    for position, number in enumerate(neutral):
        if number is None or not _is(builder, node.arguments[position], number):
            continue
        other = node.arguments[1 - position]
        if builder.nodes.shape(other) == node.shape:
            return other
    return None


def _is(builder: GraphBuilder, index: int, number: float) -> bool:
    """Whether a node is a constant, all of whose elements are this number, sign of zero included."""
    nodes = builder.nodes
    if nodes.operations[index] != CONSTANT or size(nodes.shape(index)) > _LARGEST_CONSTANT:
        return False
    return nodes.parameters[index][0][1] == struct.pack("<d", number) * size(nodes.shape(index))


def _double_negation(builder: GraphBuilder, node: Node) -> int | None:
    return _negated(builder, node.arguments[0])


def _product_by_minus_one(builder: GraphBuilder, node: Node) -> int | None:
    for position, argument in enumerate(node.arguments):
        other = node.arguments[1 - position]
        if _is(builder, argument, -1.0) and builder.nodes.shape(other) == node.shape:
            return ops.emit(builder, "negate", (other,))
    return None


def _sum_with_negative(builder: GraphBuilder, node: Node) -> int | None:
    left, right = node.arguments
    for term, other in ((right, left), (left, right)):
        negated = _negated(builder, term)
        if negated is not None:
            return ops.emit(builder, "subtract", (other, negated))
    return None


def _difference_with_negative(builder: GraphBuilder, node: Node) -> int | None:
    left, right = node.arguments
    negated = _negated(builder, right)
    return None if negated is None else ops.emit(builder, "add", (left, negated))


def _negated(builder: GraphBuilder, index: int) -> int | None:
    """Return x when the node is -x."""
    return builder.nodes.arguments[index][0] if builder.nodes.operations[index] == "negate" else None


def _small_power(builder: GraphBuilder, node: Node) -> int | None:
    """Write x**2 as x*x and x**-1 as 1/x: each is the correctly rounded power, at a fraction of the cost."""
    base, exponent = node.arguments
    if builder.nodes.shape(base) != node.shape:
        return None
    if _is(builder, exponent, 2.0):
        return ops.emit(builder, "multiply", (base, base))
    if _is(builder, exponent, -1.0):
        return ops.emit(builder, "divide", (builder.constant(1.0), base))
    return None


def _decided_choice(builder: GraphBuilder, node: Node) -> int | None:
    condition, if_true, if_false = node.arguments
    if if_true == if_false:
        chosen = if_true
    elif not builder[condition].is_constant or size(builder[condition].shape) > _LARGEST_CONSTANT:
        return None
    else:
        holds = builder[condition].constant_array() != 0.0
        if holds.all() == holds.any():
            chosen = if_true if holds.any() else if_false
        else:
            return None
    return chosen if builder[chosen].shape == node.shape else None


_IDENTITIES: dict[str, tuple[Callable[[GraphBuilder, Node], int | None], tuple[str, ...]]] = {
    "negate": (_double_negation, ("negate",)),
    "multiply": (_product_by_minus_one, (CONSTANT,)),
    "add": (_sum_with_negative, ("negate",)),
    "subtract": (_difference_with_negative, ("negate",)),
    "power": (_small_power, (CONSTANT,)),
    # Its branches may be the same, whatever they are.
    "where": (_decided_choice, (*ops.ROWS, CONSTANT, INPUT)),
}
"""An operation's identity, and the operands it looks for."""

_TRIGGERS = {
    # Folding and neutral numbers look for constants.
    name: frozenset((CONSTANT, *(_IDENTITIES[name][1] if name in _IDENTITIES else ())))
    for name in ops.ROWS
}
