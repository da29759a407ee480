"""Loops that derivatives are made of: a step is put together, freed of what nobody needs, and run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output, Shape, renumbered
from gradmill_server.engine.ops.arrays.loops import Loop, parts_of, scanned
from gradmill_server.engine.ops.value import Value


class Step(NamedTuple):
    """What one step of a loop computes: from carries, elements of sequences and constants to carries and results.

    Attributes:
        graph: the function.
        carries: how many of its inputs, and of its outputs, are carries.
        sequences: how many of the inputs after them are elements of sequences.
    """

    graph: Graph
    carries: int
    sequences: int


class Trimmed(NamedTuple):
    """A step without what nobody needs.

    Attributes:
        step: what is left.
        inputs: for each of its inputs, the place it had.
        outputs: for each of its outputs, the place it had.
    """

    step: Step
    inputs: list[int]
    outputs: list[int]


def step_builder(
    carries: Sequence[Shape], sequences: Sequence[Shape], constants: Sequence[Shape], element_type: ElementType
) -> GraphBuilder:
    """Return a builder for a step whose inputs have these shapes, all of one element type."""
    shapes = {"carry": carries, "element": sequences, "constant": constants}
    return GraphBuilder(
        [
            Input(f"{role}{place}", shape, element_type)
            for role, group in shapes.items()
            for place, shape in enumerate(group)
        ]
    )


def finished(builder: GraphBuilder, outputs: Sequence[int]) -> Graph:
    """Return a step's graph with these outputs."""
    return builder.finish([Output(f"result{place}", index) for place, index in enumerate(outputs)])


def trimmed(step: Step, wanted: Collection[int]) -> Trimmed:
    """Return a step that computes some of its outputs, with the carries that they need in any step, and nothing else.

    At least one input stays, because the operation needs an argument.
    """
    graph = step.graph
    marks, outputs = _needed(step, wanted)
    used = [place for place in range(len(graph.inputs)) if marks[place] or (place < step.carries and place in outputs)]
    inputs = used or [0]
    builder = GraphBuilder([graph.inputs[place] for place in inputs])
    number = [0] * len(graph.nodes)
    for new, place in enumerate(inputs):
        number[place] = new
    nodes = graph.nodes
    for index in range(len(graph.inputs), len(nodes)):
        if marks[index]:
            arguments = renumbered(nodes.arguments[index], number)
            parameters = nodes.parameters.get(index, ())
            number[index] = builder.put(nodes.operations[index], arguments, nodes.shape(index), parameters)
    kept = sorted(outputs)
    left = builder.finish([Output(graph.outputs[place].name, number[graph.outputs[place].node]) for place in kept])
    carries = sum(place < step.carries for place in kept)
    sequences = sum(step.carries <= place < step.carries + step.sequences for place in inputs)
    return Trimmed(Step(left, carries, sequences), inputs, kept)


def _needed(step: Step, wanted: Collection[int]) -> tuple[bytearray, set[int]]:
    """Mark the nodes that some wanted output needs in any step; return also the outputs that these are."""
    graph = step.graph
    marks = bytearray(len(graph.nodes))
    outputs = set(wanted)
    waiting = [graph.outputs[place].node for place in wanted]
    while waiting:
        index = waiting.pop()
        if marks[index]:
            continue
        marks[index] = 1
        waiting += graph.nodes.arguments[index]
        if index < step.carries and index not in outputs:
            outputs.add(index)
            waiting.append(graph.outputs[index].node)
    return marks, outputs


def run(what: Trimmed, arguments: Sequence[Value], steps: int, *, reverse: bool) -> Mapping[int, Value]:
    """Add a loop to the graph that its arguments belong to.

    Args:
        what: its step.
        arguments: for each of the step's inputs what the loop begins with, walks through, or looks at.
        steps: how many steps it has.
        reverse: whether the last comes first.

    Returns:
        For each output that is left, by the place it had before: the last carry, or the results [steps, *shape].
    """
    step = what.step
    loop = Loop(body_of(step.graph), steps, step.carries, step.sequences, reverse)
    return dict(zip(what.outputs, parts_of(loop, scanned(loop, arguments)), strict=True))


def varied(step: Step, inputs: Collection[int]) -> tuple[list[int], list[int]]:
    """Return the inputs and outputs of a step that depend, in any step, on some inputs in the first one."""
    nodes = step.graph.nodes
    users: list[list[int]] = [[] for _ in range(len(nodes))]
    for index, arguments in enumerate(nodes.arguments):
        for argument in arguments:
            users[argument].append(index)
    carried: dict[int, list[int]] = {}
    for place, output in enumerate(step.graph.outputs[: step.carries]):
        carried.setdefault(output.node, []).append(place)
    marks = bytearray(len(nodes))
    waiting = list(inputs)
    while waiting:
        index = waiting.pop()
        if not marks[index]:
            marks[index] = 1
            waiting += users[index]
            waiting += carried.get(index, ())
    varied_inputs = [place for place in range(len(step.graph.inputs)) if marks[place]]
    return varied_inputs, [place for place, output in enumerate(step.graph.outputs) if marks[output.node]]
