"""A graph's tapes for one set of inputs that all points share: one for each point, and one for a single run before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.backends.native.addresses import address_of
from gradmill_server.engine.backends.native.array_tape.assembler import assemble_arrays
from gradmill_server.engine.backends.native.array_tape.library import ArrayHandlerSet
from gradmill_server.engine.backends.native.array_tape.linked import Arrays, LinkedTape
from gradmill_server.engine.backends.native.array_tape.sharing import divide
from gradmill_server.engine.checkpoints import Checkpoint
from gradmill_server.engine.ir import FloatArray, Graph, size

if TYPE_CHECKING:
    from gradmill_server.engine.limits import Limits


class Variant:
    """A graph's tapes for one set of inputs that all points share.

    Attributes:
        division: what is computed once and what at each point.
        point: the tape of the latter.
    """

    def __init__(
        self,
        graph: Graph,
        shared: Sequence[bool],
        summed: Sequence[int],
        sets: Sequence[ArrayHandlerSet],
        checkpoint: Checkpoint,
    ) -> None:
        """Assemble them."""
        self.division = division = divide(graph, shared, summed)
        self.point = LinkedTape(assemble_arrays(graph, division.point, checkpoint), sets)
        self._once = (
            None if division.once is None else LinkedTape(assemble_arrays(graph, division.once, checkpoint), sets)
        )
        uniforms = division.uniforms
        ends = {index: uniforms.place_of[index] + size(graph.nodes.shape(index)) for index in uniforms.place_of}
        self._copied = [(index, uniforms.place_of[index], ends[index]) for index in division.copied]
        self._kept = [(uniforms.place_of[index], ends[index]) for index in division.kept]
        self._shown = [graph.nodes.shape(graph.outputs[place].node) for place in division.shown]

    @property
    def byte_size(self) -> int:
        """Bytes it occupies."""
        division = self.division
        constants = division.uniforms.constants.nbytes + division.once_uniforms.constants.nbytes
        return constants + self.point.byte_size + (0 if self._once is None else self._once.byte_size)

    def compute_once(
        self, columns: Sequence[FloatArray], limits: Limits, checkpoint: Checkpoint
    ) -> tuple[FloatArray, list[FloatArray]]:
        """Return the table of uniform values, and the outputs that are the same at all points, each in its shape."""
        division = self.division
        constants = division.uniforms.constants
        table = np.empty(division.uniforms.size)
        table[: len(constants)] = constants
        for index, first, last in self._copied:
            table[first:last] = columns[index].reshape(-1)
        if self._once is None or division.once is None:
            return table, []
        shown: list[FloatArray] = [np.empty(shape) for shape in self._shown]
        inputs = [columns[index] for index in division.once.sources]
        results = [*[table[first:last] for first, last in self._kept], *shown]
        flags = np.zeros(1, np.uint8)
        arrays = Arrays(
            [field for values in inputs for field in (address_of(values), values.nbytes)],
            [address_of(values) for values in results],
            [field for values in results for field in (values.nbytes, 0)],
            address_of(flags),
        )
        self._once.run(1, arrays, division.once_uniforms.constants, limits, checkpoint)
        return table, shown
