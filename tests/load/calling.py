"""Raw calls over grpcio for asyncio: bytes in, an ending out, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from gradmill.network import error_from_call
from gradmill.statuses import error_from_status

from tests.load.outcomes import OK

SERVICE = "gradmill.v1.GradientService"
UNARY_METHODS = ("Evaluate", "RegisterFunction", "Explain", "ListOperations")
_LONGEST_RECONNECT_MILLISECONDS = 200
_CONNECT_MILLISECONDS = 20_000
"""By its name the shortest pause between two attempts to connect; in truth how long one attempt may take."""

_BROKEN_WHILE_WRITING = "Internal error from Core"
"""What grpcio for asyncio says, with the code INTERNAL, of a stream whose connection breaks while it writes."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended: a code, the body when it is OK, else what the error says."""

    code: str
    body: bytes = b""
    reason: str = ""
    message: str = ""
    told_when: bool = False


def open_channel(address: str) -> grpc.aio.Channel:
    """Open a channel with a connection of its own, which is made again quickly and never tries a call twice."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_MILLISECONDS),
        ("grpc.max_reconnect_backoff_ms", _LONGEST_RECONNECT_MILLISECONDS),
    ]
    return grpc.aio.insecure_channel(address, options=options)


class RawClient:
    """A connection over which serialized requests are sent."""

    def __init__(self, address: str) -> None:
        """Open it lazily; belongs to the running event loop."""
        self.channel = open_channel(address)
        self.target = address
        self._methods: dict[str, Any] = {
            name: self.channel.unary_unary(f"/{SERVICE}/{name}", None, None) for name in UNARY_METHODS
        }
        self._stream: Any = self.channel.stream_stream(f"/{SERVICE}/EvaluateStream", None, None)

    async def call(
        self,
        method: str,
        body: bytes,
        timeout_seconds: float,
        *,
        cancel_after: float | None = None,
        metadata: tuple[tuple[str, str], ...] | None = None,
    ) -> Ending:
        """Send one request and return how it ended.

        Args:
            method: the method's name.
            body: the serialized request.
            timeout_seconds: its deadline.
            cancel_after: seconds after which the caller loses interest.
            metadata: headers, such as credentials.
        """
        call = self._methods[method](body, timeout=timeout_seconds, metadata=metadata)
        timer = None
        if cancel_after is not None:
            timer = asyncio.get_running_loop().call_later(cancel_after, call.cancel)
        try:
            return Ending(OK, await call)
        except grpc.aio.AioRpcError as error:
            return ending_of_error(error, self.target)
        except asyncio.CancelledError:
            if not call.cancelled() or cancel_after is None:
                raise
            return Ending("CANCELLED")
        finally:
            if timer is not None:
                timer.cancel()

    def stream(self, timeout_seconds: float) -> Any:  # noqa: ANN401 - grpcio's stream calls have no usable type
        """Open a stream of evaluations."""
        return self._stream(timeout=timeout_seconds)

    async def close(self) -> None:
        """Close the connection; calls under way fail."""
        await self.channel.close(None)


def ending_of_error(error: grpc.aio.AioRpcError, target: str = "") -> Ending:
    """Return how a call ended that failed."""
    found = error_from_call(error, target)
    if error.details() == _BROKEN_WHILE_WRITING:
        return Ending("UNAVAILABLE", b"", "", f"{error.details()}, which says that the connection broke")
    told_when = found.retry_delay_seconds is not None
    reason = "" if found.reason == "UNKNOWN" else found.reason
    return Ending(error.code().name, b"", reason, found.message, told_when)


def ending_of_status(code: int, message: str, details: bytes) -> Ending:
    """Return how a message of a stream ended that failed."""
    found = error_from_status(code, message, details)
    return Ending(found.status, b"", found.reason, found.message, found.retry_delay_seconds is not None)


def blocking(channel: grpc.Channel, timeout_seconds: float = 60.0) -> Callable[[str, bytes], bytes]:
    """Return a function that calls a method with a serialized request and waits for its answer."""

    def call(method: str, body: bytes) -> bytes:
        send: Any = channel.unary_unary(f"/{SERVICE}/{method}", None, None)
        answer: bytes = send(body, timeout=timeout_seconds)
        return answer

    return call
