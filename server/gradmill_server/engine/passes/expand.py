"""Expansion: array operations written in others, before differentiation and again before native code.

Before differentiation the operations without rules of their own are replaced, such as a mean by a sum and a quotient.
Afterwards those that native code does not know are lowered to the few that it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill_server.engine import ops
from gradmill_server.engine.autodiff.propagation import Propagation
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.passes.rewrite import rebuild

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph, GraphBuilder, Node
    from gradmill_server.engine.ops.array_operation import Expansion

_COMPOSITE = frozenset(name for name, row in ops.ARRAYS.items() if row.expansion is not None)
_LOWERED = frozenset(name for name, row in ops.ARRAYS.items() if row.lowering is not None)


def expand(graph: Graph, checkpoint: Checkpoint = never) -> Graph:
    """Return the graph without operations that have an expansion: what is left has rules of derivatives."""
    return _replaced(graph, {name: ops.ARRAYS[name].expansion for name in _COMPOSITE}, checkpoint)


def lower(graph: Graph, checkpoint: Checkpoint = never) -> Graph:
    """Return the graph with every operation that has a lowering written in primitives."""
    return _replaced(graph, {name: ops.ARRAYS[name].lowering for name in _LOWERED}, checkpoint)


def _replaced(graph: Graph, expansions: Mapping[str, Expansion | None], checkpoint: Checkpoint) -> Graph:
    """Return the graph with some operations expanded, again and again until there are none."""

    def rule(builder: GraphBuilder, node: Node) -> int | None:
        expansion = expansions.get(node.operation)
        if expansion is None:
            return None
        checkpoint()
        # The node itself is put as well, for its shape; nothing needs it, so it is dropped.
        site = Propagation().site(builder, builder.add(node), ops.ARRAYS[node.operation], ())
        return expansion(site).index

    while not expansions.keys().isdisjoint(graph.nodes.operations):
        graph = rebuild(graph, rule, checkpoint)
    return graph
