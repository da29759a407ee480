"""A branch that is not taken contributes exactly nothing, also through products of matrices and factorisations (R2)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.ir import Input
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Options, compile_program
from gradmill_server.engine.wants import Kind, resolve_want

from tests.engine.building import LIMITS, function, no_checkpoint, number

MATRIX = Input("a", (3, 3))


def call(name: str, *operands: Value) -> Value:
    """Apply an array operation without parameters."""
    return ops.ARRAYS[name].apply(*operands)


def total(x: Value) -> Value:
    """Return the sum of all elements."""
    return ops.ARRAYS["sum"].apply(x, axes=tuple(range(len(x.shape))))


DEAD: dict[str, Callable[[Value], Value]] = {
    "product": lambda a: total(call("matmul", apply("log", a), a)),
    "product with a vector": lambda a: total(call("matmul", a / 0.0, total(a) * ops.ARRAYS["trace"].apply(a) * a)),
    "cholesky": lambda a: total(call("cholesky", a)),
    "solve": lambda a: total(call("solve", a - a, a)),
    "solve_triangular": lambda a: total(call("solve_triangular", a - a, a)),
    "inverse": lambda a: total(call("inverse", a - a)),
    "logdet": lambda a: call("logdet", a - a),
    "logsumexp": lambda a: ops.ARRAYS["logsumexp"].apply(a / 0.0, axes=(0, 1)),
    "norm": lambda a: ops.ARRAYS["norm"].apply(a / 0.0, axes=(0, 1)),
    "amax": lambda a: ops.ARRAYS["amax"].apply(apply("log", a), axes=(0, 1)),
    "std": lambda a: ops.ARRAYS["std"].apply(apply("log", a), axes=(0, 1)),
    "prod": lambda a: ops.ARRAYS["prod"].apply(apply("log", a), axes=(0, 1)),
}
"""Scalars of a matrix that are not finite, or have no finite derivative, at a matrix of negative numbers and zeros."""


@pytest.mark.parametrize("name", DEAD)
@pytest.mark.parametrize("kind", [Kind.GRADIENT, Kind.JVP, Kind.HESSIAN, Kind.HVP])
def test_a_dead_branch_does_not_poison(name: str, kind: Kind) -> None:
    """First and second derivatives of where(0, bad, a[0, 0]**2), in either mode, are those of the square."""

    def masked(a: Value) -> Value:
        corner = ops.ARRAYS["slice"].apply(a, starts=(0, 0), counts=(1, 1), steps=(1, 1))
        first = total(corner)
        return apply("where", apply("greater", first, 0.0), DEAD[name](a), first * first)

    graph = function(masked, MATRIX)
    directions = 1 if kind in {Kind.JVP, Kind.HVP} else 0
    program = compile_program(graph, (resolve_want(graph, kind, (), (), directions=directions),), Options(), LIMITS)
    point = np.array([[-2.0, 0.0, -1.0, 0.0, -3.0, 0.0, -1.0, 0.0, -1.0]])
    tangents = [{"a": np.ones((1, 1, 3, 3))}] * directions
    (results,) = program.evaluate(PointBatch.from_matrix(graph.inputs, point), LIMITS, no_checkpoint, tangents).arrays
    corner = np.eye(9)[0]
    expected = {
        Kind.GRADIENT: -4.0 * corner,
        Kind.JVP: np.array([-4.0]),
        Kind.HESSIAN: 2.0 * np.outer(corner, corner),
        Kind.HVP: 2.0 * corner[np.newaxis],
    }
    np.testing.assert_array_equal(results[0].array[0], expected[kind])


SYSTEMS: dict[str, Callable[[Value, Value], Value]] = {
    "solve": lambda a, b: call("solve", a, b),
    "solve_triangular": lambda a, b: ops.ARRAYS["solve_triangular"].apply(a, b, lower=1),
    "solve_triangular, transposed": lambda a, b: ops.ARRAYS["solve_triangular"].apply(a, b, transposed=1),
    "product": lambda a, b: call("matmul", a, b),
}
"""What is done with each column of the second operand by itself."""


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("kind", [Kind.GRADIENT, Kind.JVP, Kind.HESSIAN, Kind.HVP])
def test_a_right_hand_side_that_is_hidden_does_not_poison(name: str, kind: Kind) -> None:
    """Derivatives of the solutions that are looked at do not depend on what another right-hand side holds."""

    def masked(a: Value, b: Value) -> Value:
        solutions = SYSTEMS[name](a, b)
        shown = apply("where", number(a, [[1.0, 0.0]]), solutions, 0.0)
        return total(shown * shown)

    graph = function(masked, MATRIX, Input("b", (3, 2)))
    directions = 1 if kind in {Kind.JVP, Kind.HVP} else 0
    program = compile_program(graph, (resolve_want(graph, kind, (), (), directions=directions),), Options(), LIMITS)
    a = [4.0, 1.0, -1.0, 0.5, 3.0, 1.0, 2.0, -1.0, 5.0]
    hidden = [[0.3, -0.4, 0.5], [math.nan, math.inf, -math.inf]]
    points = np.array([[*a, 1.0, first, 2.0, second, -1.0, third] for first, second, third in hidden])
    moved = [{"a": np.ones((1, 1, 3, 3)), "b": np.ones((1, 1, 3, 2))}] * directions
    (results,) = program.evaluate(PointBatch.from_matrix(graph.inputs, points), LIMITS, no_checkpoint, moved).arrays
    ordinary, awkward = results[0].array
    assert np.isfinite(ordinary).all()
    np.testing.assert_allclose(awkward, ordinary, rtol=1e-13, atol=1e-13)


LINEAR: dict[str, Callable[[Value], Value]] = {
    "cholesky": lambda a: total(call("cholesky", a)),
    "inverse": lambda a: total(call("inverse", a)),
    "logdet": lambda a: call("logdet", a),
    "solve": lambda a: total(call("solve", a, a * a)),
    "solve_triangular": lambda a: total(ops.ARRAYS["solve_triangular"].apply(a, a * a, lower=1, transposed=1)),
    "product": lambda a: total(call("matmul", a, a * a)),
    "norm": lambda a: ops.ARRAYS["norm"].apply(a, axes=(0, 1)),
    "logsumexp": lambda a: ops.ARRAYS["logsumexp"].apply(a, axes=(0, 1)),
    "softmax": lambda a: total(apply("square", ops.ARRAYS["softmax"].apply(a, axis=0))),
    "prod": lambda a: ops.ARRAYS["prod"].apply(a, axes=(0, 1)),
    "std": lambda a: ops.ARRAYS["std"].apply(a, axes=(0, 1)),
    "amax": lambda a: ops.ARRAYS["amax"].apply(a, axes=(0, 1)),
}
"""Scalars of a matrix."""

SECOND_ORDER = ((Kind.GRADIENT, 0), (Kind.HESSIAN, 0), (Kind.HVP, 9))
"""Kinds, and their numbers of directions."""


@pytest.mark.parametrize("name", LINEAR)
def test_a_factor_of_zero_hides_no_second_derivative(name: str) -> None:
    """At x = 0 the adjoint of f(a) in x * f(a) is zero, but its own derivative by x is the gradient of f."""
    graph = function(lambda x, a: x * LINEAR[name](a), "x", MATRIX)
    wants = tuple(resolve_want(graph, kind, (), (), directions=count) for kind, count in SECOND_ORDER)
    program = compile_program(graph, wants, Options(), LIMITS)
    points = np.array([[x, 4.0, 1.0, -1.0, 1.0, 3.0, 0.5, -1.0, 0.5, 5.0] for x in (0.0, 1.0)])
    unit = [{"x": np.zeros((1, 9)), "a": np.eye(9).reshape(1, 9, 3, 3)}]
    gradients, hessians, products = program.evaluate(
        PointBatch.from_matrix(graph.inputs, points), LIMITS, no_checkpoint, unit
    ).arrays
    slope = gradients[0].array[1, 1:]
    at_zero = hessians[0].array[0]
    np.testing.assert_allclose(at_zero[0, 1:], slope, rtol=1e-13)
    np.testing.assert_allclose(at_zero[1:, 0], slope, rtol=1e-13)
    np.testing.assert_allclose(products[0].array[0][:, 0], slope, rtol=1e-13)
