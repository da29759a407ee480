"""A server inside this process as a transport: the same messages as over the network, without a network."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any, Protocol

from gradmill.errors import CancelledError, Failure, GradmillError, ServerError
from gradmill.extras import EMBEDDED_SERVER, load_server_module
from gradmill.statuses import error_from_message


class EmbeddedServer(Protocol):
    """What is needed of the server's own class."""

    def submit(self, method: str, body: bytes, timeout_seconds: float | None) -> concurrent.futures.Future[bytes]:
        """Start a call."""

    def close(self) -> None:
        """Stop the server."""


def start_embedded_server() -> EmbeddedServer:
    """Start a server in this process.

    Raises:
        MissingExtraError: the server is not installed.
        ServerError: it cannot start, for instance because an environment variable sets it to what cannot be.
    """
    module = load_server_module(EMBEDDED_SERVER, "gradmill.local()")
    try:
        server: EmbeddedServer = module.EmbeddedServer()
    except Exception as error:
        message = f"the embedded server cannot start: {error}"
        raise ServerError(message, Failure(reason="SERVER_NOT_STARTED")) from error
    return server


def as_error(failure: BaseException) -> GradmillError:
    """Return the error for a failed call; the server's own failures carry a ``google.rpc.Status``."""
    status: Any = getattr(failure, "status", None)
    if status is not None:
        return error_from_message(status)
    if isinstance(failure, (concurrent.futures.CancelledError, asyncio.CancelledError)):
        message = "the call was cancelled"
        return CancelledError(message)
    message = f"the embedded server failed: {type(failure).__name__}: {failure}"
    return ServerError(message)


def _nothing() -> None:
    """Cancel a call that was never begun."""


class EmbeddedTransport:
    """Calls an embedded server, for threads."""

    def __init__(self, server: EmbeddedServer) -> None:
        """Use a server, and own it."""
        self._server = server

    def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        """Send one request and wait for its response.

        Raises:
            GradmillError: the call failed.
        """
        future: concurrent.futures.Future[bytes] | None = None
        try:
            future = self._server.submit(method, body, timeout_seconds)
            return future.result()
        except Exception as error:  # noqa: BLE001 - whatever the server raises is mapped here, once
            raise as_error(error) from None
        finally:
            if future is not None:
                future.cancel()  # only matters when this thread was interrupted while it waited

    def submit(
        self, method: str, body: bytes, timeout_seconds: float | None, done: Callable[[bytes | GradmillError], None]
    ) -> Callable[[], object]:
        """Send one request; ``done`` is called with the outcome, in the server's thread."""
        try:
            future = self._server.submit(method, body, timeout_seconds)
        except Exception as error:  # noqa: BLE001 - as in call()
            done(as_error(error))
            return _nothing

        def finish(finished: concurrent.futures.Future[bytes]) -> None:
            try:
                outcome: bytes | GradmillError = finished.result()
            except (Exception, concurrent.futures.CancelledError) as error:  # noqa: BLE001 - as in call()
                outcome = as_error(error)
            done(outcome)

        future.add_done_callback(finish)
        return future.cancel

    def close(self) -> None:
        """Stop the server."""
        self._server.close()


class AsyncEmbeddedTransport:
    """Calls an embedded server, for asyncio."""

    def __init__(self, server: EmbeddedServer) -> None:
        """Use a server, and own it."""
        self._server = server

    async def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        """Send one request and wait for its response.

        Raises:
            GradmillError: the call failed.
        """
        try:
            return await asyncio.wrap_future(self._server.submit(method, body, timeout_seconds))
        except Exception as error:  # noqa: BLE001 - whatever the server raises is mapped here, once
            raise as_error(error) from None

    async def close(self) -> None:
        """Stop the server."""
        await asyncio.to_thread(self._server.close)
