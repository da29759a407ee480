"""All of a server's security, read from its settings, and read again while it runs."""

from __future__ import annotations

import asyncio
from typing import Any

from gradmill_server.serving.security.audit import Audit, Event
from gradmill_server.serving.security.authentication import Authenticator
from gradmill_server.serving.security.certificates import watched_certificates
from gradmill_server.serving.security.exposure import knows_callers
from gradmill_server.serving.security.files import Watched
from gradmill_server.serving.security.json_web_tokens import WebTokens
from gradmill_server.serving.security.quotas import Quota, Quotas, watched_quotas
from gradmill_server.serving.security.tokens import watched_tokens
from gradmill_server.serving.settings import Settings


class Security:
    """What a server protects itself with.

    Attributes:
        certificates: those of TLS; None for clear text.
        authenticator: who finds out who calls; None when anyone may call.
        quotas: what callers are charged by.
    """

    def __init__(self, settings: Settings) -> None:
        """Read all files that settings name.

        Raises:
            UnusableFile: one of them cannot be used.
        """
        audit = self._audit = Audit()
        self._reload_seconds = settings.reload_seconds
        self.certificates = watched_certificates(settings, audit)
        tokens = watched_tokens(settings.token_file, audit) if settings.token_file else None
        web_tokens = WebTokens(settings, audit) if settings.jwt_key_file or settings.jwt_secret_file else None
        self.authenticator = (
            Authenticator(audit, tokens=tokens, web_tokens=web_tokens) if knows_callers(settings) else None
        )
        own = watched_quotas(settings.caller_quota_file, audit) if settings.caller_quota_file else None
        self.quotas = Quotas(
            Quota(settings.caller_requests_per_second, settings.caller_points_per_second),
            audit,
            own=own,
            burst_seconds=settings.caller_burst_seconds,
        )
        credentials = (tokens, web_tokens.keys if web_tokens else None)
        self._of_callers: list[Watched[Any]] = [entry for entry in credentials if entry is not None]
        self._of_quotas = own

    async def watch(self) -> None:
        """Read files again when they change, for ever."""
        while True:
            await asyncio.sleep(self._reload_seconds)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001  whatever it is, the next look may go well
                self._audit.record(Event.FILES_UNUSABLE, "unexpected", reason=type(error).__name__)

    async def refresh(self) -> None:
        """Read now what changed. New connections have a new certificate, and new calls are asked for new tokens."""
        if self.certificates is not None:
            await asyncio.to_thread(self.certificates.refresh)
        for watched in self._of_callers:
            if await asyncio.to_thread(watched.refresh) and self.authenticator is not None:
                self.authenticator.forget()
        if self._of_quotas is not None and await asyncio.to_thread(self._of_quotas.refresh):
            self.quotas.forget()
