"""One HTTP/2 connection that speaks gRPC to a server with almost no work of its own.

A gRPC client costs a processor as much as the servers that are to be compared, and would hide their difference. This
one sends requests that were written beforehand, of less than 16 KiB each, and looks only at what tells one answer from
another.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
_END_STREAM, _ACKNOWLEDGE, _END_HEADERS = 0x1, 0x1, 0x4
_HEADER_BYTES = 9
_PREFIX_BYTES = 5
_INITIAL_WINDOW = 65_535
_LARGEST_WINDOW = 2**31 - 1
_SETTING_INITIAL_WINDOW = 0x4
_FIRST_DYNAMIC_INDEX = 62
_RECEIVE_BYTES = 1 << 18


class WrongAnswerError(Exception):
    """A server answered something else than what was asked for, or refused."""


def message(body: bytes) -> bytes:
    """Return a message with the prefix that gRPC puts before it."""
    return struct.pack(">BI", 0, len(body)) + body


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _text(text: str) -> bytes:
    raw = text.encode()
    return bytes((len(raw),)) + raw


def _header_blocks(path: str, authority: str) -> tuple[bytes, bytes]:
    """Return the header block of the first request and that of all later ones, which names what the first one said."""
    static = b"\x83\x86"  # :method POST, :scheme http
    fields = [
        b"\x44" + _text(path),
        b"\x41" + _text(authority),
        b"\x5f" + _text("application/grpc"),
        *(b"\x40" + _text(name) + _text(value) for name, value in (("te", "trailers"), ("grpc-timeout", "60S"))),
    ]
    indices = (_FIRST_DYNAMIC_INDEX + age for age in reversed(range(len(fields))))
    return static + b"".join(fields), static + bytes(0x80 | index for index in indices)


class Connection:
    """A connection for calls of one method, on which any number may be under way.

    Attributes:
        answers: what came and was not taken yet: the number of the stream and a message. Of a call with one answer the
            message is only here once the call is over.
    """

    def __init__(self, port: int, path: str) -> None:
        """Connect to a server on this machine."""
        self.answers: deque[tuple[int, bytes]] = deque()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._first_block, self._later_block = _header_blocks(path, f"127.0.0.1:{port}")
        self._next_stream = 1
        self._window = _INITIAL_WINDOW
        self._stream_window = _INITIAL_WINDOW
        self._windows: dict[int, int] = {}
        self._unfinished: dict[int, bytes] = {}
        self._received = b""
        settings = struct.pack(">HI", _SETTING_INITIAL_WINDOW, _LARGEST_WINDOW)
        more = struct.pack(">I", _LARGEST_WINDOW - _INITIAL_WINDOW)
        self._socket.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, more))

    def fileno(self) -> int:
        """Return the number of its socket, for `select`."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave; calls under way are forgotten."""
        self._socket.close()

    def call(self, body: bytes, times: int = 1) -> Sequence[int]:
        """Send calls with this message, each on a stream of its own; return the streams' numbers."""
        self._make_room(times * len(body))
        numbers = range(self._next_stream, self._next_stream + 2 * times, 2)
        frames = [self._headers(number) + _frame(_DATA, _END_STREAM, number, body) for number in numbers]
        for number in numbers:
            self._unfinished[number] = b""
        self._socket.sendall(b"".join(frames))
        return numbers

    def open(self) -> int:
        """Open a stream for many messages and return its number."""
        number = self._next_stream
        self._windows[number] = self._stream_window
        self._unfinished[number] = b""
        self._socket.sendall(self._headers(number))
        return number

    def send(self, stream: int, body: bytes, times: int = 1) -> None:
        """Send a message on a stream that is open, several times."""
        size = times * len(body)
        while self._windows[stream] < size:
            self.receive()
        self._make_room(size)
        self._windows[stream] -= size
        self._socket.sendall(_frame(_DATA, 0, stream, body) * times)

    def receive(self) -> None:
        """Wait for bytes, and put the answers in them into `answers`.

        Raises:
            WrongAnswerError: when the server ends a stream that is to stay, or the connection.
        """
        came = self._socket.recv(_RECEIVE_BYTES)
        if not came:
            raise WrongAnswerError("the server closed the connection")  # noqa: EM101, TRY003 - said once
        received = self._received + came
        place, end = 0, len(received)
        while end - place >= _HEADER_BYTES:
            stop = place + _HEADER_BYTES + int.from_bytes(received[place : place + 3], "big")
            if stop > end:
                break
            stream = int.from_bytes(received[place + 5 : place + 9], "big")
            self._take(received[place + 3], received[place + 4], stream, received[place + _HEADER_BYTES : stop])
            place = stop
        self._received = received[place:]

    def _headers(self, number: int) -> bytes:
        block = self._first_block if number == 1 else self._later_block
        self._next_stream = number + 2
        return _frame(_HEADERS, _END_HEADERS, number, block)

    def _make_room(self, size: int) -> None:
        while self._window < size:
            self.receive()
        self._window -= size

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            self._take_data(stream, payload)
        elif kind == _HEADERS and flags & _END_STREAM:
            self._end(stream, payload)
        elif kind == _WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self._window += more
            elif stream in self._windows:
                self._windows[stream] += more
        elif kind == _PING and not flags & _ACKNOWLEDGE:
            self._socket.sendall(_frame(_PING, _ACKNOWLEDGE, 0, payload))
        elif kind == _SETTINGS and not flags & _ACKNOWLEDGE:
            self._take_settings(payload)
        elif kind in (_RESET, _GO_AWAY):
            text = f"the server gave up: {payload!r}"
            raise WrongAnswerError(text)

    def _take_data(self, stream: int, payload: bytes) -> None:
        data = self._unfinished[stream] + payload if self._unfinished[stream] else payload
        if stream in self._windows:
            place = 0
            while len(data) - place >= _PREFIX_BYTES:
                stop = place + _PREFIX_BYTES + int.from_bytes(data[place + 1 : place + _PREFIX_BYTES], "big")
                if stop > len(data):
                    break
                self.answers.append((stream, data[place + _PREFIX_BYTES : stop]))
                place = stop
            data = data[place:]
        self._unfinished[stream] = data

    def _end(self, stream: int, trailers: bytes) -> None:
        data = self._unfinished.pop(stream)
        if not data or stream in self._windows:
            text = f"the server refused a call, or ended a stream: {trailers!r}"
            raise WrongAnswerError(text)
        self.answers.append((stream, data[_PREFIX_BYTES:]))

    def _take_settings(self, payload: bytes) -> None:
        for identifier, value in struct.iter_unpack(">HI", payload):
            if identifier == _SETTING_INITIAL_WINDOW:
                for number in self._windows:
                    self._windows[number] += value - self._stream_window
                self._stream_window = value
        self._socket.sendall(_frame(_SETTINGS, _ACKNOWLEDGE, 0, b""))
