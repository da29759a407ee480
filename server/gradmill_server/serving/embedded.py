"""The service inside a caller's own process: the same bytes on the same road, without a network."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import math
import os
import threading
import weakref
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from gradmill_server.serving.call import CallContext
from gradmill_server.serving.errors import ShuttingDown
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.options import read_settings
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.status import RpcFailure, status_of

__all__ = ["EmbeddedServer", "RpcFailure"]

_GIBIBYTE = 1024**3


def embedded_settings() -> Settings:
    """Return what suits a program's own process: room for large batches; `GRADMILL_` variables move it as in a server.

    Raises:
        SettingsError: for an environment variable with a value that its setting cannot have.
    """
    return read_settings(
        (), os.environ, defaults=replace(Settings(), maximum_bytes_in_flight=4 * _GIBIBYTE, worker_niceness=0)
    )


class EmbeddedServer:
    """A handler on an event loop of its own, in a daemon thread. Starts at the first call; any thread may call.

    A process that forks has none of the parent's threads: its first call starts them anew.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Remember the settings; nothing is started yet."""
        self._settings = settings or embedded_settings()
        # Guards _runtime and _closed.
        self._lock = threading.Lock()
        self._runtime: _Runtime | None = None
        self._closed = False
        self._finalizer: weakref.finalize[..., EmbeddedServer] | None = None
        _ALIVE.add(self)

    def call(self, method: str, body: bytes, timeout_seconds: float | None = None) -> bytes:
        """Return the answer to a unary call.

        Args:
            method: the method's name, such as "Evaluate".
            body: the bytes of its request message.
            timeout_seconds: how long it may take; None for as long as it takes.

        Raises:
            RpcFailure: with the status that a caller over the network would get.
        """
        future = self.submit(method, body, timeout_seconds)
        try:
            return future.result()
        except BaseException:
            # An interrupted caller waits no longer, so nothing need be computed for it either.
            future.cancel()
            raise

    def submit(
        self, method: str, body: bytes, timeout_seconds: float | None = None
    ) -> concurrent.futures.Future[bytes]:
        """Begin a unary call; cancelling the future cancels the call. Its exception is that of `call`."""
        with self._lock:
            if self._closed:
                message = "this embedded server is closed"
                raise RpcFailure(status_of(ShuttingDown(message)))
            if self._runtime is None:
                self._runtime = _Runtime(self._settings)
                # For a program that does not close: from a collector's thread or at exit, so it must not wait.
                self._finalizer = weakref.finalize(self, self._runtime.begin_closing)
            return self._runtime.submit(method, body, timeout_seconds)

    def close(self) -> None:
        """End its threads. Calls under way fail with UNAVAILABLE; closing twice is allowed."""
        with self._lock:
            self._closed = True
            runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.close()

    def forget_runtime(self) -> None:
        """Drop threads that a fork left behind in the parent, and the lock that one of them may have held."""
        self._lock = threading.Lock()
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._runtime is not None:
            _ORPHANS.append(self._runtime)
            self._runtime = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


_ALIVE: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()

_ORPHANS: list[_Runtime] = []
"""Event loops of the process that forked this one. Kept: finalizing one would touch what both processes share."""


def _forget_runtimes() -> None:
    for server in list(_ALIVE):
        server.forget_runtime()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_runtimes)


class _Runtime:
    """The event loop's thread and the handler on it."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._started: concurrent.futures.Future[Handler] = concurrent.futures.Future()
        self._calls: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, args=(settings,), name="gradmill-embedded", daemon=True)
        self._thread.start()
        self._handler = self._started.result()

    def _run(self, settings: Settings) -> None:
        try:
            self._loop.run_until_complete(self._start(settings))
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _start(self, settings: Settings) -> None:
        try:
            self._started.set_result(Handler(settings))
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits for the start
            self._started.set_exception(error)

    def submit(self, method: str, body: bytes, timeout_seconds: float | None) -> concurrent.futures.Future[bytes]:
        return asyncio.run_coroutine_threadsafe(self._answer(method, body, timeout_seconds), self._loop)

    async def _answer(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        context = CallContext.arriving(
            timeout_seconds, default_seconds=math.inf, maximum_seconds=math.inf, peer="embedded"
        )
        task = asyncio.current_task()
        if task is not None:
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        return await self._handler.call(method, body, context)

    def begin_closing(self) -> None:
        """Let the thread end, without waiting for that."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._begin_stop)

    def _begin_stop(self) -> None:
        if not self._closing:
            self._closing = True
            self._stopping = self._loop.create_task(self._stop())

    async def _stop(self) -> None:
        self._handler.end_calls()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._handler.close()
        self._loop.stop()

    def close(self) -> None:
        """Let the thread end, and wait until it has."""
        self.begin_closing()
        self._thread.join()
