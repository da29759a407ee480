"""Directions on the wire: the cotangents, tangents and vectors of a wish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from gradmill.v1 import gradient_service_pb2 as service_pb2

from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import InvalidDirections, LimitExceeded, Violation, quote
from gradmill_server.engine.ir import FloatArray, Shape, size
from gradmill_server.engine.limits import Limits
from gradmill_server.serving.wire.arrays import read_array

Directions = Mapping[str, FloatArray]
"""Directions by the name of an input or output: [points, directions, *shape]; [1, directions, *shape] when shared."""


@dataclass(frozen=True, slots=True)
class Target:
    """What directions extend over.

    Attributes:
        what: "input" or "output".
        shapes: the shape of each one that the wish is about, in the order of the wish.
        element_type: that of the function.
    """

    what: str
    shapes: Mapping[str, Shape]
    element_type: ElementType = ElementType.FLOAT64


@dataclass(frozen=True, slots=True)
class DirectionsDraft:
    """Directions as sent: how many there are is known, what they must be depends on the function and the points.

    Attributes:
        count: the number of directions.
        message: the directions.
        field: their path in the caller's message.
    """

    count: int
    message: service_pb2.Direction
    field: str

    def check_limit(self, limits: Limits) -> None:
        """Raise LimitExceeded when there are more directions than one wish may have."""
        if self.count > limits.maximum_directions:
            raise LimitExceeded.of(
                what="number of directions",
                reason="TOO_MANY_DIRECTIONS",
                value=self.count,
                limit=limits.maximum_directions,
                knob="maximum_directions",
                field=self.field,
            )

    def bind(self, target: Target, points: int) -> Directions:
        """Return the directions at a number of points.

        Raises:
            InvalidDirections: for a name that the wish is not about, or one given twice, and for a shape or an element
                type that does not fit; with the field, the name and both shapes.
            RequestMalformed: for an element type that the contract does not have.
        """
        if self.message.HasField("matrix"):
            return self._matrix(target, points)
        arrays: dict[str, FloatArray] = {}
        for position, entry in enumerate(self.message.arrays):
            field = f"{self.field}.arrays[{position}]"
            named = f"{target.what} {quote(entry.name)}"
            if entry.name not in target.shapes:
                description = f"the wish is not about {named}, but about {quote(', '.join(target.shapes))}"
                raise _refusal(field, f"{target.what.upper()}_UNKNOWN", description)
            if entry.name in arrays:
                raise _refusal(field, "NAME_DUPLICATE", f"{named} is given twice")
            refuse = InvalidDirections.from_violations
            flat = read_array(entry.array, f"{field}.array", refuse, target.element_type)
            arrays[entry.name] = self._checked(flat.shaped(), target.shapes[entry.name], points, field, named)
        return arrays

    def _matrix(self, target: Target, points: int) -> dict[str, FloatArray]:
        field = f"{self.field}.matrix"
        flat = read_array(self.message.matrix, field, InvalidDirections.from_violations, target.element_type)
        elements = sum(map(size, target.shapes.values()))
        what = f"the matrix over {target.what}s {quote(', '.join(target.shapes))}"
        matrix = self._checked(flat.shaped(), (elements,), points, field, what)
        arrays: dict[str, FloatArray] = {}
        offset = 0
        for name, shape in target.shapes.items():
            columns = matrix[..., offset : offset + size(shape)]
            arrays[name] = columns.reshape(*matrix.shape[:2], *shape)
            offset += size(shape)
        return arrays

    def _checked(self, array: FloatArray, shape: Shape, points: int, field: str, what: str) -> FloatArray:
        """Return an array [directions, points, *shape], or without points for shared ones, with points first."""
        own = () if self.message.shared else (points,)
        if array.shape != (self.count, *own, *shape):
            expected = [f"{self.count} directions", *(f"{points} points" for _ in own), *map(str, shape)]
            description = f"{what} has shape {array.shape}, expected [{', '.join(expected)}]"
            raise _refusal(field, "DIRECTIONS_SHAPE", description)
        return array[np.newaxis] if self.message.shared else np.moveaxis(array, 0, 1)


def part(directions: Directions, start: int, stop: int) -> Directions:
    """Return the directions at the points start..stop; nothing is copied."""
    return {name: array if len(array) == 1 else array[start:stop] for name, array in directions.items()}


def read_directions(message: service_pb2.Direction, field: str) -> DirectionsDraft:
    """Return directions whose arrays agree on their number.

    Raises:
        InvalidDirections: when there are none, both forms are used, or the numbers of directions differ.
    """
    shapes = {f"{field}.arrays[{number}].array": entry.array.shape for number, entry in enumerate(message.arrays)}
    if message.HasField("matrix"):
        if shapes:
            raise _refusal(field, "DIRECTIONS_AMBIGUOUS", "both matrix and arrays; give one of them")
        shapes = {f"{field}.matrix": message.matrix.shape}
    if not shapes:
        raise _refusal(field, "DIRECTIONS_MISSING", "neither matrix nor arrays; give one of them")
    counts = {path: shape[0] if shape else 0 for path, shape in shapes.items()}
    first, count = next(iter(counts.items()))
    for path, other in counts.items():
        if not other:
            description = f"shape {quote(tuple(shapes[path]))} has no directions; its first dimension counts them"
            raise _refusal(path, "DIRECTIONS_COUNT", description)
        if other != count:
            raise _refusal(path, "DIRECTIONS_COUNT", f"has {other} directions, but {first} has {count}")
    return DirectionsDraft(count, message, field)


def _refusal(field: str, reason: str, description: str) -> InvalidDirections:
    return InvalidDirections.from_violations([Violation(field, description, reason, {})])
