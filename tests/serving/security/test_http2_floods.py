"""What HTTP/2 allows and no honest peer does: floods of frames, each on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import select
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from gradmill_server.serving.transport import SERVICE_NAME

from tests.serving.security.fronts import Door, run_door
from tests.serving.support import results, small_settings, until

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 1, 3, 4, 6, 7, 9
_END_HEADERS = 4
_FRAME_HEAD_BYTES = 9
_QUIET_SECONDS = 0.5
_FLOOD_BYTES = 500_000


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _field(name: bytes, value: bytes) -> bytes:
    """Return a header field as HPACK's literal that enters no table; name and value are short."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


_REQUEST = b"".join(
    itertools.starmap(
        _field,
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", f"/{SERVICE_NAME}/Evaluate".encode()),
            (b":authority", b"localhost"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        ],
    )
)


def _headers_without_end() -> Iterator[bytes]:
    """Yield a request whose headers never end."""
    yield _frame(_HEADERS, 0, 1, _REQUEST)
    yield from itertools.repeat(_frame(_CONTINUATION, 0, 1, _field(b"x", b"y" * 100) * 100) * 10)


def _empty_headers_without_end() -> Iterator[bytes]:
    """Yield a request whose headers never end and hold nothing."""
    yield _frame(_HEADERS, 0, 1, _REQUEST)
    yield from itertools.repeat(_frame(_CONTINUATION, 0, 1) * 1_000)


def _pings() -> Iterator[bytes]:
    """Yield pings."""
    yield from itertools.repeat(_frame(_PING, 0, 0, b"12345678") * 500)


def _settings() -> Iterator[bytes]:
    """Yield settings, each of which has to be acknowledged."""
    yield from itertools.repeat(_frame(_SETTINGS, 0, 0, b"\x00\x03\x00\x00\x00\x64") * 500)


def _rapid_resets() -> Iterator[bytes]:
    """Yield calls that are given up as soon as they are begun."""
    for stream in itertools.count(1, 2):
        yield _frame(_HEADERS, _END_HEADERS, stream, _REQUEST) + _frame(_RST_STREAM, 0, stream, b"\x00\x00\x00\x08")


@dataclass
class _Reply:
    """What a server said to a flood: the kinds of its frames, and whether it hung up."""

    kinds: set[int]
    closed: bool


def _flood(port: int, frames: Iterator[bytes], size: int) -> _Reply:
    """Send frames of so many bytes, or until the server hangs up, and return what came back."""
    received, sent, closed = b"", 0, False
    with socket.create_connection(("127.0.0.1", port), 10) as connection, contextlib.suppress(OSError):
        closed = True
        connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0))
        while sent < size:
            piece = next(frames)
            connection.sendall(piece)
            sent += len(piece)
            while select.select([connection], [], [], 0)[0]:
                received += (got := connection.recv(65_536))
                if not got:
                    return _Reply(_kinds(received), closed=True)
        connection.settimeout(_QUIET_SECONDS)
        try:
            while got := connection.recv(65_536):
                received += got
        except TimeoutError:
            closed = False
    return _Reply(_kinds(received), closed)


def _kinds(received: bytes) -> set[int]:
    kinds, place = set(), 0
    while place + _FRAME_HEAD_BYTES <= len(received):
        kinds.add(received[place + 3])
        place += _FRAME_HEAD_BYTES + int.from_bytes(received[place : place + 3], "big")
    return kinds


@pytest.mark.parametrize("frames", [_headers_without_end, _empty_headers_without_end, _pings, _settings, _rapid_resets])
def test_a_flood_of_frames(frames: Callable[[], Iterator[bytes]]) -> None:
    """While one connection is flooded, callers on others are answered, and nothing of the flood stays behind."""

    async def scenario(door: Door) -> _Reply:
        flood = asyncio.create_task(asyncio.to_thread(_flood, door.port, frames(), _FLOOD_BYTES))
        while not flood.done():
            assert results(await door.call())[0].tolist() == [48.0]
        await until(lambda: door.handler.admission.calls == 0)
        assert results(await door.call())[0].tolist() == [48.0]
        return await flood

    reply = run_door(small_settings(), scenario)
    if frames is _pings:
        assert _GOAWAY in reply.kinds
