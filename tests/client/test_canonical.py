"""The client's canonical form against the vectors beside the contract."""

from __future__ import annotations

import json
from typing import Any

import gradmill as gm
import pytest
from google.protobuf import json_format
from gradmill.canonical import body_of, canonical_bytes, canonicalize, digest
from gradmill.graph import Body, Constant, Graph, Input, Operation, Output, Parameter, ParameterKind, bodies_of
from gradmill.v1 import graph_pb2
from gradmill.wire import graph_message, read_graph

from tests import REPOSITORY

VECTORS: list[dict[str, Any]] = json.loads((REPOSITORY / "proto" / "digest_vectors.json").read_text("utf-8"))["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_the_client_computes_each_vector(vector: dict[str, Any]) -> None:
    """The client gives every function the digest that the contract says, byte for byte."""
    message = json_format.ParseDict(vector["graph"], graph_pb2.Graph())
    canonical = canonicalize(read_graph(message))
    assert b"".join(canonical_bytes(canonical)).hex() == vector["canonical"]
    assert digest(canonical).hex() == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_a_canonical_graph_survives_the_wire(vector: dict[str, Any]) -> None:
    """What the client sends for a function has the function's digest."""
    message = json_format.ParseDict(vector["graph"], graph_pb2.Graph())
    canonical = canonicalize(read_graph(message))
    sent = graph_pb2.Graph.FromString(graph_message(canonical).SerializeToString())
    assert canonicalize(read_graph(sent)) == canonical


def calling(body: Body, times: int) -> Graph:
    """Return a graph that calls a body so many times, one after the other."""
    parameter = Parameter("function", ParameterKind.FUNCTION, body)
    values = tuple(Operation("call", (number,), (parameter,)) for number in range(times))
    return Graph((Input("x"),), values, (Output("value", times),))


def test_a_body_travels_once_after_those_that_it_names() -> None:
    """However often bodies are called, each is sent once and can be read from the first to the last."""
    square = body_of(Graph((Input("x"),), (Operation("multiply", (0, 0)),), (Output("value", 1),)), [()])
    graph = calling(body_of(calling(square, 2), [()]), 3)
    message = graph_message(canonicalize(graph))
    assert len(message.functions) == 2
    assert list(message.functions[0].operation_names) == ["multiply"]
    assert [node.parameters[0].function for node in message.nodes] == [1, 1, 1]
    assert read_graph(message) == canonicalize(graph)


def test_very_long_chains_of_bodies_need_no_recursion() -> None:
    """Ten thousand levels of bodies that call bodies are collected, sent and read."""
    body = body_of(Graph((Input("x"),), (Operation("multiply", (0, 0)),), (Output("value", 1),)), [()])
    for _ in range(10_000):
        body = body_of(calling(body, 2), [()])
    graph = canonicalize(calling(body, 1))
    assert list(bodies_of(graph))[-1] == body.digest
    assert read_graph(graph_message(graph)) == graph


def test_a_body_must_stand_before_those_that_name_it() -> None:
    """A parameter that names a body that is not there is refused, by its name."""
    message = graph_message(calling(body_of(Graph((Input("x"),), (), (Output("value", 0),)), [()]), 1))
    message.nodes[0].parameters[0].function = 1
    with pytest.raises(gm.InvalidRequestError, match="'function' names the body 1, which is not there"):
        read_graph(message)


def test_a_canonical_graph_stays_as_it_is() -> None:
    """Bringing a function into canonical form twice changes nothing."""
    values = (
        Constant((), b"\0" * 8),
        Operation("add", (0, 1)),
        Operation("add", (0, 1)),
        Operation("multiply", (3, 2)),
    )
    graph = Graph((Input("x"),), values, (Output("value", 4),))
    once = canonicalize(graph)
    assert once.values == (values[0], values[1], Operation("multiply", (2, 2)))
    assert canonicalize(once) == once


def test_traced_arithmetic_has_the_digest_of_the_seed_vector() -> None:
    """A function traced from Python is the same function as its graph."""
    x1, x2, x3 = gm.inputs("x1", "x2", "x3")
    vector = next(entry for entry in VECTORS if entry["name"] == "seed")
    assert (3 * (x1**2 + x2 * x3)).digest.hex() == vector["digest"]
