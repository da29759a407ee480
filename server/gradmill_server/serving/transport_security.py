"""Security where gRPC is: its server credentials, and what it knows of who calls."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection

from gradmill_server.serving.call import CallContext
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.security.authentication import Authenticator
from gradmill_server.serving.security.certificates import Certificates
from gradmill_server.serving.security.files import Watched
from gradmill_server.serving.security.refusals import Unauthenticated
from gradmill_server.serving.status import RpcFailure

_AUTHORIZATION = "authorization"

_Context = grpc.aio.ServicerContext[Any, Any]


def server_credentials(certificates: Watched[Certificates]) -> grpc.ServerCredentials:
    """Return credentials that give each new connection the certificate of its moment. TLS is 1.2 at least."""
    given = certificates.current
    # Guards given: connections are opened in several threads of gRPC's.
    lock = threading.Lock()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        with lock:
            if certificates.current is given:
                return None
            given = certificates.current
            return _configuration(given)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        changed,  # type: ignore[arg-type]  # None for no change is missing in the stub
        require_client_authentication=given.client_authority is not None,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pair = (certificates.key, certificates.chain)
    return grpc.ssl_server_certificate_configuration([pair], certificates.client_authority)


class Gate:
    """Asks each call who makes it."""

    def __init__(self, authenticator: Authenticator, handler: Handler, *, certificates: bool) -> None:
        """Let the authenticator decide, and the handler count and word the refusals.

        Args:
            authenticator: finds out who calls.
            handler: what the calls are for.
            certificates: whether callers have certificates.
        """
        self._authenticator = authenticator
        self._handler = handler
        self._certificates = certificates

    def caller(self, method: str, context: _Context) -> str:
        """Return the name of who calls. Raises RpcFailure."""
        try:
            return self._identify(context)
        except Unauthenticated as error:
            raise self._failure(method, error, context) from None

    def admit(self, method: str, context: _Context) -> Visit:
        """Return the visit of who opens a stream. Raises RpcFailure."""
        return Visit(self, method, context, self.caller(method, context))

    def _identify(self, context: _Context) -> str:
        metadata = context.invocation_metadata() or ()
        authorizations = [str(value) for key, value in metadata if key == _AUTHORIZATION]
        return self._authenticator.identify(
            authorizations, _certificate_names(context) if self._certificates else (), context.peer()
        )

    def _failure(self, method: str, error: Unauthenticated, context: _Context) -> RpcFailure:
        return self._handler.failure(method, error, CallContext(peer=context.peer()))


def _certificate_names(context: _Context) -> list[str]:
    """Return the alternative names of the certificate that the connection was opened with, else its common name."""
    return [name.decode("utf-8", errors="replace") for name in context.peer_identities() or ()]


class Visit:
    """A stream, whose caller is asked anew with each message, since streams may outlive credentials.

    Attributes:
        caller: the name of who opened it.
    """

    def __init__(self, gate: Gate, method: str, context: _Context, caller: str) -> None:
        """Start with credentials that hold."""
        self.caller = caller
        self._gate = gate
        self._method = method
        self._context = context
        self._ended: RpcFailure | None = None

    def holds(self) -> bool:
        """Whether the credentials still name who opened the stream; asked with each message that comes."""
        try:
            return self._gate.caller(self._method, self._context) == self.caller
        except RpcFailure as failure:
            self._ended = failure
            return False

    def check(self) -> None:
        """Raise RpcFailure when the credentials ended before the stream did."""
        if self._ended is not None:
            raise self._ended


class GuardedReflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]  # its stub is Any
    """Describes the services to those who may call them."""

    def __init__(self, names: tuple[str, ...], gate: Gate) -> None:
        """Describe these services."""
        super().__init__(names)
        self._gate = gate

    async def ServerReflectionInfo(  # noqa: N802  gRPC's name
        self, request_iterator: AsyncIterator[Any], context: _Context
    ) -> AsyncIterator[Any]:
        """Answer each question. Aborts with UNAUTHENTICATED."""
        try:
            self._gate.caller("ServerReflectionInfo", context)
        except RpcFailure as failure:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, failure.status.message)
        async for answer in super().ServerReflectionInfo(request_iterator, context):
            yield answer
