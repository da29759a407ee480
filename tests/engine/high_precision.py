"""The operations in mpmath, and derivatives by central differences with digits to spare.

An opinion independent of the engine's: it knows the operations' values only, and no rule of differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath
from gradmill_server.engine.ir import Graph

DIGITS = 80
_FIRST_STEP = mpmath.mpf(10) ** -25
_SECOND_STEP = mpmath.mpf(10) ** -20

Number = Any
"""An mpmath number; mpmath comes without types."""


def _truncated(x: Number) -> Number:
    return mpmath.floor(x) if x >= 0 else mpmath.ceil(x)


def _truth(condition: object) -> Number:
    return mpmath.mpf(1 if condition else 0)


VALUES: Mapping[str, Callable[..., Number]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "negate": lambda x: -x,
    "power": lambda x, y: x**y,
    "mod": lambda x, y: x - y * mpmath.floor(x / y),
    "fmod": lambda x, y: x - y * _truncated(x / y),
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": lambda x: mpmath.log(1 + x),
    "sqrt": mpmath.sqrt,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "logaddexp": lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)),
    "xlogy": lambda x, y: x * mpmath.log(y),
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "asin": mpmath.asin,
    "acos": mpmath.acos,
    "atan": mpmath.atan,
    "atan2": mpmath.atan2,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "hypot": mpmath.hypot,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "normal_cdf": mpmath.ncdf,
    "normal_pdf": mpmath.npdf,
    "abs": abs,
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "maximum": max,
    "minimum": min,
    "fmax": max,
    "fmin": min,
    "clip": lambda x, low, high: min(max(x, low), high),
    "where": lambda condition, x, y: x if condition != 0 else y,
    "sign": mpmath.sign,
    "floor": mpmath.floor,
    "ceil": mpmath.ceil,
    "round": mpmath.nint,
    "less": lambda x, y: _truth(x < y),
    "less_equal": lambda x, y: _truth(x <= y),
    "greater": lambda x, y: _truth(x > y),
    "greater_equal": lambda x, y: _truth(x >= y),
    "equal": lambda x, y: _truth(x == y),
    "not_equal": lambda x, y: _truth(x != y),
    "logical_and": lambda x, y: _truth(x != 0 and y != 0),
    "logical_or": lambda x, y: _truth(x != 0 or y != 0),
    "logical_not": lambda x: _truth(x == 0),
}
"""Every operation on scalars that a caller may use."""


def outputs_at(graph: Graph, point: Sequence[Number]) -> list[Number]:
    """Return the outputs of a graph of scalars at one point."""
    values: list[Number] = []
    for index, node in enumerate(graph.nodes):
        if node.is_input:
            values.append(mpmath.mpf(point[index]))
        elif node.is_constant:
            values.append(mpmath.mpf(float(node.constant_array())))
        else:
            values.append(VALUES[node.operation](*(values[argument] for argument in node.arguments)))
    return [values[entry.node] for entry in graph.outputs]


def gradients_at(graph: Graph, point: Sequence[float]) -> list[list[float]]:
    """Return for each output its derivative by each input."""
    with mpmath.workdps(DIGITS):
        columns = []
        for position in range(len(point)):
            above = outputs_at(graph, _moved(point, {position: _FIRST_STEP}))
            below = outputs_at(graph, _moved(point, {position: -_FIRST_STEP}))
            columns.append([float((high - low) / (2 * _FIRST_STEP)) for high, low in zip(above, below, strict=True)])
    return [list(row) for row in zip(*columns, strict=True)]


def hessian_at(graph: Graph, point: Sequence[float]) -> list[list[float]]:
    """Return the second derivatives of the first output."""
    places = range(len(point))
    with mpmath.workdps(DIGITS):
        return [[_mixed(graph, point, row, column) for column in places] for row in places]


def _mixed(graph: Graph, point: Sequence[float], row: int, column: int) -> float:
    total = mpmath.mpf(0)
    for first in (1, -1):
        for second in (1, -1):
            steps = {row: first * _SECOND_STEP}
            steps[column] = steps.get(column, mpmath.mpf(0)) + second * _SECOND_STEP
            total += first * second * outputs_at(graph, _moved(point, steps))[0]
    return float(total / (4 * _SECOND_STEP**2))


def _moved(point: Sequence[float], steps: Mapping[int, Number]) -> list[Number]:
    return [mpmath.mpf(number) + steps.get(position, mpmath.mpf(0)) for position, number in enumerate(point)]
