"""Points on the wire: one matrix, or values for each input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradmill.v1 import gradient_service_pb2 as service_pb2

from gradmill_server.engine.errors import InvalidPoints, LimitExceeded, Violation, quote
from gradmill_server.engine.ir import FloatArray, Input, element_type_of
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.points import PointBatch
from gradmill_server.serving.wire.arrays import read_array

_MATRIX_RANK = 2


@dataclass(frozen=True, slots=True)
class PointsDraft:
    """Points as sent, not looked at yet: what they must be depends on the function.

    Attributes:
        message: the points.
        field: their path in the caller's message.
    """

    message: service_pb2.Points
    field: str = "points"

    def rows(self, maximum: int) -> int:
        """Return the number of points, as far as it can be told unchecked; 0 when it is sure to be refused."""
        message = self.message
        if message.HasField("matrix"):
            arrays = [message.matrix]
        else:
            arrays = [entry.values for entry in message.inputs if not entry.shared]
        count = next((array.shape[0] for array in arrays if array.shape), message.count or 1)
        elements = max((len(array.data) + len(array.values) for array in arrays), default=count)
        return count if count <= min(maximum, elements) else 0

    def bind(self, inputs: Sequence[Input], limits: Limits) -> PointBatch:
        """Return the points, checked against a function's inputs. Raw bytes are not copied.

        Raises:
            InvalidPoints: when they do not fit the inputs, their element type included, or each other.
            LimitExceeded: when there are more than one call may have.
            RequestMalformed: for an element type that the contract does not have.
        """
        message = self.message
        if message.HasField("matrix"):
            if message.inputs:
                raise self._refusal(
                    path="", reason="POINTS_AMBIGUOUS", description="both matrix and inputs; give one of them"
                )
            return self._matrix(inputs, limits)
        if not message.inputs and inputs:
            raise self._refusal(
                path="", reason="POINTS_MISSING", description="neither matrix nor inputs; give one of them"
            )
        return self._inputs(inputs, limits)

    def _matrix(self, inputs: Sequence[Input], limits: Limits) -> PointBatch:
        field = f"{self.field}.matrix"
        flat = read_array(self.message.matrix, field, InvalidPoints.from_violations, element_type_of(inputs))
        if len(flat.shape) == _MATRIX_RANK:
            self._check_limit(flat.shape[0], limits)
        batch = PointBatch.from_matrix(inputs, flat.shaped(), field=field)
        if self.message.count not in {0, batch.count}:
            description = f"is {self.message.count}, but the matrix has {batch.count} rows"
            raise self._refusal(path=".count", reason="POINTS_COUNT", description=description)
        return batch

    def _inputs(self, inputs: Sequence[Input], limits: Limits) -> PointBatch:
        message, field = self.message, f"{self.field}.inputs"
        self._check_limit(message.count, limits)
        arrays: dict[str, FloatArray] = {}
        shared: set[str] = set()
        for position, entry in enumerate(message.inputs):
            if entry.name in arrays:
                description = f"input {quote(entry.name)} is given twice"
                raise self._refusal(path=f".inputs[{position}].name", reason="INPUT_DUPLICATE", description=description)
            where = f"{field}[{position}].values"
            flat = read_array(entry.values, where, InvalidPoints.from_violations, element_type_of(inputs))
            if flat.shape and not entry.shared:
                self._check_limit(flat.shape[0], limits)
            arrays[entry.name] = flat.shaped()
            if entry.shared:
                shared.add(entry.name)
        return PointBatch.from_inputs(inputs, arrays, shared, message.count or None, field=field)

    def _check_limit(self, count: int, limits: Limits) -> None:
        if count > limits.maximum_points:
            raise LimitExceeded.of(
                what="number of points",
                reason="TOO_MANY_POINTS",
                value=count,
                limit=limits.maximum_points,
                knob="maximum_points",
                field=self.field,
            )

    def _refusal(self, *, path: str, reason: str, description: str) -> InvalidPoints:
        return InvalidPoints.from_violations([Violation(f"{self.field}{path}", description, reason, {})])
