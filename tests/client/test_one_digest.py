"""Arrays in formulas and in traced Python: whichever way a function is written, it is one function with one digest."""

from __future__ import annotations

from collections.abc import Callable

import gradmill as gm
import pytest
from gradmill_server.engine.canonical import canonicalize, digest
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import Input
from gradmill_server.engine.limits import Limits

SHAPES: dict[str, tuple[int, ...]] = {"x": (3, 4), "y": (4,), "a": (3, 3), "t": (2, 3, 4), "s": ()}

Trace = Callable[[gm.Expression, gm.Expression, gm.Expression, gm.Expression, gm.Expression], gm.Expression]

FUNCTIONS: list[tuple[str, Trace]] = [
    (
        "sum(100*(y[1:] - y[:-1]**2)**2 + (1 - y[:-1])**2)",
        lambda _x, y, _a, _t, _s: gm.sum(100 * (y[1:] - y[:-1] ** 2) ** 2 + (1 - y[:-1]) ** 2),
    ),
    ("x[1]", lambda x, _y, _a, _t, _s: x[1]),
    ("x[1:][0]", lambda x, _y, _a, _t, _s: x[1:][0]),
    ("x[-2, ::-1]", lambda x, _y, _a, _t, _s: x[-2, ::-1]),
    ("x[:1, ::9]", lambda x, _y, _a, _t, _s: x[:1, ::9]),
    ("t[..., None, 0]", lambda _x, _y, _a, t, _s: t[..., None, 0]),
    ("s[None]", lambda _x, _y, _a, _t, s: s[None]),
    ("x[[2, -3, 1]]", lambda x, _y, _a, _t, _s: x[[2, -3, 1]]),
    ("x[1:, [[0, 1], [2, -1]]]", lambda x, _y, _a, _t, _s: x[1:, [[0, 1], [2, -1]]]),
    ("t[1, [0, 2], None, 1:]", lambda _x, _y, _a, t, _s: t[1, [0, 2], None, 1:]),
    ("t[:, [0, 2], [[1], [3]]]", lambda _x, _y, _a, t, _s: t[:, [0, 2], [[1], [3]]]),
    ("t[[0, 1], 1, [2, 3]]", lambda _x, _y, _a, t, _s: t[[0, 1], 1, [2, 3]]),
    ("x @ y", lambda x, y, _a, _t, _s: x @ y),
    ("x.T @ a", lambda x, _y, a, _t, _s: x.T @ a),
    ("[s, 2*s, 1]", lambda _x, _y, _a, _t, s: gm.stack([s, 2 * s, 1.0])),
    ("sum(t, axis=(-1, 0), keepdims=True)", lambda _x, _y, _a, t, _s: gm.sum(t, (-1, 0), keepdims=True)),
    ("max(x, axis=0) + min(y)", lambda x, y, _a, _t, _s: gm.max(x, axis=0) + gm.min(y)),
    ("max(x, y)", lambda x, y, _a, _t, _s: gm.max(x, y)),
    ("var(x, ddof=1) + std(y)", lambda x, y, _a, _t, _s: gm.var(x, ddof=1) + gm.std(y)),
    ("norm(x, axis=1)", lambda x, _y, _a, _t, _s: gm.norm(x, axis=1)),
    ("argmax(x) + argmin(x, axis=0)", lambda x, _y, _a, _t, _s: gm.argmax(x) + gm.argmin(x, axis=0)),
    ("softmax(x) + log_softmax(x, axis=0)", lambda x, _y, _a, _t, _s: gm.softmax(x) + gm.log_softmax(x, 0)),
    ("cumsum(x)", lambda x, _y, _a, _t, _s: gm.cumsum(x)),
    ("cumprod(y)", lambda _x, y, _a, _t, _s: gm.cumprod(y)),
    ("diff(x, n=2, axis=0)", lambda x, _y, _a, _t, _s: gm.diff(x, n=2, axis=0)),
    ("sort(x) + argsort(x)", lambda x, _y, _a, _t, _s: gm.sort(x) + gm.argsort(x)),
    ("reshape(x, (2, -1))", lambda x, _y, _a, _t, _s: gm.reshape(x, (2, -1))),
    ("ravel(x)", lambda x, _y, _a, _t, _s: gm.ravel(x)),
    ("transpose(t, (1, 0, 2))", lambda _x, _y, _a, t, _s: gm.transpose(t, (1, 0, 2))),
    ("swapaxes(t, 0, -1)", lambda _x, _y, _a, t, _s: gm.swapaxes(t, 0, -1)),
    ("moveaxis(t, 0, -1)", lambda _x, _y, _a, t, _s: gm.moveaxis(t, 0, -1)),
    ("expand_dims(y, (0, -1))", lambda _x, y, _a, _t, _s: gm.expand_dims(y, (0, -1))),
    ("squeeze(x[:1])", lambda x, _y, _a, _t, _s: gm.squeeze(x[:1])),
    ("broadcast_to(y, (3, 4))", lambda _x, y, _a, _t, _s: gm.broadcast_to(y, (3, 4))),
    ("concatenate([x, x], axis=-1)", lambda x, _y, _a, _t, _s: gm.concatenate([x, x], axis=-1)),
    ("concatenate([x, y], axis=None)", lambda x, y, _a, _t, _s: gm.concatenate([x, y], axis=None)),
    ("stack([y, 2*y], axis=-1)", lambda _x, y, _a, _t, _s: gm.stack([y, 2 * y], axis=-1)),
    ("flip(x) + flip(x, axis=1)", lambda x, _y, _a, _t, _s: gm.flip(x) + gm.flip(x, axis=1)),
    ("repeat(x, 2)", lambda x, _y, _a, _t, _s: gm.repeat(x, 2)),
    ("tile(x, 2)", lambda x, _y, _a, _t, _s: gm.tile(x, 2)),
    ("take(x, [[0, -1]], axis=1)", lambda x, _y, _a, _t, _s: gm.take(x, [[0, -1]], axis=1)),
    ("take(x, 5)", lambda x, _y, _a, _t, _s: gm.take(x, 5)),
    ("diag(y, k=-1)", lambda _x, y, _a, _t, _s: gm.diag(y, k=-1)),
    ("diag(a) + trace(a)", lambda _x, _y, a, _t, _s: gm.diag(a) + gm.trace(a)),
    ("dot(x, y)", lambda x, y, _a, _t, _s: gm.dot(x, y)),
    ("outer(y, y)", lambda _x, y, _a, _t, _s: gm.outer(y, y)),
    ("einsum('ij, j', x, y)", lambda x, y, _a, _t, _s: gm.einsum("ij,j->i", x, y)),
    ("einsum('ij,j->i', x, y)", lambda x, y, _a, _t, _s: gm.einsum("ij, j", x, y)),
    ("np.linalg.solve(a, x)", lambda x, _y, a, _t, _s: gm.solve(a, x)),
    (
        "solve_triangular(a, x, trans=1, lower=True)",
        lambda x, _y, a, _t, _s: gm.solve_triangular(a, x, trans=1, lower=True),
    ),
    ("cholesky(a) + inv(a) + logdet(a)", lambda _x, _y, a, _t, _s: gm.cholesky(a) + gm.inv(a) + gm.logdet(a)),
]


@pytest.mark.parametrize(("text", "trace"), FUNCTIONS, ids=[text for text, _ in FUNCTIONS])
def test_a_formula_and_the_same_python_have_one_digest(text: str, trace: Trace) -> None:
    """A formula of arrays has the digest of the same expression traced."""
    graph = parse_formula(text, [Input(name, shape) for name, shape in SHAPES.items()], Limits())
    assert digest(canonicalize(graph)) == trace(*gm.inputs(SHAPES)).digest
