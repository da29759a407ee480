"""Who calls, and how the road to the server is protected: bearer tokens and TLS, as values that a client is given."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradmill.errors import AccessDeniedError, Failure

if TYPE_CHECKING:
    import grpc

Token = str | Callable[[], str]
"""A bearer token, or a function that returns the one to send now, which must be quick: each message asks it."""

Metadata = tuple[tuple[str, str], ...]

AUTHORIZATION = "authorization"
MAXIMUM_TOKEN_CHARACTERS = 7_000
"""Servers take 8 KiB of headers by default."""

_TOKEN = re.compile(r"[!-~]+", re.ASCII)
_SCHEME = re.compile(r"(?P<scheme>dns|ipv4|ipv6|unix|unix-abstract):(///)?(?P<rest>.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class TLS:
    """How to speak TLS with a server. Files are PEM, and are read when the client is made.

    Attributes:
        certificate_authority: file of the certificates that the server's is checked against; None takes those that
            gRPC brings along.
        client_certificate: file of this client's own certificate and those between it and its authority, for servers
            that want one.
        client_key: file of the private key of that certificate.
        server_name: the name that the server's certificate must have, where that is not the one in the address.
    """

    certificate_authority: str | Path | None = None
    client_certificate: str | Path | None = None
    client_key: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        """Refuse a certificate without its key, and a key without its certificate."""
        if (self.client_certificate is None) != (self.client_key is None):
            message = "client_certificate and client_key belong together; give both or neither"
            raise ValueError(message)

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Return the contents of the files: authority, key, certificate, as gRPC's own function takes them.

        Raises:
            OSError: a file cannot be read.
        """
        return _content(self.certificate_authority), _content(self.client_key), _content(self.client_certificate)


def _content(file: str | Path | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()


class Authorization:
    """What goes with each message to say who sends it. Never shows the token."""

    __slots__ = ("_given", "_metadata")

    def __init__(self, token: Token | None) -> None:
        """Keep the token, or what gives it; None for neither.

        Raises:
            ValueError: the token has characters that no header can carry, or is too long.
        """
        self._given = token if callable(token) else None
        self._metadata: Metadata | None = None
        if isinstance(token, str):
            problem = _problem(token)
            if problem:
                message = f"token: {problem}"
                raise ValueError(message)
            self._metadata = _bearer(token)

    def metadata(self) -> Metadata | None:
        """Return the headers to send with a message; None for none.

        Raises:
            AccessDeniedError: the function that gives the token failed, or gave what is no token.
        """
        if self._given is None:
            return self._metadata
        try:
            token = self._given()
        except Exception as error:
            message = f"the function that gives the token failed: {type(error).__name__}"
            raise _unusable(message) from error
        problem = _problem(token)
        if problem:
            message = f"the function that gives the token returned what cannot be sent: {problem}"
            raise _unusable(message)
        return _bearer(token)


@dataclass(frozen=True, slots=True)
class Access:
    """How a channel is protected, and what goes with each message on it.

    Attributes:
        channel_credentials: for TLS; None speaks in clear.
        authorization: who calls.
        server_name: the name that the server's certificate must have, where that is not the one in the address.
    """

    channel_credentials: grpc.ChannelCredentials | None
    authorization: Authorization
    server_name: str | None = None


def _bearer(token: str) -> Metadata:
    return ((AUTHORIZATION, f"Bearer {token}"),)


def _problem(token: object) -> str:
    """Return what is wrong with a token, without showing it; empty for nothing."""
    if not isinstance(token, str):
        return f"it is of type {type(token).__name__}, not str"
    if len(token) > MAXIMUM_TOKEN_CHARACTERS:
        return f"it has {len(token)} characters, limit {MAXIMUM_TOKEN_CHARACTERS}"
    if not _TOKEN.fullmatch(token):
        return "it is empty, or has spaces, line breaks or characters beyond ASCII"
    return ""


def _unusable(message: str) -> AccessDeniedError:
    return AccessDeniedError(message, Failure(status="UNAUTHENTICATED", reason="TOKEN_UNUSABLE"))


def refuse_token_in_clear(target: str) -> None:
    """Refuse to send a token over a network that anyone may read.

    Raises:
        ValueError: the address is not of this machine alone.
    """
    if not is_of_this_machine(target):
        message = (
            f"the token would cross the network in clear on its way to {target!r}; pass tls=gradmill.TLS(), or"
            " token_in_clear=True where the network itself is protected"
        )
        raise ValueError(message)


def is_of_this_machine(target: str) -> bool:
    """Whether all of a target's addresses can only be of this machine, judged by its text."""
    match = _SCHEME.fullmatch(target)
    if match and match["scheme"].lower().startswith("unix"):
        return True
    addresses = match["rest"] if match else target
    return all(_is_loopback(_host(address)) for address in addresses.split(","))


def _host(address: str) -> str:
    """Return the host of "host:port", "[host]:port" or a host alone."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
