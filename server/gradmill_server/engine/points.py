"""A batch of points, checked against the inputs of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.errors import InvalidPoints, LimitExceeded, Violation, quote
from gradmill_server.engine.ir import size

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from gradmill_server.engine.ir import FloatArray, Input
    from gradmill_server.engine.limits import Limits


class PointBatch:
    """Points for a function: one matrix, or one array for each input.

    Attributes:
        count: the number of points.
        matrix: the points, [points, elements], when they came as one matrix; else None.
        arrays: for each input an array [points, *shape], or [1, *shape] when it is shared; none for a matrix.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        count: int,
        *,
        matrix: FloatArray | None = None,
        arrays: Sequence[FloatArray] = (),
    ) -> None:
        """Keep a checked matrix or checked arrays; use `from_matrix` or `from_inputs`."""
        self._inputs = inputs
        self.count = count
        self.matrix = matrix
        self.arrays = arrays

    @property
    def is_matrix(self) -> bool:
        """Whether the points came as one matrix; gradients are then given as one."""
        return self.matrix is not None

    @classmethod
    def from_matrix(cls, inputs: Sequence[Input], matrix: FloatArray, *, field: str = "points.matrix") -> PointBatch:
        """Take points from a matrix [points, elements]: each input's elements row-major, inputs in declared order.

        Raises:
            InvalidPoints: when the matrix has another number of columns.
        """
        columns = sum(size(entry.shape) for entry in inputs)
        if matrix.ndim != 2 or matrix.shape[1] != columns:  # noqa: PLR2004 - a matrix has two axes
            names = ", ".join(entry.name for entry in inputs[:10])
            description = f"has shape {matrix.shape}, expected [points, {columns}] for inputs {quote(names)}"
            raise _refusal(field, "POINTS_SHAPE", description)
        return cls(inputs, matrix.shape[0], matrix=matrix)

    @classmethod
    def from_inputs(
        cls,
        inputs: Sequence[Input],
        arrays: Mapping[str, FloatArray],
        shared: Collection[str] = (),
        count: int | None = None,
        *,
        field: str = "points.inputs",
    ) -> PointBatch:
        """Take points from one array for each input.

        Args:
            inputs: the function's inputs.
            arrays: for each input [points, *shape], or [*shape] when it is shared.
            shared: names of inputs with one value for all points.
            count: the number of points, if known; when every input is shared it is 1 unless said.
            field: path of the arrays in the caller's message.

        Raises:
            InvalidPoints: when an input is missing or unknown, has another shape, or another number of points.
        """
        known = {entry.name for entry in inputs}
        violations = [
            _violation(field, "INPUT_UNKNOWN", f"the function has no input {quote(name)}", name=quote(name))
            for name in arrays
            if name not in known
        ]
        checked: list[FloatArray] = []
        for entry in inputs:
            array = arrays.get(entry.name)
            if array is None:
                description = f"no values for input {entry.name!r}"
                violations.append(_violation(field, "INPUT_MISSING", description, name=entry.name))
                continue
            expected = entry.shape if entry.name in shared else (array.shape[0] if array.ndim else 0, *entry.shape)
            if array.shape != expected or (entry.name not in shared and not array.ndim):
                leading = () if entry.name in shared else ("points",)
                wanted = ", ".join(str(extent) for extent in (*leading, *entry.shape))
                description = f"input {entry.name!r} has shape {array.shape}, expected [{wanted}]"
                violations.append(_violation(field, "POINTS_SHAPE", description, name=entry.name))
                continue
            if entry.name not in shared:
                if count is None:
                    count = array.shape[0]
                elif array.shape[0] != count:
                    description = f"input {entry.name!r} has {array.shape[0]} points, expected {count}"
                    violations.append(_violation(field, "POINTS_COUNT", description, name=entry.name))
                    continue
            checked.append(array[np.newaxis] if entry.name in shared else array)
        if violations:
            raise InvalidPoints.from_violations(violations)
        return cls(inputs, 1 if count is None else count, arrays=checked)

    def check_limit(self, limits: Limits) -> None:
        """Raise LimitExceeded when there are more points than one call may have."""
        if self.count > limits.maximum_points:
            raise LimitExceeded.of(
                what="number of points",
                reason="TOO_MANY_POINTS",
                value=self.count,
                limit=limits.maximum_points,
                knob="maximum_points",
                field="points",
            )

    def part(self, start: int, stop: int) -> PointBatch:
        """Return the points start..stop as a batch of their own; nothing is copied."""
        if self.matrix is not None:
            return PointBatch(self._inputs, stop - start, matrix=self.matrix[start:stop])
        return PointBatch(self._inputs, stop - start, arrays=self.block(start, stop))

    def block(self, start: int, stop: int) -> list[FloatArray]:
        """Return each input's values at points start..stop: [stop - start, *shape], or [1, *shape] when shared."""
        if self.matrix is None:
            return [array if array.shape[0] == 1 else array[start:stop] for array in self.arrays]
        return taken_apart(self.matrix[start:stop], self._inputs)


def taken_apart(matrix: FloatArray, inputs: Sequence[Input]) -> list[FloatArray]:
    """Return each input's values [points, *shape] from a matrix of points [points, elements]."""
    columns = np.ascontiguousarray(matrix.T)
    blocks: list[FloatArray] = []
    offset = 0
    for entry in inputs:
        elements = size(entry.shape)
        block = columns[offset : offset + elements]
        offset += elements
        blocks.append(block.T.reshape(len(matrix), *entry.shape) if entry.shape else block[0])
    return blocks


def _violation(field: str, reason: str, description: str, **metadata: str) -> Violation:
    return Violation(field, description, reason, metadata)


def _refusal(field: str, reason: str, description: str) -> InvalidPoints:
    return InvalidPoints.from_violations([_violation(field, reason, description)])
