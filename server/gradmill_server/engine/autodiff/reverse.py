"""Reverse-mode differentiation.

The sweep walks the nodes once from the outputs to the inputs. Each node hands its adjoint, scaled by the local
partial, to every operand that the wanted inputs reach (Griewank and Walther, "Evaluating Derivatives", 2nd ed.,
SIAM 2008, section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradmill_server.engine import ops
from gradmill_server.engine.autodiff.propagation import NO_ADJOINT, body_derivative, result_and_operands
from gradmill_server.engine.canonical import digest
from gradmill_server.engine.checkpoints import never, watched
from gradmill_server.engine.ir import GraphBuilder, Input
from gradmill_server.engine.ops.arrays.sums import summed_to
from gradmill_server.engine.ops.value import Value, emit_elementwise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gradmill_server.engine.autodiff.propagation import Propagation
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph, Nodes, Shape
    from gradmill_server.engine.ops.array_operation import BodyDerivative


def backward(
    builder: GraphBuilder,
    output: int,
    with_respect_to: Sequence[int],
    propagation: Propagation,
    checkpoint: Checkpoint = never,
) -> list[int]:
    """Add the adjoints of a scalar output to the graph: those of `pull_back` with the seed 1."""
    return pull_back(builder, {output: builder.constant(1.0)}, with_respect_to, propagation, (), checkpoint)


def pull_back(
    builder: GraphBuilder,
    seeds: Mapping[int, int],
    with_respect_to: Sequence[int],
    propagation: Propagation,
    leading: Shape = (),
    checkpoint: Checkpoint = never,
) -> list[int]:
    """Add the products of cotangents with the Jacobian to the graph.

    Args:
        builder: the graph that holds the outputs; it grows.
        seeds: for each output's node that of its cotangent, [*leading, *shape of the output].
        with_respect_to: the nodes that are varied.
        propagation: how adjoints pass through partials.
        leading: the shape in front of every adjoint: () or (directions,).
        checkpoint: called every few milliseconds; may raise to stop.

    Returns:
        For each node up to the last output, the index of its adjoint, [*leading, *shape of the node], or NO_ADJOINT
        where that is zero by structure. Only nodes that depend on ``with_respect_to`` have one.
    """
    last = max(seeds)
    active = active_nodes(builder.nodes, last, with_respect_to, checkpoint)
    adjoints = [NO_ADJOINT] * (last + 1)
    for output, seed in seeds.items():
        if active[output]:
            adjoints[output] = seed
    sweep = _Sweep(builder, active, adjoints, propagation, leading, checkpoint)
    for index in watched(range(last, -1, -1), checkpoint):
        if adjoints[index] != NO_ADJOINT and builder.nodes.arguments[index]:
            sweep.hand_down(index)
    return adjoints


def adjoints_of(adjoints: Sequence[int], nodes: Iterable[int]) -> list[int]:
    """Return the adjoints of these nodes; NO_ADJOINT also for those that come after the last output."""
    return [adjoints[node] if node < len(adjoints) else NO_ADJOINT for node in nodes]


def active_nodes(nodes: Nodes, last: int, varied: Iterable[int], checkpoint: Checkpoint) -> bytearray:
    """Mark the nodes up to the last one that depend on the varied ones."""
    active = bytearray(last + 1)
    for index in varied:
        if index <= last:
            active[index] = 1
    for index in watched(range(last + 1), checkpoint):
        for argument in nodes.arguments[index]:
            if active[argument]:
                active[index] = 1
                break
    return active


@dataclass(frozen=True, slots=True)
class _Sweep:
    """A sweep on its way from the outputs to the inputs."""

    builder: GraphBuilder
    active: bytearray
    adjoints: list[int]
    propagation: Propagation
    leading: Shape
    checkpoint: Checkpoint

    def hand_down(self, index: int) -> None:
        """Add a node's contributions to the adjoints of its operands."""
        nodes = self.builder.nodes
        row = ops.TABLE.get(nodes.operations[index])
        if row is None:
            self._hand_down_array(index)
            return
        values: list[Value] = []
        for argument, rule in zip(nodes.arguments[index], row.partials, strict=True):
            if rule is None or not self.active[argument]:
                continue
            if callable(rule):
                values = values or result_and_operands(self.builder, index)
                contribution = self.propagation.scale(self.builder, self.adjoints[index], rule(*values))
            else:
                contribution = self.propagation.scale(self.builder, self.adjoints[index], rule)
            if contribution is not None:
                self._contribute(argument, contribution)

    def _hand_down_array(self, index: int) -> None:
        arguments = self.builder.nodes.arguments[index]
        row = ops.ARRAYS[self.builder.nodes.operations[index]]
        if row.pullback is None:
            return
        self.checkpoint()
        site = self.propagation.site(self.builder, index, row, self.leading, self._pullback_of)
        wanted = [bool(self.active[argument]) for argument in arguments]
        cotangents = row.pullback(site, Value(self.builder, self.adjoints[index]), wanted)
        for argument, cotangent in zip(arguments, cotangents, strict=True):
            if cotangent is not None and self.active[argument]:
                self._contribute(argument, cotangent.index)

    def _pullback_of(self, body: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> BodyDerivative:
        """Return the pullback of a body as a function of its inputs and of the cotangents of some outputs."""
        key = ("pullback", digest(body, self.checkpoint), tuple(inputs), tuple(outputs), self.leading)
        return self.propagation.of_body(key, lambda: self._new_pullback_of(body, inputs, outputs))

    def _new_pullback_of(self, body: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> BodyDerivative:
        declared = [
            Input(f"cotangent{place}", self.leading + body.nodes.shape(body.outputs[place].node), body.element_type)
            for place in outputs
        ]
        builder = GraphBuilder([*body.inputs, *declared], self.checkpoint)
        results = builder.include(body, range(len(body.inputs)))
        seeds: dict[int, int] = {}
        for seed, place in enumerate(outputs, start=len(body.inputs)):
            node = results[place]
            seeds[node] = emit_elementwise(builder, "add", (seeds[node], seed)) if node in seeds else seed
        adjoints = pull_back(builder, seeds, inputs, self.propagation, self.leading, self.checkpoint)
        found = adjoints_of(adjoints, inputs)
        return body_derivative(builder, [], found, [self.leading + body.inputs[place].shape for place in inputs])

    def _contribute(self, argument: int, contribution: int) -> None:
        nodes = self.builder.nodes
        if nodes.shapes:
            contribution = summed_to(Value(self.builder, contribution), self.leading, nodes.shape(argument)).index
        earlier = self.adjoints[argument]
        self.adjoints[argument] = (
            contribution if earlier == NO_ADJOINT else emit_elementwise(self.builder, "add", (earlier, contribution))
        )
