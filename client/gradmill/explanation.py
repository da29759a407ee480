"""The forward and the backward pass at one point, node by node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradmill.descriptions import FunctionInfo
from gradmill.formatting import align, format_value
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.v1 import graph_pb2
from gradmill.wire import FloatArray, read_array

INPUT = "input"


@dataclass(frozen=True, slots=True)
class ExplainedNode:
    """One value of the two passes.

    Attributes:
        label: a short name, such as "x4".
        operation: the operation's name; "input" for an input.
        expression: the operation written with its arguments' labels, such as "x1**2".
        value: the value at the point: a float, or an array in the value's shape.
        adjoint: the derivative of the output by this value, in the same form.
        local_partials: pairs of an argument's label and the derivative of this value by it.
    """

    label: str
    operation: str
    expression: str
    value: float | FloatArray
    adjoint: float | FloatArray
    local_partials: tuple[tuple[str, float | FloatArray], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The two passes of one output at one point.

    Attributes:
        output: the output explained.
        digest: the function's 32 bytes.
        inputs: the names of the inputs, in declared order.
        nodes: inputs, then operations in the order of the forward pass.
        stable_forms: names of the stable forms that stand in place of what was written.
    """

    output: str
    digest: bytes
    inputs: tuple[str, ...]
    nodes: tuple[ExplainedNode, ...]
    stable_forms: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Return both passes as tables: values and local partials downwards, adjoints upwards."""
        return "\n".join([*self._forward(), "", *self._backward(), *self._notes()]) + "\n"

    def __str__(self) -> str:
        """Return both passes as tables."""
        return self.to_text()

    def _notes(self) -> list[str]:
        if not self.stable_forms:
            return []
        return ["", f"computed by stable forms in place of what was written: {', '.join(self.stable_forms)}"]

    def _forward(self) -> list[str]:
        rows = [("value", "from", "local partials")]
        for node in self.nodes:
            partials = [f"∂{node.label}/∂{name} = {format_value(partial)}" for name, partial in node.local_partials]
            rows.append((f"{node.label} = {format_value(node.value)}", node.expression, "   ".join(partials)))
        return [f"forward pass of {self.output}", *align(rows)]

    def _backward(self) -> list[str]:
        terms: dict[str, list[str]] = {}
        for node in reversed(self.nodes):
            for name, partial in node.local_partials:
                terms.setdefault(name, []).append(f"{format_value(node.adjoint)} * {format_value(partial)}")
        rows = [("adjoint", "from")]
        for node in reversed(self.nodes):
            origin = " + ".join(terms.get(node.label, ())) or ("seed" if node is self.nodes[-1] else "not needed")
            rows.append((f"∂{self.output}/∂{node.label} = {format_value(node.adjoint)}", origin))
        return [f"backward pass of {self.output}", *align(rows)]


def read_explanation(response: service.ExplainResponse, function: FunctionInfo) -> Explanation:
    """Return an explanation from the server's answer.

    Raises:
        ServerError: an array of the answer does not hold the elements of its shape.
    """
    nodes = tuple(_read_node(entry) for entry in response.nodes)
    stable_forms = tuple(response.stable_forms)
    return Explanation(response.output, response.digest, function.input_names, nodes, stable_forms)


def _read_node(message: service.ExplainedNode) -> ExplainedNode:
    return ExplainedNode(
        label=message.label,
        operation=message.operation,
        expression=message.expression,
        value=_read_value(message.value, message.label),
        adjoint=_read_value(message.adjoint, message.label),
        local_partials=tuple(
            (entry.argument, _read_value(entry.partial, message.label)) for entry in message.local_partials
        ),
    )


def _read_value(message: graph_pb2.Array, label: str) -> float | FloatArray:
    array = read_array(message, f"node {label!r}")
    return float(array) if array.ndim == 0 else np.array(array)
