"""The canonical form of a function and its digest, as specified at the top of ``graph.proto``.

Two functions are the same function exactly when their canonical forms are the same bytes; the digest is the SHA-256 of
these. Written from that text alone, so that agreement with the server is a test of both.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence

from gradmill.graph import Body, Constant, Graph, Operation, Output, Parameter, ParameterKind, Shape, Value

_MAGIC = b"gradmill.graph.v1\x00"
_CONSTANT = b"\x00"
_OPERATION = b"\x01"


def canonicalize(graph: Graph) -> Graph:
    """Return the graph with its values numbered as the canonical form wants, equal ones merged, unneeded ones gone.

    Takes time proportional to the values that the outputs need, whatever else the graph holds.
    """
    numbering = _Numbering(graph)
    outputs = tuple(Output(entry.name, numbering.number(entry.value)) for entry in graph.outputs)
    return Graph(graph.inputs, tuple(numbering.values), outputs)


class _Numbering:
    """Gives values their canonical numbers, depth first, without recursion."""

    def __init__(self, graph: Graph) -> None:
        self._source = graph.values
        self._input_count = len(graph.inputs)
        self._number_of_index: dict[int, int] = {index: index for index in range(self._input_count)}
        self._number_of_value: dict[Value, int] = {}
        self.values: list[Value] = []

    def number(self, index: int) -> int:
        """Return the number of a value, after numbering all that it needs."""
        numbers = self._number_of_index
        stack = [index]
        while stack:
            top = stack[-1]
            if top in numbers:
                stack.pop()
                continue
            value = self._source[top - self._input_count]
            if isinstance(value, Operation):
                waiting = [argument for argument in value.arguments if argument not in numbers]
                if waiting:
                    stack.extend(reversed(waiting))
                    continue
                arguments = tuple([numbers[argument] for argument in value.arguments])
                parameters = tuple(sorted(value.parameters, key=_parameter_order))
                value = Operation(value.name, arguments, parameters)
            numbers[top] = self._intern(value)
            stack.pop()
        return numbers[index]

    def _intern(self, value: Value) -> int:
        number = self._number_of_value.setdefault(value, self._input_count + len(self.values))
        if number == self._input_count + len(self.values):
            self.values.append(value)
        return number


def digest(graph: Graph) -> bytes:
    """Return the 32 bytes that name a function. The graph must be canonical."""
    hasher = hashlib.sha256()
    for part in canonical_bytes(graph):
        hasher.update(part)
    return hasher.digest()


def canonical_bytes(graph: Graph) -> Iterator[bytes]:
    """Yield the bytes of the canonical form, part by part. The graph must be canonical."""
    yield _MAGIC
    yield _count(len(graph.inputs))
    for entry in graph.inputs:
        yield _string(entry.name) + bytes((entry.element_type,)) + _shape(entry.shape)
    yield _count(len(graph.values))
    for value in graph.values:
        yield _constant(value) if isinstance(value, Constant) else _operation(value)
    yield _count(len(graph.outputs))
    for output in graph.outputs:
        yield _string(output.name) + _count(output.value)


def _constant(value: Constant) -> bytes:
    return _CONSTANT + bytes((value.element_type,)) + _shape(value.shape) + value.data


def _operation(value: Operation) -> bytes:
    arguments = value.arguments
    count = len(arguments)
    head = _OPERATION + _string(value.name) + struct.pack(f"<{count + 2}I", count, *arguments, len(value.parameters))
    return head + b"".join(map(_parameter, value.parameters))


def _parameter(parameter: Parameter) -> bytes:
    head = _string(parameter.name) + bytes((parameter.kind,))
    value = parameter.value
    if isinstance(value, bytes):
        return head + value
    if isinstance(value, str):
        return head + _string(value)
    if isinstance(value, Body):
        return head + value.digest
    if isinstance(value, tuple):
        return head + _count(len(value)) + struct.pack(f"<{len(value)}q", *value)
    return head + struct.pack("<q", value)


def _parameter_order(parameter: Parameter) -> bytes:
    return parameter.name.encode()


def _string(text: str) -> bytes:
    encoded = text.encode()
    return _count(len(encoded)) + encoded


def _shape(shape: Shape) -> bytes:
    return struct.pack(f"<I{len(shape)}Q", len(shape), *shape)


def _count(number: int) -> bytes:
    return struct.pack("<I", number)


def body_of(graph: Graph, output_shapes: Sequence[Shape]) -> Body:
    """Return a graph as the body of a loop or of a call, given the shape of each output."""
    canonical = canonicalize(graph)
    return Body(digest(canonical), canonical, tuple(output_shapes))


def number_parameter(name: str, value: float) -> Parameter:
    """Return a parameter whose value is a binary64 number."""
    return Parameter(name, ParameterKind.NUMBER, struct.pack("<d", value))
