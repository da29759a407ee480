"""Matrix products and contractions, all written in one product of matrices with batch axes in front."""

from __future__ import annotations

import functools
import string
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.ir import FloatArray, Shape, size
from gradmill_server.engine.ops.array_operation import (
    ArrayFunction,
    ArrayOperation,
    Emit,
    Parameter,
    ParameterMap,
    Site,
    integer,
    text,
)
from gradmill_server.engine.ops.arrays.axes import mismatch, refused
from gradmill_server.engine.ops.arrays.movement import matrix_transposed, part, reshaped, transposed
from gradmill_server.engine.ops.arrays.sums import aligned, summed, summed_to
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.shapes import ShapeMismatch, broadcast

_MATRIX_RANK = 2
_LONGEST_SUBSCRIPTS = 200
_FIRST, _SECOND = 1, 2
_PRODUCTS = ("multiply", "strong_product", "strong_product", "mutual_product")
"""The product of two elements, by which operand's zeros are strong; the strong one first."""

# The product of matrices with batch axes.


def _batched_shape(_parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    x, y = shapes
    if len(x) < _MATRIX_RANK or len(y) < _MATRIX_RANK or x[-1] != y[-2]:
        raise mismatch(
            x, y, operation="matmul", problem="the last axis of the first must fit the last but one of the second"
        )
    return (*broadcast("matmul", [x[:-2], y[:-2]]), x[-2], y[-1])


def _row_by_row(x: FloatArray) -> FloatArray:
    """Return an array with its elements side by side in memory, with the strides of a new one.

    BLAS takes rows, columns and strange strides by different code, with other last bits. How an array lies depends on
    how many points it holds and how they came, which a point's bits must not.
    """
    return np.ascontiguousarray(x).reshape(-1).reshape(x.shape)


def _batches(x: FloatArray, y: FloatArray) -> Iterator[FloatArray]:
    """Return both with as many axes, so that their batches broadcast."""
    rank = max(x.ndim, y.ndim)
    return (each.reshape(len(each), *(1,) * (rank - each.ndim), *each.shape[1:]) for each in (x, y))


def _batched_unrolled(emit: Emit) -> ArrayFunction:
    def product(parameters: ParameterMap, x: FloatArray, y: FloatArray) -> FloatArray:
        left, right = _batches(x, y)
        strong = integer(parameters, "strong")

        def term(place: int) -> FloatArray:
            x_part, y_part = left[..., place, np.newaxis], right[..., np.newaxis, place, :]
            if strong == _SECOND:
                x_part, y_part = y_part, x_part
            return emit(_PRODUCTS[strong], x_part, y_part)  # type: ignore[no-any-return]

        return functools.reduce(functools.partial(emit, "add"), map(term, range(left.shape[-1])))

    return product


def _batched_value(
    parameters: ParameterMap, x: FloatArray, y: FloatArray, checkpoint: Checkpoint = never
) -> FloatArray:
    left, right = _batches(x, y)
    product: FloatArray = np.matmul(_row_by_row(left), _row_by_row(right))
    strong = integer(parameters, "strong")
    if not strong or np.isfinite(product).all():
        return product
    careful = np.zeros(product.shape)
    for place in range(left.shape[-1]):
        checkpoint()
        x_part, y_part = left[..., place, np.newaxis], right[..., np.newaxis, place, :]
        dead = (bool(strong & _FIRST) & (x_part == 0.0)) | (bool(strong & _SECOND) & (y_part == 0.0))
        careful += np.where(dead, 0.0, x_part * y_part)
    return np.where(np.isfinite(product), product, careful)


def _batched_pullback(site: Site, cotangent: Value, wanted: Sequence[bool]) -> list[Value | None]:
    x, y = site.operands
    by_x = _seeded(site, cotangent, matrix_transposed(y), _FIRST) if wanted[0] else None
    by_y = _seeded(site, matrix_transposed(x), cotangent, _SECOND) if wanted[1] else None
    return [
        by_x and summed_to(by_x, site.leading, x.shape),
        by_y and summed_to(by_y, site.leading, y.shape),
    ]


def _batched_pushforward(site: Site, tangents: Sequence[Value | None]) -> Value | None:
    x, y = site.operands
    by_x, by_y = tangents
    rank = len(site.result.shape)
    left = by_x and _seeded(site, aligned(by_x, site.leading, rank), y, _FIRST)
    right = by_y and _seeded(site, x, aligned(by_y, site.leading, rank), _SECOND)
    return left + right if left is not None and right is not None else left or right


_BATCHED = ArrayOperation(
    name="matrix_product",
    summary="The product of matrices, batch axes broadcast; zeros of a strong operand, 1, 2 or 3 for both, give 0.",
    signature="",
    least=2,
    most=2,
    parameters=(Parameter("strong", int, optional=True),),
    shape=_batched_shape,
    value=_batched_value,
    interruptible=True,
    unrolling=_batched_unrolled,
    pullback=_batched_pullback,
    pushforward=_batched_pushforward,
    internal=True,
)


def _seeded(site: Site, x: Value, y: Value, seed: int) -> Value:
    """Return the product of a tangent or cotangent, which is the first or the second operand, with a partial.

    Its zeros are strong. What was strong in the product that is differentiated stays so: a tangent that comes out of a
    dead branch may be NaN. (That operand keeps its place, or gives it to the cotangent, whose zeros are strong anyway.)
    """
    if site.strong_partials:
        return _BATCHED.apply(x, y, strong=_FIRST | _SECOND)
    partial = (y if seed == _FIRST else x).node
    own = integer(site.parameters, "strong")
    safe = not own and partial.is_constant and bool(np.isfinite(partial.constant_array()).all())
    return matrix_product(x, y) if safe or not site.strong_zeros else _BATCHED.apply(x, y, strong=own | seed)


def matrix_product(x: Value, y: Value) -> Value:
    """Return the product of matrices [..., m, k] and [..., k, n], batch axes broadcast."""
    return _BATCHED.apply(x, y)


def strong_product_of(x: Value, y: Value) -> Value:
    """Return the product of matrices in which zeros of the first, a tangent or a cotangent, give 0 with anything."""
    return _BATCHED.apply(x, y, strong=_FIRST)


# NumPy's matmul and dot.


def _matmul_shape(_parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    x, y = shapes
    if not x or not y:
        raise mismatch(x, y, operation="matmul", problem="a scalar is no matrix; to multiply by one write '*'")
    inner = y[-2] if len(y) > 1 else y[0]
    if x[-1] != inner:
        raise mismatch(x, y, operation="matmul", problem=f"{x[-1]} columns do not fit {inner} rows")
    try:
        batch = broadcast("matmul", [x[:-2], y[:-2]])
    except ShapeMismatch as error:
        raise mismatch(x, y, operation="matmul", problem="the batch axes do not broadcast") from error
    return (*batch, *x[-2:-1], *(y[-1:] if len(y) > 1 else ()))


def _matmul(site: Site) -> Value:
    x, y = site.operands
    left = x if len(x.shape) > 1 else reshaped(x, (1, *x.shape))
    right = y if len(y.shape) > 1 else reshaped(y, (*y.shape, 1))
    return reshaped(matrix_product(left, right), site.result.shape)


def _dot_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    x, y = shapes
    if not x or not y:
        return x or y
    if len(x) > _MATRIX_RANK or len(y) > _MATRIX_RANK:
        raise mismatch(
            x, y, operation="dot", problem="it takes scalars, vectors and matrices; of more axes use matmul or einsum"
        )
    if x[-1] != y[-2 if len(y) > 1 else 0]:
        raise mismatch(x, y, operation="dot", problem=f"{x[-1]} columns do not fit {y[-2 if len(y) > 1 else 0]} rows")
    return _matmul_shape(parameters, shapes)


def _dot(site: Site) -> Value:
    x, y = site.operands
    return _matmul(site) if x.shape and y.shape else x * y


def _outer_shape(_parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    x, y = shapes
    return (size(x), size(y))


def _outer(site: Site) -> Value:
    x, y = site.operands
    return reshaped(x, (size(x.shape), 1)) * reshaped(y, (1, size(y.shape)))


# Einstein's summation.


class _Subscripts(NamedTuple):
    """The letters of each operand and of the result."""

    operands: tuple[str, ...]
    result: str


def _read_subscripts(subscripts: str, count: int) -> _Subscripts:
    left, arrow, result = subscripts.partition("->")
    operands = tuple(left.split(","))
    letters = set("".join(operands))
    if len(subscripts) > _LONGEST_SUBSCRIPTS or not arrow:
        raise refused(
            operation="einsum",
            parameter="subscripts",
            problem="needs the form 'ij,jk->ik', with '->' and the letters of the result",
        )
    if len(operands) != count:
        raise refused(
            operation="einsum", parameter="subscripts", problem=f"names {len(operands)} operands, {count} are given"
        )
    if not letters <= set(string.ascii_letters):
        raise refused(
            operation="einsum", parameter="subscripts", problem="holds something other than letters, ',' and '->'"
        )
    if len(set(result)) != len(result) or not set(result) <= letters:
        raise refused(
            operation="einsum",
            parameter="subscripts",
            problem="has a letter in the result twice, or one that no operand has",
        )
    return _Subscripts(operands, result)


def _einsum_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    subscripts = _read_subscripts(text(parameters, "subscripts"), len(shapes))
    extents: dict[str, int] = {}
    for letters, shape in zip(subscripts.operands, shapes, strict=True):
        if len(letters) != len(shape):
            raise mismatch(shape, operation="einsum", problem=f"{letters!r} does not have a letter for each axis")
        for letter, extent in zip(letters, shape, strict=True):
            if extents.setdefault(letter, extent) != extent:
                raise mismatch(
                    *shapes, operation="einsum", problem=f"axis {letter!r} is {extents[letter]} and {extent}"
                )
    return tuple([extents[letter] for letter in subscripts.result])


class _Labelled(NamedTuple):
    """An array whose axes have letters, each once."""

    value: Value
    letters: str

    def extent(self, letter: str) -> int:
        """Return the extent of a letter's axis."""
        return self.value.shape[self.letters.index(letter)]

    def ordered(self, letters: str) -> Value:
        """Return the array with its axes in the order of the letters."""
        return transposed(self.value, [self.letters.index(letter) for letter in letters])

    def without(self, letters: str) -> _Labelled:
        """Return the sum over the axes of some letters."""
        axes = [axis for axis, letter in enumerate(self.letters) if letter in letters]
        kept = "".join(letter for letter in self.letters if letter not in letters)
        return _Labelled(summed(self.value, axes), kept)


def _distinct(value: Value, letters: str) -> _Labelled:
    """Return the diagonal along all axes of one letter, until each letter stands once."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            others = [axis for axis in range(len(letters)) if axis not in {first, second}]
            kept, extent = [value.shape[axis] for axis in others], value.shape[first]
            flat = reshaped(transposed(value, (*others, first, second)), (*kept, extent * extent))
            value = part(flat, len(kept), 0, extent, extent + 1)
            letters = "".join(letters[axis] for axis in others) + letter
    return _Labelled(value, letters)


def _einsum(site: Site) -> Value:
    subscripts = _read_subscripts(text(site.parameters, "subscripts"), len(site.operands))
    labelled = [_distinct(*each) for each in zip(site.operands, subscripts.operands, strict=True)]
    needed = [subscripts.result, *(entry.letters for entry in labelled)]
    for place, entry in enumerate(labelled):
        others = "".join(needed[: place + 1] + needed[place + 2 :])
        labelled[place] = entry.without("".join(letter for letter in entry.letters if letter not in others))
    if len(labelled) == 1:
        return labelled[0].ordered(subscripts.result)
    return _contracted(labelled[0], labelled[1], subscripts.result).ordered(subscripts.result)


def _contracted(x: _Labelled, y: _Labelled, result: str) -> _Labelled:
    """Return the product of two arrays, summed over the letters that the result has not; all of these are in both."""
    both = [letter for letter in x.letters if letter in y.letters]
    batch = "".join(letter for letter in both if letter in result)
    inner = "".join(letter for letter in both if letter not in result)
    rows = "".join(letter for letter in x.letters if letter not in both)
    columns = "".join(letter for letter in y.letters if letter not in both)

    def extents(entry: _Labelled, letters: str) -> Shape:
        return tuple([entry.extent(letter) for letter in letters])

    outer = extents(x, batch)
    row_count, inner_count, column_count = size(extents(x, rows)), size(extents(x, inner)), size(extents(y, columns))
    left = reshaped(x.ordered(batch + rows + inner), (*outer, row_count, inner_count))
    right = reshaped(y.ordered(batch + inner + columns), (*outer, inner_count, column_count))
    product = reshaped(matrix_product(left, right), (*outer, *extents(x, rows), *extents(y, columns)))
    return _Labelled(product, batch + rows + columns)


OPERATIONS = (
    _BATCHED,
    ArrayOperation(
        name="matmul",
        summary="The matrix product x @ y; axes before the last two are batches, and a vector is a row or a column.",
        signature="x @ y",
        result="rows of x by columns of y, batch axes broadcast",
        least=2,
        most=2,
        shape=_matmul_shape,
        expansion=_matmul,
    ),
    ArrayOperation(
        name="dot",
        summary="The dot product of vectors, the matrix product of matrices, the product with a scalar.",
        signature="dot(x, y)",
        result="rows of x by columns of y; of vectors a scalar",
        least=2,
        most=2,
        shape=_dot_shape,
        expansion=_dot,
    ),
    ArrayOperation(
        name="outer",
        summary="The products of every element of x with every element of y.",
        signature="outer(x, y)",
        result="elements of x by elements of y",
        least=2,
        most=2,
        shape=_outer_shape,
        expansion=_outer,
    ),
    ArrayOperation(
        name="einsum",
        summary="Products of elements, summed over axes, as Einstein's convention writes them; of one or two arrays.",
        signature="einsum('ij,j->i', x, y)",
        result="an axis for each letter after '->'",
        most=2,
        parameters=(Parameter("subscripts", str),),
        shape=_einsum_shape,
        expansion=_einsum,
    ),
)
