"""Tokens and TLS as a client is given them: what is sent, what is refused, and what is never shown."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradmill as gm
import grpc
import pytest
from gradmill.credentials import MAXIMUM_TOKEN_CHARACTERS, Authorization, is_of_this_machine

from tests.client.fakes import raw_handlers

SECRET = "a-secret-token"


class _Listener:
    """A server that remembers the authorization of each call, and refuses those that are told to it."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.refused: set[str] = set()
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((raw_handlers(self._answer),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _answer(self, _method: str, _body: bytes, context: grpc.ServicerContext) -> bytes:
        authorization = dict(context.invocation_metadata()).get("authorization")
        self.heard.append(authorization)
        if authorization in self.refused:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no valid credentials")
        return b""  # of all messages this is the one without fields

    def stop(self) -> None:
        self._server.stop(0).wait()


@pytest.fixture
def listener() -> Iterator[_Listener]:
    """Run a listening server for one test."""
    server = _Listener()
    yield server
    server.stop()


def _call(target: str, **options: Any) -> None:  # noqa: ANN401 - whatever connect takes
    with gm.connect(target, **options) as client:
        client.operations()


def _call_async(target: str, **options: Any) -> None:  # noqa: ANN401 - whatever connect takes
    async def run() -> None:
        async with gm.connect_async(target, **options) as client:
            await client.operations()

    asyncio.run(run())


BOTH = pytest.mark.parametrize("call", [_call, _call_async])


@BOTH
def test_a_token_goes_with_each_message(listener: _Listener, call: Callable[..., None]) -> None:
    """The server sees the token that the client was given, and none when it was given none."""
    call(listener.address, token=SECRET)
    call(listener.address)
    assert listener.heard == [f"Bearer {SECRET}", None]


def test_a_token_that_is_replaced(listener: _Listener) -> None:
    """A function that gives the token is asked before each message, so that a new token is used at once."""
    tokens = iter(["first", "second"])
    with gm.connect(listener.address, token=lambda: next(tokens)) as client:
        client.operations()
        client.operations()
    assert listener.heard == ["Bearer first", "Bearer second"]


@BOTH
def test_a_refused_token_is_an_access_error(listener: _Listener, call: Callable[..., None]) -> None:
    """A token that the server refuses is an AccessDeniedError, sent once and never shown."""
    listener.refused.add(f"Bearer {SECRET}")
    with pytest.raises(gm.AccessDeniedError) as caught:
        call(listener.address, token=SECRET)
    assert caught.value.status == "UNAUTHENTICATED"
    assert len(listener.heard) == 1
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@BOTH
@pytest.mark.parametrize(
    ("given", "said"),
    [(lambda: 1 // 0, "ZeroDivisionError"), (lambda: None, "NoneType"), (lambda: f"{SECRET}\n", "line breaks")],
)
def test_a_function_that_gives_no_token(
    listener: _Listener,
    call: Callable[..., None],
    given: Any,  # noqa: ANN401 - wrong on purpose
    said: str,
) -> None:
    """A function that fails or gives what is no token is an AccessDeniedError that says so, and nothing is sent."""
    with pytest.raises(gm.AccessDeniedError, match=said) as caught:
        call(listener.address, token=given)
    assert caught.value.reason == "TOKEN_UNUSABLE"
    assert SECRET not in str(caught.value)
    assert listener.heard == []


@pytest.mark.parametrize(
    "token", ["", "two words", f"{SECRET}\r\nx: y", f"{SECRET}é", "x" * (MAXIMUM_TOKEN_CHARACTERS + 1)]
)
def test_a_token_that_no_header_carries(token: str) -> None:
    """A token that cannot be sent is refused when the client is made, without showing it."""
    with pytest.raises(ValueError, match="token: it") as caught:
        gm.connect("127.0.0.1:1", token=token)
    assert SECRET not in str(caught.value)


def test_nothing_shows_a_token() -> None:
    """What holds a token does not show it when printed."""
    authorization = Authorization(SECRET)
    assert SECRET not in repr(authorization)
    assert SECRET not in str(authorization)


@pytest.mark.parametrize(
    "target",
    [
        "localhost:1",
        "LOCALHOST",
        "127.0.0.1:1",
        "127.1.2.3:1",
        "[::1]:1",
        "::1",
        "dns:///localhost:1",
        "ipv4:127.0.0.1:1,127.0.0.2:2",
        "unix:/run/x",
        "unix:///run/x",
    ],
)
def test_addresses_of_this_machine(target: str) -> None:
    """A token may go in clear to an address that only this machine can have."""
    assert is_of_this_machine(target)
    gm.connect(target, token=SECRET).close()


@pytest.mark.parametrize(
    "target",
    [
        "example.com:1",
        "10.0.0.1:1",
        "0.0.0.0:1",
        "[::]:1",
        "dns://8.8.8.8/localhost:1",
        "ipv4:127.0.0.1:1,10.0.0.1:1",
        "localhost.example.com:1",
        "xds:///localhost",
        "",
    ],
)
def test_a_token_does_not_cross_a_network_in_clear(target: str) -> None:
    """A token for another machine needs TLS, or a word that clear text is meant; the refusal does not show it."""
    with pytest.raises(ValueError, match="in clear") as caught:
        gm.connect(target, token=SECRET)
    assert SECRET not in str(caught.value)
    gm.connect(target or "x", token=SECRET, token_in_clear=True).close()
    gm.connect(target or "x", token=SECRET, tls=gm.TLS()).close()


def test_a_certificate_needs_its_key() -> None:
    """A client certificate without its key, and TLS said twice, are refused at once."""
    with pytest.raises(ValueError, match="client_key belong together"):
        gm.TLS(client_certificate="certificate.pem")
    with pytest.raises(ValueError, match="give one of them"):
        gm.connect("localhost:1", tls=gm.TLS(), credentials=grpc.ssl_channel_credentials())


def test_a_missing_file_is_named() -> None:
    """A file of certificates that is not there is named when the client is made."""
    with pytest.raises(OSError, match=r"nowhere\.pem"):
        gm.connect("localhost:1", tls=gm.TLS(certificate_authority="/nowhere.pem"))
