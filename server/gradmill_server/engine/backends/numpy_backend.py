"""The NumPy backend: one call per node over a whole block of points. The reference for every other backend.

A value of shape s at n points is an array [n, *s], or [1, *s] when all points share it, or a plain number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.backends.native.loop import TapeLoop
from gradmill_server.engine.backends.native.records import NATIVE_OPERATIONS
from gradmill_server.engine.backends.numpy_loop import NumpyLoop
from gradmill_server.engine.backends.results import scratch_too_large
from gradmill_server.engine.backends.slots import plan_slots
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.ir import BYTES_PER_LISTED, CONSTANT, INPUT, listed_numbers, size
from gradmill_server.engine.ops.arrays.loops import SCAN, Loop
from gradmill_server.engine.passes.scalarize import scalarize
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.points import taken_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from gradmill_server.engine.backends.native.levels import Level
    from gradmill_server.engine.backends.results import ColumnResults, ResultGroup, RowResults
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.element_types import ElementType
    from gradmill_server.engine.ir import FloatArray, Graph, Node, Shape
    from gradmill_server.engine.limits import Limits
    from gradmill_server.engine.ops.array_operation import ParameterMap

_BYTES_PER_INSTRUCTION = 150
"""A tuple, its operand tuple and its share of the tables; an estimate, for caches."""

_ELEMENTS_BETWEEN_CHECKPOINTS = 4_000_000
_INSTRUCTION_OVERHEAD_ELEMENTS = 1_000
"""A NumPy call costs about as much as this many elements, whatever its size."""

_LARGEST_UNROLLED_BODY = 100_000
"""Scalars up to which the arrays in a loop's body, its derivatives included, are unrolled for the tape machine."""

_TARGET_BLOCK_BYTES = 4 * 1024 * 1024
_SMALLEST_FULL_BLOCK = 1024
_SMALLEST_BLOCK_OF_LOOPS = 128
"""Native loops lose little by fewer points, and what they stack comes into a nearer cache."""

_LARGE_VALUE = 1024 * 1024
"""Elements that a block of several points has in one value at most: a call of NumPy cannot be stopped on its way."""

_LARGEST_BLOCK = 65536


class Instruction(NamedTuple):
    """A call of a function: its operands and its result by slots."""

    function: Callable[..., FloatArray]
    operands: tuple[int, ...]
    result: int


class NumpyExecutable:
    """A graph, ready to run over blocks of points. Immutable; runs in many threads at once.

    Attributes:
        byte_size: estimated bytes it occupies.
        scratch_elements: elements of intermediate values alive at once, for one point.
        scratch_bytes_per_point: the bytes that these occupy.
        dtype: the type of all values.
        instructions: what a run does, in order.
        results: for each output the slot and the shape of its value.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Sequence[ResultGroup] = (),
        *,
        level: Level | None = None,
        checkpoint: Checkpoint = never,
        loops: dict[Loop, NumpyLoop | TapeLoop] | None = None,
    ) -> None:
        """Assign every node a slot, and every operation its function.

        Args:
            graph: any graph without composite operations.
            groups: its outputs, in order.
            level: the processor's, when the bodies of loops run on the tape machine; None when they do not.
            checkpoint: called every few milliseconds; may raise to stop.
            loops: those that are ready, to which others are added; without, each is prepared once for this graph. In
                loops that stand in one another the same ones come again and again, twice as many at every level.
        """
        self._level = level
        self._loops = {} if loops is None else loops
        self._groups = tuple(groups)
        self._inputs = graph.inputs
        self.dtype = graph.element_type.dtype
        plan = plan_slots(graph)
        slot_of = plan.slot_of
        self._template: list[Any] = [None] * (plan.slot_count + 1)
        """The slots before a run: constants, and None. The last one is for the checkpoint, which loops look at."""
        self.instructions: list[Instruction] = []
        self._loop_scratch_elements = self._loop_bytes = 0
        for index, node in enumerate(graph.nodes):
            if node.arguments:
                operands = tuple([slot_of[argument] for argument in node.arguments])
                self._add(graph, node, operands, slot_of[index], checkpoint)
            elif node.is_constant:
                self._template[slot_of[index]] = _constant(node, self.dtype)
        self._largest_value = max((size(node.shape) for node in graph.nodes), default=1)
        self.results = [(slot_of[output.node], graph.nodes[output.node].shape) for output in graph.outputs]
        self.scratch_elements = plan.scratch_elements + self._loop_scratch_elements
        self.scratch_bytes_per_point = self.dtype.itemsize * self.scratch_elements
        self.byte_size = (
            self._loop_bytes
            + _BYTES_PER_INSTRUCTION * len(graph.nodes)
            + sum(node.constant_array().nbytes for node in graph.nodes if node.is_constant)
            + BYTES_PER_LISTED * listed_numbers(graph.nodes)
        )

    def _add(self, graph: Graph, node: Node, operands: tuple[int, ...], result: int, checkpoint: Checkpoint) -> None:
        """Add the instruction of an operation; what may take long gets the checkpoint beside its operands."""
        row = ops.ARRAYS.get(node.operation)
        watching = (len(self._template) - 1, *operands)
        if row is None or not row.repeats:
            used = watching if ops.ROWS[node.operation].interruptible else operands
            self.instructions.append(Instruction(_aligned(graph, node), used, result))
            return
        loop = Loop.of(dict(node.parameters))
        runs = self._loops.get(loop)
        if runs is None:
            runs = self._loops[loop] = self._loop(loop, checkpoint)
            self._loop_bytes += runs.byte_size
        self.instructions.append(Instruction(runs, watching, result))
        self._loop_scratch_elements = max(self._loop_scratch_elements, runs.scratch_elements)

    def _loop(self, loop: Loop, checkpoint: Checkpoint) -> NumpyLoop | TapeLoop:
        """Return a loop ready to run: on the tape machine, where its body is scalars or can be unrolled into some."""
        body = loop.body.graph
        if self._level is not None and SCAN not in body.nodes.operations:
            scalars = scalarize(body, _LARGEST_UNROLLED_BODY, checkpoint)
            if scalars is not None and set(scalars.nodes.operations) <= NATIVE_OPERATIONS | {INPUT, CONSTANT}:
                return TapeLoop(loop, simplify(scalars, checkpoint), self._level, checkpoint)
        return NumpyLoop(loop, NumpyExecutable(body, level=self._level, checkpoint=checkpoint, loops=self._loops))

    def evaluate_rows(self, matrix: FloatArray, limits: Limits, checkpoint: Checkpoint) -> RowResults:
        """Evaluate a matrix of points, as `Executable` says."""
        rows = len(matrix)
        grouped, flags = self._evaluate(
            lambda start, stop: taken_apart(matrix[start:stop], self._inputs), rows, limits, checkpoint
        )
        return [
            _side_by_side(members, rows, self.dtype) if group.is_row else members[0]
            for group, members in zip(self._groups, grouped, strict=True)
        ], flags

    def evaluate_columns(
        self, columns: Sequence[FloatArray], rows: int, limits: Limits, checkpoint: Checkpoint
    ) -> ColumnResults:
        """Evaluate points by input, as `Executable` says."""

        def block(start: int, stop: int) -> list[FloatArray]:
            return [values if len(values) == 1 else values[start:stop] for values in columns]

        return self._evaluate(block, rows, limits, checkpoint)

    def _evaluate(
        self, block_of: Callable[[int, int], Sequence[FloatArray]], rows: int, limits: Limits, checkpoint: Checkpoint
    ) -> ColumnResults:
        block = self._block_points(limits)
        flag_of = [group.flag for group in self._groups for _ in group.shapes]
        results = [np.empty((rows, *shape), self.dtype) for group in self._groups for shape in group.shapes]
        flags = np.zeros(rows, dtype=np.uint8)
        for start in range(0, rows, block):
            stop = min(start + block, rows)
            arrays = self.run(block_of(start, stop), stop - start, checkpoint)
            for flag, result, values in zip(flag_of, results, arrays, strict=True):
                result[start:stop] = values
                _mark(flags[start:stop], values, flag)
        rest = iter(results)
        return [[next(rest) for _ in group.shapes] for group in self._groups], flags

    def _block_points(self, limits: Limits) -> int:
        per_point = max(1, self.scratch_bytes_per_point)
        if per_point > limits.maximum_scratch_bytes:
            raise scratch_too_large(limits, per_point)
        smallest = _SMALLEST_FULL_BLOCK if self._level is None else _SMALLEST_BLOCK_OF_LOOPS
        smallest = min(smallest, max(1, _LARGE_VALUE // self._largest_value))
        wanted = max(smallest, _TARGET_BLOCK_BYTES // per_point)
        return min(wanted, _LARGEST_BLOCK, limits.maximum_scratch_bytes // per_point)

    def run(self, inputs: Sequence[FloatArray], rows: int, checkpoint: Checkpoint) -> list[FloatArray]:
        """Evaluate one block of points.

        Args:
            inputs: for each input an array [rows, *shape], or [1, *shape] when all points share it; brought to the
                graph's element type.
            rows: the number of points.
            checkpoint: called every few milliseconds; may raise to stop.

        Returns:
            For each output an array [rows, *shape] of that type, which may be a read-only view.
        """
        slots = self.begun(inputs, checkpoint)
        with np.errstate(all="ignore"):
            self.carry_out(slots, rows, checkpoint)
        return [np.broadcast_to(slots[slot], (rows, *shape)) for slot, shape in self.results]

    def begun(self, inputs: Sequence[FloatArray], checkpoint: Checkpoint) -> list[Any]:
        """Return slots with the inputs in the first ones."""
        slots = self._template.copy()
        slots[: len(inputs)] = [np.asarray(values, self.dtype) for values in inputs]
        slots[-1] = checkpoint
        return slots

    def carry_out(self, slots: list[Any], rows: int, checkpoint: Checkpoint) -> None:
        """Carry out all instructions, with a checkpoint before the first of each stride."""
        stride = self.stride(rows)
        for start in range(0, len(self.instructions), stride):
            checkpoint()
            for function, operands, result in self.instructions[start : start + stride]:
                slots[result] = function(*[slots[operand] for operand in operands])

    def stride(self, rows: int) -> int:
        """Return how many instructions may pass without a checkpoint."""
        return max(1, _ELEMENTS_BETWEEN_CHECKPOINTS // (rows * self._largest_value + _INSTRUCTION_OVERHEAD_ELEMENTS))


def _side_by_side(members: Sequence[FloatArray], count: int, dtype: np.dtype[Any]) -> FloatArray:
    """Return one matrix [points, elements]; it has no columns when there are no members."""
    columns = [member.reshape(count, math.prod(member.shape[1:])) for member in members]
    return np.concatenate([np.empty((count, 0), dtype), *columns], axis=1)


def _mark(flags: npt.NDArray[np.uint8], values: FloatArray, bit: int) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        flags[~finite.reshape(len(flags), -1).all(axis=1)] |= bit


def _constant(node: Node, dtype: np.dtype[Any]) -> FloatArray:
    array = node.constant_array().astype(dtype, copy=False)
    return array[np.newaxis] if node.shape else array


def _aligned(graph: Graph, node: Node) -> Callable[..., FloatArray]:
    """Return the operation's function; operands of lower rank first get axes of extent 1 after that of the points."""
    shapes = [graph.nodes[argument].shape for argument in node.arguments]
    row = ops.ARRAYS.get(node.operation)
    if row is not None:
        return _on_arrays(row, dict(node.parameters), shapes, graph.element_type)
    operation = ops.TABLE[node.operation]
    function = operation.value_in(graph.element_type)
    rank = len(node.shape)
    if operation.interruptible:
        function = _watched(function)
    if all(len(shape) == rank for shape in shapes):
        return function
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]

    def aligned(*operands: Any) -> FloatArray:  # noqa: ANN401  arrays, after the checkpoint of what can be stopped
        watching = operands[: len(operands) - len(padded)]
        return function(  # type: ignore[no-any-return]
            *watching,
            *(
                operand.reshape(-1, *shape) if np.ndim(operand) else operand
                for operand, shape in zip(operands[len(watching) :], padded, strict=True)
            ),
        )

    return aligned


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes its checkpoint before its operands."""

    def watched(checkpoint: Checkpoint, *operands: FloatArray) -> FloatArray:
        return function(*operands, checkpoint=checkpoint)  # type: ignore[no-any-return]

    return watched


def _on_arrays(
    row: ops.ArrayOperation, parameters: ParameterMap, shapes: Sequence[Shape], element_type: ElementType
) -> Callable[..., FloatArray]:
    """Return an array operation's function, for operands that may be plain numbers."""
    value = row.value_in(element_type)
    if value is None:
        message = f"{row.name} is to be expanded before it is run"
        raise ValueError(message)

    def function(*operands: FloatArray) -> FloatArray:
        arrays = [np.reshape(operand, (-1, *shape)) for operand, shape in zip(operands, shapes, strict=True)]
        result: FloatArray = value(parameters, *arrays)
        return result

    def watched(checkpoint: Checkpoint, *operands: FloatArray) -> FloatArray:
        arrays = [np.reshape(operand, (-1, *shape)) for operand, shape in zip(operands, shapes, strict=True)]
        result: FloatArray = value(parameters, *arrays, checkpoint=checkpoint)
        return result

    return watched if row.interruptible else function
