"""Cholesky factors, solutions of linear systems, inverses and determinants of small dense matrices.

The rules are those of M. B. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008), and for the Cholesky factor those of I. Murray, "Differentiation of the Cholesky decomposition"
(2016).
A matrix that has no factor or no inverse gives NaN or infinities at its own point, and at no other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.ir import FloatArray, Shape
from gradmill_server.engine.ops.array_operation import (
    ArrayFunction,
    ArrayOperation,
    Emit,
    Expansion,
    Parameter,
    ParameterMap,
    ShapeRule,
    Site,
    integer,
    pulling,
    pushing,
)
from gradmill_server.engine.ops.arrays.axes import mismatch
from gradmill_server.engine.ops.arrays.movement import matrix_transposed, reshaped
from gradmill_server.engine.ops.arrays.products import matrix_product, strong_product_of
from gradmill_server.engine.ops.arrays.reductions import amax, amin
from gradmill_server.engine.ops.arrays.sums import aligned, broadcasted, summed, summed_to
from gradmill_server.engine.ops.value import Value, elementwise
from gradmill_server.engine.shapes import broadcast

_abs = elementwise("abs")
_isfinite = elementwise("isfinite")
_logical_or = elementwise("logical_or")
_where = elementwise("where")

_MATRIX_RANK = 2
_COLUMN = (-2,)
_TRIANGULAR = tuple(Parameter(name, int, optional=True) for name in ("lower", "transposed", "unit_diagonal"))


def _check_square(operation: str, shape: Shape) -> None:
    if len(shape) < _MATRIX_RANK or shape[-1] != shape[-2]:
        raise mismatch(shape, operation=operation, problem="the last two axes must make a square matrix")


def _square_shape(operation: str) -> ShapeRule:
    def shape(_parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
        _check_square(operation, shapes[0])
        return shapes[0]

    return shape


def _triangle(x: Value, *, lower: bool, diagonal: float) -> Value:
    """Return a triangle of matrices, its diagonal times a number, and zeros on the other side."""
    extent = x.shape[-1]
    ones = np.ones((extent, extent))
    inside = np.tril(ones, -1) if lower else np.triu(ones, 1)
    mask = Value(x.builder, x.builder.constant(inside))
    identity = Value(x.builder, x.builder.constant(np.eye(extent)))
    on_diagonal = x if diagonal == 1.0 else diagonal * x
    return _where(mask, x, 0.0) if diagonal == 0.0 else _where(mask, x, _where(identity, on_diagonal, 0.0))


def _where_seeded(site: Site, seed: Value, result: Value, axes: Sequence[int] = (-2, -1)) -> Value:
    """Return what is linear in a tangent or cotangent, with zeros where that is all zero and the result is not finite.

    Where the result is finite nothing is hidden, so that its own derivative by the seed is there, also at zero.

    Args:
        site: whose rule it is.
        seed: the tangent or cotangent.
        result: what came of it.
        axes: those, counted from the last, over which a result depends on the seed: of matrices, or of columns.
    """
    if not site.strong_zeros:
        return result
    last = tuple([len(result.shape) + axis for axis in axes])
    seeded = amax(_abs(seed), tuple([len(seed.shape) + axis for axis in axes]), keep=True)
    return _where(_logical_or(seeded, amin(_isfinite(result), last, keep=True)), result, 0.0)


def _seeded_product(site: Site, seed: Value, factor: Value) -> Value:
    """Return the product of a tangent or cotangent with a matrix; its zeros hide what other systems came to."""
    return strong_product_of(seed, factor) if site.strong_zeros else matrix_product(seed, factor)


def _identity(beside: Value, extent: int) -> Value:
    return Value(beside.builder, beside.builder.constant(np.eye(extent)))


# Systems, general and triangular: right-hand sides are matrices here, batch axes broadcast.


def _systems_shape(operation: str) -> ShapeRule:
    def shape(_parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
        a, b = shapes
        _check_square(operation, a)
        if len(b) < _MATRIX_RANK or b[-2] != a[-1]:
            raise mismatch(a, b, operation=operation, problem="the matrix does not fit the right-hand side")
        return (*broadcast(operation, [a[:-2], b[:-2]]), *b[-2:])

    return shape


def _spread_systems(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return copies of matrices [..., n, n] and right-hand sides [..., n, m] with the same axes in front."""
    rank = max(a.ndim, b.ndim)
    a, b = (each.reshape(len(each), *(1,) * (rank - each.ndim), *each.shape[1:]) for each in (a, b))
    front = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return (
        np.broadcast_to(a, (*front, *a.shape[-2:])).copy(),
        np.broadcast_to(b, (*front, *b.shape[-2:])).copy(),
    )


def _eliminate(a: FloatArray, b: FloatArray, checkpoint: Checkpoint) -> None:
    """Bring matrices to upper triangular form in place, with row exchanges, right-hand sides along with them."""
    count = a.shape[-1]
    for column in range(count):
        checkpoint()
        pivot = column + np.argmax(np.abs(a[..., column:, column]), axis=-1)
        for each in (a, b):
            chosen = np.take_along_axis(each, pivot[..., np.newaxis, np.newaxis], axis=-2)
            np.put_along_axis(each, pivot[..., np.newaxis, np.newaxis], each[..., column : column + 1, :], axis=-2)
            each[..., column : column + 1, :] = chosen
        factor = a[..., column + 1 :, column : column + 1] / a[..., column : column + 1, column : column + 1]
        a[..., column + 1 :, :] -= factor * a[..., column : column + 1, :]
        b[..., column + 1 :, :] -= factor * b[..., column : column + 1, :]


def _substitute(
    a: FloatArray, b: FloatArray, checkpoint: Checkpoint, *, lower: bool, unit_diagonal: bool
) -> FloatArray:
    """Solve triangular systems in place of their right-hand sides, row by row."""
    count = a.shape[-1]
    for row in range(count) if lower else range(count - 1, -1, -1):
        checkpoint()
        done = slice(0, row) if lower else slice(row + 1, count)
        for column in range(*done.indices(count)):
            b[..., row, :] -= a[..., row, column, np.newaxis] * b[..., column, :]
        if not unit_diagonal:
            b[..., row, :] /= a[..., row, row, np.newaxis]
    return b


def _triangular_unrolled(emit: Emit) -> ArrayFunction:
    def solution(parameters: ParameterMap, a: FloatArray, b: FloatArray) -> FloatArray:
        matrices, sides = _spread_systems(a, b)
        lower, turned = bool(integer(parameters, "lower")), bool(integer(parameters, "transposed"))
        if turned:
            matrices = np.swapaxes(matrices, -1, -2)
        count = matrices.shape[-1]
        forward = lower != turned
        for row in range(count) if forward else range(count - 1, -1, -1):
            for column in range(row) if forward else range(row + 1, count):
                product = emit("multiply", matrices[..., row, column, np.newaxis], sides[..., column, :])
                sides[..., row, :] = emit("subtract", sides[..., row, :], product)
            if not integer(parameters, "unit_diagonal"):
                sides[..., row, :] = emit("divide", sides[..., row, :], matrices[..., row, row, np.newaxis])
        return sides

    return solution


def _solution_value(
    _parameters: ParameterMap, a: FloatArray, b: FloatArray, checkpoint: Checkpoint = never
) -> FloatArray:
    matrices, sides = _spread_systems(a, b)
    _eliminate(matrices, sides, checkpoint)
    return _substitute(matrices, sides, checkpoint, lower=False, unit_diagonal=False)


def _triangular_value(
    parameters: ParameterMap, a: FloatArray, b: FloatArray, checkpoint: Checkpoint = never
) -> FloatArray:
    matrices, sides = _spread_systems(a, b)
    lower, turned = bool(integer(parameters, "lower")), bool(integer(parameters, "transposed"))
    if turned:
        matrices = np.swapaxes(matrices, -1, -2)
    unit = bool(integer(parameters, "unit_diagonal"))
    return _substitute(matrices, sides, checkpoint, lower=lower != turned, unit_diagonal=unit)


def _solution_pullback(site: Site, cotangent: Value, wanted: Sequence[bool]) -> list[Value | None]:
    a, b = site.operands
    by_b = _where_seeded(site, cotangent, _SOLUTION.apply(matrix_transposed(a), cotangent), _COLUMN)
    by_a = None
    if wanted[0]:
        by_a = -_seeded_product(site, by_b, matrix_transposed(site.result))
    return [by_a and summed_to(by_a, site.leading, a.shape), summed_to(by_b, site.leading, b.shape)]


def _solution_pushforward(site: Site, tangents: Sequence[Value | None]) -> Value | None:
    side = _changed_side(site, tangents, tangents[0])
    return side and _where_seeded(site, side, _SOLUTION.apply(site.operands[0], side), _COLUMN)


def _changed_side(site: Site, tangents: Sequence[Value | None], by_a: Value | None) -> Value | None:
    """Return db - da x, whose solution is the tangent of x."""
    rank = len(site.result.shape)
    by_b = tangents[1] and broadcasted(aligned(tangents[1], site.leading, rank), site.leading + site.result.shape)
    if by_a is None:
        return by_b
    change = aligned(by_a, site.leading, rank)
    moved = _seeded_product(site, change, site.result)
    return -moved if by_b is None else by_b - moved


_SOLUTION = ArrayOperation(
    name="solution",
    summary="The solution of systems a x = b by Gaussian elimination with row exchanges.",
    signature="",
    least=2,
    most=2,
    shape=_systems_shape("solve"),
    value=_solution_value,
    interruptible=True,
    pullback=_solution_pullback,
    pushforward=_solution_pushforward,
    internal=True,
)


def _read_triangle(site: Site, x: Value) -> Value:
    """Return the part of a change of the matrix that a triangular system reads."""
    unit = bool(integer(site.parameters, "unit_diagonal"))
    return _triangle(x, lower=bool(integer(site.parameters, "lower")), diagonal=0.0 if unit else 1.0)


def _triangular_pullback(site: Site, cotangent: Value, wanted: Sequence[bool]) -> list[Value | None]:
    a, b = site.operands
    turned = bool(integer(site.parameters, "transposed"))
    solved = _TRIANGULAR_SOLUTION.apply(a, cotangent, **_with_transposed(site, turned=not turned))
    by_b = _where_seeded(site, cotangent, solved, _COLUMN)
    by_a = None
    if wanted[0]:
        product = _seeded_product(site, by_b, matrix_transposed(site.result))
        product = matrix_transposed(product) if turned else product
        by_a = summed_to(_read_triangle(site, -product), site.leading, a.shape)
    return [by_a, summed_to(by_b, site.leading, b.shape)]


def _with_transposed(site: Site, *, turned: bool) -> dict[str, int]:
    kept = {name: integer(site.parameters, name) for name in site.parameters if name != "transposed"}
    return {**kept, "transposed": 1} if turned else kept


def _triangular_pushforward(site: Site, tangents: Sequence[Value | None]) -> Value | None:
    by_a = tangents[0] and _read_triangle(site, tangents[0])
    if by_a is not None and integer(site.parameters, "transposed"):
        by_a = matrix_transposed(by_a)
    side = _changed_side(site, tangents, by_a)
    solved = side and _TRIANGULAR_SOLUTION.apply(site.operands[0], side, **site.parameters)
    return side and solved and _where_seeded(site, side, solved, _COLUMN)


_TRIANGULAR_SOLUTION = ArrayOperation(
    name="triangular_solution",
    summary="The solution of triangular systems by substitution.",
    signature="",
    least=2,
    most=2,
    parameters=_TRIANGULAR,
    shape=_systems_shape("solve_triangular"),
    value=_triangular_value,
    interruptible=True,
    unrolling=_triangular_unrolled,
    pullback=_triangular_pullback,
    pushforward=_triangular_pushforward,
    internal=True,
)

# What callers write: a right-hand side may be a vector.


def _solve_shape(operation: str) -> ShapeRule:
    rule = _systems_shape(operation)

    def shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
        a, b = shapes
        _check_square(operation, a)
        if len(b) != 1:
            return rule(parameters, shapes)
        if b[0] != a[-1]:
            raise mismatch(a, b, operation=operation, problem="the matrix does not fit the right-hand side")
        return (*a[:-2], *b)

    return shape


def _solved(row: ArrayOperation) -> Expansion:
    def expansion(site: Site) -> Value:
        a, b = site.operands
        side = reshaped(b, (*b.shape, 1)) if len(b.shape) == 1 else b
        return reshaped(row.apply(a, side, **site.parameters), site.result.shape)

    return expansion


def _inverse(site: Site) -> Value:
    (a,) = site.operands
    return broadcasted(_SOLUTION.apply(a, _identity(a, a.shape[-1])), a.shape)


# The Cholesky factor.


def _cholesky_value(_parameters: ParameterMap, a: FloatArray, checkpoint: Checkpoint = never) -> FloatArray:
    factor = np.tril(a)
    for column in range(a.shape[-1]):
        checkpoint()
        for before in range(column):
            factor[..., column:, column] -= factor[..., column:, before] * factor[..., column, before, np.newaxis]
        factor[..., column, column] = np.sqrt(factor[..., column, column])
        factor[..., column + 1 :, column] /= factor[..., column, column, np.newaxis]
    return factor


def _cholesky_unrolled(emit: Emit) -> ArrayFunction:
    def cholesky(_parameters: ParameterMap, a: FloatArray) -> FloatArray:
        factor = np.tril(a)
        for column in range(a.shape[-1]):
            below = factor[..., column:, column]
            for before in range(column):
                product = emit("multiply", factor[..., column:, before], factor[..., column, before, np.newaxis])
                below[...] = emit("subtract", below, product)
            below[..., 0] = emit("sqrt", below[..., 0])
            below[..., 1:] = emit("divide", below[..., 1:], below[..., :1])
        return factor

    return cholesky


def _cholesky_back(site: Site, cotangent: Value) -> Value | None:
    """Return the triangle that is read of s + s^T, with s = L^-T P L^-1 and P = the lower half of L^T g."""
    factor = site.result
    half = _triangle(matrix_product(matrix_transposed(factor), cotangent), lower=True, diagonal=0.5)
    left = _TRIANGULAR_SOLUTION.apply(factor, half, lower=1, transposed=1)
    full = matrix_transposed(_TRIANGULAR_SOLUTION.apply(factor, matrix_transposed(left), lower=1, transposed=1))
    change = _triangle(full + matrix_transposed(full), lower=True, diagonal=0.5)
    return _where_seeded(site, cotangent, change)


def _cholesky_forward(site: Site, tangent: Value) -> Value | None:
    """Return L times the lower half of L^-1 da L^-T, with da the symmetric matrix whose lower triangle is read."""
    factor = site.result
    change = _triangle(tangent, lower=True, diagonal=1.0)
    symmetric = change + matrix_transposed(_triangle(tangent, lower=True, diagonal=0.0))
    left = _TRIANGULAR_SOLUTION.apply(factor, symmetric, lower=1)
    both = _TRIANGULAR_SOLUTION.apply(factor, matrix_transposed(left), lower=1)
    return _where_seeded(site, change, matrix_product(factor, _triangle(both, lower=True, diagonal=0.5)))


_CHOLESKY = ArrayOperation(
    name="cholesky",
    summary="The lower triangular L with L L^T = a, by its lower triangle; NaN unless a is positive definite.",
    signature="cholesky(a)",
    result="that of a",
    shape=_square_shape("cholesky"),
    value=_cholesky_value,
    interruptible=True,
    unrolling=_cholesky_unrolled,
    pullback=pulling(_cholesky_back),
    pushforward=pushing(_cholesky_forward),
    convention="by the lower triangle, which is what is read",
    source="I. Murray, Differentiation of the Cholesky decomposition, 2016",
)

# The logarithm of a determinant.


def _log_determinant_shape(_parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    _check_square("logdet", shapes[0])
    return shapes[0][:-2]


def _log_determinant_value(_parameters: ParameterMap, a: FloatArray, checkpoint: Checkpoint = never) -> FloatArray:
    matrices, sides = _spread_systems(a, np.zeros((*a.shape[:-1], 0)))
    _eliminate(matrices, sides, checkpoint)
    diagonal = np.diagonal(matrices, axis1=-2, axis2=-1)
    result: FloatArray = np.log(np.abs(diagonal)).sum(axis=-1)
    return result


def _inverse_transposed(site: Site) -> Value:
    (a,) = site.operands
    return _SOLUTION.apply(matrix_transposed(a), broadcasted(_identity(a, a.shape[-1]), a.shape))


def _log_determinant_back(site: Site, cotangent: Value) -> Value | None:
    (a,) = site.operands
    seed = broadcasted(reshaped(cotangent, (*cotangent.shape, 1, 1)), site.leading + a.shape)
    return site.scale(seed, _inverse_transposed(site))


def _log_determinant_forward(site: Site, tangent: Value) -> Value | None:
    term = site.scale(tangent, _inverse_transposed(site))
    return term and summed(term, (len(term.shape) - 2, len(term.shape) - 1))


OPERATIONS = (
    _SOLUTION,
    _TRIANGULAR_SOLUTION,
    _CHOLESKY,
    ArrayOperation(
        name="solve",
        summary="The solution x of a x = b, for a vector or a matrix b.",
        signature="solve(a, b)",
        result="that of b, with the batch axes of a",
        least=2,
        most=2,
        shape=_solve_shape("solve"),
        expansion=_solved(_SOLUTION),
    ),
    ArrayOperation(
        name="solve_triangular",
        summary="The solution x of a x = b, or of its transpose, that reads one triangle of a only.",
        signature="solve_triangular(a, b, lower=False, transposed=False, unit_diagonal=False)",
        result="that of b, with the batch axes of a",
        least=2,
        most=2,
        parameters=_TRIANGULAR,
        shape=_solve_shape("solve_triangular"),
        expansion=_solved(_TRIANGULAR_SOLUTION),
    ),
    ArrayOperation(
        name="inverse",
        summary="The inverse of a square matrix.",
        signature="inverse(a)",
        result="that of a",
        shape=_square_shape("inverse"),
        expansion=_inverse,
        aliases=("inv",),
    ),
    ArrayOperation(
        name="logdet",
        summary="The logarithm of the absolute value of the determinant.",
        signature="logdet(a)",
        result="that of a without the last two axes",
        shape=_log_determinant_shape,
        value=_log_determinant_value,
        interruptible=True,
        pullback=pulling(_log_determinant_back),
        pushforward=pushing(_log_determinant_forward),
    ),
)
