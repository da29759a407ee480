"""Scalarization: a graph of small arrays unrolled into one of scalars.

What only moves elements vanishes, zeros by structure contribute nothing, and what is left runs on the tape machine like
any graph of scalars. Worth it while the graph stays small; the caller says how large it may become.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.checkpoints import never, watched
from gradmill_server.engine.ir import CONSTANT, GraphBuilder, Input, Output, size
from gradmill_server.engine.ops.value import emit_elementwise
from gradmill_server.engine.passes.expand import lower

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph

    Numbers = npt.NDArray[np.int64]
    """For each element of an array the number of the scalar that it is, counted from 1; 0 is a zero by structure."""

_ZERO = 0

_ELEMENTS_PER_SCALAR = 4
"""Elements that arrays may have for each scalar that is allowed: some only move, or are zeros, and make none."""


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
    if not can_unroll(lowered) or elements > _ELEMENTS_PER_SCALAR * maximum_nodes:
        return None
    try:
        with np.errstate(all="ignore"):
            return _Unrolling(lowered, maximum_nodes, checkpoint).run()
    except _TooLarge:
        return None


class _Unrolling:
    """One run: the graph of scalars that grows, and the scalars of each array."""

    def __init__(self, graph: Graph, maximum_nodes: int, checkpoint: Checkpoint) -> None:
        self._graph = graph
        self._maximum = maximum_nodes
        self._checkpoint = checkpoint
        inputs = [
            Input(f"{entry.name}[{place}]" if entry.shape else entry.name, (), entry.element_type)
            for entry in graph.inputs
            for place in range(size(entry.shape))
        ]
        self._builder = GraphBuilder(inputs, checkpoint)
        self._numbers: list[Numbers] = []
        self._shortcuts: dict[str, Callable[..., int | None]] = {
            "strong_product": self._strong_product,
            "mutual_product": self._mutual_product,
            "multiply": self._product,
            "add": self._sum,
            "subtract": self._difference,
            "negate": self._negative,
            "where": self._choice,
        }
        first = 1
        for entry in graph.inputs:
            count = size(entry.shape)
            self._numbers.append(np.arange(first, first + count).reshape(entry.shape))
            first += count

    def run(self) -> Graph:
        nodes = self._graph.nodes
        for index in watched(range(len(self._graph.inputs), len(nodes)), self._checkpoint):
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
        if len(self._builder) > self._maximum:
            raise _TooLarge
        return self._builder.finish(outputs)

    def _constants(self, array: npt.NDArray[np.float64]) -> Numbers:
        numbers = [self._builder.constant(value) + 1 for value in array.ravel().tolist()]
        return np.array(numbers, dtype=np.int64).reshape(array.shape)

    def _apply(self, operation: str, *operands: Numbers) -> Numbers:
        """Apply an element-wise operation to each element, with NumPy's broadcasting."""
        whole = np.broadcast_arrays(*operands)
        if len(self._builder) > self._maximum or whole[0].size > _ELEMENTS_PER_SCALAR * self._maximum:
            raise _TooLarge
        columns = [each.ravel().tolist() for each in whole]
        each = watched(list(zip(*columns, strict=True)), self._checkpoint)
        numbers = [self._emitted(operation, entries) for entries in each]
        return np.array(numbers, dtype=np.int64).reshape(whole[0].shape)

    def _emitted(self, operation: str, numbers: tuple[int, ...]) -> int:
        """Emit one scalar, unless a shortcut says what it is."""
        shortcut = self._shortcuts.get(operation)
        known = None if shortcut is None else shortcut(*numbers)
        return self._put(operation, numbers) if known is None else known

    def _put(self, operation: str, numbers: Sequence[int]) -> int:
        """Add an operation to the graph, or the constant that it is."""
        nodes = [self._node(number) for number in numbers]
        constants = [self._builder.nodes.number(node) for node in nodes]
        if None not in constants:
            return self._builder.constant(float(ops.TABLE[operation].value(*map(np.float64, constants)))) + 1
        return emit_elementwise(self._builder, operation, nodes) + 1

    def _constant(self, number: int) -> float | None:
        """Return the number that a scalar is, 0 for a zero by structure; None when it is not known."""
        return self._builder.nodes.number(number - 1) if number else 0.0

    # Shortcuts: each returns what an operation comes to, or None where it has to be computed. Where an operand is a
    # zero by structure or by strength, a zero may come out with another sign than arithmetic would give it.

    def _strong_product(self, seed: int, partial: int) -> int | None:
        by, of = self._constant(seed), self._constant(partial)
        if by == 0.0:
            return _ZERO
        plain = by is not None or (of is not None and math.isfinite(of))
        return self._emitted("multiply", (seed, partial)) if plain else None

    def _mutual_product(self, left: int, right: int) -> int | None:
        constants = (self._constant(left), self._constant(right))
        if 0.0 in constants:
            return _ZERO
        plain = any(number is not None and math.isfinite(number) for number in constants)
        return self._emitted("multiply", (left, right)) if plain else None

    def _product(self, left: int, right: int) -> int | None:
        if left and self._constant(left) == 1.0:
            return right
        return left if right and self._constant(right) == 1.0 else None

    def _sum(self, left: int, right: int) -> int | None:
        return None if left and right else left or right

    def _difference(self, left: int, right: int) -> int | None:
        if not right:
            return left
        return None if left else self._emitted("negate", (right,))

    def _negative(self, number: int) -> int | None:
        return None if number else _ZERO

    def _choice(self, condition: int, if_true: int, if_false: int) -> int | None:
        if self._constant(if_false) == 0.0:
            if self._constant(if_true) == 0.0 and _ZERO in {if_true, if_false}:
                return _ZERO
            if condition == if_true:
                return if_true
        return None

    def _node(self, number: int) -> int:
        """Return the index of a scalar; of a zero by structure that of the constant 0."""
        return number - 1 if number else self._builder.constant(0.0)
