"""Passes over a graph together with the bodies that its operations apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.ir import Body, Graph, Nodes, bodies_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Parameters


def through_bodies(graph: Graph, change: Callable[[Graph], Graph], checkpoint: Checkpoint = never) -> Graph:
    """Return a graph changed by a pass that was also made over each body of it, the innermost first.

    Args:
        graph: any graph.
        change: the pass; it leaves inputs, outputs and their shapes as they are, and makes equal nodes one.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    changed: dict[bytes, Body] = {}
    for body in bodies_of(graph):
        changed[body.digest] = body_of(change(with_bodies(body.graph, changed)), checkpoint)
    return change(with_bodies(graph, changed))


def with_bodies(graph: Graph, bodies: Mapping[bytes, Body]) -> Graph:
    """Return the graph with other bodies, given by the digests of those that they replace."""
    old = graph.nodes
    new = {
        index: exchanged(parameters, bodies) for index, parameters in old.parameters.items() if _has_body(parameters)
    }
    if not new:
        return graph
    nodes = Nodes(old.operations, old.arguments, old.shapes, {**old.parameters, **new})
    return Graph(graph.inputs, nodes, graph.outputs, graph.labels)


def exchanged(parameters: Parameters, bodies: Mapping[bytes, Body]) -> Parameters:
    """Return parameters with other bodies, given by the digests of those that they replace."""
    return tuple(
        [(name, bodies.get(value.digest, value) if isinstance(value, Body) else value) for name, value in parameters]
    )


def _has_body(parameters: Parameters) -> bool:
    return any(isinstance(value, Body) for _, value in parameters)
