"""Scalarization: a graph of small arrays unrolled into one of scalars.

What only moves elements vanishes, zeros by structure contribute nothing, and what is left runs on the tape machine like
any graph of scalars. Worth it while the graph stays small; the caller says how large it may become.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.checkpoints import never, watched
from gradmill_server.engine.ir import CONSTANT, GraphBuilder, Input, Output, size
from gradmill_server.engine.ops.value import emit_elementwise
from gradmill_server.engine.passes.expand import lower

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph

    Numbers = npt.NDArray[np.int64]
    """For each element of an array the number of the scalar that it is, counted from 1; 0 is a zero by structure."""

_ZERO = 0


class _TooLarge(Exception):
    """The unrolled graph is larger than allowed."""


def can_unroll(graph: Graph) -> bool:
    """Whether every operation of a graph can be unrolled, once it is lowered."""
    rows = [ops.ARRAYS.get(name) for name in set(lower(graph).nodes.operations)]
    return all(row is None or row.unrolling is not None for row in rows)


def scalarize(graph: Graph, maximum_nodes: int, checkpoint: Checkpoint = never) -> Graph | None:
    """Return a graph of scalars that computes the same, or None when it would have too many or cannot be.

    Args:
        graph: any graph without composite operations.
        maximum_nodes: how many scalars there may be.
        checkpoint: called every few milliseconds; may raise to stop.

    Returns:
        A graph with an input for each element of each input, and an output for each element of each output, in order,
        row by row.
    """
    lowered = lower(graph, checkpoint)
    elements = sum(map(size, lowered.nodes.shapes.values()))
    if not can_unroll(lowered) or elements > maximum_nodes:
        return None
    try:
        return _Unrolling(lowered, maximum_nodes).run(checkpoint)
    except _TooLarge:
        return None


class _Unrolling:
    """One run: the graph of scalars that grows, and the scalars of each array."""

    def __init__(self, graph: Graph, maximum_nodes: int) -> None:
        self._graph = graph
        self._maximum = maximum_nodes
        inputs = [
            Input(f"{entry.name}[{place}]" if entry.shape else entry.name, (), entry.element_type)
            for entry in graph.inputs
            for place in range(size(entry.shape))
        ]
        self._builder = GraphBuilder(inputs)
        self._numbers: list[Numbers] = []
        first = 1
        for entry in graph.inputs:
            count = size(entry.shape)
            self._numbers.append(np.arange(first, first + count).reshape(entry.shape))
            first += count

    def run(self, checkpoint: Checkpoint) -> Graph:
        nodes = self._graph.nodes
        for index in watched(range(len(self._graph.inputs), len(nodes)), checkpoint):
            operation, arguments = nodes.operations[index], nodes.arguments[index]
            if operation == CONSTANT:
                self._numbers.append(self._constants(nodes[index].constant_array()))
                continue
            operands = [self._numbers[argument] for argument in arguments]
            row = ops.ARRAYS.get(operation)
            if row is None:
                self._numbers.append(self._apply(operation, *operands))
                continue
            unrolling = row.unrolling
            if unrolling is None:
                raise _TooLarge
            parameters = dict(nodes.parameters.get(index, ()))
            self._numbers.append(unrolling(self._apply)(parameters, *[each[np.newaxis] for each in operands])[0])
        outputs = [
            Output("", self._node(number))
            for output in self._graph.outputs
            for number in self._numbers[output.node].ravel().tolist()
        ]
        return self._builder.finish(outputs)

    def _constants(self, array: npt.NDArray[np.float64]) -> Numbers:
        numbers = [self._builder.constant(value) + 1 for value in array.ravel().tolist()]
        return np.array(numbers, dtype=np.int64).reshape(array.shape)

    def _apply(self, operation: str, *operands: Numbers) -> Numbers:
        """Apply an element-wise operation to each element, with NumPy's broadcasting."""
        whole = np.broadcast_arrays(*operands)
        if len(self._builder) + whole[0].size > self._maximum:
            raise _TooLarge
        columns = [each.ravel().tolist() for each in whole]
        numbers = [self._emitted(operation, entries) for entries in zip(*columns, strict=True)]
        return np.array(numbers, dtype=np.int64).reshape(whole[0].shape)

    def _emitted(self, operation: str, numbers: tuple[int, ...]) -> int:
        """Emit one scalar, unless it is a zero by structure, or what is left when an operand is one."""
        if operation == "strong_product" and (not numbers[0] or self._builder.nodes.number(numbers[0] - 1) == 0.0):
            return _ZERO
        if _ZERO in numbers:
            if operation == "add":
                return numbers[1] or numbers[0]
            if operation == "subtract" and not numbers[1]:
                return numbers[0]
            if operation == "negate" or (operation == "where" and not (numbers[1] or numbers[2])):
                return _ZERO
        return emit_elementwise(self._builder, operation, [self._node(number) for number in numbers]) + 1

    def _node(self, number: int) -> int:
        """Return the index of a scalar; of a zero by structure that of the constant 0."""
        return number - 1 if number else self._builder.constant(0.0)
