"""Loops cut into segments before reverse mode, so that what it stores stays within a limit.

Running a loop backwards needs the carries that each step began with. Stored all at once they would take memory in
proportion to the steps. Of a loop of segments only the carries that each segment began with are stored, and the steps
of one segment at a time are run once more and stored. With k levels of segments that is about k times the k-th root of
the steps, for at most k - 1 more runs (Griewank and Walther, "Evaluating Derivatives", 2nd ed., SIAM 2008, chapter 12).
Cut or not, the same steps run in the same order on the same numbers, so no bit changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import GraphBuilder, Output, size
from gradmill_server.engine.ops.arrays.loops import SCAN, Loop, parts_of, scanned
from gradmill_server.engine.ops.arrays.movement import concatenated, part, reshaped
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.rewrite import rebuild

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Body, Graph, Node
    from gradmill_server.engine.limits import Limits

_COMFORTABLE_BYTES = 1024 * 1024
"""More than this at a point makes blocks of points so small that running the steps twice is the faster way."""

_COMFORTABLE_LEVELS = 2

_MOST_LEVELS = 5
"""More would save little, and each is a loop in a loop, of which some functions have many already."""


def segment_loops(graph: Graph, limits: Limits, checkpoint: Checkpoint = never) -> Graph:
    """Return a graph of the same bits, with long loops cut into segments, in as few levels as fit the limit.

    Args:
        graph: any graph.
        limits: of the bytes that reverse mode may store for a loop at a point.
        checkpoint: called every few milliseconds; may raise to stop.

    Raises:
        LimitExceeded: for a loop whose carries would not fit with any number of levels.
    """

    def rule(builder: GraphBuilder, node: Node) -> int | None:
        if node.operation != SCAN:
            return None
        loop = Loop.of(dict(node.parameters))
        levels = _levels(loop, limits)
        if levels == 1:
            return None
        return in_segments(loop, [Value(builder, argument) for argument in node.arguments], levels).index

    def change(each: Graph) -> Graph:
        return rebuild(each, rule, checkpoint) if SCAN in each.nodes.operations else each

    return through_bodies(graph, change, checkpoint)


def _levels(loop: Loop, limits: Limits) -> int:
    """Return how many levels of loops a loop needs: 1 when it can stay as it is."""
    sizes = list(map(size, loop.input_shapes[: loop.carries]))
    step_bytes = loop.body.graph.element_type.size * sum(sizes)
    most = max(1, min(_MOST_LEVELS, (loop.steps - 1).bit_length()))
    roots = [_root(loop.steps, levels) for levels in range(1, most + 1)]
    stored = [step_bytes * levels * root for levels, root in enumerate(roots, start=1)]
    fitting = [levels for levels, needed in enumerate(stored, start=1) if needed <= limits.maximum_loop_bytes]
    if not fitting:
        raise LimitExceeded.of(
            what=f"bytes of carries that reverse mode stores for a loop of {loop.steps} steps at a point, at least",
            reason="LOOP_TOO_LARGE",
            value=min(stored),
            limit=limits.maximum_loop_bytes,
            knob="maximum_loop_bytes",
        )
    comfortable = [
        levels for levels in fitting if levels <= _COMFORTABLE_LEVELS and stored[levels - 1] <= _COMFORTABLE_BYTES
    ]
    largest = limits.maximum_elements_per_value // max(sizes, default=1)
    as_one_value = [levels for levels in fitting if roots[levels - 1] <= largest]
    return min(comfortable or as_one_value or fitting)


def _root(number: int, degree: int) -> int:
    """Return the least whole number whose power of this degree is at least the number."""
    root: int = max(1, round(number ** (1.0 / degree)))
    while root**degree < number:
        root += 1
    while root > 1 and (root - 1) ** degree >= number:
        root -= 1
    return root


def in_segments(loop: Loop, arguments: Sequence[Value], levels: int) -> Value:
    """Add a loop in so many levels of loops to the graph that its arguments belong to.

    Returns:
        The flat value of the loop. It comes from a loop of segments, and one of the steps that are left over.
    """
    if levels == 1:
        return scanned(loop, arguments)
    count = _root(loop.steps, levels)
    length, left = divmod(loop.steps, count)
    outer = Loop(_segment(loop._replace(steps=length), levels - 1), count, loop.carries, loop.sequences, loop.reverse)
    # Running from the last step to the first, the steps that are left over come last, so they stand in front.
    start = left if loop.reverse else 0
    whole = scanned(outer, [_cut(loop, place, value, start, (count, length)) for place, value in enumerate(arguments)])
    if not left:
        return whole
    main = [reshaped(value, (count * length, *value.shape[2:])) for value in parts_of(outer, whole)[loop.carries :]]
    start = 0 if loop.reverse else count * length
    rest = loop._replace(steps=left)
    begun = [*parts_of(outer, whole)[: loop.carries], *arguments[loop.carries :]]
    ended = parts_of(
        rest, scanned(rest, [_cut(rest, place, value, start, (left,)) for place, value in enumerate(begun)])
    )
    pairs = zip(main, ended[loop.carries :], strict=True)
    stacked = [concatenated(pair[::-1] if loop.reverse else pair, 0) for pair in pairs]
    return concatenated([reshaped(value, (size(value.shape),)) for value in (*ended[: loop.carries], *stacked)], 0)


def _cut(loop: Loop, place: int, value: Value, start: int, extents: tuple[int, ...]) -> Value:
    """Return the steps of a sequence from a start, with these extents instead of their number; others as they are."""
    if not loop.is_sequence(place):
        return value
    return reshaped(part(value, 0, start, size(extents)), (*extents, *value.shape[1:]))


def _segment(loop: Loop, levels: int) -> Body:
    """Return a loop as the body of another one: stacked results come out as they are, the last carries likewise."""
    inputs = zip(loop.body.graph.inputs, loop.argument_shapes, strict=True)
    builder = GraphBuilder([entry._replace(shape=shape) for entry, shape in inputs])
    flat = in_segments(loop, [Value(builder, place) for place in range(len(builder))], levels)
    parts = parts_of(loop, flat)
    return body_of(builder.finish([Output(f"result{place}", value.index) for place, value in enumerate(parts)]))
