"""Reads requests where that keeps no other call waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gradmill_server.serving.errand import Errand
from gradmill_server.serving.pool import WorkerPool

T = TypeVar("T")

_READ_ON_LOOP_BYTES = 32 * 1024
"""Requests up to this size are read on the event loop, in tens of microseconds; larger ones on a worker."""


class Reader:
    """Reads small requests at once and large ones on a worker."""

    def __init__(self, pool: WorkerPool) -> None:
        """Use the workers of a pool."""
        self._pool = pool

    async def read(self, body: bytes, parse: Callable[[bytes], T], caller: str) -> T:
        """Return what bytes mean. Raises like ``parse``, and as the pool does when its queue is full."""
        if len(body) <= _READ_ON_LOOP_BYTES:
            return parse(body)
        return (await self._pool.run(lambda: parse(body), Errand(caller))).value
