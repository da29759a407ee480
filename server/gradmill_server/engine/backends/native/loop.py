"""Loops whose bodies are scalars, on the tape machine: a step is one run of the body's tape over the points."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gradmill_server.engine.backends.native.addresses import DATA_OFFSET, address_of
from gradmill_server.engine.backends.native.assembler import assemble
from gradmill_server.engine.backends.native.frame import (
    BYTES_PER_FIELD,
    FIELDS,
    FIELDS_PER_COLUMN,
    FIELDS_PER_GROUP,
    GROUPS_OFFSET,
    PAUSED,
    Layout,
)
from gradmill_server.engine.backends.native.library import library
from gradmill_server.engine.backends.native.linking import link
from gradmill_server.engine.backends.native.tape import WIDE_SCRATCH_BYTES, stride_of
from gradmill_server.engine.backends.native.workspace import Workspace, give_back, take_workspace
from gradmill_server.engine.ir import size
from gradmill_server.engine.ops import TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradmill_server.engine.backends.native.levels import Level
    from gradmill_server.engine.backends.native.library import HandlerSet
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import FloatArray, Graph
    from gradmill_server.engine.ops.arrays.loops import Loop

_BLOCKS_AT_ONCE: Final = 8
"""Blocks of points that go through all steps together: so few that their carries stay in the first-level cache."""

_POINTS_TURNED_AT_ONCE: Final = 64
_COST_BETWEEN_CHECKPOINTS: Final = 12_000_000
"""What may be spent without looking at the clock, in additions of one lane: about a millisecond."""


class _Linked(NamedTuple):
    """The body's tape, fitted to a width of block."""

    handlers: HandlerSet
    words: npt.NDArray[np.int32]
    scratch_bytes: int


class _Columns(NamedTuple):
    """Where the arguments of a loop are, column by column.

    Attributes:
        held: the arrays, which have to live as long as the loop runs.
        places: for each column its address and its step from point to point, in bytes.
        moves: for each column what its address moves by after each step, in bytes.
    """

    held: list[FloatArray]
    places: list[int]
    moves: list[int]

    def add(self, values: FloatArray, elements: int, *, shared: bool, first_step: int = 0, move: int = 0) -> None:
        """Add the columns of an argument, given its elements at a step, and where it stands from step to step."""
        self.held.append(values)
        stride = values.itemsize if shared else values.strides[-2]
        begin = address_of(values) + first_step * elements * stride
        for element in range(elements):
            self.places.extend((begin + element * stride, 0 if shared else values.itemsize))
            self.moves.append(move * elements * stride)


class TapeLoop:
    """A loop whose body is a graph of scalars, ready to run over blocks of points.

    Immutable; runs in many threads at once, each with scratch of its own.

    Attributes:
        byte_size: bytes it occupies.
        scratch_elements: elements held beside arguments and flat value, for one point.
    """

    def __init__(self, loop: Loop, scalars: Graph, level: Level, checkpoint: Checkpoint) -> None:
        """Assemble the body.

        Args:
            loop: the loop.
            scalars: its body, with an input and an output for each element; every operation has machine code.
            level: the processor's; the body says the element type.
            checkpoint: called every few milliseconds; may raise to stop.
        """
        self._loop = loop
        self._shapes = loop.argument_shapes
        self._elements = [size(shape) for shape in loop.input_shapes]
        self._carry_elements = sum(self._elements[: loop.carries])
        self._parts = [part[1:] for part in loop.part_shapes[loop.carries :]]
        carried = [self._carry_elements] if self._carry_elements else []
        self._group_columns = [*carried, *map(size, self._parts)]
        self._inputs = len(scalars.inputs)
        self._dtype = scalars.element_type.dtype
        self._library = library(level.of(scalars.element_type))  # its code has to live as long as this
        self._tape = assemble(scalars, self._group_columns, checkpoint)
        self._linked: dict[int, _Linked] = {}
        self._frame = struct.Struct(f"={len(FIELDS) + FIELDS_PER_GROUP * len(self._group_columns)}q")
        costs = (TABLE[name].cost for name in scalars.nodes.operations if name in TABLE)
        self._step_cost = sum(costs) + 4 * (self._inputs + sum(self._group_columns))
        self.scratch_elements = 2 * self._carry_elements + sum(map(size, self._shapes[loop.carries :]))
        self.byte_size = 2 * self._tape.words.nbytes + self._tape.begins.nbytes + self._tape.constants.nbytes

    def __call__(self, checkpoint: Checkpoint, *operands: FloatArray) -> FloatArray:
        """Run all steps.

        Args:
            checkpoint: called every few milliseconds; may raise to stop.
            operands: the arguments, each [points or 1, *shape], or a plain number.

        Returns:
            The flat value, [points or 1, elements].
        """
        arrays = [
            np.asarray(operand, self._dtype).reshape(-1, *shape)
            for operand, shape in zip(operands, self._shapes, strict=True)
        ]
        points = max(map(len, arrays))
        linked = self._fitting(points)
        lanes = linked.handlers.lanes
        padded = -(-points // lanes) * lanes
        flat = np.empty((self._loop.part_starts[-1], padded), self._dtype)
        carries = np.empty((2, self._carry_elements, padded), self._dtype)
        begin = 0
        for values, elements in zip(arrays[: self._loop.carries], self._elements, strict=False):
            _fill(carries[0, begin : begin + elements], values)
            begin += elements
        columns = self._columns(arrays, carries, padded)
        workspace = take_workspace(linked.scratch_bytes, self._frame.size)
        block_cost = self._step_cost * lanes
        at_once = max(1, min(_BLOCKS_AT_ONCE, _COST_BETWEEN_CHECKPOINTS // block_cost)) * lanes
        for start in range(0, padded, at_once):
            stop = min(start + at_once, padded)
            self._run(linked, workspace, columns, carries, flat, (start, stop), checkpoint)
        give_back(workspace)
        flat[: self._carry_elements] = carries[self._loop.steps % 2]
        return flat[:, :points].T

    def _columns(self, arrays: Sequence[FloatArray], carries: FloatArray, padded: int) -> _Columns:
        """Lay out the arguments: carries as they begin, sequences step by step, constants; shared ones as they are."""
        loop, columns = self._loop, _Columns([], [], [])
        if self._carry_elements:
            columns.add(carries[0], self._carry_elements, shared=False)
        first_step, move = (loop.steps - 1, -1) if loop.reverse else (0, 1)
        for place in range(loop.carries, len(arrays)):
            values, elements = arrays[place], self._elements[place]
            shared = len(values) == 1
            laid = np.ascontiguousarray(values) if shared else _laid(values, padded)
            if loop.is_sequence(place):
                columns.add(laid, elements, shared=shared, first_step=first_step, move=move)
            else:
                columns.add(laid, elements, shared=shared)
        return columns

    def _run(
        self,
        linked: _Linked,
        workspace: Workspace,
        columns: _Columns,
        carries: FloatArray,
        flat: FloatArray,
        rows: tuple[int, int],
        checkpoint: Checkpoint,
    ) -> None:
        """Run all steps for some points."""
        loop, handlers = self._loop, linked.handlers
        places = array("q", columns.places)
        stride = flat.strides[0]
        groups, moving = self._groups(workspace, carries, flat)
        first_place = address_of(places)
        column_bytes = FIELDS_PER_COLUMN * BYTES_PER_FIELD
        moving += [
            field
            for column, move in enumerate(columns.moves)
            if move
            for field in (first_place + column * column_bytes, move)
        ]
        flags = np.empty(flat.shape[1], dtype=np.uint8)  # marks that nobody looks at
        tape = address_of(linked.words)
        run = (handlers.tables[Layout.COLUMNS], address_of(self._tape.constants), *rows, 0, PAUSED)
        given = (0, 0, first_place, address_of(flags), self._inputs)
        counts = (len(groups), DATA_OFFSET)
        shapes = (stride, 0) * len(groups)
        self._frame.pack_into(
            workspace.frame, 0, tape, tape, workspace.scratch, *run, *given, *counts, *groups, *shapes
        )
        fields = array(
            "q",
            [
                workspace.frame_address,
                tape,
                rows[0],
                first_place,
                self._carry_elements,
                stride,
                workspace.frame_address + GROUPS_OFFSET,
                len(moving) // 2,
                *moving,
            ],
        )
        address = address_of(fields)
        at_once = max(1, _COST_BETWEEN_CHECKPOINTS // (self._step_cost * (rows[1] - rows[0])))
        left = loop.steps
        while left:
            checkpoint()
            steps = min(left, at_once)
            handlers.repeat(address, steps)
            left -= steps

    def _groups(self, workspace: Workspace, carries: FloatArray, flat: FloatArray) -> tuple[list[int], list[int]]:
        """Return where a step's results go, and of those that move on the places in the frame and by how much."""
        loop, stride = self._loop, flat.strides[0]
        groups = [address_of(carries[1])] if self._carry_elements else []
        moving: list[int] = []
        first_step, move = (loop.steps - 1, -1) if loop.reverse else (0, 1)
        for start, shape in zip(loop.part_starts[loop.carries :], self._parts, strict=False):
            elements = size(shape)
            moving += (
                workspace.frame_address + GROUPS_OFFSET + len(groups) * BYTES_PER_FIELD,
                move * elements * stride,
            )
            groups.append(address_of(flat) + (start + first_step * elements) * stride)
        return groups, moving

    def _fitting(self, points: int) -> _Linked:
        """Return the tape for the narrowest block that holds all points, or for the widest of moderate scratch."""
        sets = self._library.sets
        narrow = [each for each in sets if self._tape.slots * self._stride(each.lanes) <= WIDE_SCRATCH_BYTES] or sets[
            :1
        ]
        handlers = next((each for each in narrow if each.lanes >= points), narrow[-1])
        linked = self._linked.get(handlers.lanes)
        if linked is None:
            stride = self._stride(handlers.lanes)
            words = link(self._tape, stride, self._inputs, self._group_columns)
            linked = self._linked[handlers.lanes] = _Linked(handlers, words, self._tape.slots * stride)
        return linked

    def _stride(self, lanes: int) -> int:
        return stride_of(lanes, self._dtype.itemsize)


def _laid(values: FloatArray, padded: int) -> FloatArray:
    """Return the elements of each point, [points, ...], as columns [elements, padded]; as they lie, where they do."""
    columns = values.reshape(len(values), -1).T
    if len(values) == padded and columns.strides[1] == columns.itemsize and columns.strides[0] > 0:
        return columns
    laid = np.empty((len(columns), padded), values.dtype)
    _fill(laid, values)
    return laid


def _fill(columns: FloatArray, values: FloatArray) -> None:
    """Write the elements of each point, [points or 1, ...], to columns; lanes without a point repeat the last one.

    Some points at a time, whose rows stay in the first-level cache while they become columns.
    """
    points = len(values)
    rows = values.reshape(points, len(columns))
    for start in range(0, points, _POINTS_TURNED_AT_ONCE):
        stop = min(start + _POINTS_TURNED_AT_ONCE, points)
        columns[:, start:stop] = rows[start:stop].T
    columns[:, points:] = columns[:, points - 1 : points]
