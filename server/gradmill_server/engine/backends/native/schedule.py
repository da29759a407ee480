"""The order in which a tape computes its values.

Any topological order gives the same bits; a good one keeps few values alive and lets each record use what the record
before left in the accumulator. Values with one user are computed with it, as one expression tree. Trees are run in one
of two orders: as the graph has them, which suits a backward pass that walks the forward one in reverse; or depth first
from the inputs, each as soon as its operands are there and the latest first, which suits sums of many terms, whose
adjoints are known at once. The one with fewer values alive is taken.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gradmill_server.engine.backends.native.records import BOTH, PAIRED
from gradmill_server.engine.checkpoints import NODES_BETWEEN_CHECKPOINTS, Checkpoint, never, watched
from gradmill_server.engine.ir import CONSTANT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gradmill_server.engine.ir import Arguments, Graph, Nodes

_LARGEST_TREE: Final = 24
"""Operations above which a tree is cut: a long sum would otherwise keep all its terms alive until the last is there."""


class Schedule(NamedTuple):
    """An order of evaluation.

    Attributes:
        order: every operation's node, operands before users.
        users: for each node, how many operations read it.
        partners: for each operation that is computed together with another, that one.
    """

    order: list[int]
    users: list[int]
    partners: dict[int, int]


class _Forest(NamedTuple):
    """A graph cut into expression trees, each told by its root.

    Attributes:
        users: for each node, how many operations read it.
        inline: for each node, whether it belongs to the tree of its only user.
        roots: the roots in ascending order.
        targets: for each use of a value by another tree, that tree's root, sorted by the value used.
        starts: for each node, where its uses begin in `targets`; one more at the end.
        missing: for each root, how many uses of other values its tree makes.
    """

    users: list[int]
    inline: bytearray
    roots: list[int]
    targets: list[int]
    starts: list[int]
    missing: list[int]


def schedule(graph: Graph, checkpoint: Checkpoint = never) -> Schedule:
    """Return the order in which to compute a graph's operations; the checkpoint is called every few milliseconds."""
    partners = _partners(graph.nodes, checkpoint)
    forest = _forest(graph, partners, checkpoint)
    natural, depth_first = forest.roots, _depth_first(graph, forest, checkpoint)
    chosen = depth_first
    if natural != depth_first and _most_alive(graph, forest, natural) < _most_alive(graph, forest, depth_first):
        chosen = natural
    order = _spelled_out(graph.nodes.arguments, forest.inline, chosen, checkpoint)
    return Schedule(order, forest.users, partners)


def _forest(graph: Graph, partners: Collection[int], checkpoint: Checkpoint) -> _Forest:
    nodes = graph.nodes
    operations, arguments = nodes.operations, nodes.arguments
    users, only_user = _users(arguments, checkpoint)
    inline = _inline(graph, users, partners, checkpoint)
    root_of = list(range(len(nodes)))
    for index in watched(range(len(nodes) - 1, -1, -1), checkpoint):
        if inline[index]:
            root_of[index] = root_of[only_user[index]]
    # Values that belong to no other tree's count of what it waits for: those within trees, and constants.
    within = bytearray(inline)
    for index, operation in enumerate(watched(operations, checkpoint)):
        if operation == CONSTANT:
            within[index] = 1
    sources, targets = array("i"), array("i")
    for index, read in enumerate(watched(arguments, checkpoint)):
        for argument in read:
            if not within[argument]:
                sources.append(argument)
                targets.append(root_of[index])
    count = len(nodes)
    by_source, by_target = np.frombuffer(sources, dtype=np.int32), np.frombuffer(targets, dtype=np.int32)
    in_order = by_target[np.argsort(by_source, kind="stable")].tolist()
    starts = np.concatenate([[0], np.cumsum(np.bincount(by_source, minlength=count))]).tolist()
    roots = [index for index, read in enumerate(arguments) if read and not inline[index]]
    return _Forest(users, inline, roots, in_order, starts, np.bincount(by_target, minlength=count).tolist())


def _users(arguments: Sequence[Arguments], checkpoint: Checkpoint) -> tuple[list[int], list[int]]:
    """Return for each node how many operations read it, and the last of them."""
    users = [0] * len(arguments)
    last = [0] * len(arguments)
    for index, read in enumerate(watched(arguments, checkpoint)):
        for argument in read:
            if last[argument] != index:
                last[argument] = index
                users[argument] += 1
    return users, last


def _inline(graph: Graph, users: Sequence[int], partners: Collection[int], checkpoint: Checkpoint) -> bytearray:
    """Mark the operations that are computed within the tree of their only user."""
    arguments = graph.nodes.arguments
    inline = bytearray(len(arguments))
    apart = {output.node for output in graph.outputs}.union(partners)
    sizes = bytearray(len(arguments))
    for index, read in enumerate(watched(arguments, checkpoint)):
        if not read or users[index] != 1 or index in apart:
            continue
        total = 1
        for argument in read:
            total += sizes[argument]
        if total <= _LARGEST_TREE:
            inline[index] = 1
            sizes[index] = total
    return inline


def _partners(nodes: Nodes, checkpoint: Checkpoint) -> dict[int, int]:
    """Return the operations of which both of a pair are wanted of one argument: one record computes the two."""
    found: dict[tuple[str, int], int] = {}
    for index, operation in enumerate(watched(nodes.operations, checkpoint)):
        if operation in PAIRED:
            found[operation, nodes.arguments[index][0]] = index
    partners: dict[int, int] = {}
    for (operation, argument), index in found.items():
        for second in (second for first, second in BOTH if first == operation):
            other = found.get((second, argument))
            if other is not None and index not in partners and other not in partners:
                partners[index], partners[other] = other, index
    return partners


def _depth_first(graph: Graph, forest: _Forest, checkpoint: Checkpoint) -> list[int]:
    """Return the roots, each as soon as its operands are there, and of those the one made ready last."""
    targets, starts = forest.targets, forest.starts
    missing = forest.missing.copy()
    order: list[int] = []
    ready = [root for root in reversed(forest.roots) if not missing[root]]
    for entry in range(-1, len(graph.inputs)):
        if entry >= 0:
            _release(targets[starts[entry] : starts[entry + 1]], missing, ready)
        while ready:
            root = ready.pop()
            order.append(root)
            if len(order) % NODES_BETWEEN_CHECKPOINTS == 0:
                checkpoint()
            _release(targets[starts[root] : starts[root + 1]], missing, ready)
    return order


def _release(targets: Sequence[int], missing: list[int], ready: list[int]) -> None:
    for root in targets:
        missing[root] -= 1
        if not missing[root]:
            ready.append(root)


def _most_alive(graph: Graph, forest: _Forest, order: Sequence[int]) -> int:
    """Return how many values are alive at once at most when trees run in this order."""
    starts = np.array(forest.starts)
    read = np.flatnonzero(np.diff(starts))
    if not len(read):
        return 0
    place = np.zeros(len(graph.nodes), dtype=np.int64)
    place[order] = np.arange(len(order))
    uses = place[forest.targets]
    begins = starts[read]
    # An input is there from its first use on; any other value from where it is computed.
    born = np.where(read < len(graph.inputs), np.minimum.reduceat(uses, begins), place[read])
    dies = np.maximum.reduceat(uses, begins)
    changes = np.bincount(born, minlength=len(order) + 1)
    changes -= np.bincount(dies + 1, minlength=len(changes))[: len(changes)]
    return int(np.cumsum(changes).max())


def _spelled_out(
    arguments: Sequence[Arguments], inline: bytearray, roots: Sequence[int], checkpoint: Checkpoint
) -> list[int]:
    """Return the operations of all trees, operands before users.

    A walk from each root to its leaves, turned round at the end. Where both operands of an operation are computed
    within the tree, one that needs nothing but what is there already comes last: it can be joined with its user.
    """
    order: list[int] = []
    for root in watched(roots, checkpoint):
        begin = len(order)
        waiting = [root]
        while waiting:
            index = waiting.pop()
            order.append(index)
            inner = [argument for argument in arguments[index] if inline[argument]]
            if len(inner) > 1:
                inner = sorted(set(inner), key=lambda argument: not any(inline[read] for read in arguments[argument]))
            waiting += inner
        if len(order) - begin > 1:
            order[begin:] = order[begin:][::-1]
    return order
