"""The gRPC transport: raw bytes between grpcio and the handler, with health checks and reflection beside it.

No other module of the server knows grpcio.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, NoReturn

# gRPC's core writes a line for every connection that fails to agree on TLS, and anyone who can connect can let it fail.
# This is looked at when gRPC is loaded; whoever runs the server may set it to INFO to see those lines.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from gradmill_server.serving import logs
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.handler import UNARY_METHODS, Handler
from gradmill_server.serving.listening import ListenError, check_free, shown_address
from gradmill_server.serving.security.exposure import serves_reflection
from gradmill_server.serving.security.security import Security
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.status import RpcFailure
from gradmill_server.serving.streams import METHOD as STREAM_METHOD
from gradmill_server.serving.transport_security import Gate, GuardedReflection, Visit, server_credentials

SERVICE_NAME = "gradmill.v1.GradientService"

_STATUS_METADATA = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}

_PING_INTERVAL_MILLISECONDS = 9_000
"""Callers may ping every 10 seconds, with a second to spare for late and early ones."""

_STREAMS_PER_CONNECTION = 1_000
"""No admission control: a grpcio client does not wait for a free stream, it fails. Admission is the handler's."""

_HANDSHAKE_MILLISECONDS = 10_000

_METADATA_BYTES = 8 * 1024
"""Of headers. gRPC refuses some calls between a soft and a hard bound by chance; with both the same, what is refused is
known."""

_KEEPALIVE_MILLISECONDS = 60_000
_KEEPALIVE_TIMEOUT_MILLISECONDS = 20_000
"""A connection whose other end is gone is noticed and closed, though nothing is sent on it."""

_IDLE_MILLISECONDS = 5 * 60_000
"""A connection without calls is closed after so long; a client opens another when it has something to ask."""


_BETWEEN_ATTEMPTS_SECONDS = 0.02


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """Whether a word of grpcio's own is worth a line: not what callers can make it say as often as they like."""
    return record.exc_info is None or not isinstance(record.exc_info[1], (asyncio.CancelledError, UnicodeDecodeError))


# grpcio writes one with a traceback when a caller leaves before his call has begun, and asyncio another one for it
# when a call's path is not UTF-8 (`GrpcFront` says it in a record).
logging.getLogger("grpc._cython.cygrpc").addFilter(_is_worth_saying)
logging.getLogger("asyncio").addFilter(_is_worth_saying)


_UnaryBehaviour = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[bytes]]
_StreamBehaviour = Callable[[AsyncIterator[bytes], "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[None]]


class HealthReport(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # its stub is Any
    """`grpc.health.v1`, answered on the event loop, so also while every worker is busy.

    Of our own because a watcher must end when the server drains, and because the servicer of grpcio-health-checking
    forgets all watchers of a service as soon as one of them leaves.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        """Start with all services not serving; the empty name is the server as a whole."""
        self._services = frozenset({"", *services})
        self._serving = False
        self._drained = False
        self._changed = asyncio.Event()

    def report(self, *, serving: bool) -> None:
        """Tell all watchers whether the services are there."""
        self._serving = serving
        self._announce()

    def drain(self) -> None:
        """Tell all watchers that the services are not there, and let them go."""
        self._drained = True
        self.report(serving=False)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _status(self, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
        if service not in self._services:
            return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        return health_pb2.HealthCheckResponse.SERVING if self._serving else health_pb2.HealthCheckResponse.NOT_SERVING

    async def Check(  # noqa: N802  gRPC's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """Answer with a service's state; NOT_FOUND for a service that is not known."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "this server has no such service")
        return health_pb2.HealthCheckResponse(status=self._status(request.service))

    async def Watch(  # noqa: N802  gRPC's name
        self, request: health_pb2.HealthCheckRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Yield a service's state now and at each change, until the server drains."""
        told: health_pb2.HealthCheckResponse.ServingStatus | None = None
        while True:
            # Before the state is told: what changes while it is sent is told next.
            changed, drained = self._changed, self._drained
            if (status := self._status(request.service)) != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            if drained:
                return
            await changed.wait()


def _gradient_methods(handler: Handler, gate: Gate | None) -> grpc.GenericRpcHandler:
    """Return the methods of the service, without serializers: bytes in, bytes out."""
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        name: grpc.unary_unary_rpc_method_handler(_unary(handler, name, gate)) for name in UNARY_METHODS
    }
    methods[STREAM_METHOD] = grpc.stream_stream_rpc_method_handler(_stream(handler, gate))
    return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)


def _unary(handler: Handler, name: str, gate: Gate | None) -> _UnaryBehaviour:
    async def answer(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            caller = gate.caller(name, context) if gate is not None else ""
            time_remaining = context.time_remaining()
            answer = handler.small_call(name, body, time_remaining, caller)
            if answer is not None:
                return answer
            return await handler.call(name, body, handler.context(time_remaining, context.peer, caller))
        except RpcFailure as failure:
            # A status that is set travels with what is returned, which is left out; raising one costs a tenth more.
            status = failure.status
            context.set_code(_CODES[status.code])
            context.set_details(status.message)
            context.set_trailing_metadata(_details(failure))
            return b""

    return answer


def _stream(handler: Handler, gate: Gate | None) -> _StreamBehaviour:
    async def answer(_: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        try:
            visit = gate.admit(STREAM_METHOD, context) if gate is not None else None

            async def read() -> bytes | None:
                message: bytes | object = await context.read()
                if not isinstance(message, bytes) or (visit is not None and not visit.holds()):
                    return None  # at the end comes grpc.aio.EOF
                return message

            await handler.evaluate_stream(read, context.write, _open_call(context, visit))
            if visit is not None:
                visit.check()
        except RpcFailure as failure:
            await _abort(context, failure)

    return answer


def _open_call(context: grpc.aio.ServicerContext[bytes, bytes], visit: Visit | None) -> CallContext:
    """Return the call of a stream. It may stay open for as long as its caller likes; each message has the ceiling."""
    return CallContext.arriving(
        context.time_remaining(),
        default_seconds=math.inf,
        maximum_seconds=math.inf,
        peer=context.peer,
        caller=visit.caller if visit is not None else "",
    )


async def _abort(context: grpc.aio.ServicerContext[bytes, bytes], failure: RpcFailure) -> NoReturn:
    await context.abort(_CODES[failure.status.code], failure.status.message, _details(failure))


def _details(failure: RpcFailure) -> tuple[tuple[str, bytes], ...]:
    return ((_STATUS_METADATA, failure.status.SerializeToString()),)


class GrpcFront:
    """A gRPC server before a handler.

    Attributes:
        address: the address it listens on, with the port chosen; empty before `start`.
    """

    def __init__(
        self, handler: Handler, settings: Settings, security: Security | None = None, *, shares_port: bool = False
    ) -> None:
        """Set up the server; needs a running event loop. Raises UnusableFile when there is no security yet.

        Args:
            handler: what answers.
            settings: where to listen, among others.
            security: whom to let in, and by what certificate; None to make it from the settings.
            shares_port: whether other processes listen on the same port, each with a share of its connections.
        """
        self.address = ""
        self._settings = settings
        self._shares_port = shares_port
        self._security = security or Security(settings)
        self._health = HealthReport((SERVICE_NAME,))
        authenticator = self._security.authenticator
        certificates = bool(settings.tls_client_authority_file)
        self._gate = Gate(authenticator, handler, certificates=certificates) if authenticator is not None else None
        self._methods = _gradient_methods(handler, self._gate)
        self._server = self._made()
        self._keeping: asyncio.Task[None] | None = None

    def _made(self) -> grpc.aio.Server:
        """Return a server that does not listen yet."""
        server = grpc.aio.server(options=_options(self._settings, shares_port=self._shares_port))
        server.add_generic_rpc_handlers((self._methods,))
        # Health is open to all: what starts, stops and finds servers has no credentials, and learns no more than that.
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if serves_reflection(self._settings):
            self._add_reflection(server)
        return server

    def _add_reflection(self, server: grpc.aio.Server) -> None:
        names = (SERVICE_NAME, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        if self._gate is None:
            reflection.enable_server_reflection(names, server)
        else:
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(GuardedReflection(names, self._gate), server)

    async def start(self) -> None:
        """Listen and answer; health says NOT_SERVING until `report_ready`. Raises ListenError."""
        host, port = self._settings.host, self._settings.port
        if not self._shares_port:
            check_free(host, port)
        try:
            chosen = self._add_port(shown_address(host, port))
        except RuntimeError as error:
            message = f"cannot listen on {shown_address(host, port)}"
            raise ListenError(message) from error
        await self._server.start()
        self.address = shown_address(host, chosen)
        self._keeping = asyncio.create_task(self._keep_listening())

    async def _keep_listening(self) -> None:
        """Listen anew whenever grpcio's server ends by itself, as it does (1.85) when a call's path is not UTF-8.

        Calls under way on this server end with it, and their callers try again; without this one such call, which needs
        no credentials, would end the service.
        """
        while True:
            with suppress(UnicodeDecodeError):
                # Shielded, because what it awaits is grpcio's own, and is needed when this server is stopped.
                await asyncio.shield(self._server.wait_for_termination())
            logs.record(logging.WARNING, "listening_anew", address=self.address)
            await self._listen_anew()

    async def _listen_anew(self) -> None:
        while True:
            self._server = self._made()
            try:
                self._add_port(self.address)
            except RuntimeError:  # for a moment yet the address is taken
                await asyncio.sleep(_BETWEEN_ATTEMPTS_SECONDS)
            else:
                await self._server.start()
                return

    def _add_port(self, address: str) -> int:
        certificates = self._security.certificates
        if certificates is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, server_credentials(certificates))

    def report_ready(self) -> None:
        """Let health say SERVING."""
        self._health.report(serving=True)

    def report_draining(self) -> None:
        """Let health say NOT_SERVING from now on, and end the streams that watch it."""
        self._health.drain()

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, let those in flight end for so long, then cancel them."""
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        await self._server.stop(grace_seconds)


def _options(settings: Settings, *, shares_port: bool = False) -> list[tuple[str, int]]:
    return [
        # Two servers on one port would share its calls by chance instead of the second one failing.
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_receive_message_length", settings.maximum_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_INTERVAL_MILLISECONDS),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MILLISECONDS),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MILLISECONDS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MILLISECONDS),
        ("grpc.max_connection_idle_ms", _IDLE_MILLISECONDS),
    ]
