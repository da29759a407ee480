"""The canonical form of a function, and its digest.

Specified in ``proto/gradmill/v1/graph.proto``, with test vectors in ``proto/digest_vectors.json``.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from gradmill_server.engine.checkpoints import NODES_BETWEEN_CHECKPOINTS, never
from gradmill_server.engine.element_types import ElementType, narrowed
from gradmill_server.engine.ir import CONSTANT, Body, renumbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph, Node, Nodes, Parameters, ParameterValue, Shape

_MAGIC = b"gradmill.graph.v1\0"
_CONSTANT_TAG = b"\0"
_OPERATION_TAG = b"\1"
_INTEGER, _NUMBER, _TEXT, _INTEGERS, _FUNCTION = 1, 2, 3, 4, 5

DIGEST_BYTES = 32


def canonicalize(graph: Graph, checkpoint: Checkpoint = never) -> Graph:
    """Return the same function with only the values its outputs need, in canonical order.

    The checkpoint is called every few milliseconds; it may raise to stop.
    """
    operations_of, arguments_of = graph.nodes.operations, graph.nodes.arguments
    count = len(graph.inputs)
    number = [*range(count), *[-1] * (len(arguments_of) - count)]
    operations, arguments = operations_of[:count], arguments_of[:count]
    steps = 0
    for entry in graph.outputs:
        stack = [entry.node]
        while stack:
            steps += 1
            if steps % NODES_BETWEEN_CHECKPOINTS == 0:
                checkpoint()
            index = stack.pop()
            if number[index] >= 0:
                continue
            waiting = [argument for argument in arguments_of[index] if number[argument] < 0]
            if waiting:
                stack.append(index)
                stack += waiting[::-1]
                continue
            number[index] = len(operations)
            operations.append(operations_of[index])
            arguments.append(renumbered(arguments_of[index], number))
    return graph.renumbered(operations, arguments, number)


def body_of(graph: Graph, checkpoint: Checkpoint = never) -> Body:
    """Return a function as the body of an operation: in canonical form, with its digest.

    The checkpoint is called every few milliseconds; it may raise to stop.
    """
    canonical = canonicalize(graph, checkpoint)
    return Body(canonical, digest(canonical, checkpoint))


def digest(canonical: Graph, checkpoint: Checkpoint = never) -> bytes:
    """Return the SHA-256 (FIPS 180-4) of a canonical graph's bytes: 32 bytes.

    The checkpoint is called every few milliseconds; it may raise to stop.
    """
    state = hashlib.sha256()
    for piece in _canonical_pieces(canonical):
        checkpoint()
        state.update(piece)
    return state.digest()


def canonical_bytes(canonical: Graph) -> bytes:
    """Return the canonical bytes of a graph that `canonicalize` made."""
    return b"".join(_canonical_pieces(canonical))


def _canonical_pieces(canonical: Graph) -> Iterator[bytes]:
    """Cut the canonical bytes into pieces, each of some thousand nodes."""
    yield _MAGIC + _u32(len(canonical.inputs))
    for entry in canonical.inputs:
        yield _text(entry.name) + bytes([entry.element_type]) + _shape(entry.shape)
    first, end = len(canonical.inputs), len(canonical.nodes)
    yield _u32(end - first)
    names: dict[str, bytes] = {}
    for start in range(first, end, NODES_BETWEEN_CHECKPOINTS):
        span = range(start, min(start + NODES_BETWEEN_CHECKPOINTS, end))
        yield _nodes(canonical.nodes, span, names, canonical.element_type)
    yield _u32(len(canonical.outputs))
    for output in canonical.outputs:
        yield _text(output.name) + _u32(output.node)


def _nodes(nodes: Nodes, span: range, names: dict[str, bytes], element_type: ElementType) -> bytes:
    """Return the bytes of some nodes; ``names`` keeps those of the operations."""
    parts: list[bytes] = []
    for index in span:
        operation, arguments = nodes.operations[index], nodes.arguments[index]
        if operation == CONSTANT:
            parts += (_CONSTANT_TAG, bytes([element_type]), _shape(nodes.shape(index)))
            parts.append(_elements(nodes[index], element_type))
            continue
        name = names.get(operation)
        if name is None:
            name = names[operation] = _OPERATION_TAG + _text(operation)
        parts += (name, _u32(len(arguments), *arguments), _parameters(nodes.parameters.get(index, ())))
    return b"".join(parts)


def _elements(constant: Node, element_type: ElementType) -> bytes:
    array = constant.constant_array()
    return (
        array.tobytes() if element_type is ElementType.FLOAT64 else narrowed(array).astype("<f4", copy=False).tobytes()
    )


def _u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


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
        case Body():
            return bytes([_FUNCTION]) + value.digest
        case _:
            message = f"a parameter cannot be {type(value).__name__}"
            raise TypeError(message)
