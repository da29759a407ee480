"""One server on an event loop: start, serve, drain, stop. A worker process runs one; a program may run its own."""

from __future__ import annotations

import asyncio
import gc
import logging
import time

from gradmill_server.serving import logs
from gradmill_server.serving.exposition import MetricsServer
from gradmill_server.serving.guard import UNGUARDED, Guard
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.memory import MemoryWatch, allowed_bytes
from gradmill_server.serving.metrics import Metrics
from gradmill_server.serving.security.security import Security
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.transport import GrpcFront
from gradmill_server.serving.warm_up import warm_up

_LOOK_SECONDS = 0.02
_LAST_ANSWERS_SECONDS = 2.0
"""For the last answers to reach the wire, once the time to drain is used up."""


class Server:
    """A server on an event loop.

    Attributes:
        settings: how it was set up.
        handler: what answers.
        metrics: what it has counted.
        address: the address it listens on, with the port chosen; empty before that.
        metrics_address: that of /metrics; empty when there is none.
    """

    def __init__(self, settings: Settings, *, guard: Guard = UNGUARDED, shares_port: bool = False) -> None:
        """Set up everything; needs a running event loop. Raises UnusableFile.

        Args:
            settings: where to listen, and everything else.
            guard: knows which functions to refuse, and hears which are worked on.
            shares_port: whether other processes listen on the same port, each with a share of its connections.
        """
        self.settings = settings
        self._security = Security(settings)
        self.metrics = Metrics()
        self.handler = Handler(settings, self.metrics, quotas=self._security.quotas, guard=guard)
        self.metrics.watch(self.handler)
        self._front = GrpcFront(self.handler, settings, self._security, shares_port=shares_port)
        memory = self.handler.memory
        memory.maximum_bytes = memory.maximum_bytes or allowed_bytes()
        self._memory_watch = MemoryWatch(memory, self.handler.cache, forget=self.handler.forget_small_calls)
        self._watching: list[asyncio.Task[None]] = []
        self._metrics_server: MetricsServer | None = None
        self.metrics_address = ""

    @property
    def address(self) -> str:
        """The address it listens on."""
        return self._front.address

    async def start(self) -> None:
        """Serve metrics, listen, warm up, and only then say SERVING. Raises ListenError."""
        if self.settings.metrics:
            self._metrics_server = MetricsServer.listening(self.settings, lambda: [self.metrics.snapshot()])
            self.metrics_address = self._metrics_server.address
        await self._front.start()
        await self.warm_up()
        self._front.report_ready()

    async def warm_up(self) -> None:
        """Answer a call of each kind, so that no caller waits for what is done once. Raises RuntimeError.

        From then on it looks at its memory, and at its files: when it listens at last they may be others.
        """
        self._watching = [
            asyncio.create_task(self._security.watch()),
            asyncio.create_task(self._memory_watch.run()),
        ]
        await warm_up(self.handler)
        # What is here now stays: the collector of cyclic garbage need not walk through it while calls wait.
        gc.collect()
        gc.freeze()

    async def listen(self) -> None:
        """Listen, and say SERVING at once: for a server that is warm already. Raises ListenError."""
        await self._front.start()
        self._front.report_ready()

    async def stop(self) -> None:
        """Say NOT_SERVING, take no new calls, let those in flight end in the time to drain, and close everything."""
        began = time.monotonic()
        admission = self.handler.admission
        logs.record(logging.INFO, "draining", calls=admission.calls, streams=admission.streams)
        self._front.report_draining()
        self.handler.begin_draining()
        # Calls that gRPC holds and has not handed over when it is told to stop are cancelled. So it goes on, and what
        # comes is refused as unavailable, until nothing is in flight.
        if not await self._answered(self.settings.drain_seconds):
            logs.record(logging.WARNING, "drain_time_over", calls=admission.calls, streams=admission.streams)
            self.handler.end_calls()
        await self._front.stop(_LAST_ANSWERS_SECONDS)
        await self.close()
        logs.record(logging.INFO, "stopped", drain_seconds=round(time.monotonic() - began, 3))

    async def _answered(self, seconds: float) -> bool:
        """Return when nothing is in flight any more, or False after so many seconds."""
        admission = self.handler.admission
        limit = time.monotonic() + seconds
        # Once at least, so that what gRPC holds at the signal is handed over and refused.
        await asyncio.sleep(min(_LOOK_SECONDS, seconds))
        while admission.calls or admission.streams:
            if time.monotonic() >= limit:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def close(self) -> None:
        """Close everything at once."""
        for watching in self._watching:
            watching.cancel()
        await self._front.stop(0)
        await self.handler.close()
        if self._metrics_server is not None:
            self._metrics_server.close()
            self._metrics_server = None
