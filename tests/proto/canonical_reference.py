"""The canonical form and the digest of a function, written straight from the comment in graph.proto.

This is the third opinion beside the server's code and the client's: it reads the protobuf message, shares no line with
either, and prefers being obvious to being fast. It expects a valid graph.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

from gradmill.v1 import graph_pb2

MAGIC = b"gradmill.graph.v1\0"
CONSTANT = 0
OPERATION = 1
INTEGER, NUMBER, TEXT, INTEGERS, FUNCTION = 1, 2, 3, 4, 5


def digest(graph: graph_pb2.Graph) -> bytes:
    """Return the SHA-256 of the canonical form: 32 bytes."""
    return hashlib.sha256(canonical_bytes(graph)).digest()


def canonical_bytes(graph: graph_pb2.Graph) -> bytes:
    """Return the canonical form of a valid graph."""
    bodies: list[bytes] = []
    for body in graph.functions:
        bodies.append(hashlib.sha256(_canonical_bytes(body, bodies)).digest())
    return _canonical_bytes(graph, bodies)


def _canonical_bytes(graph: graph_pb2.Graph, bodies: Sequence[bytes]) -> bytes:
    """Return the canonical form of a graph or a body, given the digests of the bodies that it may name."""
    number_of, values = _number_values(graph, bodies)
    parts = [MAGIC, _unsigned(len(graph.inputs), 4)]
    parts += [_string(entry.name) + _array_type(entry.element_type, entry.shape) for entry in graph.inputs]
    parts += [_unsigned(len(values), 4), *values]
    parts += [_unsigned(len(graph.outputs), 4)]
    parts += [_string(entry.name) + _unsigned(number_of[entry.value], 4) for entry in graph.outputs]
    return b"".join(parts)


def _number_values(graph: graph_pb2.Graph, bodies: Sequence[bytes]) -> tuple[dict[int, int], list[bytes]]:
    """Number what the outputs need.

    Returns the number of each wire index that was reached, and the bytes of the values after the inputs, in the order
    of their numbers. Two values are equal exactly when their bytes are, because the bytes of an operation hold the
    numbers of its arguments; so the bytes are what equals are found by.
    """
    input_count = len(graph.inputs)
    first_node = input_count + len(graph.constants)
    number_of = {index: index for index in range(input_count)}
    number_of_bytes: dict[bytes, int] = {}
    for output in graph.outputs:
        pending = [output.value]
        while pending:
            index = pending[-1]
            if index in number_of:
                pending.pop()
                continue
            arguments = graph.nodes[index - first_node].arguments if index >= first_node else ()
            unnumbered = next((argument for argument in arguments if argument not in number_of), None)
            if unnumbered is not None:
                pending.append(unnumbered)
                continue
            if index < first_node:
                value = _constant(graph.constants[index - input_count])
            else:
                node = graph.nodes[index - first_node]
                name = graph.operation_names[node.operation]
                value = _operation(name, [number_of[entry] for entry in arguments], node.parameters, bodies)
            number_of[index] = number_of_bytes.setdefault(value, input_count + len(number_of_bytes))
            pending.pop()
    return number_of, list(number_of_bytes)


def _constant(array: graph_pb2.Array) -> bytes:
    letter = "f" if array.element_type == graph_pb2.ELEMENT_TYPE_FLOAT32 else "d"
    elements = array.data or struct.pack(f"<{len(array.values)}{letter}", *array.values)
    return _unsigned(CONSTANT, 1) + _array_type(array.element_type, array.shape) + elements


def _operation(
    name: str, numbers: Sequence[int], parameters: Iterable[graph_pb2.Parameter], bodies: Sequence[bytes]
) -> bytes:
    parts = [_unsigned(OPERATION, 1), _string(name)]
    parts += [_unsigned(len(numbers), 4), *(_unsigned(number, 4) for number in numbers)]
    ordered = sorted(parameters, key=lambda parameter: parameter.name.encode())
    parts += [_unsigned(len(ordered), 4), *(_parameter(parameter, bodies) for parameter in ordered)]
    return b"".join(parts)


def _parameter(parameter: graph_pb2.Parameter, bodies: Sequence[bytes]) -> bytes:
    name = _string(parameter.name)
    match parameter.WhichOneof("value"):
        case "integer":
            return name + _unsigned(INTEGER, 1) + struct.pack("<q", parameter.integer)
        case "number":
            return name + _unsigned(NUMBER, 1) + struct.pack("<d", parameter.number)
        case "text":
            return name + _unsigned(TEXT, 1) + _string(parameter.text)
        case "integers":
            integers = parameter.integers.values
            return (
                name
                + _unsigned(INTEGERS, 1)
                + _unsigned(len(integers), 4)
                + struct.pack(f"<{len(integers)}q", *integers)
            )
        case "function":
            return name + _unsigned(FUNCTION, 1) + bodies[parameter.function]
        case _:
            message = f"parameter {parameter.name!r} has no value"
            raise ValueError(message)


def _array_type(element_type: int, shape: Iterable[int]) -> bytes:
    """Return element type and shape, the way inputs and constants both begin."""
    dimensions = list(shape)
    written = element_type or graph_pb2.ELEMENT_TYPE_FLOAT64
    return (
        _unsigned(written, 1) + _unsigned(len(dimensions), 4) + b"".join(_unsigned(extent, 8) for extent in dimensions)
    )


def _string(text: str) -> bytes:
    encoded = text.encode()
    return _unsigned(len(encoded), 4) + encoded


def _unsigned(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")
