"""A peer that speaks HTTP/2 by hand: only as much as it takes to break its rules, and some that no client breaks."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PUSH, PING, GO_AWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1

_PATIENCE_SECONDS = 10.0


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Return a frame of HTTP/2 (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header as HPACK writes it without tables (RFC 7541, section 6.2.2)."""
    return b"\0" + _length(name) + name + _length(value) + value


def _length(text: bytes) -> bytes:
    """Return a length with a prefix of seven bits."""
    if len(text) < 127:
        return bytes([len(text)])
    rest, groups = len(text) - 127, [127]
    while rest > 127:
        groups.append(rest % 128 + 128)
        rest //= 128
    return bytes([*groups, rest])


def request_headers(path: bytes = b"/gradmill.v1.GradientService/Evaluate", further: bytes = b"") -> bytes:
    """Return the headers of a call."""
    return (
        b"\x83\x86"  # method POST, scheme http: from the static table
        + literal(b":path", path)
        + literal(b":authority", b"localhost")
        + literal(b"te", b"trailers")
        + literal(b"content-type", b"application/grpc")
        + further
    )


def message(body: bytes, flag: int = 0, length: int | None = None) -> bytes:
    """Return a message as gRPC frames it; the flag says whether it is compressed."""
    return bytes([flag]) + struct.pack(">I", len(body) if length is None else length) + body


def talk(
    address: str, parts: Iterable[bytes], *, opening: bytes = PREFACE + frame(SETTINGS), wait: bool = True
) -> bytes:
    """Connect, send parts for as long as the server takes them, and return what it says until it hangs up or rests."""
    host, _, port = address.rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port)), _PATIENCE_SECONDS) as connection:
        with suppress(ConnectionError, TimeoutError):
            connection.sendall(opening)
            for part in parts:
                connection.sendall(part)
        connection.settimeout(0.3)
        with suppress(ConnectionError, TimeoutError):
            while wait and (piece := connection.recv(65_536)):
                answer += piece
    return answer
