"""The order in which a tape computes its values.

Any topological order gives the same bits; a good one keeps few values alive and lets each record use what the record
before left in the accumulator. Values with one user are computed with it, as one expression tree. Trees are run in one
of two orders: as the graph has them, which suits a backward pass that walks the forward one in reverse; or depth first
from the inputs, each as soon as its operands are there and the latest first, which suits sums of many terms, whose
adjoints are known at once. The one with fewer values alive is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gradmill_server.engine.ir import Graph, Node

_LARGEST_TREE: Final = 24
"""Operations above which a tree is cut: a long sum would otherwise keep all its terms alive until the last is there."""


class Schedule(NamedTuple):
    """An order of evaluation.

    Attributes:
        order: every operation's node, operands before users.
        users: for each node, how many operations read it.
        partners: for each sine of an angle whose cosine is there too, that cosine, and the other way round.
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


def schedule(graph: Graph) -> Schedule:
    """Return the order in which to compute a graph's operations."""
    partners = _partners(graph.nodes)
    forest = _forest(graph, partners)
    natural, depth_first = forest.roots, _depth_first(graph, forest)
    if natural != depth_first and _most_alive(graph, forest, natural) < _most_alive(graph, forest, depth_first):
        depth_first = natural
    return Schedule(_spelled_out(graph.nodes, forest.inline, depth_first), forest.users, partners)


def _forest(graph: Graph, partners: Collection[int]) -> _Forest:
    nodes = graph.nodes
    users, only_user = _users(nodes)
    inline = _inline(graph, users, partners)
    root_of = list(range(len(nodes)))
    for index in range(len(nodes) - 1, -1, -1):
        if inline[index]:
            root_of[index] = root_of[only_user[index]]
    sources: list[int] = []
    targets: list[int] = []
    missing = [0] * len(nodes)
    for index, node in enumerate(nodes):
        for argument in node.arguments:
            if not inline[argument] and not nodes[argument].is_constant:
                root = root_of[index]
                sources.append(argument)
                targets.append(root)
                missing[root] += 1
    by_source = np.array(sources, dtype=np.int64)
    in_order = np.array(targets, dtype=np.int64)[np.argsort(by_source, kind="stable")].tolist()
    starts = np.concatenate([[0], np.cumsum(np.bincount(by_source, minlength=len(nodes)))]).tolist()
    roots = [index for index, node in enumerate(nodes) if node.arguments and not inline[index]]
    return _Forest(users, inline, roots, in_order, starts, missing)


def _users(nodes: Sequence[Node]) -> tuple[list[int], list[int]]:
    """Return for each node how many operations read it, and the last of them."""
    users = [0] * len(nodes)
    last = [0] * len(nodes)
    for index, node in enumerate(nodes):
        for argument in node.arguments:
            if last[argument] != index:
                last[argument] = index
                users[argument] += 1
    return users, last


def _inline(graph: Graph, users: Sequence[int], partners: Collection[int]) -> bytearray:
    """Mark the operations that are computed within the tree of their only user."""
    nodes = graph.nodes
    inline = bytearray(len(nodes))
    apart = {output.node for output in graph.outputs}.union(partners)
    sizes = [0] * len(nodes)
    for index, node in enumerate(nodes):
        if not node.arguments:
            continue
        total = 1
        for argument in node.arguments:
            if inline[argument]:
                total += sizes[argument]
        sizes[index] = total
        if users[index] == 1 and total <= _LARGEST_TREE and index not in apart:
            inline[index] = 1
    return inline


def _partners(nodes: Sequence[Node]) -> dict[int, int]:
    """Return the sines and cosines of an angle of which both are wanted: one record computes the two."""
    sines: dict[int, int] = {}
    cosines: dict[int, int] = {}
    for index, node in enumerate(nodes):
        if node.operation == "sin":
            sines[node.arguments[0]] = index
        elif node.operation == "cos":
            cosines[node.arguments[0]] = index
    both = sines.keys() & cosines.keys()
    pairs = [(sines[angle], cosines[angle]) for angle in both]
    return dict(pairs) | {cosine: sine for sine, cosine in pairs}


def _depth_first(graph: Graph, forest: _Forest) -> list[int]:
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
            _release(targets[starts[root] : starts[root + 1]], missing, ready)
    return order


def _release(targets: Sequence[int], missing: list[int], ready: list[int]) -> None:
    for root in targets:
        missing[root] -= 1
        if not missing[root]:
            ready.append(root)


def _most_alive(graph: Graph, forest: _Forest, order: Sequence[int]) -> int:
    """Return how many values are alive at once at most when trees run in this order."""
    starts = forest.starts
    place = [0] * len(graph.nodes)
    for position, root in enumerate(order):
        place[root] = position
    changes = np.zeros(len(order) + 2, dtype=np.int64)
    born = np.arange(len(order))
    used = np.fromiter((place[root] for root in forest.targets), dtype=np.int64, count=len(forest.targets))
    counts = np.diff(starts)
    has_users = np.flatnonzero(counts)
    if not len(has_users):
        return 0
    first_of = np.asarray(starts)[has_users]
    dies = np.maximum.reduceat(used, first_of)
    is_input = has_users < len(graph.inputs)
    born = np.where(is_input, np.minimum.reduceat(used, first_of), np.asarray(place)[has_users])
    np.add.at(changes, born, 1)
    np.add.at(changes, dies + 1, -1)
    return int(np.cumsum(changes).max())


def _spelled_out(nodes: Sequence[Node], inline: bytearray, roots: Sequence[int]) -> list[int]:
    """Return the operations of all trees: of two operands the larger first, so that the smaller is in the accumulator.

    A walk from each root to the leaves, operands after users, is turned round at the end.
    """
    order: list[int] = []
    for root in roots:
        begin = len(order)
        waiting = [root]
        while waiting:
            index = waiting.pop()
            order.append(index)
            inner = [argument for argument in nodes[index].arguments if inline[argument]]
            if len(inner) > 1:
                inner = sorted(set(inner), key=lambda argument: _is_simple(nodes, inline, argument))
            waiting += inner
        if len(order) - begin > 1:
            order[begin:] = order[begin:][::-1]
    return order


def _is_simple(nodes: Sequence[Node], inline: bytearray, index: int) -> bool:
    """Whether an operation's operands are all there already, so that it can be joined with its user."""
    return not any(inline[argument] for argument in nodes[index].arguments)
