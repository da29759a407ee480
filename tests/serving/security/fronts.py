"""A server with security in this process, and ways to call it: with TLS or without, with a token or without."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.rpc import status_pb2
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.security.security import Security
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.transport import SERVICE_NAME, GrpcFront

from tests.serving.security.makers import Pair
from tests.serving.support import evaluation, small_settings

T = TypeVar("T")

EVALUATE = f"/{SERVICE_NAME}/Evaluate"
Metadata = Sequence[tuple[str, str]]


class Door:
    """A running server, and what opens channels to it."""

    def __init__(self, security: Security, handler: Handler, front: GrpcFront) -> None:
        """Use a server that listens."""
        self.security = security
        self.handler = handler
        self.front = front

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.front.address.rpartition(":")[2])

    def channel(self, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
        """Open a channel, with TLS when there are credentials."""
        if credentials is None:
            return grpc.aio.insecure_channel(self.front.address)
        return grpc.aio.secure_channel(self.front.address, credentials)

    async def call(
        self,
        credentials: grpc.ChannelCredentials | None = None,
        *,
        metadata: Metadata = (),
        method: str = EVALUATE,
        body: bytes | None = None,
    ) -> bytes:
        """Call once over a connection of its own."""
        async with self.channel(credentials) as channel:
            return await ask(channel, metadata=metadata, method=method, body=body)


async def ask(
    channel: grpc.aio.Channel, *, metadata: Metadata = (), method: str = EVALUATE, body: bytes | None = None
) -> bytes:
    """Call once over a channel; by default the textbook function is evaluated."""
    unary: Any = channel.unary_unary(method, None, None)
    request = evaluation().SerializeToString() if body is None else body
    answer: bytes = await unary(request, metadata=tuple(metadata), timeout=60.0)
    return answer


def bearer(token: str) -> Metadata:
    """Return the header that a token is sent in."""
    return (("authorization", f"Bearer {token}"),)


def token_line(name: str, token: str, date: str = "") -> str:
    """Return a line of a file of tokens."""
    return f"{name} {hashlib.sha256(token.encode()).hexdigest()} {date}\n"


def tls_settings(pair: Pair, authority: Path | None = None, **changes: Any) -> Settings:  # noqa: ANN401
    """Return settings of a server with a certificate, and with an authority for callers' when there is one."""
    return replace(
        small_settings(),
        tls_certificate_file=str(pair.certificate),
        tls_key_file=str(pair.key),
        tls_client_authority_file=str(authority or ""),
        **changes,
    )


def trusting(authority: Path, pair: Pair | None = None) -> grpc.ChannelCredentials:
    """Return a client's credentials: whom it trusts, and its own certificate when it has one."""
    key, chain = (pair.key.read_bytes(), pair.certificate.read_bytes()) if pair else (None, None)
    return grpc.ssl_channel_credentials(authority.read_bytes(), key, chain)


def refused(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Return the status that came with an error."""
    metadata: Any = error.trailing_metadata()
    return status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])


@asynccontextmanager
async def open_door(settings: Settings) -> AsyncIterator[Door]:
    """Run a server with these settings."""
    security = Security(settings)
    handler = Handler(settings, quotas=security.quotas)
    front = GrpcFront(handler, settings, security)
    try:
        await front.start()
        front.report_ready()
        yield Door(security, handler, front)
    finally:
        await front.stop(0)
        await handler.close()


def run_door(settings: Settings, scenario: Callable[[Door], Awaitable[T]]) -> T:
    """Run a scenario against a server with these settings."""

    async def whole() -> T:
        async with open_door(settings) as door:
            return await scenario(door)

    return asyncio.run(whole())


def handshake(port: int, authority: Path, version: ssl.TLSVersion) -> tuple[str, str]:
    """Agree on exactly this version of TLS; return the version agreed on and the common name of the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority)
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port), 10.0) as plain,
        context.wrap_socket(plain) as secured,
    ):
        subject: Any = (secured.getpeercert() or {})["subject"]
        return str(secured.version()), str(subject[0][0][1])
