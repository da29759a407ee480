"""Random graphs in mpmath, and derivatives by central differences with digits to spare.

An opinion independent of the engine's: it knows the operations' values only, and no rule of differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gradmill_server.engine.ir import Graph
from gradmill_server.engine.ops import TABLE

from tests.engine.ops.references import MP, REFERENCES, Number

DIGITS = 80
_FIRST_STEP = MP.mpf(10) ** -25
_SECOND_STEP = MP.mpf(10) ** -20

VALUES: Mapping[str, Callable[..., Number]] = {
    name: reference.value for name, reference in REFERENCES.items() if not TABLE[name].internal
}
"""Every operation on scalars that a caller may use."""


def outputs_at(graph: Graph, point: Sequence[Number]) -> list[Number]:
    """Return the outputs of a graph of scalars at one point."""
    values: list[Number] = []
    for index, node in enumerate(graph.nodes):
        if node.is_input:
            values.append(MP.mpf(point[index]))
        elif node.is_constant:
            values.append(MP.mpf(float(node.constant_array())))
        else:
            values.append(VALUES[node.operation](*(values[argument] for argument in node.arguments)))
    return [values[entry.node] for entry in graph.outputs]


def gradients_at(graph: Graph, point: Sequence[float]) -> list[list[float]]:
    """Return for each output its derivative by each input."""
    with MP.workdps(DIGITS):
        columns = []
        for position in range(len(point)):
            above = outputs_at(graph, _moved(point, {position: _FIRST_STEP}))
            below = outputs_at(graph, _moved(point, {position: -_FIRST_STEP}))
            columns.append([float((high - low) / (2 * _FIRST_STEP)) for high, low in zip(above, below, strict=True)])
    return [list(row) for row in zip(*columns, strict=True)]


def hessian_at(graph: Graph, point: Sequence[float]) -> list[list[float]]:
    """Return the second derivatives of the first output."""
    places = range(len(point))
    with MP.workdps(DIGITS):
        return [[_mixed(graph, point, row, column) for column in places] for row in places]


def _mixed(graph: Graph, point: Sequence[float], row: int, column: int) -> float:
    total = MP.mpf(0)
    for first in (1, -1):
        for second in (1, -1):
            steps = {row: first * _SECOND_STEP}
            steps[column] = steps.get(column, MP.mpf(0)) + second * _SECOND_STEP
            total += first * second * outputs_at(graph, _moved(point, steps))[0]
    return float(total / (4 * _SECOND_STEP**2))


def _moved(point: Sequence[float], steps: Mapping[int, Number]) -> list[Number]:
    return [MP.mpf(number) + steps.get(position, MP.mpf(0)) for position, number in enumerate(point)]
