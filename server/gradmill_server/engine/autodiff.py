"""Reverse-mode differentiation, from graph to graph.

The sweep walks the nodes once from the output to the inputs. Each node hands its adjoint, scaled by the local
partial, to every operand that the wanted inputs reach (Griewank and Walther, "Evaluating Derivatives", 2nd ed.,
SIAM 2008, section 3.2). The adjoints are ordinary nodes, so derivatives of derivatives need no new code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.checkpoints import NODES_BETWEEN_CHECKPOINTS, never
from gradmill_server.engine.ops.value import Value, apply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import GraphBuilder, Node
    from gradmill_server.engine.ops import Partial

NO_ADJOINT = -1
"""Stands for the adjoint of a value that the output does not depend on, or not differentiably."""


@dataclass(frozen=True, slots=True)
class Propagation:
    """How an adjoint passes through a local partial.

    Attributes:
        strong_zeros: whether a zero adjoint contributes exactly zero whatever the partial. Without it, plain IEEE
            arithmetic: 0 times inf is NaN.
    """

    strong_zeros: bool = True

    def scale(self, seed: Value, partial: Partial) -> Value | None:
        """Return seed times partial as a value of the graph, or None when it is zero by structure."""
        if isinstance(partial, ops.Select):
            return self._choose(seed, partial)
        if isinstance(partial, Value):
            return self._product(seed, partial)
        if partial == 0.0:
            return None
        if abs(partial) == 1.0:
            return seed if partial > 0.0 else -seed
        if np.isfinite(partial):
            return seed * partial
        return self._product(seed, Value(seed.builder, seed.builder.constant(partial)))

    def _product(self, seed: Value, partial: Value) -> Value:
        number = seed.constant
        if number == 1.0:
            return partial
        if number or not self.strong_zeros or _always_finite(partial.node):
            return seed * partial
        return apply("strong_product", seed, partial)

    def _choose(self, seed: Value, partial: ops.Select) -> Value | None:
        if_true = self.scale(seed, partial.if_true)
        if_false = self.scale(seed, partial.if_false)
        if if_true is None and if_false is None:
            return None
        return apply(
            "where",
            partial.condition,
            0.0 if if_true is None else if_true,
            0.0 if if_false is None else if_false,
        )


def _always_finite(node: Node) -> bool:
    if node.is_constant:
        return bool(np.isfinite(node.constant_array()).all())
    return not node.is_input and ops.TABLE[node.operation].finite


def local_partial(builder: GraphBuilder, index: int, operand: int) -> int | None:
    """Add the local partial of a node by one of its operands; return its index, or None where it is zero."""
    node = builder[index]
    rule = ops.TABLE[node.operation].partials[operand]
    if rule is None:
        return None
    partial = rule(Value(builder, index), *(Value(builder, argument) for argument in node.arguments))
    one = Value(builder, builder.constant(1.0))
    scaled = Propagation().scale(one, partial)
    return None if scaled is None else scaled.index


def backward(
    builder: GraphBuilder,
    output: int,
    with_respect_to: Sequence[int],
    propagation: Propagation,
    checkpoint: Checkpoint = never,
) -> list[int]:
    """Add the adjoints of a scalar output to the graph.

    Args:
        builder: the graph that holds the output; it grows.
        output: index of a node of shape ().
        with_respect_to: indices of the nodes that are varied.
        propagation: how adjoints pass through partials.
        checkpoint: called every few milliseconds; may raise to stop.

    Returns:
        For each node up to the output, the index of the node that is the derivative of the output by it, or
        NO_ADJOINT where that is zero by structure. Only nodes that depend on ``with_respect_to`` have one.
    """
    active = _active(builder, output, with_respect_to)
    checkpoint()
    adjoints = [NO_ADJOINT] * (output + 1)
    if active[output]:
        adjoints[output] = builder.constant(1.0)
    for index in range(output, -1, -1):
        if index % NODES_BETWEEN_CHECKPOINTS == 0:
            checkpoint()
        adjoint = adjoints[index]
        if adjoint == NO_ADJOINT:
            continue
        node = builder[index]
        if node.arguments:
            _hand_down(builder, index, Value(builder, adjoint), active, adjoints, propagation)
    return adjoints


def _active(builder: GraphBuilder, output: int, with_respect_to: Sequence[int]) -> bytearray:
    """Mark the nodes up to the output that depend on the varied ones."""
    active = bytearray(output + 1)
    for index in with_respect_to:
        if index <= output:
            active[index] = 1
    for index in range(output + 1):
        for argument in builder[index].arguments:
            if active[argument]:
                active[index] = 1
                break
    return active


def _hand_down(
    builder: GraphBuilder,
    index: int,
    adjoint: Value,
    active: bytearray,
    adjoints: list[int],
    propagation: Propagation,
) -> None:
    """Add a node's contributions to the adjoints of its operands."""
    node = builder[index]
    rules = ops.TABLE[node.operation].partials
    values = [Value(builder, argument) for argument in node.arguments]
    result = Value(builder, index)
    for argument, rule in zip(node.arguments, rules, strict=True):
        if rule is None or not active[argument]:
            continue
        contribution = propagation.scale(adjoint, rule(result, *values))
        if contribution is None:
            continue
        earlier = adjoints[argument]
        if earlier == NO_ADJOINT:
            adjoints[argument] = contribution.index
        else:
            adjoints[argument] = (Value(builder, earlier) + contribution).index
