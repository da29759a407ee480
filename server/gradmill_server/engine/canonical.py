"""The canonical form of a function, and its digest.

Specified in ``proto/gradmill/v1/graph.proto``, with test vectors in ``proto/digest_vectors.json``.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from gradmill_server.engine.ir import Graph, Output

if TYPE_CHECKING:
    from gradmill_server.engine.ir import Parameters, ParameterValue, Shape

_MAGIC = b"gradmill.graph.v1\0"
_FLOAT64 = 1
_CONSTANT_TAG = b"\0"
_OPERATION_TAG = b"\1"
_INTEGER, _NUMBER, _TEXT, _INTEGERS = 1, 2, 3, 4

DIGEST_BYTES = 32


def canonicalize(graph: Graph) -> Graph:
    """Return the same function with only the values its outputs need, in canonical order."""
    number = _canonical_numbers(graph)
    order = sorted((new, old) for old, new in enumerate(number) if new >= 0)
    nodes = tuple(graph.nodes[old].renumbered(number) for _, old in order)
    outputs = tuple(Output(entry.name, number[entry.node]) for entry in graph.outputs)
    labels = {number[old]: label for old, label in graph.labels.items() if number[old] >= 0}
    return Graph(graph.inputs, nodes, outputs, labels)


def _canonical_numbers(graph: Graph) -> list[int]:
    """Return each node's canonical number, or -1 for a node that no output needs."""
    nodes = graph.nodes
    number = [-1] * len(nodes)
    count = len(graph.inputs)
    number[:count] = range(count)
    for entry in graph.outputs:
        stack = [entry.node]
        while stack:
            index = stack[-1]
            if number[index] >= 0:
                stack.pop()
                continue
            waiting = [argument for argument in nodes[index].arguments if number[argument] < 0]
            if waiting:
                stack.extend(reversed(waiting))
                continue
            number[index] = count
            count += 1
            stack.pop()
    return number


def digest(canonical: Graph) -> bytes:
    """Return the SHA-256 (FIPS 180-4) of a canonical graph's bytes: 32 bytes."""
    return hashlib.sha256(canonical_bytes(canonical)).digest()


def canonical_bytes(canonical: Graph) -> bytes:
    """Return the canonical bytes of a graph that `canonicalize` made."""
    parts = [_MAGIC, _u32(len(canonical.inputs))]
    for entry in canonical.inputs:
        parts += (_text(entry.name), bytes([_FLOAT64]), _shape(entry.shape))
    values = canonical.nodes[len(canonical.inputs) :]
    parts.append(_u32(len(values)))
    names: dict[str, bytes] = {}
    for node in values:
        if node.is_constant:
            parts += (_CONSTANT_TAG, bytes([_FLOAT64]), _shape(node.shape), node.constant_array().tobytes())
            continue
        name = names.get(node.operation)
        if name is None:
            name = names[node.operation] = _OPERATION_TAG + _text(node.operation)
        count = len(node.arguments)
        parts += (name, struct.pack(f"<I{count}I", count, *node.arguments), _parameters(node.parameters))
    parts.append(_u32(len(canonical.outputs)))
    for output in canonical.outputs:
        parts += (_text(output.name), _u32(output.node))
    return b"".join(parts)


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _u32(len(encoded)) + encoded


def _shape(shape: Shape) -> bytes:
    return struct.pack(f"<I{len(shape)}Q", len(shape), *shape)


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return b"\0\0\0\0"
    ordered = sorted(parameters, key=lambda parameter: parameter[0].encode())
    return _u32(len(ordered)) + b"".join(_text(name) + _parameter(value) for name, value in ordered)


def _parameter(value: ParameterValue) -> bytes:
    match value:
        case int():
            return struct.pack("<Bq", _INTEGER, value)
        case float():
            return struct.pack("<Bd", _NUMBER, value)
        case str():
            return bytes([_TEXT]) + _text(value)
        case tuple():
            return struct.pack(f"<BI{len(value)}q", _INTEGERS, len(value), *value)
        case _:
            message = f"a parameter cannot be {type(value).__name__}"
            raise TypeError(message)
