"""The two walks every pass is made of: rebuilding a graph node by node, and dropping what no output needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill_server.engine.checkpoints import NODES_BETWEEN_CHECKPOINTS, never
from gradmill_server.engine.ir import Graph, GraphBuilder, Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Node

    Rule = Callable[[GraphBuilder, Node], int | None]
    """Given a node whose arguments are already rewritten, returns the index of an equal value, or None."""


def needed(graph: Graph) -> bytearray:
    """Mark the nodes that some output needs."""
    marks = bytearray(len(graph.nodes))
    for output in graph.outputs:
        marks[output.node] = 1
    for index in range(len(graph.nodes) - 1, -1, -1):
        if marks[index]:
            for argument in graph.nodes[index].arguments:
                marks[argument] = 1
    return marks


def rebuild(graph: Graph, rule: Rule, checkpoint: Checkpoint = never) -> Graph:
    """Return the graph with a rule tried at every node that some output needs, in topological order.

    Equal nodes become one, and nodes that no output needs any more are dropped.
    """
    marks = needed(graph)
    builder = GraphBuilder(graph.inputs)
    new = list(range(len(graph.inputs))) + [0] * (len(graph.nodes) - len(graph.inputs))
    for index in range(len(graph.inputs), len(graph.nodes)):
        if index % NODES_BETWEEN_CHECKPOINTS == 0:
            checkpoint()
        if not marks[index]:
            continue
        node = graph.nodes[index]
        if node.arguments:
            node = node.renumbered(new)
            replaced = rule(builder, node)
            new[index] = builder.add(node) if replaced is None else replaced
        else:
            new[index] = builder.add(node)
    for index, label in graph.labels.items():
        if marks[index]:
            builder.label(new[index], label)
    return prune(builder.build([Output(output.name, new[output.node]) for output in graph.outputs]))


def prune(graph: Graph) -> Graph:
    """Return the graph without the nodes that no output needs; inputs stay."""
    marks = needed(graph)
    for index in range(len(graph.inputs)):
        marks[index] = 1
    if all(marks):
        return graph
    new = [0] * len(graph.nodes)
    kept: list[Node] = []
    for index, node in enumerate(graph.nodes):
        if marks[index]:
            new[index] = len(kept)
            kept.append(node.renumbered(new))
    labels = {new[index]: label for index, label in graph.labels.items() if marks[index]}
    outputs = tuple(Output(output.name, new[output.node]) for output in graph.outputs)
    return Graph(graph.inputs, tuple(kept), outputs, labels)
