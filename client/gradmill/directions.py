"""Cotangents, tangents and vectors as users give them, checked against what they extend over and cut into messages.

They have the forms of points (see :mod:`gradmill.points`), and one more axis in front when there are several:

- a mapping from the name of an input or output to a number or array; names left out are zero;
- one array over all elements, when the points are a matrix; for a function of one wanted input, or of one output, that
  one's array.

For a batch, each array is ``[points, *shape]``, or ``shape`` when all points share it; with several directions
``[directions, points, *shape]``, or ``[directions, 1, *shape]`` when all points share them. For one point it is
``shape``, or ``[directions, *shape]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gradmill.errors import InvalidRequestError, invalid_directions
from gradmill.graph import Shape, size
from gradmill.points import Batch, as_mapping, real_matrix
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import FloatArray, array_message

_WHOLE = ""
"""The name under which one array over all elements is kept."""


@dataclass(frozen=True, slots=True)
class Target:
    """What directions extend over.

    Attributes:
        argument: the argument that brings them, such as "tangents".
        what: "input" or "output".
        shapes: the shape of each input or output that may be named, in the order in which a matrix holds them.
    """

    argument: str
    what: str
    shapes: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Directions:
    """Directions that fit a function and a batch of points.

    Attributes:
        count: the number of directions.
        is_single: whether their own axis was left out, and is to be left out of the results.
        arrays: by name ``[count, points, *shape]``; ``[count, 1, *shape]`` when all points share them. One array
            over all elements has the name "".
        shared: whether all points share them.
    """

    count: int
    is_single: bool
    arrays: Mapping[str, FloatArray]
    shared: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs or outputs that are named; none for one array over all elements."""
        return tuple(name for name in self.arrays if name != _WHOLE)

    @property
    def bytes_per_point(self) -> int:
        """The bytes that each further point adds to a message."""
        if self.shared:
            return 0
        return self.count * sum(array.itemsize * size(array.shape[2:]) for array in self.arrays.values())

    def message(self, start: int, stop: int) -> service.Direction:
        """Return the directions at the points ``start`` to ``stop`` as a message."""
        message = service.Direction(shared=self.shared)
        for name, array in self.arrays.items():
            part = array_message(array[:, 0] if self.shared else array[:, start:stop])
            if name == _WHOLE:
                message.matrix.CopyFrom(part)
            else:
                message.arrays.add(name=name, array=part)
        return message


def pack_directions(given: object, target: Target, batch: Batch) -> Directions:
    """Return directions in either form as those of a batch of points.

    Raises:
        InvalidRequestError: a name is unknown, a shape does not fit, the numbers of directions disagree or are zero, or
            the numbers are not real. The message names the argument, the input or output, and both shapes.
    """
    named = as_mapping(given)
    if named is None:
        named, shapes = _unnamed(given, target, batch)
    else:
        shapes = target.shapes
        _check_names(named, target)
    arrays: dict[str, FloatArray] = {}
    counts: dict[str, int] = {}
    for name in (entry for entry in shapes if entry in named):
        what, element_type = _described(target, name), batch.element_type
        array = real_matrix(what, named[name], invalid_directions, element_type=element_type)
        has_axis, arrays[name] = _with_all_axes(array, shapes[name], batch, what)
        if has_axis:
            counts[name] = array.shape[0]
    return _together(arrays, _common_count(counts, target), is_single=not counts, points=batch.count)


def _unnamed(given: object, target: Target, batch: Batch) -> tuple[Mapping[object, object], Mapping[str, Shape]]:
    """Return one array as that of the only input or output, or as one over all elements."""
    over_all_elements = batch.matrix is not None and (target.what == "input" or len(target.shapes) > 1)
    if over_all_elements:
        return {_WHOLE: given}, {_WHOLE: (sum(map(size, target.shapes.values())),)}
    if len(target.shapes) == 1:
        return dict.fromkeys(target.shapes, given), target.shapes
    names = ", ".join(target.shapes)
    message = f"{target.argument}: expected a mapping from {target.what} to array; the {target.what}s: {names}"
    raise invalid_directions(message, name=target.argument)


def _check_names(named: Mapping[object, object], target: Target) -> None:
    known = ", ".join(target.shapes)
    if not named:
        message = f"{target.argument}: no {target.what} is named; there are {known}"
        raise invalid_directions(message, name=target.argument)
    for name in named:
        if name not in target.shapes:
            message = f"{target.argument}: {name!r} is no {target.what} that is wanted; there are {known}"
            raise invalid_directions(message, name=str(name))


def _described(target: Target, name: str) -> str:
    return f"{target.argument} of {target.what} {name!r}" if name != _WHOLE else target.argument


def _with_all_axes(array: FloatArray, shape: Shape, batch: Batch, what: str) -> tuple[bool, FloatArray]:
    """Return whether there is an axis of directions, and the array as ``[directions, points, *shape]``.

    Either of the two axes has the length 1 where it was left out.
    """
    if array.ndim == 0 and size(shape) == 1:
        array = array.reshape(shape)
    leading = array.ndim - len(shape)
    fits = leading >= 0 and array.shape[leading:] == shape
    if fits and leading == 0:
        return False, array[np.newaxis, np.newaxis]
    if fits and leading == 1 and batch.is_one_point:
        return True, array[:, np.newaxis]
    most = 2
    if not fits or leading > most or array.shape[leading - 1] not in {1, batch.count}:
        raise _misfit(array, shape, batch, what)
    return leading == most, array if leading == most else array[np.newaxis]


def _misfit(array: FloatArray, shape: Shape, batch: Batch, what: str) -> InvalidRequestError:
    inner = [str(extent) for extent in shape]
    forms = [inner, ["directions", *inner]]
    if not batch.is_one_point:
        forms = [
            [str(batch.count), *inner],
            inner,
            ["directions", str(batch.count), *inner],
            ["directions", "1", *inner],
        ]
    expected = " or ".join(f"[{', '.join(form)}]" if form else "a number" for form in forms)
    points = "one point" if batch.is_one_point else f"{batch.count} points"
    message = f"{what} has the shape {array.shape}; expected {expected} for {points}"
    return invalid_directions(message, actual=str(array.shape), expected=expected)


def _common_count(counts: Mapping[str, int], target: Target) -> int:
    """Return the number of directions: that of the arrays which have an axis for them, or one."""
    first = next(iter(counts), _WHOLE)
    count = counts.get(first, 1)
    for name, other in counts.items():
        if other != count:
            message = (
                f"{_described(target, name)} has {other} directions, but that of {target.what} {first!r} has {count}"
            )
            raise invalid_directions(message, name=name)
    if count == 0:
        message = f"{_described(target, first)} has no direction; give one at least"
        raise invalid_directions(message, name=first)
    return count


def _together(arrays: Mapping[str, FloatArray], count: int, *, is_single: bool, points: int) -> Directions:
    shared = all(array.shape[1] == 1 for array in arrays.values())
    extent = 1 if shared else points
    full = {name: np.broadcast_to(array, (count, extent, *array.shape[2:])) for name, array in arrays.items()}
    return Directions(count, is_single, full, shared)
