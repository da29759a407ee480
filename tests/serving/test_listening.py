"""Ports that the processes of one server share, and no other server gets."""

from __future__ import annotations

import socket

import pytest
from gradmill_server.serving.listening import ListenError, ReservedPort, check_free, shown_address


def _sharing(port: int) -> socket.socket:
    """Return a socket that listens as a worker does."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen()
    return listening


def test_a_reserved_port_is_for_the_workers_alone() -> None:
    """No other server gets a reserved port, neither before workers listen on it nor while they do."""
    port = ReservedPort("127.0.0.1", 0)
    try:
        for workers in range(3):
            listening = [_sharing(port.number) for _ in range(workers)]
            with pytest.raises(ListenError, match=f"127.0.0.1:{port.number}: Address already in use"):
                ReservedPort("127.0.0.1", port.number)
            with pytest.raises(ListenError):
                check_free("127.0.0.1", port.number)
            for entry in listening:
                entry.close()
    finally:
        port.close()


def test_a_port_is_free_again_at_once() -> None:
    """A server that starts anew gets its port although connections of the old one linger."""
    port = ReservedPort("127.0.0.1", 0)
    with _sharing(port.number) as listening, socket.create_connection(("127.0.0.1", port.number)) as caller:
        accepted, _ = listening.accept()
        # Whoever closes first is left with a connection that lingers.
        accepted.close()
        assert caller.recv(1) == b""
    port.close()
    ReservedPort("127.0.0.1", port.number).close()


def test_nobody_answers_before_a_worker_does() -> None:
    """A reserved port refuses connections until a worker listens: nobody waits for a server that is not there."""
    port = ReservedPort("127.0.0.1", 0)
    try:
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port.number)):
            pass
    finally:
        port.close()


def test_an_address_that_is_not_ours_is_named() -> None:
    """An address that no interface has is an error of one line that names it."""
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0: "):
        ReservedPort("192.0.2.1", 0)


def test_addresses_are_shown_as_clients_take_them() -> None:
    """A host with colons is put in brackets, once."""
    assert [shown_address(host, 1) for host in ("::1", "[::]", "127.0.0.1")] == ["[::1]:1", "[::]:1", "127.0.0.1:1"]
