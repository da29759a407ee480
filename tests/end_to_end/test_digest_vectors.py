"""A server against the digest vectors beside the contract: it gives each function the digest published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gradmill as gm
import pytest
from google.protobuf import json_format
from gradmill.v1 import graph_pb2

from tests import REPOSITORY

DOCUMENT = json.loads((REPOSITORY / "proto" / "digest_vectors.json").read_text("utf-8"))
VECTORS: list[dict[str, Any]] = [vector for vector in DOCUMENT["vectors"] if not vector["structural"]]


@pytest.fixture(scope="module")
def client() -> Iterator[gm.Client]:
    """Give a client with a server inside the process."""
    with gm.local() as client:
        yield client


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_a_server_gives_each_graph_and_its_formula_the_published_digest(
    client: gm.Client, vector: dict[str, Any]
) -> None:
    """What is sent as a graph or as the formula that the vector says has the vector's digest."""
    message = json_format.ParseDict(vector["graph"], graph_pb2.Graph())
    assert client.register(message).digest.hex() == vector["digest"]
    if "formula" in vector:
        inputs = {entry.name: tuple(entry.shape) for entry in message.inputs}
        assert client.register(gm.formula(vector["formula"], inputs=inputs)).digest.hex() == vector["digest"]
