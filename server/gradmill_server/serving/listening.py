"""Addresses to listen on: whether one is free, and a port that several processes of one server share."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


class ListenError(Exception):
    """An address that cannot be listened on; the message says which and why, on one line."""


def shown_address(host: str, port: int) -> str:
    """Return host and port as one text, with brackets around a host that has colons."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def check_free(host: str, port: int) -> None:
    """Raise ListenError for an address that is taken or not ours, in plain words; grpcio's own say less."""
    if port != 0:
        with _alone(host, port):
            pass


class ReservedPort:
    """Holds a port without listening on it, so that nobody connects to this process.

    Processes of the same user may listen on the port with SO_REUSEPORT, as workers do. Another server may not: it first
    tries to listen without that option, which fails as long as somebody holds the port.

    Attributes:
        number: the port chosen.
    """

    def __init__(self, host: str, port: int) -> None:
        """Take the port; 0 takes any that is free. Raises ListenError when it is taken or not ours."""
        with _alone(host, port) as alone:
            self._socket = socket.socket(alone.family, alone.type, alone.proto)
            # While nobody else can have the port it is handed over to a socket that others may share it with.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                self._socket.bind(alone.getsockname())
                # It was needed beside connections of an earlier server that linger; kept, it would let another one in.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            except OSError:
                self._socket.close()
                raise
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Let go of the port; those who listen on it go on."""
        self._socket.close()


@contextmanager
def _alone(host: str, port: int) -> Iterator[socket.socket]:
    """Give a socket that listens on an address as nobody else does. Raises ListenError when somebody does."""
    bare = host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
            alone.listen(1)
            yield alone
    except OSError as error:
        message = f"cannot listen on {bare}:{port}: {error.strerror or error}"
        raise ListenError(message) from error
