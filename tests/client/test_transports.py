"""What happens to calls under way when a flow ends early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from gradmill.async_client import AsyncClient
from gradmill.client import Client
from gradmill.errors import GradmillError, InvalidRequestError
from gradmill.settings import Batching, Settings

from tests.client.fakes import FakeService

SMALL = Settings(batching=Batching(message_bytes=160))
POINTS = np.ones((100, 2))


class StuckTransport:
    """Registers functions, refuses the first evaluation and never answers the others."""

    def __init__(self) -> None:
        """Start with nothing under way."""
        self.cancelled = 0
        self.submitted = 0

    def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        """Answer a registration."""
        return FakeService().answer(method, body, timeout_seconds)

    def submit(
        self, _method: str, _body: bytes, _timeout: float | None, done: Callable[[bytes | GradmillError], None]
    ) -> Callable[[], object]:
        """Refuse the first."""
        self.submitted += 1
        if self.submitted == 1:
            done(InvalidRequestError("no"))
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1

    def close(self) -> None:
        """Do nothing."""


class AsyncStuckTransport:
    """Registers functions and never answers an evaluation."""

    def __init__(self) -> None:
        """Start with nothing under way."""
        self.started = asyncio.Event()
        self.cancelled = 0

    async def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        """Answer a registration; wait for ever otherwise."""
        if method == "RegisterFunction":
            return FakeService().answer(method, body, timeout_seconds)
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return b""

    async def close(self) -> None:
        """Do nothing."""


def test_a_refusal_cancels_the_rest_of_the_batch() -> None:
    """Messages whose results nobody will see do not keep the server busy."""
    transport = StuckTransport()
    with Client(transport, SMALL) as client, pytest.raises(InvalidRequestError, match="no"):
        client.value("f", POINTS)
    assert (transport.submitted, transport.cancelled) == (4, 3)


def test_cancelling_a_task_cancels_its_messages() -> None:
    """A task that is given up takes all its messages with it."""

    async def run() -> int:
        transport = AsyncStuckTransport()
        async with AsyncClient(transport, SMALL) as client:
            task = asyncio.create_task(client.value("f", POINTS))
            await transport.started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
        return transport.cancelled

    assert asyncio.run(run()) == 4
