"""Loops that contain one another, run once.

Reverse mode runs a loop forwards once more to store its carries, and forward mode runs its carries beside their
tangents. Where the loop itself is needed as well, the larger one gives its results too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gradmill_server.engine.canonical import body_of, canonicalize
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.ir import Graph, GraphBuilder, Nodes, Output, renumbered, size
from gradmill_server.engine.ops.arrays.loops import SCAN, Loop, scanned
from gradmill_server.engine.ops.arrays.movement import concatenated, part
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.passes.bodies import through_bodies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Arguments

_CANDIDATES = 8
"""Loops that are tried for each: of many loops over the same values, few contain one another."""


def share_loops(graph: Graph, checkpoint: Checkpoint = never) -> Graph:
    """Return a graph of the same bits, in which a loop whose work another one does is part of that one's result.

    Loops of the graph come first, because those of their bodies look different once they have been shared.

    Args:
        graph: any graph.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    return through_bodies(_shared(graph, checkpoint), lambda each: _shared(each, checkpoint), checkpoint)


def _shared(graph: Graph, checkpoint: Checkpoint) -> Graph:
    """Return a graph with its own loops shared, and not those of its bodies."""
    places = [index for index in graph.nodes.parameters if graph.nodes.operations[index] == SCAN]
    if len(places) < 2:  # noqa: PLR2004 - it takes two
        return graph
    sharing = _Sharing(graph, places)
    for place in places:
        checkpoint()
        sharing.absorb(place)
    return canonicalize(sharing.result(), checkpoint) if sharing.absorbed else graph


class _Absorbed(NamedTuple):
    """A loop that is part of another one: the node of that one, and the place there of each of its outputs."""

    target: int
    places: list[int]


class _Merged(NamedTuple):
    """A loop that does the work of two; its first outputs are those of the larger one.

    Attributes:
        loop: it.
        places: the place of each output of the smaller one among its outputs.
    """

    loop: Loop
    places: list[int]


class _Sharing:
    """One run of the pass.

    Attributes:
        loops: the loops by node, with the results that they took over.
        absorbed: the loops that are part of others, in the order in which they became so.
    """

    def __init__(self, graph: Graph, places: Sequence[int]) -> None:
        self.graph = graph
        self.loops = {place: Loop.of(dict(graph.nodes.parameters[place])) for place in places}
        self.absorbed: dict[int, _Absorbed] = {}
        self.users: dict[int, list[int]] = {}
        for place in places:
            for argument in dict.fromkeys(graph.nodes.arguments[place]):
                self.users.setdefault(argument, []).append(place)

    def absorb(self, place: int) -> None:
        """Make a loop part of another one, if there is one that contains it."""
        loop, arguments = self.loops[place], self.graph.nodes.arguments[place]
        tried = 0
        for target in self.users[arguments[0]]:
            other, others = self.loops[target], self.graph.nodes.arguments[target]
            if target == place or target in self.absorbed or not set(arguments) <= set(others):
                continue
            if (loop.steps, loop.reverse) != (other.steps, other.reverse) or tried == _CANDIDATES:
                continue
            tried += 1
            merged = _merged(loop, arguments, other, others)
            if merged is None or self._depends(target, place):
                continue
            self.loops[target] = merged.loop
            self.absorbed[place] = _Absorbed(target, merged.places)
            return

    def _depends(self, start: int, goal: int) -> bool:
        """Whether a node depends on another one, with the loops absorbed so far where they are."""
        arguments_of = self.graph.nodes.arguments
        if set(arguments_of[start]) <= set(arguments_of[goal]):
            return False
        seen: set[int] = set()
        waiting = list(arguments_of[start])
        while waiting:
            index = waiting.pop()
            if index == goal:
                return True
            if index not in seen:
                seen.add(index)
                waiting += (self.absorbed[index].target,) if index in self.absorbed else arguments_of[index]
        return False

    def result(self) -> Graph:
        """Return the graph with loops as they are now; its nodes are in no order."""
        builder = GraphBuilder.extending(self.graph)
        targets = {entry.target for entry in self.absorbed.values()}
        flat: dict[int, Value] = {}
        for target in targets - self.absorbed.keys():
            arguments = [Value(builder, argument) for argument in self.graph.nodes.arguments[target]]
            flat[target] = scanned(self.loops[target], arguments)
        for place, (target, places) in reversed(self.absorbed.items()):
            flat[place] = _picked(self.loops[target], flat[target], places)
        replaced = {
            place: part(value, 0, 0, size(self.graph.nodes.shape(place))).index for place, value in flat.items()
        }
        nodes = builder.nodes
        number = [replaced.get(index, index) for index in range(len(nodes))]
        arguments_of = [renumbered(arguments, number) for arguments in nodes.arguments]
        outputs = tuple([Output(output.name, number[output.node]) for output in self.graph.outputs])
        changed = Nodes(nodes.operations, arguments_of, nodes.shapes, nodes.parameters)
        return Graph(self.graph.inputs, changed, outputs, self.graph.labels)


def _merged(smaller: Loop, arguments: Arguments, larger: Loop, others: Arguments) -> _Merged | None:
    """Return a loop that does the work of both, or None when the carries of the smaller are not among the larger's."""
    given = _matched(smaller, arguments, larger, others)
    if given is None:
        return None
    builder = GraphBuilder(larger.body.graph.inputs)
    outputs = builder.include(larger.body.graph, range(len(others)))
    results = builder.include(smaller.body.graph, given)
    if any(outputs[there] != here for there, here in zip(given, results[: smaller.carries], strict=False)):
        return None
    places = list(given[: smaller.carries])
    for result in results[smaller.carries :]:
        if result not in outputs[larger.carries :]:
            outputs.append(result)
        places.append(outputs.index(result, larger.carries))
    named = [Output(f"result{place}", node) for place, node in enumerate(outputs)]
    return _Merged(larger._replace(body=body_of(builder.finish(named))), places)


def _matched(smaller: Loop, arguments: Arguments, larger: Loop, others: Arguments) -> list[int] | None:
    """Return the place in the larger loop of each argument of the smaller one, in the same role; None if one is not."""
    if arguments == others:
        same_roles = (smaller.carries, smaller.sequences) == (larger.carries, larger.sequences)
        return list(range(len(others))) if same_roles else None
    # An argument that stands in one role several times is matched in order.
    places_of: dict[tuple[int, int], list[int]] = {}
    for place, argument in reversed(list(enumerate(others))):
        places_of.setdefault((larger.role(place), argument), []).append(place)
    found = []
    for place, argument in enumerate(arguments):
        left = places_of.get((smaller.role(place), argument))
        if not left:
            return None
        found.append(left.pop() if smaller.role(place) == 0 else left[-1])
    return found


def _picked(loop: Loop, flat: Value, places: Sequence[int]) -> Value:
    """Return some parts of a loop's flat value, one after the other; those that are neighbours in one piece."""
    starts = loop.part_starts
    pieces: list[tuple[int, int]] = []
    for place in places:
        start, stop = starts[place], starts[place + 1]
        if pieces and pieces[-1][1] == start:
            pieces[-1] = (pieces[-1][0], stop)
        else:
            pieces.append((start, stop))
    return concatenated([part(flat, 0, start, stop - start) for start, stop in pieces], 0)
