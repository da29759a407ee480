"""An operation, its slopes and its curvatures as the engine computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.ir import FloatArray, GraphBuilder, Input, Output
from gradmill_server.engine.ops import Operation
from gradmill_server.engine.passes.simplify import simplify


class Derivatives(NamedTuple):
    """What the engine gives for one operation at some points.

    Attributes:
        value: [points].
        slopes: for each operand [points].
        curvatures: for each ordered pair of operands (i, j), the derivative by j of the slope by i, [points].
    """

    value: FloatArray
    slopes: list[FloatArray]
    curvatures: dict[tuple[int, int], FloatArray]


def gradient(builder: GraphBuilder, node: int, propagation: Propagation) -> list[int]:
    """Add the derivatives of a node by all inputs to its graph; zeros where there are none."""
    inputs = range(len(builder.inputs))
    adjoints = backward(builder, node, inputs, propagation)
    found = [adjoints[index] if index < len(adjoints) else NO_ADJOINT for index in inputs]
    return [builder.constant(0.0) if adjoint == NO_ADJOINT else adjoint for adjoint in found]


def differentiate(row: Operation, operands: Sequence[FloatArray], propagation: Propagation) -> Derivatives:
    """Return an operation's value, slopes and curvatures; curvatures by differentiating the slopes' own graph."""
    builder = GraphBuilder([Input(f"x{position}") for position in range(row.arity)])
    value = ops.emit(builder, row.name, range(row.arity))
    slopes = gradient(builder, value, propagation)
    curvatures = [gradient(builder, slope, propagation) for slope in slopes]
    nodes = [value, *slopes, *(entry for entries in curvatures for entry in entries)]
    graph = simplify(builder.build([Output(f"y{position}", node) for position, node in enumerate(nodes)]))
    rows = len(operands[0])
    arrays = NumpyExecutable(graph).run(operands, rows, lambda: None)
    pairs = [(i, j) for i in range(row.arity) for j in range(row.arity)]
    return Derivatives(arrays[0], arrays[1 : 1 + row.arity], dict(zip(pairs, arrays[1 + row.arity :], strict=True)))
