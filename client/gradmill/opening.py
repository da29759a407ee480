"""The ways to get a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill.async_client import AsyncClient
from gradmill.client import Client
from gradmill.credentials import TLS, Access, Authorization, Token, refuse_token_in_clear
from gradmill.embedding import AsyncEmbeddedTransport, EmbeddedTransport, start_embedded_server
from gradmill.settings import DEFAULT_TIMEOUT_SECONDS, Batching, RetryPolicy, Settings, checked_timeout

if TYPE_CHECKING:
    import grpc

_UNLIMITED = -1


def connect(
    target: str,
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    tls: TLS | None = None,
    token: Token | None = None,
    token_in_clear: bool = False,
    credentials: grpc.ChannelCredentials | None = None,
    retries: RetryPolicy | None = None,
    batching: Batching | None = None,
    maximum_message_bytes: int | None = None,
) -> Client:
    """Return a client of the server at an address. Connects with the first call, and again whenever that is needed.

    Args:
        target: "host:port", or any other name that gRPC resolves; calls are spread over all addresses behind it.
        timeout: seconds allowed for each message when a call names no timeout of its own; infinity for no limit.
        tls: how to speak TLS, such as ``gradmill.TLS(certificate_authority="ca.pem")``; None speaks in clear.
        token: sent with each message as ``authorization: Bearer ...``; or, for tokens that are replaced, a function
            that returns the one to send, asked before each message by the thread or task that makes the call (and for
            ``stream``, by whichever sends). With a function, calls are not joined into messages: each caller may have
            a token of its own.
        token_in_clear: whether a token may be sent without TLS to another machine.
        credentials: gRPC's own, such as ``grpc.ssl_channel_credentials(...)``, instead of ``tls``.
        retries: when a message that failed is sent again.
        batching: how big batches are cut into messages, and whether small calls are joined into messages.
        maximum_message_bytes: the largest message to send or accept; None leaves that to the server.

    Raises:
        ValueError: the timeout is not greater than zero; the token cannot be sent, or would be sent in clear to another
            machine; or ``tls`` and ``credentials`` are both given.
        OSError: a file of ``tls`` cannot be read.
    """
    from gradmill.network import NetworkTransport  # noqa: PLC0415 - grpc is slow to load; tracing and help need none

    settings = _settings(timeout, retries, batching)
    limit = _UNLIMITED if maximum_message_bytes is None else maximum_message_bytes
    access = _access(target, tls, token, credentials, token_in_clear=token_in_clear)
    return Client(NetworkTransport(target, access, limit), settings, coalesces=not callable(token))


def connect_async(
    target: str,
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    tls: TLS | None = None,
    token: Token | None = None,
    token_in_clear: bool = False,
    credentials: grpc.ChannelCredentials | None = None,
    retries: RetryPolicy | None = None,
    batching: Batching | None = None,
    maximum_message_bytes: int | None = None,
) -> AsyncClient:
    """Return an asyncio client of the server at an address; arguments as for :func:`connect`.

    Call it where the event loop runs: the client belongs to that loop.
    """
    from gradmill.network_async import AsyncNetworkTransport  # noqa: PLC0415 - as in connect

    settings = _settings(timeout, retries, batching)
    limit = _UNLIMITED if maximum_message_bytes is None else maximum_message_bytes
    access = _access(target, tls, token, credentials, token_in_clear=token_in_clear)
    transport = AsyncNetworkTransport(target, access, limit)
    return AsyncClient(transport, settings, submit=None if callable(token) else transport.submit)


def local(*, timeout: float = DEFAULT_TIMEOUT_SECONDS, batching: Batching | None = None) -> Client:
    """Return a client with a server inside this process: the same engine and the same messages, no network.

    Args:
        timeout: seconds allowed for each message when a call names no timeout of its own; infinity for no limit.
        batching: how big batches are cut into messages.

    Raises:
        MissingExtraError: the server is not installed; the message has the command that installs it.
        ValueError: the timeout is not greater than zero.
    """
    settings = _settings(timeout, None, batching)
    return Client(EmbeddedTransport(start_embedded_server()), settings)


def local_async(*, timeout: float = DEFAULT_TIMEOUT_SECONDS, batching: Batching | None = None) -> AsyncClient:
    """Return an asyncio client with a server inside this process; arguments and errors as for :func:`local`."""
    settings = _settings(timeout, None, batching)
    return AsyncClient(AsyncEmbeddedTransport(start_embedded_server()), settings)


def _settings(timeout: float, retries: RetryPolicy | None, batching: Batching | None) -> Settings:
    return Settings(checked_timeout(timeout), retries or RetryPolicy(), batching or Batching())


def _access(
    target: str,
    tls: TLS | None,
    token: Token | None,
    credentials: grpc.ChannelCredentials | None,
    *,
    token_in_clear: bool,
) -> Access:
    if tls is not None and credentials is not None:
        message = "tls and credentials are two ways to say the same; give one of them"
        raise ValueError(message)
    if token is not None and tls is None and credentials is None and not token_in_clear:
        refuse_token_in_clear(target)
    authorization = Authorization(token)
    if tls is None:
        return Access(credentials, authorization)
    import grpc  # noqa: PLC0415 - as in connect

    return Access(grpc.ssl_channel_credentials(*tls.read()), authorization, tls.server_name)
