"""Functions of whole arrays, called as NumPy's and SciPy's are.

Each takes traced expressions, real numbers and arrays of real numbers, the first or one of them traced, and returns an
:class:`~gradmill.tracing.Expression` in float64. ``axis`` counts from the first axis, or from the last when negative;
None means all elements. ``keepdims`` keeps the axes that are reduced, with extent 1. Every result has at least one
element.

Each raises TypeError when no operand is traced, and :class:`~gradmill.errors.TracingError`, with the file and the line,
when shapes do not fit, there is no such axis, or operands come from two calls of ``inputs``.
"""
# ruff: noqa: A001 - all, any, max, min and sum are what these operations are called everywhere

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from gradmill import normal_forms
from gradmill.axes import Axes, ascending_axes, one_axis
from gradmill.places import refuse
from gradmill.tracing import Expression, Operand, apply, traced

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "broadcast_to",
    "cholesky",
    "concatenate",
    "cumprod",
    "cumsum",
    "diag",
    "diff",
    "dot",
    "einsum",
    "expand_dims",
    "flip",
    "inv",
    "inverse",
    "log_softmax",
    "logdet",
    "logsumexp",
    "matmul",
    "max",
    "mean",
    "min",
    "moveaxis",
    "norm",
    "outer",
    "prod",
    "ravel",
    "repeat",
    "reshape",
    "softmax",
    "solve",
    "solve_triangular",
    "sort",
    "squeeze",
    "stack",
    "std",
    "sum",
    "swapaxes",
    "take",
    "tile",
    "trace",
    "transpose",
    "var",
]

# Reductions. The result has the operand's shape without the axes reduced.


def sum(x: Operand, axis: Axes = None, *, keepdims: bool = False) -> Expression:
    """The sum over axes."""
    return normal_forms.reduced(traced("sum", x), "sum", axis, keepdims=keepdims)


def mean(x: Operand, axis: Axes = None, *, keepdims: bool = False) -> Expression:
    """The mean over axes."""
    return normal_forms.reduced(traced("mean", x), "mean", axis, keepdims=keepdims)


def prod(x: Operand, axis: Axes = None, *, keepdims: bool = False) -> Expression:
    """The product over axes."""
    return normal_forms.reduced(traced("prod", x), "prod", axis, keepdims=keepdims)


def amax(x: Operand, axis: Axes = None, *, keepdims: bool = False) -> Expression:
    """The maximum over axes; NaN beside a NaN."""
    return normal_forms.reduced(traced("amax", x), "amax", axis, keepdims=keepdims)


def amin(x: Operand, axis: Axes = None, *, keepdims: bool = False) -> Expression:
    """The minimum over axes; NaN beside a NaN."""
    return normal_forms.reduced(traced("amin", x), "amin", axis, keepdims=keepdims)


def max(x: Operand, y: Operand | None = None, /, *, axis: Axes = None, keepdims: bool = False) -> Expression:
    """The maximum over axes of one operand, as ``amax``; the larger of two, element by element, as ``maximum``.

    A second operand is always an operand: write ``max(x, axis=0)`` for an axis.
    """
    if y is None:
        return amax(x, axis, keepdims=keepdims)
    _refuse_axes("max", axis, keepdims=keepdims)
    return apply("maximum", x, y)


def min(x: Operand, y: Operand | None = None, /, *, axis: Axes = None, keepdims: bool = False) -> Expression:
    """The minimum over axes of one operand, as ``amin``; the smaller of two, element by element, as ``minimum``.

    A second operand is always an operand: write ``min(x, axis=0)`` for an axis.
    """
    if y is None:
        return amin(x, axis, keepdims=keepdims)
    _refuse_axes("min", axis, keepdims=keepdims)
    return apply("minimum", x, y)


def _refuse_axes(name: str, axis: Axes, *, keepdims: bool) -> None:
    if axis is not None or keepdims:
        message = f"{name}: of two operands, elements are compared one by one, so axis and keepdims mean nothing"
        raise TypeError(message)


def any(x: Operand, axis: Axes = None, *, keepdims: bool = False) -> Expression:
    """1.0 where any element over axes is not zero, else 0.0."""
    return normal_forms.reduced(traced("any", x), "any", axis, keepdims=keepdims)


def all(x: Operand, axis: Axes = None, *, keepdims: bool = False) -> Expression:
    """1.0 where all elements over axes are not zero, else 0.0."""
    return normal_forms.reduced(traced("all", x), "all", axis, keepdims=keepdims)


def var(x: Operand, axis: Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Expression:
    """The variance over axes: the sum of squared deviations from the mean, divided by the elements less ``ddof``."""
    return normal_forms.reduced(traced("var", x), "var", axis, keepdims=keepdims, ddof=ddof)


def std(x: Operand, axis: Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Expression:
    """The standard deviation over axes: the square root of ``var``."""
    return normal_forms.reduced(traced("std", x), "std", axis, keepdims=keepdims, ddof=ddof)


def norm(
    x: Operand,
    ord: float | str | None = None,  # noqa: A002 - NumPy's name
    axis: Axes = None,
    *,
    keepdims: bool = False,
) -> Expression:
    """The Euclidean norm over axes, which for a matrix is Frobenius's: the square root of the sum of squares.

    ``ord`` may only name that norm: 2 for one axis, "fro" for two.
    """
    operand = traced("norm", x)
    axes = ascending_axes("norm", axis, operand.shape)
    if ord is not None and ord != {1: 2, 2: "fro"}.get(len(axes)):
        refuse(f"norm: ord={ord!r} over {len(axes)} axes is another norm than Euclid's", "Write it with sum and amax.")
    return normal_forms.reduced(operand, "norm", axis, keepdims=keepdims)


def logsumexp(x: Operand, axis: Axes = None, *, keepdims: bool = False) -> Expression:
    """The logarithm of the sum of exponentials over axes, without overflow."""
    return normal_forms.reduced(traced("logsumexp", x), "logsumexp", axis, keepdims=keepdims)


def argmax(x: Operand, axis: SupportsIndex | None = None) -> Expression:
    """The index of the first maximum along an axis, or among all elements in a row; its derivative is 0."""
    return normal_forms.place_of_extreme(traced("argmax", x), "argmax", axis)


def argmin(x: Operand, axis: SupportsIndex | None = None) -> Expression:
    """The index of the first minimum along an axis, or among all elements in a row; its derivative is 0."""
    return normal_forms.place_of_extreme(traced("argmin", x), "argmin", axis)


def trace(x: Operand, /) -> Expression:
    """The sum of a matrix's diagonal."""
    return apply("trace", x)


# Along an axis. The result has the operand's shape, or one element less of `diff` each time.


def softmax(x: Operand, axis: SupportsIndex = -1) -> Expression:
    """The exponentials along an axis, divided by their sum, without overflow."""
    return normal_forms.along(traced("softmax", x), "softmax", axis)


def log_softmax(x: Operand, axis: SupportsIndex = -1) -> Expression:
    """The logarithm of ``softmax``, without overflow."""
    return normal_forms.along(traced("log_softmax", x), "log_softmax", axis)


def cumsum(x: Operand, axis: SupportsIndex | None = None) -> Expression:
    """Running sums along an axis, or of all elements in a row."""
    return normal_forms.along_or_flat(traced("cumsum", x), "cumsum", axis)


def cumprod(x: Operand, axis: SupportsIndex | None = None) -> Expression:
    """Running products along an axis, or of all elements in a row."""
    return normal_forms.along_or_flat(traced("cumprod", x), "cumprod", axis)


def diff(x: Operand, n: SupportsIndex = 1, axis: SupportsIndex = -1) -> Expression:
    """Differences between neighbours along an axis, taken n times."""
    return normal_forms.differences(traced("diff", x), n, axis)


def sort(x: Operand, axis: SupportsIndex | None = -1) -> Expression:
    """The elements in ascending order along an axis, or of all in a row for None; NaN last."""
    return normal_forms.along_or_flat(traced("sort", x), "sort", axis)


def argsort(x: Operand, axis: SupportsIndex | None = -1) -> Expression:
    """The indices that would sort along an axis, equal elements in their order; their derivative is 0."""
    return normal_forms.along_or_flat(traced("argsort", x), "argsort", axis)


# Elements moved.


def reshape(x: Operand, shape: SupportsIndex | Sequence[SupportsIndex]) -> Expression:
    """The same elements, row by row, in another shape, in which one extent may be -1."""
    return normal_forms.reshaped(traced("reshape", x), shape)


def ravel(x: Operand, /) -> Expression:
    """All elements in a row."""
    return normal_forms.raveled(traced("ravel", x))


def transpose(x: Operand, axes: Sequence[SupportsIndex] | None = None) -> Expression:
    """The axes in another order; in reverse for None."""
    return normal_forms.transposed(traced("transpose", x), axes)


def swapaxes(x: Operand, axis1: SupportsIndex, axis2: SupportsIndex) -> Expression:
    """Two axes in each other's place."""
    return normal_forms.swapped(traced("swapaxes", x), axis1, axis2)


def moveaxis(
    x: Operand,
    source: SupportsIndex | Sequence[SupportsIndex],
    destination: SupportsIndex | Sequence[SupportsIndex],
) -> Expression:
    """Some axes at other places, the rest in their order."""
    return normal_forms.moved(traced("moveaxis", x), source, destination)


def expand_dims(x: Operand, axis: SupportsIndex | Sequence[SupportsIndex]) -> Expression:
    """New axes of extent 1 at these places of the result."""
    return normal_forms.with_axes(traced("expand_dims", x), axis)


def squeeze(x: Operand, axis: Axes = None) -> Expression:
    """Without the axes given, whose extent must be 1, or without all of extent 1."""
    return normal_forms.squeezed(traced("squeeze", x), axis)


def broadcast_to(x: Operand, shape: SupportsIndex | Sequence[SupportsIndex]) -> Expression:
    """The elements repeated to a larger shape, by NumPy's rules of broadcasting."""
    return normal_forms.broadcasted(traced("broadcast_to", x), shape)


def concatenate(arrays: Iterable[Operand], axis: SupportsIndex | None = 0) -> Expression:
    """Arrays one after the other along an axis; for None, all their elements in a row."""
    listed = list(arrays)
    return normal_forms.concatenated(_first_traced("concatenate", listed), listed, axis)


def stack(arrays: Iterable[Operand], axis: SupportsIndex = 0) -> Expression:
    """Arrays of one shape side by side along a new axis, counted in the result."""
    listed = list(arrays)
    return normal_forms.stacked(_first_traced("stack", listed), listed, axis)


def _first_traced(name: str, arrays: Sequence[Operand]) -> Expression:
    found = [array for array in arrays if isinstance(array, Expression)]
    return found[0] if found else traced(name, 0.0)


def flip(x: Operand, axis: Axes = None) -> Expression:
    """The elements in reverse order along axes."""
    return normal_forms.flipped(traced("flip", x), axis)


def repeat(x: Operand, repeats: SupportsIndex, axis: SupportsIndex | None = None) -> Expression:
    """Each element repeated along an axis, or of all elements in a row for None."""
    return normal_forms.repeated(traced("repeat", x), repeats, axis)


def tile(x: Operand, reps: SupportsIndex | Sequence[SupportsIndex]) -> Expression:
    """The whole array repeated along each axis, the last number for the last axis."""
    return normal_forms.tiled(traced("tile", x), reps)


def take(x: Operand, indices: npt.ArrayLike, axis: SupportsIndex | None = None) -> Expression:
    """The elements along an axis, or of all in a row for None, by numbers that are part of the function.

    A negative number counts from the last. The shape of ``indices`` takes the place of the axis.
    """
    operand = traced("take", x)
    if axis is None:
        return take(normal_forms.raveled(operand), indices, 0)
    numbers = np.asarray(indices)
    if numbers.dtype.kind not in "iu":
        refuse(
            f"take: {type(indices).__name__} is no array of whole numbers",
            "Which elements are taken is part of the function and cannot be traced.",
        )
    return normal_forms.taken(operand, numbers.astype(np.intp), one_axis("take", axis, operand.shape))


def diag(x: Operand, k: SupportsIndex = 0) -> Expression:
    """The k-th diagonal of a matrix above the main one, or the matrix with a vector there and zeros elsewhere."""
    return normal_forms.diagonal(traced("diag", x), k)


# Products and linear algebra.


def matmul(x: Operand, y: Operand, /) -> Expression:
    """The matrix product ``x @ y``: a vector is a row on the left, a column on the right; leading axes broadcast."""
    return apply("matmul", x, y)


def dot(x: Operand, y: Operand, /) -> Expression:
    """The product of vectors and matrices as numpy.dot takes it; scalars multiply."""
    return apply("dot", x, y)


def outer(x: Operand, y: Operand, /) -> Expression:
    """The products of each element of x with each of y, a row for each of x."""
    return apply("outer", x, y)


def einsum(subscripts: str, /, *operands: Operand) -> Expression:
    """The sum of products of one or two operands that the subscripts name, as in ``einsum("ij,j->i", A, x)``.

    A letter that the result lacks is summed over. Without ``->`` the result has the letters that occur once, sorted.
    """
    return apply("einsum", *operands, subscripts=normal_forms.explicit_subscripts(subscripts))


def solve(a: Operand, b: Operand, /) -> Expression:
    """The solution x of a @ x = b: for a vector b a vector, for a matrix b a column for each of its columns."""
    return apply("solve", a, b)


def solve_triangular(
    a: Operand, b: Operand, /, *, trans: int = 0, lower: bool = False, unit_diagonal: bool = False
) -> Expression:
    """The solution of ``solve`` for a triangular matrix, of which only that triangle is read.

    Args:
        a: the matrix.
        b: the right side.
        trans: 1 to solve for the transpose of a.
        lower: whether the triangle is the lower one.
        unit_diagonal: whether the diagonal counts as ones and is not read.
    """
    if trans not in {0, 1}:
        refuse(f"solve_triangular: trans={trans!r} is neither 0 nor 1")
    flags = {"lower": lower, "transposed": trans, "unit_diagonal": unit_diagonal}
    return apply("solve_triangular", a, b, **{name: 1 for name, flag in flags.items() if flag})


def cholesky(a: Operand, /) -> Expression:
    """The lower triangular factor L of a = L @ L.T, from the lower triangle of a; NaN where not positive definite."""
    return apply("cholesky", a)


def inverse(a: Operand, /) -> Expression:
    """The inverse of a square matrix."""
    return apply("inverse", a)


inv = inverse


def logdet(a: Operand, /) -> Expression:
    """The logarithm of the absolute value of a square matrix's determinant."""
    return apply("logdet", a)
