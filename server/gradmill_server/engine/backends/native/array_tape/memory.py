"""Where each value of a graph lies while a tape is assembled, and for how long."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gradmill_server.engine.backends.native.array_tape.operations import STEPPING
from gradmill_server.engine.backends.native.array_tape.storage import Storage
from gradmill_server.engine.backends.native.array_tape.views import Space, View, side_by_side, spacing
from gradmill_server.engine.ir import size

if TYPE_CHECKING:
    from gradmill_server.engine.ir import Graph, Shape


class Memory:
    """The values of a graph.

    A value that only steps through another one in another way has no slots of its own. Slots are free again when the
    last operation that reads one of the values in them is done.

    Attributes:
        storage: the slots.
    """

    def __init__(self, graph: Graph, uniform: Mapping[int, int], needed: Collection[int], kept: Iterable[int]) -> None:
        """Find out who reads what.

        Args:
            graph: the graph.
            uniform: where each uniform value is; it takes no slots.
            needed: the operations whose operands are read.
            kept: values that are read once more besides, once for each time they stand here.
        """
        self.storage = Storage()
        self._nodes = graph.nodes
        self._views: dict[int, View] = {}
        for index, place in uniform.items():
            self._views[index] = side_by_side(Space.UNIFORMS, place, graph.nodes.shape(index))
        self._owner = self._owners()
        self._readers = [0] * len(graph.nodes)
        self._runs: dict[int, list[tuple[int, int]]] = {}
        self._temporary: list[tuple[int, int]] = []
        for index in needed:
            for owner in self._owners_read(index):
                self._readers[owner] += 1
        for index in kept:
            self._readers[self._owner[index]] += 1

    def _owners(self) -> list[int]:
        """Return for each value the one whose slots it lies in."""
        owners = list(range(len(self._nodes)))
        for index, operation in enumerate(self._nodes.operations):
            if operation in STEPPING and index not in self._views:
                owners[index] = owners[self._nodes.arguments[index][0]]
        return owners

    def _owners_read(self, index: int) -> set[int]:
        """Return whose slots an operation reads; one that steps through others reads nothing itself."""
        if self._nodes.operations[index] in STEPPING:
            return set()
        return {self._owner[argument] for argument in self._nodes.arguments[index]}

    def view(self, index: int) -> View | None:
        """Return where a value lies; None when it is not there yet."""
        return self._views.get(index)

    def put(self, index: int, view: View) -> None:
        """Note where a value lies."""
        self._views[index] = view

    def take(self, index: int, shape: Shape) -> View:
        """Return slots for a value, or for another order of its elements, that are free again when it is."""
        count = size(shape)
        start = self.storage.take(count)
        self._runs.setdefault(self._owner[index], []).append((start, count))
        return side_by_side(Space.SLOTS, start, shape)

    def take_over(self, index: int, operands: Sequence[tuple[int, View]]) -> View | None:
        """Return the slots of an operand that an operation reads last, element by element; None when there is none.

        Args:
            index: the operation, element-wise.
            operands: its operands, as they are stepped through for the result.
        """
        shape = self._nodes.shape(index)
        for argument, view in operands:
            owner = self._owner[argument]
            if self._readers[owner] != 1 or view.space is not Space.SLOTS or view.shape != shape:
                continue
            alike = all(other == view for each, other in operands if self._owner[each] == owner)
            if spacing(view) == 1 and alike and self._runs.get(owner) == [(view.start, size(shape))]:
                self._runs[self._owner[index]] = self._runs.pop(owner)
                return side_by_side(Space.SLOTS, view.start, shape)
        return None

    def take_briefly(self, shape: Shape) -> View:
        """Return slots that are free again after the operation that is being assembled."""
        count = size(shape)
        start = self.storage.take(count)
        self._temporary.append((start, count))
        return side_by_side(Space.SLOTS, start, shape)

    def done(self, index: int) -> None:
        """Note that an operation is assembled."""
        for start, count in self._temporary:
            self.storage.give_back(start, count)
        self._temporary.clear()
        for owner in self._owners_read(index):
            self._read(owner)

    def let_go(self, index: int) -> None:
        """Note that a value that was kept is read."""
        for start, count in self._temporary:
            self.storage.give_back(start, count)
        self._temporary.clear()
        self._read(self._owner[index])

    def _read(self, owner: int) -> None:
        self._readers[owner] -= 1
        if not self._readers[owner]:
            for start, count in self._runs.pop(owner, ()):
                self.storage.give_back(start, count)
