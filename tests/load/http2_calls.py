"""The lightest caller there is: gRPC's unary calls written as HTTP/2 frames by hand, some twenty microseconds each.

A load generator that shares two cores with its server must cost little beside it; grpcio costs as much as the server.
It speaks just enough of RFC 9113 and RFC 7541 for a server that respects its settings: no dynamic header table, and
windows so large that it never has to open them. The server's own windows are respected.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 1, 4, 5
_CANCEL = 8
_LARGEST_WINDOW = 2**31 - 1
_FIRST_WINDOW = 65_535
_UNAVAILABLE = 14


class Answer(NamedTuple):
    """How a call ended: the number of its status code, and the message when there is one."""

    code: int
    body: bytes


Done = Callable[[Answer], None]


class _Call:
    __slots__ = ("body", "done")

    def __init__(self, done: Done) -> None:
        self.done = done
        self.body = bytearray()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return one HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header_block(fields: Iterator[tuple[bytes, bytes]]) -> bytes:
    """Return header fields as literals that enter no table and use no Huffman code."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(value: bytes) -> bytes:
    return _integer(len(value), 7) + value


def _integer(value: int, bits: int) -> bytes:
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([value])
    encoded = bytearray([limit])
    value -= limit
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def literal_fields(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the fields of a header block whose names are written out; those that are indexed are passed over."""
    position = 0
    while position < len(block):
        first = block[position]
        if first & 0x80:  # indexed
            _, position = _read_integer(block, position, 7)
        elif first & 0xE0 == 0x20:  # size of the dynamic table
            _, position = _read_integer(block, position, 5)
        else:
            index, position = _read_integer(block, position, 6 if first & 0x40 else 4)
            name = b""
            if index == 0:
                name, position = _read_text(block, position)
            value, position = _read_text(block, position)
            yield name, value


def _read_integer(block: bytes, position: int, bits: int) -> tuple[int, int]:
    limit = (1 << bits) - 1
    value = block[position] & limit
    position += 1
    if value < limit:
        return value, position
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _read_text(block: bytes, position: int) -> tuple[bytes, int]:
    length, position = _read_integer(block, position, 7)
    return block[position : position + length], position + length


class Http2Connection(asyncio.Protocol):
    """One connection over which calls are made; `connect` opens it.

    Attributes:
        under_way: how many calls have not ended.
    """

    def __init__(self) -> None:
        """Start unconnected."""
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._calls: dict[int, _Call] = {}
        self._next_stream = 1
        self._window = _FIRST_WINDOW
        self._waiting: deque[bytes] = deque()
        self._headers: dict[tuple[str, int], bytes] = {}
        self._authority = b""
        self._is_leaving = False
        self.settled = asyncio.Event()

    @property
    def under_way(self) -> int:
        """How many calls have not ended."""
        return len(self._calls)

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self._transport is not None and not self._is_leaving

    @classmethod
    async def connect(cls, address: str) -> Http2Connection:
        """Open a connection to host:port, and wait for the server's settings."""
        host, _, port = address.rpartition(":")
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, int(port))
        await connection.settled.wait()
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface and the settings."""
        self._transport = cast("asyncio.Transport", transport)
        self._authority = "{}:{}".format(*self._transport.get_extra_info("peername")[:2]).encode()
        pairs = ((_HEADER_TABLE_SIZE, 0), (_INITIAL_WINDOW_SIZE, _LARGEST_WINDOW), (_MAX_FRAME_SIZE, 2**20))
        settings = frame(_SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))
        window = frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW - _FIRST_WINDOW))
        self._transport.write(_PREFACE + settings + window)

    def connection_lost(self, _: Exception | None) -> None:
        """End all calls as a gRPC client would."""
        self._transport = None
        self.settled.set()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.done(Answer(_UNAVAILABLE, b""))

    def call(self, path: str, body: bytes, milliseconds: int, done: Done, *, token: str = "") -> int:
        """Send a call with a deadline; ``done`` hears how it ended, unless it is given up. Returns its number."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self._calls[stream] = _Call(done)
        if not self.is_open:
            del self._calls[stream]
            done(Answer(_UNAVAILABLE, b""))
            return stream
        headers = frame(_HEADERS, _END_HEADERS, stream, self._header_block(path, milliseconds, token))
        data = frame(_DATA, _END_STREAM, stream, b"\x00" + struct.pack(">I", len(body)) + body)
        self._waiting.append(headers + data)
        self._flush()
        return stream

    def give_up(self, stream: int) -> None:
        """Tell the server that nobody waits for a call any more, if it has not ended."""
        if self._calls.pop(stream, None) is not None and self._transport is not None:
            self._transport.write(frame(_RST_STREAM, 0, stream, struct.pack(">I", _CANCEL)))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _header_block(self, path: str, milliseconds: int, token: str) -> bytes:
        key = (path + token, milliseconds)
        block = self._headers.get(key)
        if block is None:
            fields = [
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", path.encode()),
                (b":authority", self._authority),
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
                (b"grpc-timeout", b"%dm" % milliseconds),
            ]
            if token:
                fields.append((b"authorization", f"Bearer {token}".encode()))
            block = self._headers[key] = header_block(iter(fields))
        return block

    def _flush(self) -> None:
        """Write what the server's window has room for; requests are far smaller than a window of their own."""
        transport, ready = self._transport, []
        while self._waiting and self._window >= len(self._waiting[0]):
            message = self._waiting.popleft()
            self._window -= len(message)
            ready.append(message)
        if ready and transport is not None:
            transport.write(b"".join(ready))

    def data_received(self, data: bytes) -> None:
        """Take in all whole frames."""
        received = self._received
        received += data
        position, end = 0, len(received)
        while end - position >= 9:
            length = int.from_bytes(received[position : position + 3], "big")
            if end - position < 9 + length:
                break
            kind, flags = received[position + 3], received[position + 4]
            stream = int.from_bytes(received[position + 5 : position + 9], "big")
            payload = bytes(received[position + 9 : position + 9 + length])
            position += 9 + length
            self._take(kind, flags, stream, payload)
        del received[:position]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            call = self._calls.get(stream)
            if call is not None:
                call.body += payload
        elif kind == _HEADERS:
            if flags & _END_STREAM:
                self._end(stream, payload)
        elif kind == _RST_STREAM:
            call = self._calls.pop(stream, None)
            if call is not None:
                call.done(Answer(_UNAVAILABLE, b""))
        elif kind == _WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(payload, "big")
            self._flush()
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._acknowledge(kind, payload)
        elif kind == _GOAWAY:
            self._leave(int.from_bytes(payload[:4], "big"))

    def _leave(self, last_stream: int) -> None:
        """Begin nothing more here; the calls that the server has taken on are still answered."""
        self._is_leaving = True
        for stream in [stream for stream in self._calls if stream > last_stream]:
            self._calls.pop(stream).done(Answer(_UNAVAILABLE, b""))

    def _acknowledge(self, kind: int, payload: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame(kind, _ACK, 0, b"" if kind == _SETTINGS else payload))
        self.settled.set()

    def _end(self, stream: int, trailers: bytes) -> None:
        call = self._calls.pop(stream, None)
        if call is None:
            return
        code = next((int(value) for name, value in literal_fields(trailers) if name == b"grpc-status"), 2)
        call.done(Answer(code, bytes(call.body[5:])))
