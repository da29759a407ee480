"""How the supervisor and a worker talk: one JSON object a line, over a pair of connected sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any, cast

Message = dict[str, Any]

_MAXIMUM_LINE_BYTES = 1024 * 1024
_LAST_WORDS_SECONDS = 1.0
"""For what waits to be sent when the channel is closed."""

_MAXIMUM_WAITING_BYTES = 256 * 1024
"""What may wait for a peer that does not read; more is dropped, and a peer that lives on asks again."""


class Kind(StrEnum):
    """What a message is about. The first five go to a worker, the others come from one.

    BEGIN: how to set up, and what is refused. SERVE: take a seat, listen. GUARD: what is refused from now on. ASK:
    send a beat now. DRAIN: take no new calls, and end when those in flight are answered. WARM: ready to serve. SERVING:
    listening. UNABLE: cannot listen, and why. BEAT: alive, and what was counted. NOTICE: a word for the log.
    """

    BEGIN = "begin"
    SERVE = "serve"
    GUARD = "guard"
    ASK = "ask"
    DRAIN = "drain"
    WARM = "warm"
    SERVING = "serving"
    UNABLE = "unable"
    BEAT = "beat"
    NOTICE = "notice"


class ControlChannel(asyncio.Protocol):
    """One end. Messages that are no JSON object of a known kind, or too long, close it."""

    def __init__(self, on_message: Callable[[Kind, Message], None], on_closed: Callable[[], None]) -> None:
        """Call these for each message, and once when the other end is gone."""
        self._on_message = on_message
        self._on_closed = on_closed
        self._transport: asyncio.WriteTransport | None = None
        self._rest = bytearray()
        self._gone = asyncio.Event()

    @classmethod
    async def over(
        cls, connected: socket.socket, on_message: Callable[[Kind, Message], None], on_closed: Callable[[], None]
    ) -> ControlChannel:
        """Return the channel over a connected socket, which it owns from now on."""
        connected.settimeout(0)
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(on_message, on_closed), sock=connected)
        return channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        # No check of its class: transports of other event loops are not of asyncio's classes.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Take lines apart."""
        self._rest += data
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            self._receive(line)
        if len(self._rest) > _MAXIMUM_LINE_BYTES:
            self.close()

    def _receive(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            kind = Kind(message.pop("kind"))
        except (ValueError, KeyError, AttributeError, TypeError):
            self.close()
        else:
            self._on_message(kind, message)

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell that the other end is gone."""
        self._transport = None
        self._gone.set()
        self._on_closed()

    def send(self, kind: Kind, **values: Any) -> None:  # noqa: ANN401  whatever JSON can hold
        """Send a message, unless the other end is gone or has not read for long."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() <= _MAXIMUM_WAITING_BYTES:
            transport.write(json.dumps({"kind": kind, **values}).encode() + b"\n")

    def close(self) -> None:
        """Close, once what waits is sent."""
        if self._transport is not None:
            self._transport.close()

    async def finish(self) -> None:
        """Close, and wait until what waited is sent, but not for long."""
        self.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), _LAST_WORDS_SECONDS)
