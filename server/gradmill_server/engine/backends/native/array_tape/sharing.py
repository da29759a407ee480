"""What of a graph is the same for all points, when some inputs are: computed once for a call, and read as it is.

A weight that all points share then costs its users a broadcast load, and no lanes. Its bits are those it would have
point by point, because the same handlers compute it, for a single point.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine.backends.native.array_tape.assembler import Wanted
from gradmill_server.engine.backends.native.array_tape.operations import STEPPING, stepped
from gradmill_server.engine.backends.native.array_tape.views import Space, View, places, side_by_side
from gradmill_server.engine.ir import CONSTANT, size

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradmill_server.engine.ir import FloatArray, Graph


class Uniforms(NamedTuple):
    """The table of uniform values that a tape reads.

    Attributes:
        constants: its first part, which no call changes: 0.0, then the constants.
        size: elements of the whole table.
        place_of: for each value in it, where its first element is.
    """

    constants: FloatArray
    size: int
    place_of: dict[int, int]


class Division(NamedTuple):
    """A graph divided by which of its inputs all points share.

    Attributes:
        point: what is computed at each point.
        uniforms: the table that this reads.
        copied: shared inputs that go into that table as they are.
        once: what is computed once for a call, or None; its results are `kept`, then `shown`.
        once_uniforms: the table that this reads: constants only.
        kept: values computed once that go into the table.
        shown: outputs computed once, by their place among the outputs.
        stored: outputs computed at each point, by place.
        summed: outputs summed over points, by place.
        sums: for each summed output, which of all sums over points its elements are, in row-major order.
    """

    point: Wanted
    uniforms: Uniforms
    copied: tuple[int, ...]
    once: Wanted | None
    once_uniforms: Uniforms
    kept: tuple[int, ...]
    shown: tuple[int, ...]
    stored: tuple[int, ...]
    summed: tuple[int, ...]
    sums: tuple[npt.NDArray[np.int64], ...]


def divide(graph: Graph, shared: Sequence[bool], summed: Collection[int] = ()) -> Division:
    """Divide a graph.

    Args:
        graph: the graph.
        shared: for each input, whether all points share it.
        summed: the outputs, by place, that are summed over points rather than given at each.
    """
    nodes = graph.nodes
    varies = _varies(graph, shared)
    outputs = [output.node for output in graph.outputs]
    shown = tuple([place for place, node in enumerate(outputs) if not varies[node] and place not in summed])
    stored = tuple([place for place in range(len(outputs)) if place not in summed and place not in shown])
    totalled = tuple(sorted(summed))
    at_points = [outputs[place] for place in stored]
    added, sums = _sums(graph, [outputs[place] for place in totalled])
    read = _read_at_points(graph, varies, [*at_points, *added])
    copied = [index for index in read if index < len(graph.inputs)]
    constants = [index for index in read if nodes.operations[index] == CONSTANT]
    kept = [index for index in read if index >= len(graph.inputs) and nodes.operations[index] != CONSTANT]
    uniforms = _table(graph, constants, [*copied, *kept])
    sources = [index for index, is_shared in enumerate(shared) if not is_shared]
    point = Wanted(uniforms.place_of, uniforms.size, sources, at_points, added)
    results = [*kept, *[outputs[place] for place in shown]]
    once_constants = [index for index in _reached(graph, results) if nodes.operations[index] == CONSTANT]
    once_uniforms = _table(graph, once_constants, [])
    inputs = [index for index, is_shared in enumerate(shared) if is_shared]
    once = Wanted(once_uniforms.place_of, once_uniforms.size, inputs, results) if results else None
    return Division(
        point=point,
        uniforms=uniforms,
        copied=tuple(copied),
        once=once,
        once_uniforms=once_uniforms,
        kept=tuple(kept),
        shown=shown,
        stored=stored,
        summed=totalled,
        sums=tuple(sums),
    )


def _sums(graph: Graph, outputs: Iterable[int]) -> tuple[list[int], list[npt.NDArray[np.int64]]]:
    """Return which values to sum over points, and for each output which of the sums it shows.

    Of an output that only steps through another value the latter is summed: a matrix product then never is written.
    """
    added: list[int] = []
    sums: list[npt.NDArray[np.int64]] = []
    first = 0
    for output in outputs:
        index, view = _stepped_through(graph, output)
        added.append(index)
        sums.append((first + places(view)).ravel())
        first += size(graph.nodes.shape(index))
    return added, sums


def _varies(graph: Graph, shared: Sequence[bool]) -> list[bool]:
    """Return for each value whether it may differ from point to point."""
    varies: list[bool] = []
    for index, arguments in enumerate(graph.nodes.arguments):
        own = index < len(graph.inputs) and not shared[index]
        varies.append(own or any(varies[argument] for argument in arguments))
    return varies


def _read_at_points(graph: Graph, varies: Sequence[bool], roots: Iterable[int]) -> list[int]:
    """Return the uniform values that the rest reads; those that only step through another one are not computed."""
    nodes = graph.nodes
    waiting = list(roots)
    found: set[int] = set()
    uniform: list[int] = []
    while waiting:
        index = waiting.pop()
        if index in found:
            continue
        found.add(index)
        if varies[index] or _stepped_through(graph, index)[0] != index:
            waiting += nodes.arguments[index]
        else:
            uniform.append(index)
    return sorted(uniform)


def _stepped_through(graph: Graph, index: int) -> tuple[int, View]:
    """Return the value that another one only steps through, and how, its elements numbered in row-major order.

    It is the value itself where that is computed, or where nothing leads through the elements in the wanted order.
    """
    chain = []
    base = index
    while graph.nodes.operations[base] in STEPPING:
        chain.append(base)
        (base,) = graph.nodes.arguments[base]
    view: View | None = side_by_side(Space.UNIFORMS, 0, graph.nodes.shape(base))
    for each in reversed(chain):
        view = None if view is None else stepped(graph.nodes[each], view)
    if view is None:
        return index, side_by_side(Space.UNIFORMS, 0, graph.nodes.shape(index))
    return base, view


def _reached(graph: Graph, roots: Iterable[int]) -> list[int]:
    """Return all values that these are computed from, themselves among them."""
    waiting = list(roots)
    found: set[int] = set()
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += graph.nodes.arguments[index]
    return sorted(found)


def _table(graph: Graph, constants: Sequence[int], others: Sequence[int]) -> Uniforms:
    """Lay out a table: 0.0, constants, others."""
    place_of: dict[int, int] = {}
    place = 1
    for index in (*constants, *others):
        place_of[index] = place
        place += size(graph.nodes.shape(index))
    values = [graph.nodes[index].constant_array().ravel() for index in constants]
    return Uniforms(np.concatenate([np.zeros(1), *values]), place, place_of)
