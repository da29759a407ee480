"""Requests for the catalogue, written in the text form of protobuf, so that each is its own description."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import text_format
from gradmill.v1.gradient_service_pb2 import EvaluateRequest, ExplainRequest, RegisterFunctionRequest

VALUE = "wants {derivative: DERIVATIVE_VALUE}"
GRADIENT = "wants {derivative: DERIVATIVE_GRADIENT}"
THREE = "points {matrix {shape: [1, 3] values: [2, 3, 4]}}"
TWO = "points {matrix {shape: [1, 2] values: [2, 3]}}"
ONE = "points {matrix {shape: [1, 1] values: 2}}"
NO_POINTS = "points {count: 1}"
SEED = 'function {formula {text: "3*(x1**2 + x2*x3)"}}'

TWO_INPUTS = 'inputs {name: "x"} inputs {name: "y"}'
SUM_OF_SQUARE = (
    'constants {values: 2} operation_names: ["power", "add"]'
    " nodes {operation: 0 arguments: [0, 2]} nodes {operation: 1 arguments: [3, 1]}"
)
"""With the two inputs x**2 + y: values 0 and 1 are inputs, 2 is a constant, 3 and 4 are nodes."""

OUTPUT = 'outputs {name: "value" value: 4}'
GRAPH = f"{TWO_INPUTS} {SUM_OF_SQUARE} {OUTPUT}"


def evaluate(*parts: str) -> bytes:
    """Return a request to Evaluate, from its text in parts."""
    return text_format.Parse(" ".join(parts), EvaluateRequest()).SerializeToString()


def register(*parts: str) -> bytes:
    """Return a request to RegisterFunction, from its text in parts."""
    return text_format.Parse(" ".join(parts), RegisterFunctionRequest()).SerializeToString()


def explain(*parts: str) -> bytes:
    """Return a request to Explain, from its text in parts."""
    return text_format.Parse(" ".join(parts), ExplainRequest()).SerializeToString()


def graph_request(graph: str, *rest: str) -> bytes:
    """Return a request for a graph's value; unless said otherwise with respect to two inputs at (2, 3)."""
    return evaluate(f"function {{graph {{{graph}}}}}", *(rest or (VALUE, TWO)))


def formula_request(text: str, *rest: str) -> bytes:
    """Return a request for a formula's value; unless said otherwise at the single point 2 of one input."""
    request = text_format.Parse(" ".join(rest or (VALUE, ONE)), EvaluateRequest())
    request.function.formula.text = text
    return request.SerializeToString()


def nested(path: Sequence[int], payload: bytes) -> bytes:
    """Return bytes as the field that a path of field numbers leads to; parsers merge it with what stands before."""
    for number in reversed(path):
        payload = varint(number << 3 | 2) + varint(len(payload)) + payload
    return payload


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it, seven bits to a byte."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
