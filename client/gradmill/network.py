"""gRPC as a transport. The only modules that import grpc are this one and its asyncio twin."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc

from gradmill.credentials import Access
from gradmill.errors import GradmillError
from gradmill.statuses import error_from_status
from gradmill.transports import METHODS, SERVICE

UNLIMITED = -1
_KEEPALIVE_MILLISECONDS = 60_000
_KEEPALIVE_TIMEOUT_MILLISECONDS = 20_000
_FIRST_RECONNECT_MILLISECONDS = 100
_LONGEST_RECONNECT_MILLISECONDS = 5_000
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
        ("grpc.min_reconnect_backoff_ms", _FIRST_RECONNECT_MILLISECONDS),
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
    if code is grpc.StatusCode.UNAVAILABLE and not details:
        message = f"no server answers at {target}: {message}"
    return error_from_status(code.value[0], message, details)


class NetworkTransport:
    """Calls a server over the network, for threads. Connects with the first call."""

    def __init__(self, target: str, access: Access, maximum_message_bytes: int = UNLIMITED) -> None:
        """Make the channel; nothing is sent yet."""
        options = channel_options(maximum_message_bytes, access.server_name)
        self._target = target
        self._authorization = access.authorization
        self._channel = (
            grpc.insecure_channel(target, options=options)
            if access.channel_credentials is None
            else grpc.secure_channel(target, access.channel_credentials, options=options)
        )
        self._methods: dict[str, Any] = {
            name: self._channel.unary_unary(method_path(name), None, None) for name in METHODS
        }

    def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        """Send one request and wait for its response.

        Raises:
            GradmillError: the call failed.
        """
        metadata = self._authorization.metadata()
        try:
            response: bytes = self._methods[method](body, timeout=timeout_seconds, metadata=metadata)
        except grpc.RpcError as error:
            raise error_from_call(error, self._target) from None
        return response

    def submit(
        self, method: str, body: bytes, timeout_seconds: float | None, done: Callable[[bytes | GradmillError], None]
    ) -> Callable[[], object]:
        """Send one request; ``done`` is called with the outcome, in one of the channel's threads."""
        metadata = self._authorization.metadata()
        future = self._methods[method].future(body, timeout=timeout_seconds, metadata=metadata)

        def finish(finished: Any) -> None:  # noqa: ANN401 - see error_from_call
            well = finished.code() is grpc.StatusCode.OK
            done(finished.result() if well else error_from_call(finished, self._target))

        future.add_done_callback(finish)
        cancel: Callable[[], object] = future.cancel
        return cancel

    def close(self) -> None:
        """Close the channel; calls under way fail."""
        self._channel.close()
