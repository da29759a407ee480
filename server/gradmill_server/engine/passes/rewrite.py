"""The two walks every pass is made of: rebuilding a graph node by node, and dropping what no output needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill_server.engine.checkpoints import never, watched
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Node, Output, renumbered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Arguments

    Rule = Callable[[GraphBuilder, Node], int | None]
    """Given a node whose arguments are already rewritten, returns the index of an equal value, or None."""

    Triggers = Mapping[str, AbstractSet[str]]
    """For each operation that a rule may replace, the operations of operands that it looks for."""


def needed(graph: Graph, checkpoint: Checkpoint = never) -> bytearray:
    """Mark the nodes that some output needs."""
    arguments_of = graph.nodes.arguments
    marks = bytearray(len(arguments_of))
    for output in graph.outputs:
        marks[output.node] = 1
    for index in watched(range(len(arguments_of) - 1, -1, -1), checkpoint):
        if marks[index]:
            for argument in arguments_of[index]:
                marks[argument] = 1
    return marks


def rebuild(graph: Graph, rule: Rule, checkpoint: Checkpoint = never, triggers: Triggers | None = None) -> Graph:
    """Return the graph with a rule tried at every operation that some output needs, in topological order.

    Equal nodes become one, and nodes that no output needs any more are dropped.

    Args:
        graph: any graph.
        rule: what to try.
        checkpoint: called every few milliseconds; may raise to stop.
        triggers: where to try it: at the operations listed, and of those where an operand is one that is looked for.
            Few nodes are, and passing over the others takes a fifth of the time of trying. None to try it everywhere.
    """
    return prune(_rewritten(graph, rule, checkpoint, triggers), checkpoint)


def _rewritten(graph: Graph, rule: Rule, checkpoint: Checkpoint, triggers: Triggers | None) -> Graph:
    marks = needed(graph, checkpoint)
    nodes, builder = graph.nodes, GraphBuilder(graph.inputs, checkpoint)
    put, made = builder.put, builder.nodes.operations
    shape_of, parameters_of = nodes.shapes.get, nodes.parameters.get
    new = list(range(len(builder))) + [0] * (len(nodes) - len(builder))
    for index in watched(range(len(builder), len(nodes)), checkpoint):
        if not marks[index]:
            continue
        operation, arguments = nodes.operations[index], renumbered(nodes.arguments[index], new)
        replaced = None
        if arguments and (triggers is None or (operation in triggers and _meets(arguments, triggers[operation], made))):
            replaced = rule(builder, Node(operation, arguments, shape_of(index, ()), parameters_of(index, ())))
        new[index] = (
            put(operation, arguments, shape_of(index, ()), parameters_of(index, ())) if replaced is None else replaced
        )
    for index, label in graph.labels.items():
        if marks[index]:
            builder.label(new[index], label)
    return builder.finish([Output(output.name, new[output.node]) for output in graph.outputs])


def _meets(arguments: Arguments, looked_for: AbstractSet[str], operations: list[str]) -> bool:
    """Whether one of the arguments is an operation that is looked for."""
    for argument in arguments:  # noqa: SIM110 - this runs for every node, and `any` takes three times as long
        if operations[argument] in looked_for:
            return True
    return False


def with_more_inputs(graph: Graph, more: Sequence[Input]) -> Graph:
    """Return the graph with further inputs after its own, which nothing reads yet."""
    if not more:
        return graph
    builder = GraphBuilder([*graph.inputs, *more])
    nodes, count = graph.nodes, len(graph.inputs)
    number = [*range(count), *range(len(builder), len(nodes) + len(more))]
    operations = [*builder.nodes.operations, *nodes.operations[count:]]
    arguments = [*builder.nodes.arguments, *[renumbered(entry, number) for entry in nodes.arguments[count:]]]
    moved = Graph(builder.inputs, graph.nodes, graph.outputs, graph.labels).renumbered(operations, arguments, number)
    moved.nodes.shapes.update(builder.nodes.shapes)
    moved.nodes.parameters.update(builder.nodes.parameters)
    return moved


def prune(graph: Graph, checkpoint: Checkpoint = never) -> Graph:
    """Return the graph without the nodes that no output needs; inputs stay."""
    marks = needed(graph, checkpoint)
    marks[: len(graph.inputs)] = b"\1" * len(graph.inputs)
    if 0 not in marks:
        return graph
    number = [-1] * len(marks)
    operations: list[str] = []
    arguments: list[Arguments] = []
    for index, mark in enumerate(watched(marks, checkpoint)):
        if mark:
            number[index] = len(operations)
            operations.append(graph.nodes.operations[index])
            arguments.append(renumbered(graph.nodes.arguments[index], number))
    return graph.renumbered(operations, arguments, number)
