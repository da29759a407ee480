"""Finds out who calls: from a bearer token, else from the certificate that the connection was opened with."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from gradmill_server.engine.errors import quote
from gradmill_server.serving.security.audit import Audit, Event
from gradmill_server.serving.security.files import Watched
from gradmill_server.serving.security.identities import Cause, Identity, Refused, usable_name
from gradmill_server.serving.security.json_web_tokens import WebTokens
from gradmill_server.serving.security.refusals import Unauthenticated
from gradmill_server.serving.security.tokens import TokenEntry, find_token

_MAXIMUM_REMEMBERED = 10_000
_SCHEME = "bearer "
_DOTS_IN_A_WEB_TOKEN = 2


class Authenticator:
    """Asks each call who makes it. Used on the event loop only.

    Tokens that held are remembered by their SHA-256 until they expire, so that a caller's next call costs a few
    microseconds, whatever the first one took.
    """

    def __init__(
        self,
        audit: Audit,
        *,
        tokens: Watched[tuple[TokenEntry, ...]] | None = None,
        web_tokens: WebTokens | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Ask for these credentials; for a certificate when for no tokens.

        Args:
            audit: where refusals are recorded.
            tokens: tokens that are known by their hashes.
            web_tokens: what checks JSON web tokens.
            now: the wall clock, which is what expiry is told in.
        """
        self._audit = audit
        self._tokens = tokens
        self._web_tokens = web_tokens
        self._asks_for_tokens = tokens is not None or web_tokens is not None
        self._now = now
        self._remembered: OrderedDict[bytes, Identity] = OrderedDict()

    @property
    def remembered(self) -> int:
        """How many tokens are remembered."""
        return len(self._remembered)

    def identify(self, authorizations: Sequence[str], certificate_names: Sequence[str], peer: str) -> str:
        """Return the name of who calls.

        Args:
            authorizations: the values of the header `authorization`.
            certificate_names: what the certificate of the connection says; empty without one.
            peer: the address that the call comes from, for the audit.

        Raises:
            Unauthenticated: there are no credentials, or they do not hold.
        """
        try:
            if self._asks_for_tokens:
                return self._by_token(authorizations)
            return _by_certificate(certificate_names)
        except Refused as refused:
            certificate = quote(certificate_names[0]) if certificate_names else ""
            self._audit.record(Event.AUTHENTICATION_FAILED, refused.cause, peer=peer, certificate=certificate)
            raise Unauthenticated from None

    def forget(self) -> None:
        """Check all tokens anew, since files changed."""
        self._remembered.clear()

    def _by_token(self, authorizations: Sequence[str]) -> str:
        if len(authorizations) != 1:
            raise Refused(Cause.TOKEN_REPEATED if authorizations else Cause.TOKEN_MISSING)
        header = authorizations[0]
        if header[: len(_SCHEME)].lower() != _SCHEME:
            raise Refused(Cause.SCHEME_UNKNOWN)
        token = header[len(_SCHEME) :]
        digest = hashlib.sha256(token.encode("utf-8", errors="surrogatepass")).digest()
        known = self._remembered.get(digest)
        if known is None:
            known = self._checked(token, digest)
            self._remember(digest, known)
        else:
            self._remembered.move_to_end(digest)
        if self._now() >= known.until:
            raise Refused(Cause.TOKEN_EXPIRED)
        return known.caller

    def _checked(self, token: str, digest: bytes) -> Identity:
        """Return whom a token names that is not remembered; raises Refused."""
        entry = None if self._tokens is None else find_token(self._tokens.current, digest)
        if entry is not None:
            return Identity(entry.caller, entry.until)
        if self._web_tokens is not None and token.count(".") == _DOTS_IN_A_WEB_TOKEN:
            return self._web_tokens.identify(token)
        raise Refused(Cause.TOKEN_UNKNOWN)

    def _remember(self, digest: bytes, identity: Identity) -> None:
        self._remembered[digest] = identity
        if len(self._remembered) > _MAXIMUM_REMEMBERED:
            self._remembered.popitem(last=False)


def _by_certificate(names: Sequence[str]) -> str:
    """Return the caller's name: the first of the certificate's alternative names, else its common name."""
    if not names:
        raise Refused(Cause.CERTIFICATE_MISSING)
    if not usable_name(names[0]):
        raise Refused(Cause.NAME_UNUSABLE)
    return names[0]
