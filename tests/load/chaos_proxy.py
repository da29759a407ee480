"""A TCP proxy that misbehaves on request, to stand between callers and a server."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
from typing import Self

_CHUNK_BYTES = 64 * 1024
_SLOW_BYTES, _SLOW_SECONDS = 2_048, 0.02
_DELAY_SECONDS = 0.1
_TRICKLE_SECONDS = 0.001


class Mode(enum.Enum):
    """How bytes are passed on."""

    FAITHFUL = "at once"
    BLACK_HOLE = "not at all, while connections stay open"
    DELAYED = "a tenth of a second late"
    SLOW_READER = "from the server at 100 kB/s, so that its answers pile up"
    TRICKLE = "from the caller byte by byte"


class ChaosProxy:
    """Passes connections on to a server in a mode that may change at any time.

    Attributes:
        address: where callers connect, as host:port.
        mode: how bytes are passed on now.
        accepted: connections made so far.
    """

    def __init__(self, target: str) -> None:
        """Stand before a target, given as host:port. Used as an asynchronous context manager."""
        host, _, port = target.rpartition(":")
        self.address = ""
        self.mode = Mode.FAITHFUL
        self.accepted = 0
        self._target = (host, int(port))
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen on a free port of the loopback interface."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.become(Mode.FAITHFUL)
        self.reset_connections()
        await asyncio.gather(*self._serving)

    def become(self, mode: Mode) -> None:
        """Pass bytes on in another mode from now on."""
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    def reset_connections(self) -> None:
        """End all connections on both sides by a TCP reset, without any farewell."""
        for writer in tuple(self._writers):
            with contextlib.suppress(OSError):
                handle: socket.socket = writer.get_extra_info("socket")
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def half_close_connections(self) -> None:
        """Say the callers' goodbye to the server while all connections stay open for the callers."""
        for writer in tuple(self._writers):
            if writer.get_extra_info("peername") == self._target:
                with contextlib.suppress(OSError):
                    writer.write_eof()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ours = {writer, server_writer}
        self._writers |= ours
        upwards = asyncio.create_task(self._pass(reader, server_writer, to_server=True))
        downwards = asyncio.create_task(self._pass(server_reader, writer, to_server=False))
        try:
            await asyncio.gather(upwards, downwards)
        except (OSError, RuntimeError):
            pass  # one side has gone, or was told goodbye and can take no more; the other is let go below
        finally:
            self._writers -= ours
            for each in ours:
                each.transport.abort()
            for task in (upwards, downwards):
                task.cancel()
            await asyncio.gather(upwards, downwards, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_server: bool) -> None:
        while True:
            slow = self.mode is Mode.SLOW_READER and not to_server
            chunk = await reader.read(_SLOW_BYTES if slow else _CHUNK_BYTES)
            while self.mode is Mode.BLACK_HOLE:
                await self._changed.wait()
            if self.mode is Mode.DELAYED:
                await asyncio.sleep(_DELAY_SECONDS)
            if not chunk:
                # The end of one direction is passed on; the other may still have something to say.
                if writer.can_write_eof() and not writer.transport.is_closing():
                    writer.write_eof()
                return
            if self.mode is Mode.TRICKLE and to_server:
                await _trickle(writer, chunk)
            else:
                writer.write(chunk)
            await writer.drain()
            if slow:
                await asyncio.sleep(_SLOW_SECONDS)


async def _trickle(writer: asyncio.StreamWriter, chunk: bytes) -> None:
    for position in range(len(chunk)):
        writer.write(chunk[position : position + 1])
        await writer.drain()
        await asyncio.sleep(_TRICKLE_SECONDS)
