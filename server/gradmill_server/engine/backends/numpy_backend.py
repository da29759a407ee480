"""The NumPy backend: one call per node over a whole block of points. The reference for every other backend.

A value of shape s at n points is an array [n, *s], or [1, *s] when all points share it, or a plain number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.backends.slots import plan_slots
from gradmill_server.engine.ir import size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import FloatArray, Graph, Node, Shape

_BYTES_PER_ELEMENT = 8
_BYTES_PER_INSTRUCTION = 150
"""A tuple, its operand tuple and its share of the tables; an estimate, for caches."""

_ELEMENTS_BETWEEN_CHECKPOINTS = 4_000_000
_INSTRUCTION_OVERHEAD_ELEMENTS = 1_000
"""A NumPy call costs about as much as this many elements, whatever its size."""


class _Instruction(NamedTuple):
    function: Callable[..., FloatArray]
    operands: tuple[int, ...]
    result: int


class NumpyExecutable:
    """A graph, ready to run over blocks of points. Immutable; runs in many threads at once.

    Attributes:
        fewest_points: points whose values are held at a time, however few are asked for.
        byte_size: estimated bytes it occupies.
        scratch_bytes_per_point: bytes of intermediate values alive at once, for one point.
    """

    fewest_points = 1

    def __init__(self, graph: Graph) -> None:
        """Assign every node a slot, and every operation its function."""
        plan = plan_slots(graph)
        slot_of = plan.slot_of
        self.scratch_bytes_per_point = _BYTES_PER_ELEMENT * plan.scratch_elements
        self._template: list[FloatArray | None] = [None] * plan.slot_count
        self._instructions: list[_Instruction] = []
        for index, node in enumerate(graph.nodes):
            if node.arguments:
                operands = tuple([slot_of[argument] for argument in node.arguments])
                self._instructions.append(_Instruction(_aligned(graph, node), operands, slot_of[index]))
            elif node.is_constant:
                self._template[slot_of[index]] = _constant(node)
        self._largest_value = max((size(node.shape) for node in graph.nodes), default=1)
        self._results = [(slot_of[output.node], graph.nodes[output.node].shape) for output in graph.outputs]
        self.byte_size = _BYTES_PER_INSTRUCTION * len(graph.nodes) + sum(
            node.constant_array().nbytes for node in graph.nodes if node.is_constant
        )

    def run(self, inputs: Sequence[FloatArray], rows: int, checkpoint: Checkpoint) -> list[FloatArray]:
        """Evaluate one block of points.

        Args:
            inputs: for each input an array [rows, *shape], or [1, *shape] when all points share it.
            rows: the number of points.
            checkpoint: called every few milliseconds; may raise to stop.

        Returns:
            For each output an array [rows, *shape], which may be a read-only view.
        """
        slots = self._template.copy()
        slots[: len(inputs)] = inputs
        instruction_elements = rows * self._largest_value + _INSTRUCTION_OVERHEAD_ELEMENTS
        stride = max(1, _ELEMENTS_BETWEEN_CHECKPOINTS // instruction_elements)
        with np.errstate(all="ignore"):
            for start in range(0, len(self._instructions), stride):
                checkpoint()
                for function, operands, result in self._instructions[start : start + stride]:
                    slots[result] = function(*[slots[operand] for operand in operands])
        return [_per_point(slots[slot], rows, shape) for slot, shape in self._results]


def _constant(node: Node) -> FloatArray:
    array = node.constant_array()
    return array[np.newaxis] if node.shape else array


def _aligned(graph: Graph, node: Node) -> Callable[..., FloatArray]:
    """Return the operation's function; operands of lower rank first get axes of extent 1 after that of the points."""
    function = ops.TABLE[node.operation].value
    rank = len(node.shape)
    shapes = [graph.nodes[argument].shape for argument in node.arguments]
    if all(len(shape) == rank for shape in shapes):
        return function
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]

    def aligned(*operands: FloatArray) -> FloatArray:
        return function(  # type: ignore[no-any-return]
            *(
                operand.reshape(-1, *shape) if np.ndim(operand) else operand
                for operand, shape in zip(operands, padded, strict=True)
            )
        )

    return aligned


def _per_point(value: FloatArray | None, rows: int, shape: Shape) -> FloatArray:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (rows, *shape))
