"""gRPC as a transport. The only modules that import grpc are this one and its asyncio twin."""

from __future__ import annotations

import json
import os
import queue
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from gradmill.alarms import Alarm
from gradmill.credentials import Access
from gradmill.errors import GradmillError, client_closed
from gradmill.statuses import error_from_status
from gradmill.stream_pool import Metadata, SendAlone, StreamPool
from gradmill.transports import METHODS, SERVICE, STREAM_METHOD, STREAMED
from gradmill.wire_format import Buffer

UNLIMITED = -1
_KEEPALIVE_MILLISECONDS = 60_000
_KEEPALIVE_TIMEOUT_MILLISECONDS = 20_000
_FIRST_RECONNECT_MILLISECONDS = 100
_LONGEST_RECONNECT_MILLISECONDS = 1_000
"""Less than the pauses between a message's repetitions come to, so that one of them finds the server that came back."""
_CANCELLED_HERE = "Locally cancelled"
_CLOSED_HERE = "Channel closed!"
CLOSED_UNDER_WAY = "the client was closed while the call was under way"
_BROKEN_HERE = ("Internal error from Core", "Received RST_STREAM")
_CONNECT_MILLISECONDS = 10_000
_DETAILS_KEY = "grpc-status-details-bin"


def channel_options(maximum_message_bytes: int, server_name: str | None = None) -> list[tuple[str, Any]]:
    """Return the options of a channel: sizes, keepalive, quick reconnection, and calls spread over all addresses."""
    named = [] if server_name is None else [("grpc.ssl_target_name_override", server_name)]
    return [
        *named,
        ("grpc.max_send_message_length", maximum_message_bytes),
        ("grpc.max_receive_message_length", maximum_message_bytes),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MILLISECONDS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MILLISECONDS),
        ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MILLISECONDS),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_MILLISECONDS),  # what one attempt may take, despite its name
        ("grpc.max_reconnect_backoff_ms", _LONGEST_RECONNECT_MILLISECONDS),
        ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
        ("grpc.enable_retries", 0),  # sending again is this package's own business: exchange.py
    ]


def method_path(method: str) -> str:
    """Return the path of one of the service's methods."""
    return f"/{SERVICE}/{method}"


def error_from_call(call: Any, target: str) -> GradmillError:  # noqa: ANN401 - grpc's calls and errors share no typed base
    """Return the error for a gRPC call, or an RpcError, that did not end well."""
    code = call.code()
    details = b""
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            details = value if isinstance(value, bytes) else value.encode("latin-1")
    message = call.details() or ""
    if not details and _is_broken_off(code, message):
        code = grpc.StatusCode.UNAVAILABLE
    if code is grpc.StatusCode.CANCELLED and _CLOSED_HERE in message:
        message = CLOSED_UNDER_WAY
    if code is grpc.StatusCode.UNAVAILABLE and not details:
        message = f"no server answers at {target}: {message}"
    return error_from_status(code.value[0], message, details)


def _is_broken_off(code: grpc.StatusCode, message: str) -> bool:
    """Whether a call ended with its connection, or before the server's own code had it, and may be made again.

    A server that stops cancels calls that it has not begun to answer, and a connection that breaks while something is
    written to it is an internal error to gRPC. What this program cancels says so.
    """
    if code is grpc.StatusCode.CANCELLED:
        return not message.startswith(_CANCELLED_HERE) and _CLOSED_HERE not in message
    return code is grpc.StatusCode.INTERNAL and message.startswith(_BROKEN_HERE)


class ThreadLink:
    """A stream, for threads: gRPC sends from a thread of its own, and another one here takes the answers.

    A request as a message of a stream takes less time than as a call of its own, for threads as for asyncio. An event
    loop in one thread for all callers would be slower. Answered echoes of 120 bytes a second on two processors, from
    one channel and one stream:

        threads that call    unary    this    asyncio in a thread    with uvloop
        1                     2300    3500                   3000           3400
        8                     2900    3800                   3500           4100
        64                    3000    4600                   4200           3700
    """

    def __init__(
        self, call: Callable[..., Any], received: Callable[[bytes], None], ended: Callable[[Any], None]
    ) -> None:
        """Open the stream.

        Args:
            call: makes gRPC's call from an iterator of messages.
            received: called with each answer.
            ended: called once at the end, with gRPC's error if there was one.
        """
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._received = received
        self._ended = ended
        self._call = call(iter(self._frames.get, None))
        # A daemon, so that a program that never closes its client ends all the same.
        receiver = threading.Thread(target=self._receive, name="gradmill-stream", daemon=True)
        try:
            receiver.start()
        except BaseException:
            self.end()
            raise

    def send(self, frame: bytes) -> None:
        """Send a message after those sent before."""
        self._frames.put(frame)

    def end(self) -> None:
        """Give the stream up."""
        self._frames.put(None)
        self._call.cancel()

    def _receive(self) -> None:
        error: grpc.RpcError | None = None
        try:
            for frame in self._call:
                self._received(frame)
        except grpc.RpcError as failure:
            error = failure
        self._frames.put(None)
        self._ended(error)


class NetworkTransport:
    """Calls a server over the network, for threads. Connects with the first call.

    Evaluations travel as messages of streams, all others as calls of their own.
    """

    def __init__(self, target: str, access: Access, maximum_message_bytes: int = UNLIMITED) -> None:
        """Set up the channel; nothing is sent yet."""
        self._target = target
        self._authorization = access.authorization
        self._closed = False
        self._open_channel = partial(_open_channel, target, access, maximum_message_bytes)
        self._connect()
        _TRANSPORTS.add(self)

    def _connect(self) -> None:
        """Make the channel and what works on it."""
        self._channel: grpc.Channel = self._open_channel()
        self._methods: dict[str, Any] = {
            name: self._channel.unary_unary(method_path(name), None, None) for name in METHODS
        }
        self._pool, self._alarm = _open_pool(self._channel, self._call_alone(), self._target)
        self._let_go = weakref.finalize(self, _close, self._pool, self._alarm, self._channel)
        self._let_go.atexit = False

    def call(self, method: str, body: bytes, timeout_seconds: float | None) -> Buffer:
        """Send one request and wait for its response.

        Raises:
            GradmillError: the call failed.
        """
        if method == STREAMED:
            return self._call_streamed(body, timeout_seconds)
        self._check_open()
        metadata = self._authorization.metadata()
        try:
            response: bytes = self._methods[method](body, timeout=timeout_seconds, metadata=metadata)
        except grpc.RpcError as error:
            raise error_from_call(error, self._target) from None
        except ValueError:  # gRPC's own word for a channel that was closed in the meantime
            self._check_open()
            raise
        return response

    def _check_open(self) -> None:
        if self._closed:
            raise client_closed()

    def _call_streamed(self, body: bytes, timeout_seconds: float | None) -> Buffer:
        outcomes: queue.SimpleQueue[Buffer | GradmillError] = queue.SimpleQueue()
        give_up = self._pool.submit(body, timeout_seconds, self._authorization.metadata(), outcomes.put)
        try:
            outcome = outcomes.get()
        except BaseException:
            give_up()
            raise
        if isinstance(outcome, GradmillError):
            raise outcome
        return outcome

    def submit(
        self, method: str, body: bytes, timeout_seconds: float | None, done: Callable[[Buffer | GradmillError], None]
    ) -> Callable[[], object]:
        """Send one request; ``done`` is called with the outcome, in any thread. Returns what cancels the call."""
        metadata = self._authorization.metadata()
        if method == STREAMED:
            return self._pool.submit(body, timeout_seconds, metadata, done)
        self._check_open()
        return _submit_unary(self._methods[method], self._target, body, timeout_seconds, metadata, done)

    def _call_alone(self) -> SendAlone:
        """Return what sends an evaluation as a call of its own; it must not keep this object alive."""
        return partial(_submit_unary, self._methods[STREAMED], self._target)

    def forget_parent(self) -> None:
        """Start anew in a process that was forked: what the parent has open is the parent's."""
        self._let_go.detach()
        _LEFT_BEHIND.append((self._pool, self._channel))
        self._connect()

    def close(self) -> None:
        """Close the channel; calls under way fail."""
        self._closed = True
        self._let_go()


_TRANSPORTS: weakref.WeakSet[NetworkTransport] = weakref.WeakSet()

_LEFT_BEHIND: list[object] = []
"""Channels of the process that forked this one. Kept: closing one would touch what both processes share."""


def _open_channel(target: str, access: Access, maximum_message_bytes: int) -> grpc.Channel:
    options = channel_options(maximum_message_bytes, access.server_name)
    if access.channel_credentials is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, access.channel_credentials, options=options)


def _open_pool(channel: grpc.Channel, call_alone: SendAlone, target: str) -> tuple[StreamPool, Alarm]:
    stream: Any = channel.stream_stream(method_path(STREAM_METHOD), None, None)

    def open_link(
        metadata: Metadata, received: Callable[[bytes], None], ended: Callable[[GradmillError | None], None]
    ) -> ThreadLink:
        def finish(error: Any) -> None:  # noqa: ANN401 - see error_from_call
            ended(None if error is None else error_from_call(error, target))

        return ThreadLink(partial(stream, metadata=metadata), received, finish)

    alarm = Alarm()
    pool = StreamPool(open_link, call_alone, alarm.ring_at)
    alarm.ring = pool.expire
    return pool, alarm


def _submit_unary(
    method: Any,  # noqa: ANN401 - gRPC's callables share no typed base
    target: str,
    body: bytes,
    timeout_seconds: float | None,
    metadata: Metadata,
    done: Callable[[Buffer | GradmillError], None],
) -> Callable[[], object]:
    future = method.future(body, timeout=timeout_seconds, metadata=metadata)

    def finish(finished: Any) -> None:  # noqa: ANN401 - see error_from_call
        well = finished.code() is grpc.StatusCode.OK
        done(finished.result() if well else error_from_call(finished, target))

    future.add_done_callback(finish)
    cancel: Callable[[], object] = future.cancel
    return cancel


def _close(pool: StreamPool, alarm: Alarm, channel: grpc.Channel) -> None:
    alarm.stop()
    pool.close()
    channel.close()


def _forget_parent() -> None:
    for transport in list(_TRANSPORTS):
        transport.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
