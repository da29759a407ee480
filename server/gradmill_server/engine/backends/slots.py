"""Slots: where each value of a graph lies in scratch, re-used once the value in it is no longer needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gradmill_server.engine.ir import size

if TYPE_CHECKING:
    from gradmill_server.engine.ir import Graph


class SlotPlan(NamedTuple):
    """A slot for every node. Inputs and constants keep theirs; inputs have the first ones, in declared order.

    Attributes:
        slot_of: for each node, its slot.
        slot_count: how many slots there are.
        scratch_elements: elements per point of the slots that operations write.
    """

    slot_of: list[int]
    slot_count: int
    scratch_elements: int


def plan_slots(graph: Graph) -> SlotPlan:
    """Assign slots by liveness; values of different sizes never share one."""
    last_use = _last_uses(graph)
    nodes = graph.nodes
    sizes = {index: size(shape) for index, shape in nodes.shapes.items()}
    slot_of = [0] * len(nodes)
    free: dict[int, list[int]] = {}
    count = scratch_elements = 0
    for index, arguments in enumerate(nodes.arguments):
        elements = sizes.get(index, 1)
        available = free.setdefault(elements, [])
        if arguments and available:
            slot_of[index] = available.pop()
        else:
            slot_of[index] = count
            count += 1
            scratch_elements += elements if arguments else 0
        for argument in set(arguments):
            if last_use[argument] == index and nodes.arguments[argument]:
                free[sizes.get(argument, 1)].append(slot_of[argument])
    return SlotPlan(slot_of, count, scratch_elements)


def _last_uses(graph: Graph) -> list[int]:
    """Return for each node the index of the last node that reads it; itself if none, and the end for outputs."""
    last = list(range(len(graph.nodes)))
    for index, arguments in enumerate(graph.nodes.arguments):
        for argument in arguments:
            last[argument] = index
    for output in graph.outputs:
        last[output.node] = len(graph.nodes)
    return last
