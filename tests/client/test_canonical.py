"""The client's canonical form against the vectors beside the contract."""

from __future__ import annotations

import json
from typing import Any

import gradmill as gm
import pytest
from google.protobuf import json_format
from gradmill.canonical import canonical_bytes, canonicalize, digest
from gradmill.graph import Constant, Graph, Input, Operation, Output
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
