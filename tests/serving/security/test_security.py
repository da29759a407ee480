"""All of it together: files that are read again while a server runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from gradmill_server.serving.security.files import Watched
from gradmill_server.serving.security.refusals import RequestQuotaExceeded
from gradmill_server.serving.security.security import Security

from tests.serving.security.fronts import token_line
from tests.serving.support import small_settings, until


def _watching(security: Security, condition: Callable[[], bool]) -> None:
    """Let the security look at its files until a condition holds."""

    async def scenario() -> None:
        watching = asyncio.create_task(security.watch())
        await until(condition)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    asyncio.run(scenario())


def test_without_settings_anyone_may_call() -> None:
    """A server that is told nothing speaks in clear, asks nobody, and charges nobody."""
    security = Security(small_settings())
    assert (security.certificates, security.authenticator) == (None, None)
    for _ in range(1_000):
        security.quotas.charge_request("anyone")


def test_quotas_hold_anew_when_their_file_changes(tmp_path: Path) -> None:
    """A caller whose quota is raised in the file need not wait for what it lacked before."""
    path = tmp_path / "quotas"
    path.write_text("alice 0.001 0\n")
    security = Security(small_settings(caller_quota_file=str(path), reload_seconds=0.1))
    security.quotas.charge_request("alice")
    with pytest.raises(RequestQuotaExceeded):
        security.quotas.charge_request("alice")
    path.write_text("alice 1000 0\n")
    _watching(security, lambda: security.quotas.remembered == 0)
    for _ in range(100):
        security.quotas.charge_request("alice")


def test_a_look_that_fails_does_not_end_the_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens when files are read again, they are looked at the next time."""
    path = tmp_path / "tokens"
    path.write_text(token_line("alice", "a"))
    security = Security(small_settings(token_file=str(path), reload_seconds=0.1))
    looks = []

    def failing(watched: Watched[object]) -> bool:
        looks.append(watched)
        raise MemoryError

    monkeypatch.setattr(Watched, "refresh", failing)
    _watching(security, lambda: len(looks) == 3)
