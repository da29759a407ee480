"""Between the contract's messages and this package's own values."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gradmill.canonical import body_of, number_parameter
from gradmill.errors import Failure, InvalidRequestError, invalid_response
from gradmill.graph import (
    FLOAT64,
    Body,
    Constant,
    Graph,
    Input,
    Operation,
    Output,
    Parameter,
    ParameterKind,
    Shape,
    Value,
    bodies_of,
    size,
)
from gradmill.shapes import output_shapes
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.v1 import graph_pb2
from gradmill.wire_format import Buffer, head_of, number_field, varint

FloatArray: TypeAlias = "npt.NDArray[np.floating[Any]]"

ELEMENT_FORMAT: Mapping[int, np.dtype[np.floating[Any]]] = {1: np.dtype("<f8"), 2: np.dtype("<f4")}
"""How elements of each type are written, by its number in the contract."""


def array_message(array: npt.ArrayLike) -> graph_pb2.Array:
    """Return an array as a message: row-major, as raw bytes; float32 if it is, else float64."""
    values = np.asarray(array)
    if values.dtype == np.float32:
        data = values.astype("<f4", copy=False).tobytes()
        return graph_pb2.Array(element_type=graph_pb2.ELEMENT_TYPE_FLOAT32, shape=values.shape, data=data)
    data = values.astype("<f8", copy=False).tobytes()
    return graph_pb2.Array(element_type=graph_pb2.ELEMENT_TYPE_FLOAT64, shape=values.shape, data=data)


def array_parts(array: FloatArray) -> list[Buffer]:
    """Return the bytes of an array's message in parts, of which the last, its elements, is not copied where it can be.

    The same bytes as those of :func:`array_message`.
    """
    layout = ELEMENT_FORMAT[graph_pb2.ELEMENT_TYPE_FLOAT32 if array.dtype == np.float32 else FLOAT64]
    elements = np.ascontiguousarray(array, layout)
    head = number_field(1, FLOAT64 if layout.itemsize == ELEMENT_FORMAT[FLOAT64].itemsize else 2)
    if array.ndim:
        shape = b"".join(map(varint, array.shape))
        head += head_of(2, len(shape)) + shape
    if not elements.size:
        return [head]
    return [head + head_of(4, elements.nbytes), elements.reshape(-1).view(np.uint8).data]


def enclosed(field: int, parts: Sequence[Buffer]) -> list[Buffer]:
    """Return a message's bytes, in parts, as a field of another message."""
    return [head_of(field, sum(map(len, parts))), *parts]


def read_array(message: graph_pb2.Array, what: str) -> FloatArray:
    """Return a message's elements in the message's shape, of the type that it says.

    Raises:
        ServerError: the number of elements is not the product of the shape, or their type is unknown.
    """
    shape = tuple(message.shape)
    layout = ELEMENT_FORMAT.get(message.element_type or FLOAT64)
    if layout is None:
        error = f"the answer's {what} has elements of the unknown type {message.element_type}"
        raise invalid_response(error)
    data = message.data
    expected = size(shape)
    if not message.values and len(data) == expected * layout.itemsize:
        native = layout.newbyteorder("=")
        return np.frombuffer(data, dtype=layout).astype(native, copy=False).reshape(shape)
    if data or len(message.values) != expected:
        error = f"the answer's {what} does not hold the elements of its shape {shape}"
        raise invalid_response(error)
    return np.array(message.values, dtype=layout.newbyteorder("=")).reshape(shape)


def input_messages(inputs: Iterable[Input]) -> list[graph_pb2.Input]:
    """Return inputs as messages."""
    return [
        graph_pb2.Input(name=entry.name, shape=entry.shape, element_type=entry.element_type)  # type: ignore[arg-type]
        for entry in inputs
    ]


def read_inputs(messages: Iterable[graph_pb2.Input]) -> tuple[Input, ...]:
    """Return inputs from messages."""
    return tuple(Input(entry.name, tuple(entry.shape), entry.element_type or FLOAT64) for entry in messages)


def graph_message(graph: Graph) -> graph_pb2.Graph:
    """Return a graph as a message, with the bodies that it needs: each once, after those that it names."""
    bodies = bodies_of(graph)
    places = {name: place for place, name in enumerate(bodies)}
    message = _message_without_bodies(graph, places)
    message.functions.extend([_message_without_bodies(body.graph, places) for body in bodies.values()])
    return message


def _message_without_bodies(graph: Graph, places: Mapping[bytes, int]) -> graph_pb2.Graph:
    """Return a graph as a message: its constants first, then its operations, each group in order.

    ``places`` has the place of each body, by its digest.
    """
    message = graph_pb2.Graph(inputs=input_messages(graph.inputs))
    numbers = _wire_numbers(graph)
    operation_index: dict[str, int] = {}
    for value in graph.values:
        if isinstance(value, Constant):
            message.constants.add(element_type=value.element_type, shape=value.shape, data=value.data)
            continue
        operation = operation_index.setdefault(value.name, len(operation_index))
        node = message.nodes.add(operation=operation, arguments=[numbers[entry] for entry in value.arguments])
        for parameter in value.parameters:
            _write_parameter(node.parameters.add(name=parameter.name), parameter, places)
    message.operation_names.extend(operation_index)
    for output in graph.outputs:
        message.outputs.add(name=output.name, value=numbers[output.value])
    return message


def _wire_numbers(graph: Graph) -> Sequence[int]:
    """Return the index in the message of each value: inputs, then constants, then operations."""
    inputs = len(graph.inputs)
    constants = sum(isinstance(value, Constant) for value in graph.values)
    numbers = list(range(inputs))
    next_constant, next_operation = inputs, inputs + constants
    for value in graph.values:
        if isinstance(value, Constant):
            numbers.append(next_constant)
            next_constant += 1
        else:
            numbers.append(next_operation)
            next_operation += 1
    return numbers


def _write_parameter(message: graph_pb2.Parameter, parameter: Parameter, places: Mapping[bytes, int]) -> None:
    value = parameter.value
    if isinstance(value, bytes):
        message.number = struct.unpack("<d", value)[0]
    elif isinstance(value, str):
        message.text = value
    elif isinstance(value, tuple):
        message.integers.SetInParent()  # said also of an empty list
        message.integers.values.extend(value)
    elif isinstance(value, Body):
        message.function = places[value.digest]
    else:
        message.integer = value


def read_graph(message: graph_pb2.Graph) -> Graph:
    """Return a graph from a message.

    Raises:
        InvalidRequestError: an index points at nothing, or not backwards, or a parameter has no value.
    """
    bodies: list[Body] = []
    for body in message.functions:
        graph = _read_without_bodies(body, bodies)
        bodies.append(body_of(graph, output_shapes(graph)))
    return _read_without_bodies(message, bodies)


def _read_without_bodies(message: graph_pb2.Graph, bodies: Sequence[Body]) -> Graph:
    """Return a graph from a message, given the bodies that it may name."""
    constants: list[Value] = [_read_constant(entry) for entry in message.constants]
    first_node = len(message.inputs) + len(constants)
    names = list(message.operation_names)
    nodes: list[Value] = []
    for position, node in enumerate(message.nodes):
        arguments = tuple(node.arguments)
        if node.operation >= len(names) or max(arguments, default=-1) >= first_node + position:
            error = f"graph.nodes[{position}] names an operation or an argument that is not there before it"
            raise InvalidRequestError(error, Failure(reason="GRAPH_INVALID"))
        parameters = tuple(_read_parameter(entry, bodies) for entry in node.parameters)
        nodes.append(Operation(names[node.operation], arguments, parameters))
    outputs = tuple(Output(entry.name, entry.value) for entry in message.outputs)
    if max((entry.value for entry in outputs), default=-1) >= first_node + len(nodes):
        error = "an output of the graph names a value that is not there"
        raise InvalidRequestError(error, Failure(reason="GRAPH_INVALID"))
    return Graph(read_inputs(message.inputs), tuple(constants + nodes), outputs)


def _read_constant(message: graph_pb2.Array) -> Constant:
    element_type = message.element_type or FLOAT64
    data = message.data or np.array(message.values, dtype=ELEMENT_FORMAT[element_type]).tobytes()
    return Constant(tuple(message.shape), data, element_type)


def _read_parameter(message: graph_pb2.Parameter, bodies: Sequence[Body]) -> Parameter:
    kind = message.WhichOneof("value")
    if kind == "number":
        return number_parameter(message.name, message.number)
    if kind == "text":
        return Parameter(message.name, ParameterKind.TEXT, message.text)
    if kind == "integers":
        return Parameter(message.name, ParameterKind.INTEGERS, tuple(message.integers.values))
    if kind == "integer":
        return Parameter(message.name, ParameterKind.INTEGER, message.integer)
    if kind == "function" and message.function < len(bodies):
        return Parameter(message.name, ParameterKind.FUNCTION, bodies[message.function])
    if kind == "function":
        error = f"parameter {message.name!r} names the body {message.function}, which is not there before it"
        raise InvalidRequestError(error, Failure(reason="GRAPH_INVALID"))
    error = f"parameter {message.name!r} has no value"
    raise InvalidRequestError(error, Failure(reason="GRAPH_INVALID"))


def output_shape(message: service.OutputDescription) -> Shape:
    """Return the shape of one point's value of an output."""
    return tuple(message.shape)
