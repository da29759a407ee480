"""Arrays in traced Python: NumPy's values from a server inside the process, and the digest of the same formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gradmill as gm
import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[np.float64]
SHAPES = {"A": (3, 3), "B": (3, 4), "v": (3,), "w": (4,), "s": (), "T": (2, 3, 4)}


def log_sum_exp(x: Array, axis: int | None = None) -> Array:
    """Return the logarithm of a sum of exponentials of moderate numbers."""
    result: Array = np.log(np.exp(x).sum(axis))
    return result


def soft_max(x: Array, axis: int = -1) -> Array:
    """Return exponentials of moderate numbers, divided by their sum."""
    result: Array = np.exp(x) / np.exp(x).sum(axis, keepdims=True)
    return result


NUMPY = SimpleNamespace(
    **{name: getattr(np, name) for name in np.__all__},
    norm=np.linalg.norm,
    solve=np.linalg.solve,
    inv=np.linalg.inv,
    cholesky=np.linalg.cholesky,
    logdet=lambda a: np.linalg.slogdet(a)[1],
    logsumexp=log_sum_exp,
    softmax=soft_max,
    log_softmax=lambda x, axis=-1: np.log(soft_max(x, axis)),
    solve_triangular=lambda a, b, *, lower: np.linalg.solve(np.tril(a) if lower else np.triu(a), b),
)
"""NumPy under the names that gradmill has them by."""

SPELLINGS: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("sum(A)", lambda m, x: m.sum(x.A)),
    ("sum(A, axis=0) @ v", lambda _, x: x.A.sum(axis=0) @ x.v),
    ("mean(T, axis=(0, -1))", lambda m, x: m.mean(x.T, axis=(0, -1))),
    ("var(B, axis=1, ddof=1)", lambda m, x: m.var(x.B, axis=1, ddof=1)),
    ("std(v)", lambda m, x: m.std(x.v)),
    ("prod(B, axis=0, keepdims=True)", lambda m, x: m.prod(x.B, axis=0, keepdims=True)),
    ("amax(T, axis=1) - amin(T)", lambda m, x: m.amax(x.T, axis=1) - m.amin(x.T)),
    ("max(v) + min(w)", lambda _, x: x.v.max() + x.w.min()),
    ("any(v > 0.5) + all(w < 0.9)", lambda m, x: m.any(x.v > 0.5) + m.all(x.w < 0.9)),
    ("norm(B, axis=0)", lambda m, x: m.norm(x.B, axis=0)),
    ("norm(A)", lambda m, x: m.norm(x.A)),
    ("logsumexp(B, axis=-1)", lambda m, x: m.logsumexp(x.B, axis=-1)),
    ("softmax(B) + log_softmax(B, axis=0)", lambda m, x: m.softmax(x.B) + m.log_softmax(x.B, axis=0)),
    ("argmax(w) + argmin(B, axis=1)", lambda m, x: m.argmax(x.w) + m.argmin(x.B, axis=1)),
    ("cumsum(B) * s", lambda m, x: m.cumsum(x.B) * x.s),
    ("cumprod(B, axis=1)", lambda m, x: m.cumprod(x.B, axis=1)),
    ("diff(w, 2)", lambda m, x: m.diff(x.w, 2)),
    ("sort(T) + argsort(T, axis=0)", lambda m, x: m.sort(x.T) + m.argsort(x.T, axis=0)),
    ("reshape(T, (4, -1)) @ ravel(T)[:6]", lambda m, x: m.reshape(x.T, (4, -1)) @ m.ravel(x.T)[:6]),
    ("transpose(T, (2, 0, 1)) + w[:, None, None]", lambda m, x: m.transpose(x.T, (2, 0, 1)) + x.w[:, None, None]),
    ("B.T @ A @ B", lambda _, x: np.transpose(x.B) @ x.A @ x.B if isinstance(x.B, np.ndarray) else x.B.T @ x.A @ x.B),
    ("swapaxes(T, 0, 2) + moveaxis(T, 0, -1)[0, 0]", lambda m, x: m.swapaxes(x.T, 0, 2) + m.moveaxis(x.T, 0, -1)[0, 0]),
    ("squeeze(expand_dims(v, 0)) * v", lambda m, x: m.squeeze(m.expand_dims(x.v, 0)) * x.v),
    ("broadcast_to(w, (3, 4)) - B", lambda m, x: m.broadcast_to(x.w, (3, 4)) - x.B),
    ("concatenate([v, w]) * 2", lambda m, x: m.concatenate([x.v, x.w]) * 2),
    ("concatenate([A, B], axis=1)", lambda m, x: m.concatenate([x.A, x.B], axis=1)),
    ("stack([v, 2*v], axis=1)", lambda m, x: m.stack([x.v, 2 * x.v], axis=1)),
    ("flip(B, axis=1) + flip(B)", lambda m, x: m.flip(x.B, axis=1) + m.flip(x.B)),
    ("repeat(v, 2) + tile(v, 2)", lambda m, x: m.repeat(x.v, 2) + m.tile(x.v, 2)),
    ("take(B, [[3, 0], [1, 1]], axis=1)", lambda m, x: m.take(x.B, [[3, 0], [1, 1]], axis=1)),
    ("diag(v) + diag(diag(A, 1), -1)[:3, :3]", lambda m, x: m.diag(x.v) + m.diag(m.diag(x.A, 1), -1)[:3, :3]),
    ("trace(A) * outer(v, w)", lambda m, x: m.trace(x.A) * m.outer(x.v, x.w)),
    ("dot(v, B) + matmul(T, w)[0, :1]", lambda m, x: m.dot(x.v, x.B) + m.matmul(x.T, x.w)[0, :1]),
    ("einsum('ij,jk->ki', A, B)", lambda m, x: m.einsum("ij,jk->ki", x.A, x.B)),
    ("einsum('ijk,jk', T, B)", lambda m, x: m.einsum("ijk,jk", x.T, x.B)),
    ("solve(A @ A.T, v)", lambda m, x: m.solve(x.A @ m.transpose(x.A), x.v)),
    ("solve_triangular(A, B, lower=True)", lambda m, x: m.solve_triangular(x.A, x.B, lower=True)),
    ("cholesky(A @ A.T)", lambda m, x: m.cholesky(x.A @ m.transpose(x.A))),
    ("inv(A) @ v + logdet(A)", lambda m, x: m.inv(x.A) @ x.v + m.logdet(x.A)),
    ("T[1, ::-1, 1:4:2]", lambda _, x: x.T[1, ::-1, 1:4:2]),
    ("T[..., -1].T @ v[[0, 2]]", lambda m, x: m.transpose(x.T[..., -1]) @ x.v[[0, 2]]),
    ("T[:, [0, 2], [1, -1]]", lambda _, x: x.T[:, [0, 2], [1, -1]]),
    ("T[0, [[2], [0]]]", lambda _, x: x.T[0, [[2], [0]]]),
    ("B[1:][0] + B[-2, ::-1] + B[:1, ::9][0]", lambda _, x: x.B[1:][0] + x.B[-2, ::-1] + x.B[:1, ::9][0]),
    ("T[..., None, 0] + s[None]", lambda m, x: x.T[..., None, 0] + m.reshape(x.s, 1)),
    ("v[[2, -3, 1]] * B[:, -1]", lambda _, x: x.v[[2, -3, 1]] * x.B[:, -1]),
    ("B[1:, [[0, 1], [2, -1]]]", lambda _, x: x.B[1:, [[0, 1], [2, -1]]]),
    ("T[1, [0, 2], None, 1:]", lambda _, x: x.T[1, [0, 2], None, 1:]),
    ("T[[0, 1], 1, [2, 3]]", lambda _, x: x.T[[0, 1], 1, [2, 3]]),
    ("T[:, [0, 2], [[1], [3]]]", lambda _, x: x.T[:, [0, 2], [[1], [3]]]),
    ("[s, 2*s, 1]", lambda m, x: m.stack([x.s, 2 * x.s, 1.0])),
    ("max(B, axis=0) + max(w, s)", lambda m, x: m.amax(x.B, axis=0) + m.maximum(x.w, x.s)),
    ("concatenate([B, w], axis=None)", lambda m, x: m.concatenate([x.B, x.w], axis=None)),
    ("expand_dims(w, (0, -1)) + s", lambda m, x: m.expand_dims(x.w, (0, -1)) + x.s),
    ("take(B, 5) + take(B, -1, axis=1)", lambda m, x: m.take(x.B, 5) + m.take(x.B, -1, axis=1)),
    ("sum(T, axis=(-1, 0), keepdims=True)", lambda m, x: m.sum(x.T, axis=(-1, 0), keepdims=True)),
    ("B[0, 0] * v[-1] - s", lambda _, x: x.B[0, 0] * x.v[-1] - x.s),
]


@pytest.fixture(scope="module")
def client() -> Iterator[gm.Client]:
    """Give a client with a server inside the process."""
    with gm.local() as client:
        yield client


def arrays(seed: int) -> dict[str, Array]:
    """Return a point: moderate positive numbers, and a matrix far from singular."""
    random = np.random.default_rng(seed)
    point = {name: random.uniform(0.2, 1.2, shape) for name, shape in SHAPES.items()}
    point["A"] += 2 * np.eye(3)
    return point


@pytest.mark.parametrize(("text", "spelling"), SPELLINGS, ids=[text for text, _ in SPELLINGS])
def test_a_spelling_has_numpys_value_and_its_formulas_digest(
    client: gm.Client, text: str, spelling: Callable[[Any, Any], Any]
) -> None:
    """The same expression means the same in traced Python, in NumPy and as a formula."""
    inputs = gm.inputs(SHAPES)
    traced = spelling(gm, SimpleNamespace(**dict(zip(SHAPES, inputs, strict=True))))
    described = client.register(gm.formula(text, inputs=SHAPES))
    assert described.digest == traced.digest
    assert described.outputs[0].shape == traced.shape
    for seed in range(2):
        point = arrays(seed)
        expected = spelling(NUMPY, SimpleNamespace(**point))
        np.testing.assert_allclose(client.value(traced, point).values, expected, rtol=1e-12, atol=1e-14)


def test_constants_on_either_side_are_part_of_the_function(client: gm.Client) -> None:
    """Arrays of numbers multiply, join and broadcast with traced values, from the left and from the right."""
    matrix, row = np.arange(12.0).reshape(4, 3), np.array([1.0, -2.0, 0.5])
    v = gm.inputs("v", shape=3)
    function = gm.concatenate([matrix @ v, v * row, gm.stack([np.float64(2) * v[0], 1.0])])
    point = np.array([0.3, 0.7, -1.1])
    expected = np.concatenate([matrix @ point, point * row, [2 * point[0], 1.0]])
    np.testing.assert_allclose(client.value(function, {"v": point}).values, expected, rtol=1e-15)


def test_gradients_go_through_arrays(client: gm.Client) -> None:
    """The gradient of a least-squares misfit is the one that is known in closed form."""
    random = np.random.default_rng(1)
    design, target = random.normal(size=(20, 3)), random.normal(size=20)
    v = gm.inputs("v", shape=3)
    misfit = 0.5 * gm.sum((design @ v - target) ** 2)
    points = random.normal(size=(7, 3))
    result = client.value_and_gradient(misfit, points)
    np.testing.assert_allclose(result.gradient, (points @ design.T - target) @ design, rtol=1e-12)
