"""What formulas of arrays compute, against NumPy's own evaluation of the same expression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.formula.functions import SIGNATURES
from gradmill_server.engine.ir import Input

from tests.engine.formula.reading import compute, read, refusal

Array = npt.NDArray[np.float64]


class Point(NamedTuple):
    """Values of the declared inputs."""

    x: Array
    y: Array
    z: Array
    t: Array
    a: Array
    s: Array


def _point() -> Point:
    random = np.random.default_rng(7)
    shapes = {"x": (3, 4), "y": (4,), "z": (3,), "t": (2, 3, 4), "s": ()}
    values = {name: np.asarray(random.normal(size=shape)) for name, shape in shapes.items()}
    factor = random.normal(size=(3, 3))
    return Point(**values, a=factor @ factor.T + np.eye(3))


POINT = _point()
INPUTS = [Input(name, value.shape) for name, value in POINT._asdict().items()]
VALUES: Mapping[str, Array] = POINT._asdict()


def _stretched(x: Array) -> Array:
    """Return exponentials that add up to 1 in each row."""
    powers = np.exp(x)
    stretched: Array = powers / powers.sum(-1, keepdims=True)
    return stretched


CASES: list[tuple[str, Callable[[Point], Any]]] = [
    # Element-wise functions and operators broadcast.
    ("x*y + z[:, None]", lambda p: p.x * p.y + p.z[:, None]),
    ("exp(x)/(1 + s)", lambda p: np.exp(p.x) / (1 + p.s)),
    ("where(x > 0, x, y)", lambda p: np.where(p.x > 0, p.x, p.y)),
    ("0 < x < y", lambda p: (p.x > 0) & (p.x < p.y)),
    ("-x**2", lambda p: -(p.x**2)),
    ("x//y % 1", lambda p: p.x // p.y % 1),
    # Arrays of values and of numbers.
    ("[1, 2, -3]", lambda _p: np.array([1, 2, -3])),
    ("[[1, 0], [0, -pi], [inf, 2e3]]", lambda _p: np.array([[1, 0], [0, -np.pi], [np.inf, 2e3]])),
    ("[[[1], [2]]]", lambda _p: np.array([[[1], [2]]])),
    ("[s, s + 1, 2]", lambda p: np.array([p.s, p.s + 1, 2])),
    ("[[s, 1], [0, s]]", lambda p: np.array([[p.s, 1], [0, p.s]])),
    ("[x, 2*x,]", lambda p: np.array([p.x, 2 * p.x])),
    ("[-[1, 2], [3, 4]]", lambda _p: np.array([[-1, -2], [3, 4]])),
    ("[x[0, 0], y[1]][1]", lambda p: p.y[1]),
    ("np.array([[1, 2], [3, 4]]) @ [1, s]", lambda p: np.array([[1, 2], [3, 4]]) @ np.array([1, p.s])),
    ("zeros((2, 3)) + ones(3) + full((2, 1), -1.5)", lambda _p: np.zeros((2, 3)) + np.ones(3) - 1.5),
    ("eye(3) + eye(3, 3, 1) + np.eye(3, k=-1)", lambda _p: np.eye(3) + np.eye(3, k=1) + np.eye(3, k=-1)),
    ("eye(2, 3)", lambda _p: np.eye(2, 3)),
    ("arange(4)", lambda _p: np.arange(4.0)),
    ("arange(1, 4)", lambda _p: np.arange(1.0, 4)),
    ("arange(1, -1, step=-0.25)", lambda _p: np.arange(1, -1, -0.25)),
    ("linspace(0, 1, 5)", lambda _p: np.linspace(0, 1, 5)),
    ("linspace(-pi, pi, num=7)", lambda _p: np.linspace(-np.pi, np.pi, 7)),
    ("zeros(())", lambda _p: np.zeros(())),
    # Matrix products bind like products of numbers.
    ("x @ y", lambda p: p.x @ p.y),
    ("z @ x @ y", lambda p: p.z @ p.x @ p.y),
    ("2*a @ x", lambda p: 2 * p.a @ p.x),
    ("a @ x*2", lambda p: p.a @ p.x * 2),
    ("-a @ z**2", lambda p: -p.a @ p.z**2),
    ("a @ -z + z", lambda p: p.a @ -p.z + p.z),
    ("t @ y", lambda p: p.t @ p.y),
    ("matmul(x.T, a)", lambda p: p.x.T @ p.a),
    ("dot(x, y) + np.dot(s, z)", lambda p: np.dot(p.x, p.y) + np.dot(p.s, p.z)),
    ("outer(z, x)", lambda p: np.outer(p.z, p.x)),
    ("einsum('ij,j->i', x, y)", lambda p: np.einsum("ij,j->i", p.x, p.y)),
    ('einsum(" ji , jk ", x, a)', lambda p: np.einsum("ji,jk", p.x, p.a)),
    ("einsum('kij,kij', t, t)", lambda p: np.einsum("kij,kij", p.t, p.t)),
    ("einsum('ii', a)", lambda p: np.einsum("ii", p.a)),
    ("einsum('ij->ji', x)", lambda p: np.einsum("ij->ji", p.x)),
    # Reductions.
    ("sum(x)", lambda p: p.x.sum()),
    ("sum(s) + sum([s, 1])", lambda p: 2 * p.s + 1),
    ("sum(x, axis=None)", lambda p: p.x.sum()),
    ("sum(x, 0)", lambda p: p.x.sum(0)),
    ("sum(x, axis=-1, keepdims=True)", lambda p: p.x.sum(-1, keepdims=True)),
    ("sum(t, axis=(0, -1))", lambda p: p.t.sum((0, -1))),
    ("sum(t, axis=[2, 0], keepdims=False)", lambda p: p.t.sum((0, 2))),
    ("mean(x, axis=(1,))", lambda p: p.x.mean(1)),
    ("np.prod(x, axis=0)", lambda p: p.x.prod(0)),
    ("max(x) - min(x)", lambda p: p.x.max() - p.x.min()),
    ("max(x, axis=1)*min(x, axis=1)", lambda p: p.x.max(1) * p.x.min(1)),
    ("max(x, 0)", lambda p: np.maximum(p.x, 0)),
    ("amax(t, axis=(1, 2)) + amin(t, (1, 2))", lambda p: p.t.max((1, 2)) + p.t.min((1, 2))),
    ("max([s, y[0], 0])", lambda p: max(p.s, p.y[0], 0.0)),
    ("any(x > 1, axis=0) + all(x < 1, axis=0)", lambda p: (p.x > 1).any(0) + (p.x < 1).all(0)),
    ("logsumexp(x, axis=0)", lambda p: np.log(np.exp(p.x).sum(0))),
    ("norm(x)", lambda p: np.linalg.norm(p.x)),
    ("np.linalg.norm(x, axis=1, keepdims=True)", lambda p: np.linalg.norm(p.x, axis=1, keepdims=True)),
    ("var(x) + var(x, axis=0, ddof=1)", lambda p: p.x.var() + p.x.var(0, ddof=1)),
    ("np.std(x, 1, ddof=1, keepdims=True)", lambda p: p.x.std(1, ddof=1, keepdims=True)),
    ("argmax(x) + argmin(x)", lambda p: p.x.argmax() + p.x.argmin()),
    ("argmax(x, axis=-1)", lambda p: p.x.argmax(-1)),
    ("trace(a) + trace(x)", lambda p: np.trace(p.a) + np.trace(p.x)),
    # Along an axis.
    ("softmax(x)", lambda p: _stretched(p.x)),
    ("softmax(x, axis=0)", lambda p: _stretched(p.x.T).T),
    ("log_softmax(y)", lambda p: np.log(_stretched(p.y))),
    ("scipy.special.softmax(y) + scipy.special.softmax(x, axis=1)", lambda p: _stretched(p.y) + _stretched(p.x)),
    ("cumsum(x)", lambda p: p.x.cumsum()),
    ("cumsum(y) + cumprod(y)", lambda p: p.y.cumsum() + p.y.cumprod()),
    ("cumsum(s)", lambda p: p.s.cumsum()),
    ("cumsum(x, axis=1)", lambda p: p.x.cumsum(1)),
    ("diff(x)", lambda p: np.diff(p.x)),
    ("diff(x, n=2, axis=0)", lambda p: np.diff(p.x, n=2, axis=0)),
    ("diff(x, 0)", lambda p: p.x),
    ("sort(x) + argsort(x, axis=0)", lambda p: np.sort(p.x) + np.argsort(p.x, axis=0)),
    ("sort(x, axis=None)", lambda p: np.sort(p.x, axis=None)),
    # Shapes.
    ("reshape(x, (2, 6))", lambda p: p.x.reshape(2, 6)),
    ("reshape(x, (2, -1, 3))", lambda p: p.x.reshape(2, -1, 3)),
    ("reshape(x, -1)", lambda p: p.x.reshape(-1)),
    ("reshape(x[:1, :1], ())", lambda p: p.x[0, 0]),
    ("ravel(x)", lambda p: p.x.ravel()),
    ("x.T", lambda p: p.x.T),
    ("t.T[0]", lambda p: p.t.T[0]),
    ("(x + y).T @ z.T", lambda p: (p.x + p.y).T @ p.z.T),
    ("exp(x).T**2", lambda p: np.exp(p.x).T ** 2),
    ("-x .T", lambda p: -p.x.T),
    ("transpose(t)", lambda p: p.t.transpose()),
    ("transpose(t, (1, 0, -1))", lambda p: p.t.transpose(1, 0, 2)),
    ("transpose(x, axes=[1, 0])", lambda p: p.x.T),
    ("swapaxes(t, 0, -1)", lambda p: p.t.swapaxes(0, -1)),
    ("moveaxis(t, 0, -1) + moveaxis(moveaxis(t, 2, 0), -1, 0)*0", lambda p: np.moveaxis(p.t, 0, -1)),
    ("broadcast_to(y, (3, 4))", lambda p: np.broadcast_to(p.y, (3, 4))),
    ("broadcast_to(s, 2)", lambda p: np.broadcast_to(p.s, 2)),
    ("expand_dims(z, 0)", lambda p: np.expand_dims(p.z, 0)),
    ("expand_dims(z, axis=(0, -1))", lambda p: np.expand_dims(p.z, (0, -1))),
    ("squeeze(x[:1, None])", lambda p: p.x[0]),
    ("squeeze(x[:1, None], axis=-2)", lambda p: p.x[:1]),
    ("concatenate([x, 2*x], axis=1)", lambda p: np.concatenate([p.x, 2 * p.x], 1)),
    ("concatenate((y, z, [1, 2]))", lambda p: np.concatenate([p.y, p.z, [1, 2]])),
    ("concatenate([x])", lambda p: p.x),
    ("concatenate([x, y], axis=None)", lambda p: np.concatenate([p.x, p.y], axis=None)),
    ("stack([z, 2*z], axis=-1)", lambda p: np.stack([p.z, 2 * p.z], -1)),
    ("flip(x) + flip(x, axis=0) + flip(x, (1,))", lambda p: np.flip(p.x) + np.flip(p.x, 0) + np.flip(p.x, 1)),
    ("repeat(x, 2)", lambda p: np.repeat(p.x, 2)),
    ("repeat(x, 2, axis=0)", lambda p: np.repeat(p.x, 2, axis=0)),
    ("tile(x, (2, 1))", lambda p: np.tile(p.x, (2, 1))),
    ("tile(y, reps=(2, 3))", lambda p: np.tile(p.y, (2, 3))),
    ("tile(x, 2)", lambda p: np.tile(p.x, 2)),
    ("take(x, [0, 2], axis=0)", lambda p: np.take(p.x, [0, 2], axis=0)),
    ("take(x, [[0, -1], [1, 1]], axis=1)", lambda p: np.take(p.x, [[0, -1], [1, 1]], axis=1)),
    ("take(x, (11, -12))", lambda p: np.take(p.x, (11, -12))),
    ("take(x, 1, axis=1)", lambda p: np.take(p.x, 1, axis=1)),
    ("diag(z) + diag(a)", lambda p: np.diag(p.z) + np.diag(p.a)),
    ("diag(y, -1)[1:, :-1] + diag(x @ x.T, k=1)[0]", lambda p: np.diag(p.y) + (p.x @ p.x.T)[0, 1]),
    # Matrices.
    ("solve(a, z)", lambda p: np.linalg.solve(p.a, p.z)),
    ("numpy.linalg.solve(a, x)", lambda p: np.linalg.solve(p.a, p.x)),
    ("np.linalg.inv(a) @ x", lambda p: np.linalg.inv(p.a) @ p.x),
    ("inverse(a)", lambda p: np.linalg.inv(p.a)),
    ("np.linalg.cholesky(a)", lambda p: np.linalg.cholesky(p.a)),
    ("logdet(a)", lambda p: np.linalg.slogdet(p.a)[1]),
    ("solve_triangular(a, z, lower=True)", lambda p: np.linalg.solve(np.tril(p.a), p.z)),
    ("solve_triangular(a, z, lower=True, transposed=True)", lambda p: np.linalg.solve(np.tril(p.a).T, p.z)),
    ("solve_triangular(a, z, trans=1)", lambda p: np.linalg.solve(np.triu(p.a).T, p.z)),
    ("solve_triangular(a, z, unit_diagonal=True)", lambda p: np.linalg.solve(np.triu(p.a, 1) + np.eye(3), p.z)),
]
"""Formulas of x (3, 4), y (4,), z (3,), t (2, 3, 4), s () and a positive definite matrix a (3, 3)."""


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_value(text: str, expected: Callable[[Point], Any]) -> None:
    """A formula of arrays has the shape and the elements that NumPy gives the same expression."""
    graph = read(text, INPUTS)
    value = compute(graph, VALUES)["value"]
    reference = np.asarray(expected(POINT), dtype=np.float64)
    assert value.shape == reference.shape == graph.nodes.shape(graph.outputs[0].node)
    np.testing.assert_allclose(value, reference, rtol=1e-12, atol=1e-13)


def test_rosenbrock_of_a_hundred_variables() -> None:
    """Rosenbrock's function of one vector is what NumPy makes of the same text."""
    text = "sum(100*(x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)"
    x = np.random.default_rng(1).normal(size=100)
    expected = np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    np.testing.assert_allclose(compute(read(text, [Input("x", (100,))]), {"x": x})["value"], expected, rtol=1e-13)


def test_several_statements() -> None:
    """Arrays are named, used again and returned like numbers."""
    text = "residuals = a @ z - x[:, 0]\nloss = sum(residuals**2)/2  # half the squares\nreturn loss, residuals"
    outputs = compute(read(text, INPUTS), VALUES)
    residuals = POINT.a @ POINT.z - POINT.x[:, 0]
    np.testing.assert_allclose(outputs["residuals"], residuals, rtol=1e-13)
    np.testing.assert_allclose(outputs["loss"], np.sum(residuals**2) / 2, rtol=1e-13)


def test_every_array_operation_can_be_called() -> None:
    """Every public operation on arrays, and each of its aliases, is a function; a slice is written as an index."""
    names = {name for name, row in ops.FUNCTION_NAMES.items() if row.name in ops.ARRAYS}
    assert names - SIGNATURES.keys() == {"slice"}


SHOWN = [row for row in ops.ARRAYS.values() if row.signature.startswith((f"{row.name}(x", f"{row.name}(a"))]


@pytest.mark.parametrize("row", SHOWN, ids=lambda row: row.name)
def test_signatures_are_those_shown(row: ops.ArrayOperation) -> None:
    """The arguments that the table of operations shows are those that formulas take, by the same names and defaults."""
    shown = row.signature.removeprefix(f"{row.name}(").removesuffix(")").split(", ")
    taken = str(SIGNATURES[row.name]).split(", ")
    assert sorted(shown) == sorted(entry for entry in taken if entry != "*")


MISTAKES = [
    ("x + z", 3, "add", "(3, 4) and (3,)", "cannot broadcast shapes (3, 4) and (3,)"),
    ("x @ z", 3, "matmul", "(3, 4) and (3,)", "(3, 4) and (3,)"),
    ("1 + dot(x, z)", 5, "dot", "(3, 4) and (3,)", "(3, 4) and (3,)"),
    ("np.linalg.solve(x, z)", 1, "solve", "(3, 4) and (3,)", "(3, 4)"),
    ("[x, y]", 1, "stack", "(3, 4) and (4,)", "(3, 4) and (4,)"),
    ("[[1, 2], [3]]", 1, "stack", "(2,) and (1,)", "(2,) and (1,)"),
    ("y + [[s], [s, s]]", 5, "stack", "(1,) and (2,)", "(1,) and (2,)"),
    ("concatenate([x, y])", 1, "concatenate", "(3, 4) and (4,)", "(3, 4) and (4,)"),
    ("y*broadcast_to(x, (4, 3))", 3, "broadcast_to", "(3, 4)", "(4, 3)"),
    ("reshape(x, (5, 2))", 1, "reshape", "(3, 4) and (5, 2)", "reshape cannot make shape (5, 2) of shape (3, 4)"),
    ("reshape(x, (5, -1))", 1, "reshape", "(3, 4) and (5, -1)", "reshape cannot make shape (5, -1) of shape (3, 4)"),
    ("einsum('ij,i->j', x, y)", 1, "einsum", "(3, 4) and (4,)", "(3, 4) and (4,)"),
    ("cholesky(x)", 1, "cholesky", "(3, 4)", "(3, 4)"),
    ("x[[0, 1], [0, 1, 2]]", 2, "indexing", "(2,) and (3,)", "(2,) and (3,)"),
]


@pytest.mark.parametrize(("text", "column", "operation", "shapes", "message"), MISTAKES)
def test_shape_mistake(text: str, column: int, operation: str, shapes: str, message: str) -> None:
    """Shapes that do not fit are refused with the operation, the shapes, line, column and caret."""
    error = refusal(text, INPUTS)
    head, _, caret = error.message.split("\n")
    assert error.reason == "FORMULA_SHAPE"
    assert error.metadata == {"line": "1", "column": str(column), "operation": operation, "shapes": shapes}
    assert operation in head
    assert message in head
    assert caret == " " * (column + 1) + "^"
