"""Tokens and TLS on the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from gradmill.command_line import main

from tests.client.fakes import raw_handlers

SECRET = "a-secret-token"


@pytest.fixture
def heard() -> Iterator[tuple[str, list[object]]]:
    """Give the address of a server, and the authorization of each call that it gets."""
    authorizations: list[object] = []

    def answer(_method: str, _body: bytes, context: grpc.ServicerContext) -> bytes:
        authorizations.append(dict(context.invocation_metadata()).get("authorization"))
        return context.abort(grpc.StatusCode.UNAUTHENTICATED, "no valid credentials")

    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((raw_handlers(answer),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", authorizations
    server.stop(0).wait()


def test_a_token_from_a_file_goes_before_that_of_the_environment(
    heard: tuple[str, list[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token comes from the file named, else from the environment; a refusal is one line that does not show it."""
    address, authorizations = heard
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n", encoding="ascii")
    monkeypatch.setenv("GRADMILL_TOKEN", "from-the-environment")
    assert main(["functions", "--server", address]) == 1
    assert main(["functions", "--server", address, "--token-file", str(file)]) == 1
    assert authorizations == ["Bearer from-the-environment", f"Bearer {SECRET}"]
    shown = capsys.readouterr().err
    assert "no valid credentials" in shown
    assert SECRET not in shown


def test_a_token_in_clear_to_another_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token does not leave this machine without TLS, and the message says what to do."""
    monkeypatch.setenv("GRADMILL_TOKEN", SECRET)
    assert main(["functions", "--server", "gradmill.example.com:50051"]) == 1
    shown = capsys.readouterr().err
    assert "in clear" in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        (["--token-file", "/nowhere/token"], 1, "/nowhere/token: No such file"),
        (["--certificate-authority", "/nowhere/ca.pem"], 1, "/nowhere/ca.pem: No such file"),
        (["--client-key", "/nowhere/key.pem"], 2, "belong together"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    flags: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file, and a key without its certificate, are one line each."""
    assert main(["functions", "--server", "127.0.0.1:1", *flags]) == status
    assert said in capsys.readouterr().err


def test_a_token_and_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`gradmill token` prints a new token each time, and a line that holds its hash and not the token."""
    made = []
    for _ in range(2):
        assert main(["token", "alice", "--expires", "2999-01-31", "--json"]) == 0
        made.append(json.loads(capsys.readouterr().out))
    first, second = made
    assert first["token"] != second["token"]
    digest = hashlib.sha256(first["token"].encode()).hexdigest()
    assert first["line"] == f"alice {digest} 2999-01-31"
    assert main(["token", "alice"]) == 0
    shown = capsys.readouterr().out.split()
    assert shown[0] == "token"
    assert shown[2:] == ["line", "alice", hashlib.sha256(shown[1].encode()).hexdigest()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["two words"], "is no name"),
        (["#alice"], "is no name"),
        (["alice", "--expires", "soon"], "not a date"),
        (["alice", "--expires", "2001-01-31"], "has passed"),
        (["alice", "--expires", "2999-01-31 12:00"], "a T between"),
    ],
)
def test_a_token_that_could_not_be_used_is_not_made(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name with spaces and a date that is none or has passed are refused."""
    assert main(["token", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
