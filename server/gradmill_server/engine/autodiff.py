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
from gradmill_server.engine.checkpoints import never, watched
from gradmill_server.engine.ir import CONSTANT, INPUT
from gradmill_server.engine.ops.value import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import GraphBuilder, Nodes
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

    def scale(self, builder: GraphBuilder, seed: int, partial: Partial) -> int | None:
        """Add seed times partial to the graph and return its index, or None when it is zero by structure."""
        if isinstance(partial, Value):
            return self._product(builder, seed, partial.index)
        if isinstance(partial, ops.Select):
            return self._choose(builder, seed, partial)
        if partial == 0.0:
            return None
        if abs(partial) == 1.0:
            return seed if partial > 0.0 else ops.emit(builder, "negate", (seed,))
        number = builder.constant(partial)
        if np.isfinite(partial):
            return ops.emit(builder, "multiply", (seed, number))
        return self._product(builder, seed, number)

    def _product(self, builder: GraphBuilder, seed: int, partial: int) -> int:
        number = builder.nodes.number(seed)
        if number == 1.0:
            return partial
        plain = number or not self.strong_zeros or _always_finite(builder.nodes, partial)
        return ops.emit(builder, "multiply" if plain else "strong_product", (seed, partial))

    def _choose(self, builder: GraphBuilder, seed: int, partial: ops.Select) -> int | None:
        if_true = self.scale(builder, seed, partial.if_true)
        if_false = self.scale(builder, seed, partial.if_false)
        if if_true is None and if_false is None:
            return None
        branches = [builder.constant(0.0) if branch is None else branch for branch in (if_true, if_false)]
        return ops.emit(builder, "where", (partial.condition.index, *branches))


def _always_finite(nodes: Nodes, index: int) -> bool:
    operation = nodes.operations[index]
    if operation == CONSTANT:
        return bool(np.isfinite(nodes[index].constant_array()).all())
    return operation != INPUT and ops.TABLE[operation].finite


def local_partial(builder: GraphBuilder, index: int, operand: int) -> int | None:
    """Add the local partial of a node by one of its operands; return its index, or None where it is zero."""
    rule = ops.TABLE[builder.nodes.operations[index]].partials[operand]
    if rule is None:
        return None
    partial = rule(*_result_and_operands(builder, index)) if callable(rule) else rule
    return Propagation().scale(builder, builder.constant(1.0), partial)


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
    active = _active(builder.nodes, output, with_respect_to, checkpoint)
    adjoints = [NO_ADJOINT] * (output + 1)
    if active[output]:
        adjoints[output] = builder.constant(1.0)
    for index in watched(range(output, -1, -1), checkpoint):
        if adjoints[index] != NO_ADJOINT and builder.nodes.arguments[index]:
            _hand_down(builder, index, active, adjoints, propagation)
    return adjoints


def _active(nodes: Nodes, output: int, with_respect_to: Sequence[int], checkpoint: Checkpoint) -> bytearray:
    """Mark the nodes up to the output that depend on the varied ones."""
    active = bytearray(output + 1)
    for index in with_respect_to:
        if index <= output:
            active[index] = 1
    for index in watched(range(output + 1), checkpoint):
        for argument in nodes.arguments[index]:
            if active[argument]:
                active[index] = 1
                break
    return active


def _hand_down(
    builder: GraphBuilder, index: int, active: bytearray, adjoints: list[int], propagation: Propagation
) -> None:
    """Add a node's contributions to the adjoints of its operands."""
    nodes = builder.nodes
    values: list[Value] = []
    for argument, rule in zip(nodes.arguments[index], ops.TABLE[nodes.operations[index]].partials, strict=True):
        if rule is None or not active[argument]:
            continue
        if callable(rule):
            values = values or _result_and_operands(builder, index)
            contribution = propagation.scale(builder, adjoints[index], rule(*values))
        else:
            contribution = propagation.scale(builder, adjoints[index], rule)
        if contribution is None:
            continue
        earlier = adjoints[argument]
        adjoints[argument] = (
            contribution if earlier == NO_ADJOINT else ops.emit(builder, "add", (earlier, contribution))
        )


def _result_and_operands(builder: GraphBuilder, index: int) -> list[Value]:
    """Return what a rule of a local partial is called with."""
    return [Value(builder, index), *[Value(builder, argument) for argument in builder.nodes.arguments[index]]]
