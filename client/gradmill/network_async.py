"""gRPC as a transport for asyncio."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from gradmill.credentials import Access
from gradmill.network import UNLIMITED, channel_options, error_from_call, method_path
from gradmill.transports import METHODS


class AsyncNetworkTransport:
    """Calls a server over the network, for asyncio. Belongs to the event loop that is running when it is made."""

    def __init__(self, target: str, access: Access, maximum_message_bytes: int = UNLIMITED) -> None:
        """Make the channel; nothing is sent yet."""
        options = channel_options(maximum_message_bytes, access.server_name)
        self._target = target
        self._authorization = access.authorization
        self._channel = (
            grpc.aio.insecure_channel(target, options=options)
            if access.channel_credentials is None
            else grpc.aio.secure_channel(target, access.channel_credentials, options=options)
        )
        self._methods: dict[str, Any] = {
            name: self._channel.unary_unary(method_path(name), None, None) for name in METHODS
        }

    async def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        """Send one request and wait for its response.

        Raises:
            GradmillError: the call failed.
        """
        metadata = self._authorization.metadata()
        try:
            response: bytes = await self._methods[method](body, timeout=timeout_seconds, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise error_from_call(error, self._target) from None
        return response

    async def close(self) -> None:
        """Close the channel; calls under way fail."""
        await self._channel.close(None)
