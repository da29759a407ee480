"""The rules of ``gradmill.shapes``: one for each operation that is not element-wise, and NumPy's for those that are."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from gradmill.graph import Body, Parameter, ParameterValue, Shape, size

Parameters: TypeAlias = Mapping[str, ParameterValue]
Rule: TypeAlias = Callable[[Parameters, Sequence[Shape]], Shape]
"""Takes an operation's parameters and its operands' shapes; returns the result's shape. Raises Mistake."""

_LARGEST = 2**63
_MATRIX_RANK = 2
_MOST_CONTRACTED = 2

_Kind = TypeVar("_Kind", int, str, Body)


class Mistake(Exception):
    """What is wrong, as the end of a sentence that begins with the operation and its shapes."""


def broadcast(_parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    """Return the common shape of an element-wise operation's operands, by NumPy's rules."""
    first = shapes[0]
    if shapes.count(first) == len(shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        problem = "do not broadcast together"
        raise Mistake(problem) from None


# What rules have in common.


def check_range(parameters: Sequence[Parameter]) -> None:
    """Let whole numbers pass that travel: those of 64 bits.

    Raises:
        Mistake: one is beyond.
    """
    for parameter in parameters:
        value = parameter.value
        numbers = (value,) if isinstance(value, int) else value if isinstance(value, tuple) else ()
        if numbers and not -_LARGEST <= min(numbers) <= max(numbers) < _LARGEST:
            problem = f"came with a number beyond 64 bits as {parameter.name!r}"
            raise Mistake(problem)


def _wanted(parameters: Parameters, name: str, kind: type[_Kind]) -> _Kind:
    value = parameters.get(name)
    if not isinstance(value, kind):
        problem = f"came without the parameter {name!r}"
        raise Mistake(problem)
    return value


def _integer(parameters: Parameters, name: str) -> int:
    return _wanted(parameters, name, int) if name in parameters else 0


def _integers(parameters: Parameters, name: str) -> tuple[int, ...]:
    value = parameters.get(name)
    if not isinstance(value, tuple):
        problem = f"came without the parameter {name!r}"
        raise Mistake(problem)
    return value


def _axis(parameters: Parameters, rank: int) -> int:
    axis = _wanted(parameters, "axis", int)
    if not 0 <= axis < rank:
        problem = f"has no axis {axis}"
        raise Mistake(problem)
    return axis


def _axes(parameters: Parameters, rank: int) -> tuple[int, ...]:
    axes = _integers(parameters, "axes")
    if any(not 0 <= axis < rank for axis in axes) or list(axes) != sorted(set(axes)):
        problem = f"has no such axes: {axes}"
        raise Mistake(problem)
    return axes


def _extents(parameters: Parameters, name: str) -> Shape:
    extents = _integers(parameters, name)
    if min(extents, default=1) < 1:
        problem = f"cannot become {extents}: every extent is at least 1"
        raise Mistake(problem)
    return extents


def _replaced(shape: Shape, axis: int, *extents: int) -> Shape:
    return shape[:axis] + extents + shape[axis + 1 :]


# Reductions, and what keeps the shape.


def _reduced(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    axes = _axes(parameters, len(shape))
    if _integer(parameters, "keepdims"):
        return tuple([1 if axis in axes else extent for axis, extent in enumerate(shape)])
    return tuple([extent for axis, extent in enumerate(shape) if axis not in axes])


def _spread(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    """Variance and standard deviation: fewer degrees of freedom than elements."""
    (shape,) = shapes
    result = _reduced(parameters, shapes)
    freedom = math.prod(shape[axis] for axis in _axes(parameters, len(shape))) - _integer(parameters, "ddof")
    if freedom < 1 or _integer(parameters, "ddof") < 0:
        problem = f"leaves no degree of freedom with ddof={_integer(parameters, 'ddof')}"
        raise Mistake(problem)
    return result


def _place_of_extreme(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    return _replaced(shape, _axis(parameters, len(shape))) if "axis" in parameters else ()


def _along_axis(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    _axis(parameters, len(shape))
    return shape


def _differences(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    axis = _axis(parameters, len(shape))
    if shape[axis] == 1:
        problem = f"has one element only along axis {axis}"
        raise Mistake(problem)
    return _replaced(shape, axis, shape[axis] - 1)


# Elements moved.


def _reshaped(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    shape = _extents(parameters, "shape")
    if size(shape) != size(shapes[0]):
        problem = f"has {size(shapes[0])} elements, but {shape} takes {size(shape)}"
        raise Mistake(problem)
    return shape


def _transposed(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    axes = _integers(parameters, "axes")
    if sorted(axes) != list(range(len(shape))):
        problem = f"has {len(shape)} axes, of which {axes} is no order"
        raise Mistake(problem)
    return tuple([shape[axis] for axis in axes])


def _broadcast_to(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    wide = _extents(parameters, "shape")
    behind = wide[len(wide) - len(shape) :]
    if len(wide) < len(shape) or any(extent not in {1, other} for extent, other in zip(shape, behind, strict=True)):
        problem = f"does not broadcast to {wide}"
        raise Mistake(problem)
    return wide


def _concatenated(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    if not first:
        problem = "cannot be concatenated: a scalar has no axis; stack makes one"
        raise Mistake(problem)
    axis = _axis(parameters, len(first))
    for shape in shapes:
        if len(shape) != len(first) or _replaced(shape, axis) != _replaced(first, axis):
            problem = f"differ along another axis than {axis}"
            raise Mistake(problem)
    return _replaced(first, axis, sum(shape[axis] for shape in shapes))


def _stacked(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    axis = _axis(parameters, len(first) + 1)
    if shapes.count(first) < len(shapes):
        problem = "differ: only arrays of one shape can be stacked"
        raise Mistake(problem)
    return (*first[:axis], len(shapes), *first[axis:])


def _flipped(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    _axes(parameters, len(shapes[0]))
    return shapes[0]


def _repeated(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    axis = _axis(parameters, len(shape))
    repeats = _wanted(parameters, "repeats", int)
    if repeats < 1:
        problem = f"cannot be repeated {repeats} times"
        raise Mistake(problem)
    return _replaced(shape, axis, shape[axis] * repeats)


def _tiled(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    repeats = _integers(parameters, "repeats")
    padded = (1,) * (len(repeats) - len(shape)) + shape
    if min(repeats, default=1) < 1 or len(repeats) != len(padded):
        problem = f"cannot be repeated {repeats} times"
        raise Mistake(problem)
    return tuple([extent * count for extent, count in zip(padded, repeats, strict=True)])


def _sliced(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    starts, counts, steps = (_integers(parameters, name) for name in ("starts", "counts", "steps"))
    if not len(starts) == len(counts) == len(steps) == len(shape):
        problem = f"has {len(shape)} axes, not as many as the slice"
        raise Mistake(problem)
    for axis, (start, count, step, extent) in enumerate(zip(starts, counts, steps, shape, strict=True)):
        if count < 1 or step == 0 or not (0 <= start < extent and 0 <= start + (count - 1) * step < extent):
            problem = f"has no {count} elements from {start} in steps of {step} along axis {axis}"
            raise Mistake(problem)
    return counts


def _taken(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    axis = _axis(parameters, len(shape))
    indices, index_shape = _integers(parameters, "indices"), _extents(parameters, "index_shape")
    if len(indices) != size(index_shape):
        problem = f"came with {len(indices)} indices for the shape {index_shape}"
        raise Mistake(problem)
    for index in (min(indices), max(indices)):
        if not 0 <= index < shape[axis]:
            problem = f"has no element {index} along axis {axis}"
            raise Mistake(problem)
    return _replaced(shape, axis, *index_shape)


def _diagonal(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    (shape,) = shapes
    offset = _integer(parameters, "offset")
    if len(shape) == 1:
        return (shape[0] + abs(offset),) * _MATRIX_RANK
    rows, columns = _matrix(shape)
    length = min(rows + min(offset, 0), columns - max(offset, 0))
    if length < 1:
        problem = f"has no diagonal {offset}"
        raise Mistake(problem)
    return (length,)


def _matrix(shape: Shape) -> Shape:
    if len(shape) != _MATRIX_RANK:
        problem = "is not that of a matrix"
        raise Mistake(problem)
    return shape


def _trace(_parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    _matrix(shapes[0])
    return ()


# Products.


def _matmul(_parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    left, right = shapes
    if not left or not right:
        problem = "do not multiply as matrices: use * for scalars"
        raise Mistake(problem)
    rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
    if left[-1] != (right[-2] if len(right) > 1 else right[0]):
        problem = "do not multiply: the last axis of the left does not meet its like"
        raise Mistake(problem)
    return broadcast({}, [left[:-2], right[:-2]]) + rows + columns


def _dot(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    left, right = shapes
    if not left or not right:
        return left or right
    if max(len(left), len(right)) > _MATRIX_RANK:
        problem = "have more than two axes: use matmul or einsum"
        raise Mistake(problem)
    return _matmul(parameters, shapes)


def _outer(_parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    return (size(shapes[0]), size(shapes[1]))


def _einsum(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    given, arrow, result = _wanted(parameters, "subscripts", str).partition("->")
    operands = given.split(",")
    if not arrow or not set(given + result) <= {",", *string.ascii_letters}:
        problem = f"cannot go by {given + arrow + result!r}: a letter for each axis, ',' and '->' are all there may be"
        raise Mistake(problem)
    if len(operands) != len(shapes) or len(shapes) > _MOST_CONTRACTED:
        problem = f"are not as many as {given!r} names; einsum takes one or two"
        raise Mistake(problem)
    extents: dict[str, int] = {}
    for letters, shape in zip(operands, shapes, strict=True):
        if len(letters) != len(shape) or any(
            extents.setdefault(letter, extent) != extent for letter, extent in zip(letters, shape, strict=True)
        ):
            problem = f"does not fit {given!r}" if len(shapes) == 1 else f"do not fit {given!r}"
            raise Mistake(problem)
    if len(set(result)) < len(result) or not set(result) <= extents.keys():
        problem = f"cannot give {result!r}: each letter once, and each from {given!r}"
        raise Mistake(problem)
    return tuple([extents[letter] for letter in result])


# Linear algebra.


def _square(shape: Shape) -> Shape:
    if len(shape) < _MATRIX_RANK or shape[-1] != shape[-2]:
        problem = "is not that of a square matrix"
        raise Mistake(problem)
    return shape


def _keeps_square(_parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    return _square(shapes[0])


def _logdet(_parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    return _square(shapes[0])[:-2]


def _solved(_parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    matrix, right = shapes
    rows = matrix[-2:-1]
    if len(matrix) < _MATRIX_RANK or matrix[-1:] != rows:
        problem = "do not begin with a square matrix"
        raise Mistake(problem)
    if (right if len(right) == 1 else right[-2:-1]) != rows:
        problem = "do not fit: a row of the right side for each row of the matrix"
        raise Mistake(problem)
    return matrix[:-2] + right if len(right) == 1 else broadcast({}, [matrix[:-2], right[:-2]]) + right[-2:]


# Loops and calls.


def _called(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    body, output = _wanted(parameters, "function", Body), _integer(parameters, "output")
    _check_body(body, shapes)
    if not 0 <= output < len(body.output_shapes):
        problem = f"came with the output {output} of a body that has {len(body.output_shapes)}"
        raise Mistake(problem)
    return body.output_shapes[output]


def _check_body(body: Body, shapes: Sequence[Shape]) -> None:
    wanted = [entry.shape for entry in body.graph.inputs]
    if wanted != list(shapes):
        problem = f"are not the body's, {' and '.join(map(str, wanted))}"
        raise Mistake(problem)


def _scanned(parameters: Parameters, shapes: Sequence[Shape]) -> Shape:
    body = _wanted(parameters, "function", Body)
    steps, carries, sequences = (_integer(parameters, name) for name in ("steps", "carries", "sequences"))
    rows = shapes[carries : carries + sequences]
    if steps < 1 or min(carries, sequences) < 0 or [shape[:1] for shape in rows] != [(steps,)] * sequences:
        problem = f"are not {carries} carries, {sequences} sequences of {steps} steps, and constants"
        raise Mistake(problem)
    _check_body(body, [*shapes[:carries], *[shape[1:] for shape in rows], *shapes[carries + sequences :]])
    if list(body.output_shapes[:carries]) != list(shapes[:carries]):
        problem = f"become {' and '.join(map(str, body.output_shapes[:carries]))} in the body"
        raise Mistake(problem)
    stacked = sum(size(shape) for shape in body.output_shapes[carries:])
    return (sum(size(shape) for shape in shapes[:carries]) + steps * stacked,)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("sum", "mean", "prod", "amax", "amin", "any", "all", "logsumexp", "norm"), _reduced),
    **dict.fromkeys(("var", "std"), _spread),
    **dict.fromkeys(("argmax", "argmin"), _place_of_extreme),
    **dict.fromkeys(("softmax", "log_softmax", "cumsum", "cumprod", "sort", "argsort"), _along_axis),
    "diff": _differences,
    "reshape": _reshaped,
    "transpose": _transposed,
    "broadcast_to": _broadcast_to,
    "concatenate": _concatenated,
    "stack": _stacked,
    "flip": _flipped,
    "repeat": _repeated,
    "tile": _tiled,
    "slice": _sliced,
    "take": _taken,
    "diag": _diagonal,
    "trace": _trace,
    "matmul": _matmul,
    "dot": _dot,
    "outer": _outer,
    "einsum": _einsum,
    **dict.fromkeys(("solve", "solve_triangular"), _solved),
    **dict.fromkeys(("cholesky", "inverse"), _keeps_square),
    "logdet": _logdet,
    "call": _called,
    "scan": _scanned,
}
"""The rule of each operation that is not element-wise."""
