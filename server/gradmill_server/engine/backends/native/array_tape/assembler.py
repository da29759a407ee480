"""From a graph of arrays to an array tape.

One walk over the graph. Reshapes, transposes, slices and broadcasts become other ways of stepping through the same
slots; every other operation is one record, or some. Slots are used again as soon as nothing needs what is in them, and
an element-wise operation writes over an operand that nothing else needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gradmill_server.engine.backends.native.array_tape import operations
from gradmill_server.engine.backends.native.array_tape.emission import Emission
from gradmill_server.engine.backends.native.array_tape.memory import Memory
from gradmill_server.engine.backends.native.array_tape.operations import stepped
from gradmill_server.engine.backends.native.array_tape.records import COPY, GATHER, SCATTER
from gradmill_server.engine.backends.native.array_tape.views import (
    Space,
    View,
    grids,
    last_axes_joined,
    part,
    places,
    side_by_side,
    spacing,
    spread,
    with_axes,
)
from gradmill_server.engine.backends.native.array_tape.writer import TapeWriter, cut
from gradmill_server.engine.backends.native.records import PAIRED
from gradmill_server.engine.ir import Node, size
from gradmill_server.engine.ops.array_operation import integer, integers
from gradmill_server.engine.vector_math.pairs import PAIRS

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradmill_server.engine.backends.native.array_tape.writer import ArrayTape
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph

_STRONG_SIDES: Final[Mapping[str, int]] = MappingProxyType({"multiply": 0, "strong_product": 1, "mutual_product": 3})
"""The products of two elements, and of which operands zeros are strong: of the first, or of both."""

_MOST_OUTER_PRODUCTS: Final = 64
"""Outer products beside one another, as along batch axes, that are summed one by one."""

ZERO: Final = 0
"""The first uniform value of every tape is 0.0."""


class Wanted(NamedTuple):
    """What a tape is to compute of a graph.

    Attributes:
        uniform: for each node whose value is uniform, where its first element is among the uniform values.
        uniforms: how many uniform values there are; the first is 0.0.
        sources: the inputs that come point by point, in the order of the arrays of points.
        stored: nodes written as results, in the order of the arrays of results.
        summed: nodes summed over points, in order.
    """

    uniform: Mapping[int, int]
    uniforms: int
    sources: Sequence[int]
    stored: Sequence[int]
    summed: Sequence[int] = ()


def assemble_arrays(graph: Graph, wanted: Wanted, checkpoint: Checkpoint) -> ArrayTape:
    """Return the tape of a graph that `arrays_run_natively`; the checkpoint is called every few milliseconds."""
    return _Assembler(graph, wanted, checkpoint).run()


class _Assembler:
    def __init__(self, graph: Graph, wanted: Wanted, checkpoint: Checkpoint) -> None:
        self._graph = graph
        self._nodes = graph.nodes
        self._wanted = wanted
        self._writer = TapeWriter(checkpoint)
        self._number_of = {node: number for number, node in enumerate(wanted.sources)}
        self._targets: dict[int, list[int]] = {}
        for number, node in enumerate(wanted.stored):
            self._targets.setdefault(node, []).append(number)
        self._sums: dict[int, list[int]] = {}
        self._sum_count = 0
        for node in wanted.summed:
            self._sums.setdefault(node, []).append(self._sum_count)
            self._sum_count += size(self._nodes.shape(node))
        self._products = {node for node in self._sums if sums_products(graph, node)}
        self._computed = self._all_computed()
        self._paired: dict[int, list[int]] = {}
        for index in sorted(self._computed):
            if self._nodes.operations[index] in PAIRED:
                self._paired.setdefault(self._nodes.arguments[index][0], []).append(index)
        kept = [*wanted.stored, *[node for node in wanted.summed if node not in self._products]]
        reading = sorted(self._computed | self._products)
        self._memory = Memory(graph, wanted.uniform, reading, kept)
        self._emission = Emission(self._writer, self._memory)
        self._makers: dict[str, Callable[[int, Node], None]] = {
            **dict.fromkeys(operations.STEPPING, self._step),
            **dict.fromkeys(operations.FOLDS, self._fold),
            operations.TAKE: self._take,
            operations.PUT: self._put,
            operations.UNSLICE: self._unslice,
            operations.CONCATENATE: self._concatenate,
            operations.PRODUCT: self._product,
            operations.RUNNING_SUM: self._running_sum,
        }

    def _all_computed(self) -> set[int]:
        """Return every node whose value must be there, but for the uniform ones."""
        waiting = [*self._wanted.stored, *[node for node in self._wanted.summed if node not in self._products]]
        for node in self._products:
            waiting += self._nodes.arguments[node]
        found: set[int] = set()
        while waiting:
            node = waiting.pop()
            if node not in found and node not in self._wanted.uniform:
                found.add(node)
                waiting += self._nodes.arguments[node]
        return found

    def run(self) -> ArrayTape:
        """Assemble."""
        walked = sorted(self._computed | self._products | set(self._targets) | set(self._sums))
        for index in walked:
            if index in self._products:
                self._sum_products(index)
            if index in self._computed and self._nodes.arguments[index]:
                self._operation(index)
            if index in self._computed | self._products:
                self._memory.done(index)
            self._results(index)
        wanted = self._wanted
        return self._writer.finished(
            self._memory.storage.size,
            wanted.uniforms,
            self._sum_count,
            [size(self._nodes.shape(node)) for node in wanted.sources],
            [size(self._nodes.shape(node)) for node in wanted.stored],
        )

    def _results(self, index: int) -> None:
        """Write the results that a value is, and add it to the sums over points."""
        for number in self._targets.get(index, ()):
            self._emission.store(number, self._in_slots(self._view(index)))
            self._memory.let_go(index)
        if index in self._products:
            return
        for first in self._sums.get(index, ()):
            self._emission.sum_values(first, self._in_slots(self._view(index)))
            self._memory.let_go(index)

    def _view(self, index: int) -> View:
        """Return where a value lies, an input being read first."""
        view = self._memory.view(index)
        if view is None:
            view = self._memory.take(index, self._nodes.shape(index))
            self._emission.load(self._number_of[index], view)
            self._memory.put(index, view)
        return view

    def _in_slots(self, view: View) -> View:
        """Return a value in slots; a uniform one is spread over all lanes for as long as the operation takes."""
        return self._copied(view) if view.space is Space.UNIFORMS else view

    def _copied(self, view: View) -> View:
        copy = self._memory.take_briefly(view.shape)
        self._emission.map(COPY, [copy], [view])
        return copy

    def _ordered(self, index: int) -> View:
        """Return a value whose elements are evenly spaced in row-major order, put so first where they are not."""
        view = self._view(index)
        if spacing(view) is None:
            ordered = self._memory.take(index, view.shape)
            self._emission.map(COPY, [ordered], [view])
            self._memory.put(index, ordered)
            view = ordered
        return view

    def _operation(self, index: int) -> None:
        """Write the records of one operation."""
        if self._memory.view(index) is not None:
            return  # computed together with its partner
        node = self._nodes[index]
        make = self._makers.get(node.operation)
        if make is not None:
            make(index, node)
        elif node.operation not in PAIRED or not self._pair(index, node):
            self._element_wise(index, node)

    def _element_wise(self, index: int, node: Node) -> None:
        operands = [(argument, spread(self._view(argument), node.shape)) for argument in node.arguments]
        views = [view for _, view in operands]
        if all(view.space is Space.UNIFORMS for view in views):
            first = self._in_slots(self._view(node.arguments[0]))
            views[0] = spread(first, node.shape)
        result = self._memory.take_over(index, operands) or self._memory.take(index, node.shape)
        self._emission.map(node.operation, [result], views)
        self._memory.put(index, result)

    def _pair(self, index: int, node: Node) -> bool:
        """Compute an operation and the one it has in common with another wanted one; return whether there is one."""
        partner = self._partner(node)
        if partner is None:
            return False
        view = self._in_slots(self._view(node.arguments[0]))
        names = (node.operation, self._nodes.operations[partner])
        pair = names if names in PAIRS else names[::-1]
        results = {each: self._memory.take(each, node.shape) for each in (index, partner)}
        in_order = [index, partner] if pair == names else [partner, index]
        self._emission.map(pair, [results[each] for each in in_order], [view])
        for each, result in results.items():
            self._memory.put(each, result)
        return True

    def _partner(self, node: Node) -> int | None:
        """Return the operation of the same argument that costs less together with this one."""
        for other in self._paired.get(node.arguments[0], ()):
            names = (node.operation, self._nodes.operations[other])
            if self._memory.view(other) is None and (names in PAIRS or names[::-1] in PAIRS):
                return other
        return None

    def _step(self, index: int, node: Node) -> None:
        """Step through the operand in another way, its elements put in order first where that cannot be."""
        (argument,) = node.arguments
        view = stepped(node, self._view(argument))
        if view is None:
            view = stepped(node, self._ordered(argument))
        if view is None:
            message = f"there is no way to step through the operand of {node.operation!r}"
            raise ValueError(message)
        self._memory.put(index, view)

    def _take(self, index: int, node: Node) -> None:
        source = places(self._in_slots(self._view(node.arguments[0])))
        slots = np.take(source, _indices(node), axis=integer(dict(node.parameters), "axis")).ravel()
        result = self._memory.take(index, node.shape)
        for first, count in cut(len(slots), 2):
            words = (count, result.start + first, 1)
            self._writer.with_table(GATHER, words, slots[first : first + count])
        self._memory.put(index, result)

    def _put(self, index: int, node: Node) -> None:
        """Add elements, in order, to zeros at the places that the indices say."""
        view = self._in_slots(self._ordered(node.arguments[0]))
        step = spacing(view)
        if step is None:
            message = "elements in order are evenly spaced"
            raise ValueError(message)
        result = self._memory.take(index, node.shape)
        self._fill(result)
        slots = np.take(places(result), _indices(node), axis=integer(dict(node.parameters), "axis")).ravel()
        for first, count in cut(len(slots), 2):
            words = (count, view.start + first * step, step)
            self._writer.with_table(SCATTER, words, slots[first : first + count])
        self._memory.put(index, result)

    def _unslice(self, index: int, node: Node) -> None:
        """Put a slice among zeros."""
        view = self._view(node.arguments[0])
        result = self._memory.take(index, node.shape)
        parameters = {**dict(node.parameters), "counts": view.shape}
        sliced = Node(operations.SLICE, (index,), view.shape, tuple(parameters.items()))
        self._fill(result)
        self._emission.map(COPY, [stepped(sliced, result) or result], [view])
        self._memory.put(index, result)

    def _fill(self, target: View) -> None:
        """Write 0.0 to slots."""
        zero = spread(side_by_side(Space.UNIFORMS, ZERO, ()), target.shape)
        self._emission.map(COPY, [target], [zero])

    def _concatenate(self, index: int, node: Node) -> None:
        result = self._memory.take(index, node.shape)
        axis = integer(dict(node.parameters), "axis")
        start = result.start
        for argument in node.arguments:
            view = self._view(argument)
            self._emission.map(COPY, [View(Space.SLOTS, start, view.shape, result.steps)], [view])
            start += view.shape[axis] * result.steps[axis]
        self._memory.put(index, result)

    def _fold(self, index: int, node: Node) -> None:
        """Halve the elements of some axes, in row-major order, until one is left; an odd last one stays at the end."""
        axes = integers(dict(node.parameters), "axes")
        view = self._in_slots(self._view(node.arguments[0]))
        kept = [axis for axis in range(len(view.shape)) if axis not in axes]
        turned = with_axes(view, (*kept, *axes))
        joined = last_axes_joined(turned, len(axes)) or last_axes_joined(self._copied(turned), len(axes))
        if joined is None:
            message = "elements side by side are one axis"
            raise ValueError(message)
        result = self._memory.take(index, node.shape)
        self._halve(
            operations.FOLDS[node.operation], joined, side_by_side(Space.SLOTS, result.start, joined.shape[:-1])
        )
        self._memory.put(index, result)

    def _halve(self, join: str, view: View, result: View) -> None:
        """Write the records that join the elements of the last axis."""
        last = View(result.space, result.start, (*result.shape, 1), (*result.steps, 1))
        left = view.shape[-1]
        if left == 1:
            self._emission.map(COPY, [last], [view])
        target = last
        if left > 2:  # noqa: PLR2004 - the sum of two is the result
            target = self._memory.take_briefly((*result.shape, left - left // 2))
        while left > 1:
            half, odd = divmod(left, 2)
            if half + odd == 1:
                target = last
            self._emission.map(join, [part(target, 0, half)], [part(view, 0, half), part(view, half, half)])
            if odd:
                self._emission.map(COPY, [part(target, half, 1)], [part(view, 2 * half, 1)])
            view, left = target, half + odd

    def _running_sum(self, index: int, node: Node) -> None:
        """Add to each element the one before it in the result, which the same record has just written."""
        axis = integer(dict(node.parameters), "axis")
        order = [*[each for each in range(len(node.shape)) if each != axis], axis]
        view = with_axes(self._in_slots(self._view(node.arguments[0])), order)
        result = self._memory.take(index, node.shape)
        turned = with_axes(result, order)
        count = node.shape[axis]
        self._emission.map(COPY, [part(turned, 0, 1)], [part(view, 0, 1)])
        if count > 1:
            operands = [part(turned, 0, count - 1), part(view, 1, count - 1)]
            self._emission.map("add", [part(turned, 1, count - 1)], operands)
        self._memory.put(index, result)

    def _product(self, index: int, node: Node) -> None:
        left, right = self._factors(node)
        if left.space is right.space is Space.UNIFORMS:
            left = self._copied(left)
        result = self._memory.take(index, node.shape)
        self._emission.product(result, left, right, integer(dict(node.parameters), "strong"))
        self._memory.put(index, result)

    def _factors(self, node: Node) -> list[View]:
        """Return the factors of a matrix product, with the same batch axes; one of them steps along the inner axis."""
        left, right = (self._view(argument) for argument in node.arguments)
        if left.shape[-1] > 1 and left.steps[-1] == right.steps[-2] == 0:
            left = self._copied(left)
        return [spread(view, (*node.shape[:-2], *view.shape[-2:])) for view in (left, right)]

    def _sum_products(self, index: int) -> None:
        """Add the products of a matrix product, or of an outer one, to sums over points as they are made."""
        node = self._nodes[index]
        for first in self._sums[index]:
            if node.operation == operations.PRODUCT:
                left, right = (self._in_slots(view) for view in self._factors(node))
                strong = integer(dict(node.parameters), "strong")
                self._emission.sum_matrix_products(first, node.shape, left, right, strong)
            else:
                left, right = (self._in_slots(self._ordered(argument)) for argument in node.arguments)
                strong = _STRONG_SIDES[node.operation]
                self._emission.sum_outer_products(first, spread(left, node.shape), spread(right, node.shape), strong)


def sums_products(graph: Graph, index: int) -> bool:
    """Whether the sum over points of a value adds up products as they are made: a matrix product, or an outer one.

    It depends on the graph alone, so that sums have the same bits whatever is uniform.
    """
    node = graph.nodes[index]
    if node.operation == operations.PRODUCT:
        return True
    if node.operation not in _STRONG_SIDES:
        return False
    views = [
        spread(side_by_side(Space.SLOTS, 0, graph.nodes.shape(argument)), node.shape) for argument in node.arguments
    ]
    grid, *others = grids(views, 2)
    is_outer = any((grid.steps[one][0], grid.steps[1 - one][1]) == (0, 0) for one in (0, 1))
    return is_outer and len(others) < _MOST_OUTER_PRODUCTS


def _indices(node: Node) -> npt.NDArray[np.int64]:
    """Return the numbers of the elements that are taken or put, in their shape."""
    parameters = dict(node.parameters)
    return np.array(integers(parameters, "indices"), dtype=np.int64).reshape(integers(parameters, "index_shape"))
