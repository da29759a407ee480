"""Short loops written out, step after step, so that native code can run them like any other operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.ir import bodies_of, size
from gradmill_server.engine.ops.arrays.loops import SCAN, Loop
from gradmill_server.engine.ops.arrays.movement import concatenated, part, reshaped
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.rewrite import rebuild

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph, GraphBuilder, Node


def unroll_loops(graph: Graph, limit: int, checkpoint: Checkpoint = never) -> Graph | None:
    """Return a graph of the same bits without loops, or None when it would have more operations than the limit.

    Args:
        graph: any graph without calls.
        limit: of operations, of the steps of all loops together; counted before any is made.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    if SCAN not in graph.nodes.operations:
        return graph
    count_of: dict[bytes, int] = {}
    for body in bodies_of(graph):
        count_of[body.digest] = _count(body.graph, count_of, limit)
    if _count(graph, count_of, limit) > limit:
        return None

    def rule(builder: GraphBuilder, node: Node) -> int | None:
        if node.operation != SCAN:
            return None
        return _unrolled(Loop.of(dict(node.parameters)), [Value(builder, entry) for entry in node.arguments]).index

    return through_bodies(graph, lambda each: rebuild(each, rule, checkpoint), checkpoint)


def _count(graph: Graph, count_of: Mapping[bytes, int], limit: int) -> int:
    """Return how many operations a graph has once its loops are written out, or something beyond the limit."""
    count = len(graph.nodes)
    for node in graph.nodes:
        if node.operation == SCAN:
            loop = Loop.of(dict(node.parameters))
            moved = 2 * loop.sequences + len(loop.part_shapes)
            count = min(count + loop.steps * (count_of[loop.body.digest] + moved), limit + 1)
    return count


def _unrolled(loop: Loop, arguments: Sequence[Value]) -> Value:
    """Add the steps of a loop to the graph that its arguments belong to; return its flat value."""
    builder = arguments[0].builder
    first_constant = loop.carries + loop.sequences
    held = [value.index for value in arguments[: loop.carries]]
    constants = [value.index for value in arguments[first_constant:]]
    stacked: dict[int, list[int]] = {}
    for step in loop.order:
        elements = [
            reshaped(part(value, 0, step, 1), value.shape[1:]).index
            for value in arguments[loop.carries : first_constant]
        ]
        results = builder.include(loop.body.graph, [*held, *elements, *constants])
        held, stacked[step] = results[: loop.carries], results[loop.carries :]
    columns = zip(*(stacked[step] for step in range(loop.steps)), strict=True)
    parts = [*held, *(entry for column in columns for entry in column)]
    flat = [reshaped(Value(builder, entry), (size(builder.nodes.shape(entry)),)) for entry in parts]
    return concatenated(flat, 0)
