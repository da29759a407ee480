"""A caller of its own that says whether the server is well: health and a right answer, each over a new connection."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import grpc.aio

from tests.load.calling import RawClient
from tests.load.cases import Case
from tests.load.outcomes import OK
from tests.load.server_under_test import ServerUnderTest

_ATTEMPT_SECONDS = 1.0
_PAUSE_SECONDS = 0.02
_SERVING = b"\x08\x01"
"""A `grpc.health.v1.HealthCheckResponse` whose status is SERVING."""


@dataclass(frozen=True, slots=True)
class Canary:
    """Asks one question whose answer it knows."""

    server: ServerUnderTest
    case: Case

    async def seconds_until_well(self, patience_seconds: float) -> float:
        """Return after how long the server said SERVING and answered right; infinity when patience ran out."""
        began = time.monotonic()
        while time.monotonic() - began < patience_seconds:
            if await self.is_well():
                return time.monotonic() - began
            await asyncio.sleep(_PAUSE_SECONDS)
        return float("inf")

    async def is_well(self) -> bool:
        """Return whether the server says SERVING and answers right, in a second each."""
        client = RawClient(self.server.address)
        try:
            if not await _says_serving(client):
                return False
            ending = await client.call(self.case.method, self.case.body, _ATTEMPT_SECONDS)
            return ending.code == OK and self.case.disagrees(ending.body) is None
        finally:
            await client.close()


async def _says_serving(client: RawClient) -> bool:
    check: Any = client.channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
    try:
        return bool(await check(b"", timeout=_ATTEMPT_SECONDS) == _SERVING)
    except grpc.aio.AioRpcError:
        return False
