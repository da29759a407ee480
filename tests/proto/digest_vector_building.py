"""What the functions of the digest vectors are written in: messages, every value by its index.

Indices count inputs, then constants, then nodes, each group in the order of its list.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gradmill.v1 import graph_pb2


@dataclass(frozen=True)
class Body:
    """The value of a parameter that names a body: its place in the list of bodies."""

    place: int


ParameterValue = int | float | str | Sequence[int] | Body


@dataclass(frozen=True)
class Operation:
    """One node as a vector writes it: name, arguments, and what only some nodes have."""

    name: str
    arguments: Sequence[int]
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True)
class VectorFunction:
    """A function worth a vector: why it is there, and what other implementations may conclude from it."""

    name: str
    why: str
    graph: graph_pb2.Graph
    same_as: str = ""
    formula: str = ""
    structural: bool = False


def make_graph(
    inputs: Sequence[graph_pb2.Input],
    constants: Sequence[graph_pb2.Array],
    operations: Sequence[Operation],
    outputs: Mapping[str, int],
    *,
    operation_names: Sequence[str] = (),
    functions: Sequence[graph_pb2.Graph] = (),
) -> graph_pb2.Graph:
    """Return the message. ``operation_names`` fixes the order of names, which is that of first use otherwise."""
    names = list(operation_names or dict.fromkeys(operation.name for operation in operations))
    nodes = [
        graph_pb2.Node(
            operation=names.index(operation.name),
            arguments=operation.arguments,
            parameters=[_parameter(name, value) for name, value in operation.parameters.items()],
            name=operation.label,
        )
        for operation in operations
    ]
    shown = [graph_pb2.Output(name=name, value=value) for name, value in outputs.items()]
    return graph_pb2.Graph(
        inputs=inputs, constants=constants, operation_names=names, nodes=nodes, outputs=shown, functions=functions
    )


def scalars(*names: str) -> list[graph_pb2.Input]:
    """Return scalar inputs of these names."""
    return [shaped(name) for name in names]


def shaped(name: str, *shape: int) -> graph_pb2.Input:
    """Return an input of this name and shape."""
    return graph_pb2.Input(name=name, shape=shape, element_type=graph_pb2.ELEMENT_TYPE_FLOAT64)


def array(*elements: float, shape: Sequence[int] = ()) -> graph_pb2.Array:
    """Return a binary64 constant in its `data` form, which keeps every bit."""
    data = struct.pack(f"<{len(elements)}d", *elements)
    return graph_pb2.Array(element_type=graph_pb2.ELEMENT_TYPE_FLOAT64, shape=shape, data=data)


def from_bits(bits: int) -> graph_pb2.Array:
    """Return a scalar constant with these bits."""
    return graph_pb2.Array(element_type=graph_pb2.ELEMENT_TYPE_FLOAT64, data=bits.to_bytes(8, "little"))


def _parameter(name: str, value: ParameterValue) -> graph_pb2.Parameter:
    match value:
        case int():
            return graph_pb2.Parameter(name=name, integer=value)
        case float():
            return graph_pb2.Parameter(name=name, number=value)
        case str():
            return graph_pb2.Parameter(name=name, text=value)
        case Body():
            return graph_pb2.Parameter(name=name, function=value.place)
        case _:
            return graph_pb2.Parameter(name=name, integers=graph_pb2.IntegerList(values=value))
