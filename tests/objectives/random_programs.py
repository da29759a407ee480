"""Random functions of arrays, each made once of gradmill's operations and once of JAX's.

A program is a list of steps, each an operation on values that came before it. The rows below say how an operation is
written; a number `k` chooses among their variants, such as the axis. Rows keep away from kinks and bound what they are
given, so that every derivative exists and is of moderate size.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import gradmill as gm
import jax
import jax.numpy as jnp
import numpy as np

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (3,), (4,), (2, 2), (2, 3), (3, 3), (1, 3), (2, 1, 2))
LARGEST = 36
"""Elements of a value."""

Shape = tuple[int, ...]
Module = Any
"""gradmill, or JAX under its names."""


def _scan(body: Callable[..., Any], carry: Any, sequence: Any = None, *, reverse: bool = False) -> Any:  # noqa: ANN401
    return jax.lax.scan(body, carry, sequence, reverse=reverse)


_NAMES = [
    "abs",
    "concatenate",
    "cos",
    "cumprod",
    "cumsum",
    "diag",
    "einsum",
    "exp",
    "flip",
    "hypot",
    "log",
    "logaddexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "outer",
    "prod",
    "ravel",
    "repeat",
    "reshape",
    "sin",
    "sort",
    "sqrt",
    "square",
    "stack",
    "sum",
    "swapaxes",
    "tanh",
    "tile",
    "trace",
    "transpose",
    "var",
    "where",
]

JAX = SimpleNamespace(
    **{name: getattr(jnp, name) for name in _NAMES},
    **{name: getattr(jax.nn, name) for name in ("relu", "sigmoid", "softmax", "softplus", "log_softmax")},
    **{name: getattr(jax.scipy.special, name) for name in ("erf", "logsumexp", "xlogy")},
    atan2=jnp.arctan2,
    cholesky=jnp.linalg.cholesky,
    inverse=jnp.linalg.inv,
    logdet=lambda a: jnp.linalg.slogdet(a)[1],
    map=jax.lax.map,
    norm=lambda x: jnp.sqrt(jnp.sum(x * x)),
    normal_cdf=jax.scipy.special.ndtr,
    reusable=lambda function: function,
    scan=_scan,
    solve=jnp.linalg.solve,
    solve_triangular=jax.scipy.linalg.solve_triangular,
)
"""JAX under gradmill's names."""


class Row(NamedTuple):
    """How an operation is written.

    Attributes:
        write: given gradmill or JAX, the operands and a number, returns the result.
        least: the fewest axes that the first operand has.
        most: the most axes that it has.
    """

    write: Callable[..., Any]
    least: int = 0
    most: int = 3


def _axis(x: Any, k: int) -> int:  # noqa: ANN401 - of gradmill or of JAX
    axis: int = k % (2 * x.ndim) - x.ndim
    return axis


def _indices(extent: int, k: int) -> Any:  # noqa: ANN401
    return np.array([[k % extent, -1], [0, -extent]])


def _definite(m: Module, x: Any) -> Any:  # noqa: ANN401
    """Return a positive definite matrix made of an array."""
    vector = m.sin(m.ravel(x))[:3]
    return m.outer(vector, vector) + np.diag(np.arange(2.0, 2.0 + vector.shape[0]))


def _regular(m: Module, x: Any) -> Any:  # noqa: ANN401
    """Return a matrix that is not symmetric and has an inverse."""
    matrix = _definite(m, x)
    return matrix + np.triu(np.full(matrix.shape, 0.3), 1)


def _triangles(m: Module, x: Any) -> Any:  # noqa: ANN401
    """Return a matrix either triangle of which has an inverse."""
    return m.diag(m.sin(x)) + np.eye(x.shape[0]) + 1.0


def _walked(m: Module, x: Any, k: int, used: Any) -> Any:  # noqa: ANN401
    """Return what a loop over the first axis gives, which uses a value from outside."""

    def step(carry: Any, element: Any) -> tuple[Any, Any]:  # noqa: ANN401
        following = m.sin(carry * used) + 0.5 * element
        return following, following * element

    last, results = m.scan(step, m.cos(x[0]), x, reverse=k % 2 == 1)
    return results if k % 3 else last * m.sum(results)


def _nested(m: Module, x: Any, scale: Any) -> Any:  # noqa: ANN401
    """Return what a map gives whose body has a loop of its own."""

    def inner(row: Any) -> Any:  # noqa: ANN401
        last, _ = m.scan(lambda carry, element: (m.tanh(carry * element + scale), None), m.sum(row) * 0.1, row)
        return last * row

    return m.map(inner, x)


def _shared(m: Module, x: Any, y: Any) -> Any:  # noqa: ANN401
    function = m.reusable(lambda a, b: m.sin(a) * b + m.sum(b))
    return function(x, y) + function(y, x)


_BY_ELEMENT = ["sin", "exp", "softplus", "erf", "normal_cdf"]
ONE: dict[str, Row] = {
    **{
        name: Row(lambda m, x, _k, name=name: getattr(m, name)(m.sin(x) if name == "exp" else x))
        for name in _BY_ELEMENT
    },
    "sqrt": Row(lambda m, x, _k: m.sqrt(0.3 + x * x)),
    "log": Row(lambda m, x, _k: m.log(0.3 + x * x)),
    "power": Row(lambda _, x, k: (0.3 + x * x) ** (0.5 * k - 1.25)),
    "whole power": Row(lambda _, x, k: x ** (k % 4)),
    "abs": Row(lambda m, x, _k: m.abs(x - 0.2171)),
    "relu": Row(lambda m, x, _k: m.relu(x + 0.1713)),
    "where": Row(lambda m, x, _k: m.where(x > 0.1931, x * x, m.sin(x))),
    "mask": Row(lambda m, x, k: m.where(np.arange(x.shape[-1]) % 2 == k % 2, x, 0.0), 1),
    "sum": Row(lambda m, x, k: m.sum(x, axis=_axis(x, k), keepdims=k > 2), 1),
    "mean": Row(lambda m, x, k: m.mean(x, axis=_axis(x, k), keepdims=k > 2), 1),
    "prod": Row(lambda m, x, k: m.prod(x, axis=_axis(x, k)), 1),
    "var": Row(lambda m, x, k: m.var(x, axis=_axis(x, k)), 1),
    "amax": Row(lambda m, x, k: m.max(x, axis=_axis(x, k)), 1),
    "norm": Row(lambda m, x, _k: m.norm(0.7 + m.sigmoid(x)), 1),
    "logsumexp": Row(lambda m, x, k: m.logsumexp(x, axis=_axis(x, k)), 1),
    "softmax": Row(lambda m, x, k: m.softmax(x, axis=_axis(x, k)), 1),
    "log_softmax": Row(lambda m, x, k: m.log_softmax(x, axis=_axis(x, k)), 1),
    "cumsum": Row(lambda m, x, k: m.cumsum(x, axis=_axis(x, k)), 1),
    "cumprod": Row(lambda m, x, k: m.cumprod(x, axis=_axis(x, k)), 1),
    "sort": Row(lambda m, x, k: m.sort(x, axis=_axis(x, k)), 1),
    "reversed": Row(lambda _, x, k: x[..., ::-1][..., :: 1 + k % 2], 1),
    "part": Row(lambda _, x, k: x[-1, None] if k % 2 else x[k % x.shape[0] :], 1),
    "gathered": Row(lambda _, x, k: x[..., _indices(x.shape[-1], k)], 1, 2),
    "adjacent": Row(lambda _, x, _k: x[:, [0, -1], [-1, 0]], 3),
    "reshape": Row(lambda m, x, k: m.reshape(x, (-1, 1) if k % 2 else (1, -1))),
    "transpose": Row(lambda m, x, _k: m.transpose(x), 2),
    "swapaxes": Row(lambda m, x, k: m.swapaxes(x, 0, _axis(x, k)), 2),
    "tile": Row(lambda m, x, k: m.tile(x, (2, 1) if k % 2 else 2), 1, 2),
    "repeat": Row(lambda m, x, k: m.repeat(x, 2, axis=_axis(x, k)), 1),
    "flip": Row(lambda m, x, k: m.flip(x, axis=_axis(x, k)), 1),
    "diag": Row(lambda m, x, k: m.diag(x, k % 2 - x.ndim + 1), 1, 2),
    "trace": Row(lambda m, x, _k: m.trace(x), 2, 2),
    "constant product": Row(lambda m, x, k: m.matmul(x, np.cos(np.arange(2.0 * x.shape[-1]) + k).reshape(-1, 2)), 1),
    "einsum": Row(lambda m, x, k: m.einsum("ij->ji" if k % 2 else "ij->j", x), 2, 2),
    "cholesky": Row(lambda m, x, _k: m.cholesky(_definite(m, x))),
    "inverse": Row(lambda m, x, _k: m.inverse(_regular(m, x))),
    "logdet": Row(lambda m, x, _k: m.logdet(_regular(m, x))),
}
TWO: dict[str, Row] = {
    "add": Row(lambda _, x, y, _k: x + y),
    "subtract": Row(lambda _, x, y, _k: y - x),
    "multiply": Row(lambda _, x, y, _k: x * y),
    "divide": Row(lambda m, x, y, _k: x / (1.5 + m.sin(y))),
    "hypot": Row(lambda m, x, y, _k: m.hypot(x - 0.2341, y + 0.2713)),
    "atan2": Row(lambda m, x, y, _k: m.atan2(x, 2.0 + m.sin(y))),
    "logaddexp": Row(lambda m, x, y, _k: m.logaddexp(x, y)),
    "maximum": Row(lambda m, x, y, _k: m.maximum(x - 0.2341, y)),
    "xlogy": Row(lambda m, x, y, _k: m.xlogy(x, 0.5 + y * y)),
    "matmul": Row(lambda _, x, y, _k: x @ y, 1),
    "outer": Row(lambda m, x, y, _k: m.outer(x, y), 1, 1),
    "contraction": Row(lambda m, x, y, k: m.einsum("ij,jk->ki" if k % 2 else "ij,ik->jk", x, y), 2, 2),
    "concatenate": Row(lambda m, x, y, k: m.concatenate([x, y, x], axis=_axis(x, k)), 1),
    "stack": Row(lambda m, x, y, k: m.stack([y, x], axis=k % 2)),
    "solve": Row(lambda m, x, y, _k: m.solve(_regular(m, x), y)),
    "solve_triangular": Row(lambda m, x, y, k: m.solve_triangular(_triangles(m, x), y, lower=k % 2 == 1), 1, 1),
    "scan": Row(lambda m, x, y, k: _walked(m, x, k, m.mean(y)), 1, 2),
    "nested loops": Row(lambda m, x, y, _k: _nested(m, x, m.mean(y)), 2, 2),
    "reusable": Row(lambda m, x, y, _k: _shared(m, x, y)),
}
ROWS = ONE | TWO
_NUMBERS = 6
_TRIES = 30


class Step(NamedTuple):
    """An operation of a program: its row, the places of its operands among the values, the number of its variant."""

    row: str
    operands: tuple[int, ...]
    number: int


class Program(NamedTuple):
    """A function of named arrays, with a scalar result."""

    inputs: dict[str, Shape]
    steps: tuple[Step, ...]

    def result(self, m: Module, inputs: Sequence[Any]) -> Any:  # noqa: ANN401
        """Return the weighted sum of the last value, and of all others."""
        values = list(inputs)
        for step in self.steps:
            values.append(_carried_out(m, step, values))
        *others, last = [m.sum(value * np.cos(np.arange(size(value))).reshape(value.shape)) for value in values]
        return last + 0.1 * m.sin(sum(others))


def size(value: Any) -> int:  # noqa: ANN401
    """Return the number of elements."""
    return int(np.prod(value.shape, dtype=int))


def _carried_out(m: Module, step: Step, values: Sequence[Any]) -> Any:  # noqa: ANN401
    return ROWS[step.row].write(m, *(values[place] for place in step.operands), step.number)


def random_program(name: str) -> Program:
    """Return a program with a step of this row, random ones before it and one after it; always the same."""
    attempts = (_attempt(random.Random(f"{name} {number}"), name) for number in range(1000))
    return next(program for program in attempts if program is not None)


def _attempt(source: random.Random, name: str) -> Program | None:
    inputs = {f"x{place}": source.choice(SHAPES) for place in range(source.randint(2, 3))}
    values: list[Any] = list(gm.inputs(inputs))
    steps: list[Step] = []
    rows = [source.choice(list(ROWS)) for _ in range(source.randint(2, 3))]
    for row in (*rows[1:], name, *rows[:1]):
        step = _fitting(source, row, values)
        if step is not None:
            steps.append(step)
            values.append(_carried_out(gm, step, values))
        elif row == name:
            return None
    return Program(inputs, tuple(steps))


def _fitting(source: random.Random, row: str, values: Sequence[gm.Expression]) -> Step | None:
    """Return a step of a row whose operands fit, with a result of moderate size; None when none was found."""
    _, least, most = ROWS[row]
    for _ in range(_TRIES):
        operands = tuple(source.choices(range(len(values)), k=1 + (row in TWO)))
        step = Step(row, operands, source.randrange(_NUMBERS))
        if least <= values[operands[0]].ndim <= most:
            try:
                if size(_carried_out(gm, step, values)) <= LARGEST:
                    return step
            except gm.TracingError:
                continue
    return None
