"""Calls written out: each becomes the operations of the body it calls.

Nothing after this pass knows calls. A call costs a few bytes in a message and as many operations as its body, and
bodies may call bodies, so that a message could ask for more operations than there are atoms. They are counted before
any is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.checkpoints import NODES_BETWEEN_CHECKPOINTS, never
from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import Body, Graph, GraphBuilder, Output, bodies_of, renumbered
from gradmill_server.engine.ops.arrays.loops import CALL
from gradmill_server.engine.passes.bodies import exchanged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Arguments, Nodes
    from gradmill_server.engine.limits import Limits


def inline_calls(graph: Graph, limits: Limits, checkpoint: Checkpoint = never) -> Graph:
    """Return an equal graph without calls, neither in itself nor in the bodies of its loops.

    Args:
        graph: any graph.
        limits: of values, for the graph and the bodies of its loops together.
        checkpoint: called every few milliseconds; may raise to stop.

    Raises:
        LimitExceeded: when there would be more values than a function may have; before any is made.
    """
    bodies = bodies_of(graph)
    graphs = [graph, *(body.graph for body in bodies)]
    if not any(_calls(each.nodes) for each in graphs):
        return graph
    repeated = {body.digest for each in graphs for body in _bodies_repeated(each.nodes)}
    _check_size(graph, bodies, repeated, limits)
    changed: dict[bytes, Body] = {}
    for body in bodies:
        if body.digest in repeated:
            changed[body.digest] = body_of(_written_out(body.graph, changed, checkpoint), checkpoint)
    return _written_out(graph, changed, checkpoint)


def _calls(nodes: Nodes) -> list[int]:
    """Return the indices of the calls; only nodes with parameters are looked at."""
    return [index for index in nodes.parameters if nodes.operations[index] == CALL]


def _bodies_repeated(nodes: Nodes) -> list[Body]:
    """Return the bodies of operations other than calls."""
    return [
        value
        for index, parameters in nodes.parameters.items()
        if nodes.operations[index] != CALL
        for _, value in parameters
        if isinstance(value, Body)
    ]


def _called_body(nodes: Nodes, index: int) -> Body:
    """Return the body that a call applies."""
    return next(value for _, value in nodes.parameters[index] if isinstance(value, Body))


def _called_output(nodes: Nodes, index: int) -> int:
    """Return which output of its body a call is."""
    return next((value for name, value in nodes.parameters[index] if name == "output" and isinstance(value, int)), 0)


def _check_size(graph: Graph, bodies: list[Body], repeated: set[bytes], limits: Limits) -> None:
    """Refuse a graph that would be too large. No count passes the limit by far, so none is a number of many digits."""
    limit = limits.maximum_nodes
    count_of: dict[bytes, int] = {}
    for body in bodies:
        count_of[body.digest] = min(_count(body.graph, count_of), limit + 1)
    total = len(graph.inputs) + _count(graph, count_of) + sum(count_of[digest] for digest in repeated)
    if total > limit:
        raise LimitExceeded.of(
            what="number of values with calls written out, at least",
            reason="GRAPH_TOO_LARGE",
            value=total,
            limit=limit,
            knob="maximum_nodes",
        )


def _count(graph: Graph, count_of: Mapping[bytes, int]) -> int:
    """Return how many operations and constants a graph has with its calls written out; equal calls are one."""
    nodes = graph.nodes
    calls = _calls(nodes)
    distinct = {(_called_body(nodes, index).digest, nodes.arguments[index]) for index in calls}
    return len(nodes) - len(graph.inputs) - len(calls) + sum(count_of[digest] for digest, _ in distinct)


class _Writing:
    """A graph that is being written into another one.

    Attributes:
        graph: the graph.
        number: the new number of each of its nodes so far.
        call: what called it; None for the outermost.
    """

    __slots__ = ("call", "graph", "number")

    def __init__(self, graph: Graph, arguments: Arguments, call: tuple[bytes, Arguments] | None = None) -> None:
        """Begin after the inputs, which are the arguments."""
        self.graph = graph
        self.number = list(arguments)
        self.call = call


def _written_out(graph: Graph, changed: Mapping[bytes, Body], checkpoint: Checkpoint) -> Graph:
    """Return a graph with its calls written out, and the bodies of loops exchanged."""
    builder = GraphBuilder(graph.inputs)
    results_of: dict[tuple[bytes, Arguments], list[int]] = {}
    stack = [outermost := _Writing(graph, tuple(range(len(graph.inputs))))]
    while stack:
        writing = stack[-1]
        inner = _until_a_call(builder, writing, results_of, changed, checkpoint)
        if inner is not None:
            stack.append(inner)
            continue
        stack.pop()
        if writing.call is not None:
            results_of[writing.call] = [writing.number[output.node] for output in writing.graph.outputs]
    number = outermost.number
    for index, label in graph.labels.items():
        builder.label(number[index], label)
    return builder.finish([Output(output.name, number[output.node]) for output in graph.outputs])


def _until_a_call(
    builder: GraphBuilder,
    writing: _Writing,
    results_of: Mapping[tuple[bytes, Arguments], list[int]],
    changed: Mapping[bytes, Body],
    checkpoint: Checkpoint,
) -> _Writing | None:
    """Write nodes up to a call whose body has not been written for its arguments; return that body, to be written."""
    nodes, number = writing.graph.nodes, writing.number
    for index in range(len(number), len(nodes)):
        if index % NODES_BETWEEN_CHECKPOINTS == 0:
            checkpoint()
        operation, arguments = nodes.operations[index], renumbered(nodes.arguments[index], number)
        if operation != CALL:
            parameters = exchanged(nodes.parameters.get(index, ()), changed)
            number.append(builder.put(operation, arguments, nodes.shape(index), parameters))
            continue
        body = _called_body(nodes, index)
        results = results_of.get((body.digest, arguments))
        if results is None:
            checkpoint()
            return _Writing(body.graph, arguments, (body.digest, arguments))
        number.append(results[_called_output(nodes, index)])
    return None
