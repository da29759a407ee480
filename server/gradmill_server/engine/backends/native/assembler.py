"""From a graph of scalars to a tape.

One walk over the schedule. The record that was chosen last is held back until the next one is known: it may be joined
with it, and it stores its result only if something other than the next record needs it. Slots are used again as soon as
nothing needs what is in them, the latest first, which is likeliest to be in the nearest cache.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gradmill_server.engine.backends.native.records import (
    BESIDE,
    BOTH,
    CONSTANT,
    END,
    HALF_TILE_COLUMNS,
    JOINABLE,
    JOINED,
    LOAD,
    PAIRED,
    PAUSE,
    REPEATING,
    SIMPLE,
    SPARE_SLOT,
    STORE,
    STORE_ACCUMULATOR,
    TILE_COLUMNS,
)
from gradmill_server.engine.backends.native.schedule import schedule
from gradmill_server.engine.checkpoints import Checkpoint, never, watched
from gradmill_server.engine.ir import CONSTANT as CONSTANT_NODE
from gradmill_server.engine.ops import TABLE

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradmill_server.engine.ir import FloatArray, Graph

_RECORDS_BETWEEN_PAUSES: Final = 2048
_COST_OF_COLUMN: Final = 4
"""What moving a column of points or results costs, in additions: it may wait for memory (measured: 1 to 20)."""

_COST_OF: Final = {name: row.cost for name, row in TABLE.items()}
_COMMUTATIVE: Final = frozenset(name for name, row in TABLE.items() if row.commutative)
_TURNED: Final = frozenset({"sa", "ca", "cs"})
"""Patterns of two operands that a commutative operation has the other way round only."""

_NOT_THERE: Final = -1


class Tape(NamedTuple):
    """A program for the tape machine, not yet fitted to a width of block.

    Attributes:
        words: the records, int32, with slots by number.
        begins: where each record begins.
        constants: the constants that records refer to, by their offset in bytes.
        slots: how many slots of scratch it needs.
    """

    words: npt.NDArray[np.int32]
    begins: npt.NDArray[np.int32]
    constants: FloatArray
    slots: int


def assemble(graph: Graph, group_columns: Sequence[int], checkpoint: Checkpoint = never) -> Tape:
    """Return the tape of a graph.

    Args:
        graph: every value a scalar, every operation one that has machine code.
        group_columns: how many of the graph's outputs, in order, belong to each array of results.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    return _Assembler(graph, group_columns, checkpoint).run()


class _Pending:
    """A record that is chosen and not yet written."""

    __slots__ = ("kind", "node", "operands", "slots")

    def __init__(self, kind: int, operands: list[int], slots: list[int], node: int) -> None:
        """Hold back a record: its kind, its words, the nodes whose slots they are, and the node it computes."""
        self.kind = kind
        self.operands = operands
        self.slots = slots
        self.node = node


class _Tile(NamedTuple):
    """Columns of results that one record writes."""

    group: int
    first: int
    nodes: list[int]


class _Assembler:
    def __init__(self, graph: Graph, group_columns: Sequence[int], checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._nodes = graph.nodes
        self._operation_of = graph.nodes.operations
        self._arguments = graph.nodes.arguments
        self._inputs = len(graph.inputs)
        self._element_type = graph.element_type
        self._order, self._left, self._partners = schedule(graph, checkpoint)
        self._words = array("i")
        self._begins = array("i")
        self._slot_of = [_NOT_THERE] * len(graph.nodes)
        self._free: list[int] = []
        self._slots = 1
        self._constant_of: dict[int, int] = {}
        self._constants: list[float] = []
        self._pending: _Pending | None = None
        self._cost = 0
        self._records_at_pause = 0
        self._input_tiles = tiles(self._inputs)
        self._single = {group for group, columns in enumerate(group_columns) if columns == 1}
        self._tiles_of: dict[int, list[int]] = {}
        self._tiles: list[_Tile] = []
        self._awaited: list[int] = []
        self._plan_tiles([output.node for output in graph.outputs], group_columns)

    def _plan_tiles(self, outputs: Sequence[int], group_columns: Sequence[int]) -> None:
        """Note which records write results, and keep every result until they have."""
        begin = 0
        for group, columns in enumerate(group_columns):
            for first, count in watched(tiles(columns), self._checkpoint):
                nodes = list(outputs[begin + first : begin + first + count])
                distinct = set(nodes)
                for node in distinct:
                    self._left[node] += 1
                    self._tiles_of.setdefault(node, []).append(len(self._tiles))
                self._tiles.append(_Tile(group, first, nodes))
                self._awaited.append(len(distinct))
            begin += columns

    def run(self) -> Tape:
        """Assemble."""
        for node in list(self._tiles_of):
            if not self._arguments[node]:
                self._arrived(node)
                self._pause_in_time()
        self._operations()
        self._emit()
        self._write(END, self._cost + 1)
        words = np.frombuffer(self._words, dtype=np.int32)
        begins = np.frombuffer(self._begins, dtype=np.int32)
        return Tape(words, begins, np.array(self._constants, dtype=self._element_type.dtype), self._slots)

    def _operations(self) -> None:
        """Walk the schedule."""
        operation_of, order, left = self._operation_of, self._order, self._left
        skipped: set[int] = set()
        place, count = 0, len(order)
        while place < count:
            index = order[place]
            place += 1
            if index in skipped:
                continue
            operation = operation_of[index]
            joinable = operation in JOINABLE and place < count and left[index] == 1
            if joinable and self._beside(index, order[place]):
                place += 1
            elif operation not in PAIRED or not self._both(index, skipped):
                self._operation(index)
            self._pause_in_time()

    def _operation(self, index: int) -> None:
        """Choose the record of one operation."""
        operation, arguments = self._operation_of[index], self._arguments[index]
        pattern, words, slots = self._operands(operation, arguments)
        if operation in _COMMUTATIVE and pattern in _TURNED:
            pattern = pattern[::-1]
            words.reverse()
        kind = SIMPLE[operation].get(pattern)
        if kind is None:
            self._emit()
            words = [self._in_slot(argument) for argument in arguments]
            slots = list(dict.fromkeys(arguments))
            kind = SIMPLE[operation]["s" * len(words)]
        self._cost += _COST_OF[operation]
        self._choose(index, kind, words, slots, takes="a" in pattern)

    def _operands(self, operation: str, arguments: tuple[int, ...]) -> tuple[str, list[int], list[int]]:
        """Return where each operand comes from, the words that say so, and the nodes that are in slots."""
        held = None if self._pending is None else self._pending.node
        pattern = ""
        words: list[int] = []
        slots: list[int] = []
        for argument in arguments:
            if argument == held:
                pattern += "a"
                continue
            if self._operation_of[argument] == CONSTANT_NODE:
                pattern += "c"
                words.append(self._constant(argument))
                continue
            if argument in slots and operation in REPEATING:
                pattern += "r"
                continue
            pattern += "s"
            if argument < self._inputs and self._slot_of[argument] == _NOT_THERE:
                self._load(argument)
            words.append(self._slot_of[argument])
            if argument not in slots:
                slots.append(argument)
        return pattern, words, slots

    def _choose(self, index: int, kind: int, words: list[int], slots: list[int], *, takes: bool) -> None:
        """Make a record the pending one, joined with the one before where that can be."""
        before = self._pending
        if before is not None:
            if takes:
                self._left[before.node] -= 1
                if not self._left[before.node]:
                    joined = JOINED.get((before.kind, kind))
                    if joined is not None:
                        kind, ahead = joined
                        words = words + before.operands if ahead else before.operands + words
                        self._pending = _Pending(kind, words, before.slots + slots, index)
                        return
            self._emit()
        self._pending = _Pending(kind, words, slots, index)

    def _beside(self, index: int, user: int) -> bool:
        """Join an operation with its user when the accumulator is the user's other operand; return whether it was."""
        before = self._pending
        outer = self._operation_of[user]
        if before is None or outer not in JOINABLE or len(self._arguments[user]) != 2:  # noqa: PLR2004 - both sides
            return False
        first, second = self._arguments[user]
        held = before.node
        if not ((first == index and second == held) or (first == held and second == index)):
            return False
        if held in self._arguments[index]:
            return False
        inner = self._operation_of[index]
        pattern, words, slots = self._operands(inner, self._arguments[index])
        if pattern == "cs" and inner in _COMMUTATIVE:
            pattern = "sc"
            words.reverse()
        place = 0 if first == held or outer in _COMMUTATIVE else 1
        kind = BESIDE.get((outer, place, SIMPLE[inner].get(pattern, _NOT_THERE)))
        if kind is None:
            return False
        self._left[index] = 0
        self._cost += 2
        self._choose(user, kind, words, slots, takes=True)
        return True

    def _both(self, index: int, skipped: set[int]) -> bool:
        """Compute an operation and its partner, if it has one; return whether it has."""
        partner = self._partners.get(index)
        (argument,) = self._arguments[index]
        if partner is None or self._operation_of[argument] == CONSTANT_NODE:
            return False
        first, second = index, partner
        kind = BOTH.get((self._operation_of[first], self._operation_of[second]))
        if kind is None:
            first, second = partner, index
            kind = BOTH[self._operation_of[first], self._operation_of[second]]
        self._emit()
        words = [self._in_slot(argument)]
        self._used(argument)
        self._used(argument)
        for node in (first, second):
            self._slot_of[node] = self._take_slot()
            words.append(self._slot_of[node])
        self._write(kind, *words)
        self._cost += _COST_OF[self._operation_of[first]] + _COST_OF[self._operation_of[second]]
        skipped.add(partner)
        for node in (first, second):
            self._arrived(node)
        return True

    def _emit(self) -> None:
        """Write the pending record; it stores its result if that is still needed."""
        record = self._pending
        if record is None:
            return
        self._pending = None
        for node in record.slots:
            self._used(node)
        index = record.node
        alone = self._alone(index)
        self._left[index] -= len(alone)
        if self._left[index]:
            self._slot_of[index] = self._take_slot()
            self._write(record.kind + 1, *record.operands, self._slot_of[index])
        else:
            self._write(record.kind, *record.operands)
        for group in alone:
            self._cost += _COST_OF_COLUMN
            self._write(STORE_ACCUMULATOR, group)
        self._arrived(index)

    def _alone(self, node: int) -> list[int]:
        """Take from what waits for a value the arrays of results that it alone makes; return them."""
        waiting = self._tiles_of.get(node)
        if waiting is None:
            return []
        alone = [tile for tile in waiting if self._tiles[tile].group in self._single]
        self._tiles_of[node] = [tile for tile in waiting if tile not in alone]
        return [self._tiles[tile].group for tile in alone]

    def _used(self, node: int) -> None:
        """Count a use of a slot; free it after the last."""
        self._left[node] -= 1
        if not self._left[node]:
            self._free.append(self._slot_of[node])

    def _arrived(self, node: int) -> None:
        """Write the results that were waiting for a value."""
        for tile in self._tiles_of.pop(node, ()):
            self._awaited[tile] -= 1
            if not self._awaited[tile]:
                group, first, nodes = self._tiles[tile]
                self._cost += _COST_OF_COLUMN * len(nodes)
                self._write(STORE + len(nodes) - 1, group, first, *[self._in_slot(entry) for entry in nodes])
                for entry in set(nodes):
                    self._used(entry)

    def _in_slot(self, node: int) -> int:
        """Return the slot of a value, bringing an input or a constant there first."""
        if self._slot_of[node] == _NOT_THERE:
            if node < self._inputs:
                self._load(node)
            else:
                self._slot_of[node] = self._take_slot()
                self._write(CONSTANT, self._constant(node), self._slot_of[node])
        return self._slot_of[node]

    def _load(self, node: int) -> None:
        """Write the record that reads the tile of an input."""
        first, count = self._input_tiles[min(node // TILE_COLUMNS, len(self._input_tiles) - 1)]
        words = []
        for column in range(first, first + count):
            if self._left[column] and self._slot_of[column] == _NOT_THERE:
                self._slot_of[column] = self._take_slot()
                words.append(self._slot_of[column])
            else:
                words.append(SPARE_SLOT)
        self._cost += _COST_OF_COLUMN * len(words)
        self._write(LOAD + len(words) - 1, first, *words)

    def _constant(self, node: int) -> int:
        """Return a constant's offset in the table of constants, in bytes."""
        offset = self._constant_of.get(node)
        if offset is None:
            offset = self._constant_of[node] = self._element_type.size * len(self._constants)
            self._constants.append(float(self._nodes[node].constant_array()))
        return offset

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._slots += 1
        return self._slots - 1

    def _pause_in_time(self) -> None:
        """Let a long tape be left here, if the last such place is some records back; the accumulator is lost there."""
        if len(self._begins) - self._records_at_pause < _RECORDS_BETWEEN_PAUSES:
            return
        self._checkpoint()
        self._emit()
        self._write(PAUSE, self._cost + 1)
        self._cost = 0
        self._records_at_pause = len(self._begins)

    def _write(self, kind: int, *words: int) -> None:
        self._begins.append(len(self._words))
        self._words.append(kind)
        self._words.extend(words)


def tiles(columns: int) -> list[tuple[int, int]]:
    """Return tiles that cover all columns, each by its first column and their number.

    Rows of up to eight columns are one tile; of longer rows four or eight columns can be moved, so that the last tile
    may overlap the one before.
    """
    if columns <= TILE_COLUMNS:
        return [(0, columns)] if columns else []
    whole = [(first, TILE_COLUMNS) for first in range(0, columns - TILE_COLUMNS + 1, TILE_COLUMNS)]
    rest = columns % TILE_COLUMNS
    if not rest:
        return whole
    last = HALF_TILE_COLUMNS if rest <= HALF_TILE_COLUMNS else TILE_COLUMNS
    return [*whole, (columns - last, last)]
