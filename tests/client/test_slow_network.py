"""A client on a road where opening a connection takes its time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import gradmill as gm
import grpc
import pytest

from tests.client.fakes import raw_handlers

_DELAY_SECONDS = 0.5


@pytest.fixture
def far_address() -> Iterator[str]:
    """Give the address of a server that is reached through a relay, which keeps each connection waiting at first."""
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((raw_handlers(lambda *_: b""),))
    near = ("127.0.0.1", server.add_insecure_port("127.0.0.1:0"))
    server.start()
    with socket.create_server(("127.0.0.1", 0)) as relay:
        threading.Thread(target=_relay, args=(relay, near), daemon=True).start()
        yield f"127.0.0.1:{relay.getsockname()[1]}"
    server.stop(0).wait()


def _relay(relay: socket.socket, near: tuple[str, int]) -> None:
    with suppress(OSError):
        while True:
            arrived, _ = relay.accept()
            threading.Thread(target=_carry, args=(arrived, near), daemon=True).start()


def _carry(arrived: socket.socket, near: tuple[str, int]) -> None:
    threading.Event().wait(_DELAY_SECONDS)
    with suppress(OSError), arrived, socket.create_connection(near) as onward:
        back = threading.Thread(target=_copy, args=(onward, arrived), daemon=True)
        back.start()
        _copy(arrived, onward)
        back.join()


def _copy(source: socket.socket, destination: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(65_536):
            destination.sendall(received)
        destination.shutdown(socket.SHUT_WR)


def test_a_connection_may_take_its_time_to_open(far_address: str) -> None:
    """A first call is answered though its connection takes half a second to open, without being sent again."""
    with gm.connect(far_address, retries=gm.RetryPolicy(maximum_attempts=1)) as client:
        assert client.operations() == ()
