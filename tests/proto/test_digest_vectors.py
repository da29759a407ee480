"""The digest vectors against the reference implementation, and against bytes written out by hand."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from gradmill.v1 import graph_pb2

from tests import REPOSITORY
from tests.proto.canonical_reference import canonical_bytes, digest

VECTORS: list[dict[str, Any]] = json.loads((REPOSITORY / "proto" / "digest_vectors.json").read_text("utf-8"))["vectors"]
BY_NAME = {vector["name"]: vector for vector in VECTORS}


def read_graph(vector: dict[str, Any]) -> graph_pb2.Graph:
    """Return a vector's graph as a message."""
    return json_format.ParseDict(vector["graph"], graph_pb2.Graph())


@pytest.mark.parametrize("name", BY_NAME)
def test_a_vector_holds_the_canonical_form_and_digest_of_its_graph(name: str) -> None:
    """Anyone who implements the canonical form can check it against the vectors."""
    vector = BY_NAME[name]
    assert canonical_bytes(read_graph(vector)).hex() == vector["canonical"]
    assert digest(read_graph(vector)).hex() == vector["digest"]
    assert hashlib.sha256(bytes.fromhex(vector["canonical"])).hexdigest() == vector["digest"]


def test_the_seed_function_has_the_bytes_written_out_by_hand() -> None:
    """The canonical form of 3*(x1**2 + x2*x3) is what the comment in graph.proto says, field by field."""
    scalar_of_binary64 = struct.pack("<BI", 1, 0)
    expected = b"".join(
        [
            b"gradmill.graph.v1\x00",
            struct.pack("<I", 3),
            *(struct.pack("<I", 2) + name + scalar_of_binary64 for name in (b"x1", b"x2", b"x3")),
            struct.pack("<I", 6),
            b"\x00" + scalar_of_binary64 + struct.pack("<d", 3.0),
            b"\x00" + scalar_of_binary64 + struct.pack("<d", 2.0),
            b"\x01" + struct.pack("<I", 5) + b"power" + struct.pack("<4I", 2, 0, 4, 0),
            b"\x01" + struct.pack("<I", 8) + b"multiply" + struct.pack("<4I", 2, 1, 2, 0),
            b"\x01" + struct.pack("<I", 3) + b"add" + struct.pack("<4I", 2, 5, 6, 0),
            b"\x01" + struct.pack("<I", 8) + b"multiply" + struct.pack("<4I", 2, 3, 7, 0),
            struct.pack("<I", 1),
            struct.pack("<I", 5) + b"value" + struct.pack("<I", 8),
        ]
    )
    assert bytes.fromhex(BY_NAME["seed"]["canonical"]) == expected


def test_vectors_share_a_digest_exactly_where_they_say_so() -> None:
    """One function written in several ways has one digest, and different functions have different ones."""
    first_with: dict[str, str] = {}
    for vector in VECTORS:
        first = first_with.setdefault(vector["digest"], vector["name"])
        assert vector.get("same_as", vector["name"]) == first


def test_the_vectors_are_renewed_by_their_script() -> None:
    """The committed file is what proto/make_digest_vectors.py writes."""
    command = [sys.executable, str(REPOSITORY / "proto" / "make_digest_vectors.py"), "--check"]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_the_script_shows_what_is_out_of_date(tmp_path: Path) -> None:
    """A vector changed by hand is found and shown as a difference."""
    changed = tmp_path / "digest_vectors.json"
    committed = (REPOSITORY / "proto" / "digest_vectors.json").read_text("utf-8")
    changed.write_text(committed.replace(BY_NAME["seed"]["digest"], "00" * 32), encoding="utf-8")
    command = [sys.executable, str(REPOSITORY / "proto" / "make_digest_vectors.py"), "--check", "--file", str(changed)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert finished.returncode == 1
    assert f'+   "digest": "{BY_NAME["seed"]["digest"]}"' in finished.stdout
