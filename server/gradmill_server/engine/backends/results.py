"""What every backend gives: results in groups, and a flag for each point that is not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import FloatArray, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.backends.native.resident import ResidentRun
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.limits import Limits


class ResultGroup(NamedTuple):
    """Outputs of a graph that stand next to one another and belong together.

    Attributes:
        flag: the bit that marks a point at which one of them is not finite.
        shapes: the shape of each at one point.
        is_row: whether they become the columns of one matrix when the points came as one; else there is only one.
    """

    flag: int
    shapes: tuple[Shape, ...]
    is_row: bool


PointFlags = npt.NDArray[np.uint8]
"""For each point a sum of the flags of the groups in which it has a value that is not finite."""

RowResults = tuple[list[FloatArray], PointFlags]
"""Results at points that came as a matrix: for each group a matrix [points, elements] if it is a row, else the array of
its one output, [points, *shape]. A plain tuple: one with names would take a twentieth of the shortest call to make."""

ColumnResults = tuple[list[list[FloatArray]], PointFlags]
"""Results at points that came as an array for each input: for each group the arrays of its outputs."""


class Executable(Protocol):
    """A graph, ready to run. Immutable; runs in many threads at once.

    Attributes:
        byte_size: bytes it occupies.
    """

    byte_size: int

    def evaluate_rows(self, matrix: FloatArray, limits: Limits, checkpoint: Checkpoint) -> RowResults:
        """Evaluate points that came as a matrix.

        Args:
            matrix: [points, elements]: each input's elements row-major, inputs in declared order.
            limits: of scratch.
            checkpoint: called every few milliseconds; may raise to stop.

        Raises:
            LimitExceeded: when the smallest block of points needs more scratch than allowed.
        """

    def evaluate_columns(
        self, columns: Sequence[FloatArray], rows: int, limits: Limits, checkpoint: Checkpoint
    ) -> ColumnResults:
        """Evaluate points that came as an array for each input.

        Args:
            columns: for each input [points, *shape], or [1, *shape] when all points share it.
            rows: the number of points.
            limits: of scratch.
            checkpoint: called every few milliseconds; may raise to stop.

        Raises:
            LimitExceeded: when the smallest block of points needs more scratch than allowed.
        """


@runtime_checkable
class SummingExecutable(Executable, Protocol):
    """A graph that can sum results over points as they are made, without writing them for each point."""

    def evaluate_sums(
        self,
        columns: Sequence[FloatArray],
        rows: int,
        summed: Sequence[int],
        limits: Limits,
        checkpoint: Checkpoint,
    ) -> ColumnResults:
        """Evaluate points that came as an array for each input, the results of some groups summed over the points.

        Args:
            columns: as for `evaluate_columns`.
            rows: the number of points.
            summed: the numbers of the groups that are summed: their arrays have no axis of points, and mark none.
            limits: of scratch.
            checkpoint: called every few milliseconds; may raise to stop.
        """


@runtime_checkable
class ResidentExecutable(Executable, Protocol):
    """A graph that can run in memory that stays."""

    def resident(self, rows: int, limits: Limits) -> ResidentRun | None:
        """Return a run for so many points, given as a matrix, with memory of its own; None where that saves nothing.

        Args:
            rows: the number of points.
            limits: of scratch.

        Raises:
            LimitExceeded: when the smallest block of points needs more scratch than allowed.
        """


def scratch_too_large(limits: Limits, needed: int) -> LimitExceeded:
    """Return the refusal of a program whose smallest block needs more scratch than allowed."""
    return LimitExceeded.of(
        "scratch bytes of the smallest block",
        reason="SCRATCH_TOO_LARGE",
        value=needed,
        limit=limits.maximum_scratch_bytes,
        knob="maximum_scratch_bytes",
    )
