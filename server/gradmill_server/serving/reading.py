"""Reads requests where that keeps no other call waiting, and as few at a time as memory is safe with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from gradmill_server.serving.errand import Errand
from gradmill_server.serving.pool import WorkerPool
from gradmill_server.serving.wire.bulk import RequestType, has_more_structure

T = TypeVar("T")
Release = Callable[[], None]

_READ_ON_LOOP_BYTES = 32 * 1024
"""Requests up to this size are read on the event loop, in tens of microseconds; larger ones on a worker."""

_BULKY_BYTES = 1024 * 1024
"""Requests with more bytes than this that are not numbers are read one at a time."""


class Reader:
    """Reads small requests at once and large ones on a worker."""

    def __init__(self, pool: WorkerPool) -> None:
        """Use the workers of a pool."""
        self._pool = pool
        self._bulky = asyncio.Semaphore(1)

    async def read(self, body: bytes, parse: Callable[[bytes], T], caller: str) -> T:
        """Return what bytes mean. Raises like ``parse``, and as the pool does when its queue is full."""
        if len(body) <= _READ_ON_LOOP_BYTES:
            return parse(body)
        return (await self._pool.run(lambda: parse(body), Errand(caller))).value

    async def take_room(self, message: RequestType, body: bytes, caller: str) -> Release:
        """Wait until a request may be read, and return what gives its room back, however often it is called.

        What is parsed of a function may take thirty times the memory that the request took, and it is there until the
        function is checked. So only one such request is there at a time.

        Raises:
            QueueFull, CallerQueueFull: as the pool does.
        """
        if len(body) <= _BULKY_BYTES:
            return no_room
        looking = await self._pool.run(lambda: has_more_structure(message, body, _BULKY_BYTES), Errand(caller))
        if not looking.value:
            return no_room
        await self._bulky.acquire()
        return _once(self._bulky.release)

    @asynccontextmanager
    async def room(self, message: RequestType, body: bytes, caller: str) -> AsyncIterator[None]:
        """Hold the room of a request while a block runs, which ends once its function is checked.

        Raises like `take_room`.
        """
        release = await self.take_room(message, body, caller)
        try:
            yield
        finally:
            release()


def _once(release: Release) -> Release:
    """Return what releases only when it is called first."""
    left = [release]

    def release_once() -> None:
        while left:
            left.pop()()

    return release_once


def no_room() -> None:
    """Give back the room of a request that took none."""
