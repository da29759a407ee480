"""Forward-mode differentiation.

One walk from the inputs to the outputs: each node's tangent is the sum of its operands' tangents, scaled by the local
partials (Griewank and Walther, "Evaluating Derivatives", 2nd ed., SIAM 2008, section 3.1). It reads the same rules as
reverse mode.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gradmill_server.engine import ops
from gradmill_server.engine.autodiff.poles import bodies_have_pole, has_pole
from gradmill_server.engine.autodiff.propagation import NO_ADJOINT, body_derivative, result_and_operands
from gradmill_server.engine.canonical import digest
from gradmill_server.engine.checkpoints import never, watched
from gradmill_server.engine.ir import Body, GraphBuilder, Input
from gradmill_server.engine.ops.arrays.sums import aligned, broadcasted
from gradmill_server.engine.ops.value import Value, emit_elementwise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradmill_server.engine.autodiff.propagation import Propagation
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph, Nodes, Shape
    from gradmill_server.engine.ops.array_operation import BodyDerivative


def push_forward(
    builder: GraphBuilder,
    outputs: Sequence[int],
    seeds: Mapping[int, int],
    propagation: Propagation,
    leading: Shape = (),
    checkpoint: Checkpoint = never,
) -> list[int]:
    """Add the products of the Jacobian with tangents to the graph.

    Args:
        builder: the graph that holds the outputs; it grows.
        outputs: the nodes whose tangents are wanted.
        seeds: for each varied node that of its tangent, [*leading, *shape of the node].
        propagation: how tangents pass through partials; with strong partials, seeds may be infinite.
        leading: the shape in front of every tangent: () or (directions,).
        checkpoint: called every few milliseconds; may raise to stop.

    Returns:
        For each output, the index of its tangent, [*leading, *shape of the output], or NO_ADJOINT where that is zero by
        structure.
    """
    last = max(outputs)
    needed = _needed(builder.nodes, outputs, checkpoint)
    tangents = [NO_ADJOINT] * (last + 1)
    for node, seed in seeds.items():
        if node <= last:
            tangents[node] = seed
    walk = _Walk(
        builder, tangents, set(seeds) if propagation.strong_partials else set(), propagation, leading, checkpoint
    )
    for index in watched(range(last + 1), checkpoint):
        if needed[index] and tangents[index] == NO_ADJOINT and builder.nodes.arguments[index]:
            walk.carry_over(index)
    return [tangents[output] for output in outputs]


def _needed(nodes: Nodes, outputs: Sequence[int], checkpoint: Checkpoint) -> bytearray:
    """Mark the nodes that some output depends on."""
    marks = bytearray(max(outputs) + 1)
    for output in outputs:
        marks[output] = 1
    for index in watched(range(len(marks) - 1, -1, -1), checkpoint):
        if marks[index]:
            for argument in nodes.arguments[index]:
                marks[argument] = 1
    return marks


@dataclass(frozen=True, slots=True)
class _Walk:
    """A walk on its way from the inputs to the outputs.

    Attributes:
        builder: the graph, which grows.
        tangents: the tangent of each node.
        unbounded: the nodes whose tangents have passed a slope that may be infinite.
        propagation: how tangents pass through partials.
        leading: the shape in front of every tangent.
        checkpoint: called every few milliseconds.
    """

    builder: GraphBuilder
    tangents: list[int]
    unbounded: set[int]
    propagation: Propagation
    leading: Shape
    checkpoint: Checkpoint

    def carry_over(self, index: int) -> None:
        """Give a node its tangent, if one of its operands has one."""
        arguments = self.builder.nodes.arguments[index]
        if all(self.tangents[argument] == NO_ADJOINT for argument in arguments):
            return
        row = ops.TABLE.get(self.builder.nodes.operations[index])
        propagation = self._propagation_at(index)
        if row is None:
            tangent = self._of_array_operation(index, propagation)
        else:
            tangent = self._of_elements(index, row, propagation)
        if tangent is not None:
            self.tangents[index] = tangent
            if propagation.strong_partials or (row is not None and self._has_pole(index)):
                self.unbounded.add(index)

    def _propagation_at(self, index: int) -> Propagation:
        """Return how tangents pass a node: with strong partials where they may be infinite."""
        nodes = self.builder.nodes
        may_be_infinite = self.propagation.strong_zeros and (
            not self.unbounded.isdisjoint(nodes.arguments[index])
            or any(
                isinstance(value, Body) and bodies_have_pole(value.graph)
                for _, value in nodes.parameters.get(index, ())
            )
        )
        if may_be_infinite == self.propagation.strong_partials:
            return self.propagation
        return replace(self.propagation, strong_partials=may_be_infinite)

    def _has_pole(self, index: int) -> bool:
        return self.propagation.strong_zeros and has_pole(self.builder.nodes, index)

    def _of_array_operation(self, index: int, propagation: Propagation) -> int | None:
        row = ops.ARRAYS[self.builder.nodes.operations[index]]
        if row.pushforward is None:
            return None
        self.checkpoint()
        tangents = [self._tangent(argument) for argument in self.builder.nodes.arguments[index]]
        derivative_of = partial(self._pushforward_of, propagation)
        tangent = row.pushforward(propagation.site(self.builder, index, row, self.leading, derivative_of), tangents)
        return None if tangent is None else tangent.index

    def _pushforward_of(
        self, propagation: Propagation, body: Graph, inputs: Sequence[int], outputs: Sequence[int]
    ) -> BodyDerivative:
        """Return the outputs of a body and some of their tangents, as a function of inputs and their tangents."""
        key = ("pushforward", digest(body, self.checkpoint), tuple(inputs), tuple(outputs), self.leading)
        return propagation.of_body(key, lambda: self._new_pushforward_of(propagation, body, inputs, outputs))

    def _new_pushforward_of(
        self, propagation: Propagation, body: Graph, inputs: Sequence[int], outputs: Sequence[int]
    ) -> BodyDerivative:
        declared = [
            Input(f"tangent{place}", self.leading + body.inputs[place].shape, body.element_type) for place in inputs
        ]
        builder = GraphBuilder([*body.inputs, *declared], self.checkpoint)
        results = builder.include(body, range(len(body.inputs)))
        seeds = {place: seed for seed, place in enumerate(inputs, start=len(body.inputs))}
        chosen = [results[place] for place in outputs]
        tangents = push_forward(builder, chosen, seeds, propagation, self.leading, self.checkpoint)
        return body_derivative(builder, results, tangents, [self.leading + builder[node].shape for node in chosen])

    def _of_elements(self, index: int, row: ops.Operation, propagation: Propagation) -> int | None:
        values = result_and_operands(self.builder, index)
        shape = self.builder.nodes.shape(index)
        total: int | None = None
        for argument, rule in zip(self.builder.nodes.arguments[index], row.partials, strict=True):
            seed = self._tangent(argument)
            if rule is None or seed is None:
                continue
            if self.leading:
                seed = aligned(seed, self.leading, len(shape))
            term = propagation.scale(self.builder, seed.index, rule(*values) if callable(rule) else rule)
            if term is not None:
                total = term if total is None else emit_elementwise(self.builder, "add", (total, term))
        if total is None or not self.builder.nodes.shapes:
            return total
        return broadcasted(Value(self.builder, total), self.leading + shape).index

    def _tangent(self, node: int) -> Value | None:
        tangent = self.tangents[node]
        return None if tangent == NO_ADJOINT else Value(self.builder, tangent)
