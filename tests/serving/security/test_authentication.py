"""Who calls: by a token, else by a certificate, and never with a hint at what is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from gradmill_server.serving.security import authentication
from gradmill_server.serving.security.authentication import Authenticator
from gradmill_server.serving.security.files import Watched
from gradmill_server.serving.security.identities import Cause
from gradmill_server.serving.security.refusals import Unauthenticated
from gradmill_server.serving.security.tokens import TokenEntry, find_token, watched_tokens
from gradmill_server.serving.status import status_of

from tests.serving.security.recording import Clock, RecordedAudit
from tests.serving.support import refusal

SECRET = "a-secret-token"
PEER = "ipv4:10.0.0.1:1234"


def _line(name: str, token: str, date: str = "") -> str:
    return f"{name} {hashlib.sha256(token.encode()).hexdigest()} {date}\n"


class _Door:
    """An authenticator with a file of tokens, and what it recorded."""

    def __init__(self, folder: Path, text: str) -> None:
        self.audit = RecordedAudit()
        self.file = folder / "tokens"
        self.file.write_text(text)
        self.clock = Clock()
        self.tokens: Watched[tuple[TokenEntry, ...]] = watched_tokens(str(self.file), self.audit)
        self.authenticator = Authenticator(self.audit, tokens=self.tokens, now=self.clock)

    def identify(self, *authorizations: str, certificate: Sequence[str] = ()) -> str:
        return self.authenticator.identify(authorizations, certificate, PEER)

    def refused(self, *authorizations: str) -> str:
        """Return the cause that the audit heard; the caller hears the same of all."""
        with pytest.raises(Unauthenticated) as caught:
            self.identify(*authorizations)
        status = status_of(caught.value)
        assert refusal(status) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        assert status.message == "no valid credentials"
        assert len(status.details) == 1
        assert SECRET not in str(self.audit.records)
        assert caught.value.__suppress_context__
        return self.audit.causes[-1]


def test_a_right_token(tmp_path: Path) -> None:
    """A token in the file names its caller, however the scheme is written."""
    door = _Door(tmp_path, _line("alice", SECRET))
    assert [door.identify(f"{scheme} {SECRET}") for scheme in ("Bearer", "bearer", "BEARER")] == ["alice"] * 3


@pytest.mark.parametrize(
    ("authorizations", "cause"),
    [
        ([], Cause.TOKEN_MISSING),
        (["Bearer wrong"], Cause.TOKEN_UNKNOWN),
        ([f"Bearer {SECRET} "], Cause.TOKEN_UNKNOWN),
        ([f"Bearer {SECRET[:-1]}"], Cause.TOKEN_UNKNOWN),
        (["Bearer "], Cause.TOKEN_UNKNOWN),
        (["Bearer"], Cause.SCHEME_UNKNOWN),
        ([""], Cause.SCHEME_UNKNOWN),
        ([SECRET], Cause.SCHEME_UNKNOWN),
        ([f"Basic {SECRET}"], Cause.SCHEME_UNKNOWN),
        ([f"Bearer {SECRET}", f"Bearer {SECRET}"], Cause.TOKEN_REPEATED),
        (["Bearer a.b.c"], Cause.TOKEN_UNKNOWN),
        (["Bearer \ud800\udfff"], Cause.TOKEN_UNKNOWN),
        (["Bearer " + "x" * 1_000_000], Cause.TOKEN_UNKNOWN),
    ],
)
def test_wrong_and_missing_tokens(tmp_path: Path, authorizations: list[str], cause: Cause) -> None:
    """A wrong, cut, repeated or missing token is refused with the one message there is; the audit alone hears why."""
    assert _Door(tmp_path, _line("alice", SECRET)).refused(*authorizations) == cause


def test_a_token_expires(tmp_path: Path) -> None:
    """A token holds until its date, also where it was used before."""
    door = _Door(tmp_path, _line("alice", SECRET, "1970-01-02"))
    door.clock.now = 86_399.0
    assert door.identify(f"Bearer {SECRET}") == "alice"
    door.clock.now = 86_400.0
    assert door.refused(f"Bearer {SECRET}") == Cause.TOKEN_EXPIRED
    assert _Door(tmp_path, _line("alice", SECRET, "1970-01-01")).refused(f"Bearer {SECRET}") == Cause.TOKEN_EXPIRED


def test_a_token_that_is_taken_out_of_the_file(tmp_path: Path) -> None:
    """A token that is replaced in the file holds no more after the next look, and the new one does."""
    door = _Door(tmp_path, _line("alice", SECRET))
    assert door.identify(f"Bearer {SECRET}") == "alice"
    door.file.write_text(_line("alice", "new"))
    assert door.tokens.refresh()
    door.authenticator.forget()
    assert door.refused(f"Bearer {SECRET}") == Cause.TOKEN_UNKNOWN
    assert door.identify("Bearer new") == "alice"


def test_a_known_token_is_not_compared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that held is remembered by its hash, so that the next call costs nearly nothing; a wrong one never is."""
    door = _Door(tmp_path, _line("alice", SECRET))
    looked_up = []

    def counting(entries: tuple[TokenEntry, ...], digest: bytes) -> TokenEntry | None:
        looked_up.append(digest)
        return find_token(entries, digest)

    monkeypatch.setattr(authentication, "find_token", counting)
    assert [door.identify(f"Bearer {SECRET}") for _ in range(5)] == ["alice"] * 5
    assert len(looked_up) == 1
    for _ in range(3):
        door.refused("Bearer wrong")
    assert len(looked_up) == 4


def test_tokens_remembered_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tokens that held only so many are remembered; those beyond are checked again."""
    monkeypatch.setattr(authentication, "_MAXIMUM_REMEMBERED", 2)
    door = _Door(tmp_path, "".join(_line(name, name) for name in "abcd"))
    assert [door.identify(f"Bearer {name}") for name in "abcdab"] == list("abcdab")
    assert door.authenticator.remembered == 2


def test_a_certificate_names_the_caller_where_no_token_is_asked() -> None:
    """Without tokens, the caller is who the certificate of the connection says: its first name."""
    audit = RecordedAudit()
    authenticator = Authenticator(audit)
    assert authenticator.identify([], ["spiffe://mill/job", "other"], PEER) == "spiffe://mill/job"
    assert authenticator.identify([f"Bearer {SECRET}"], ["alice"], PEER) == "alice"
    for names, cause in (([], Cause.CERTIFICATE_MISSING), (["al\x1bice"], Cause.NAME_UNUSABLE)):
        with pytest.raises(Unauthenticated):
            authenticator.identify([], names, PEER)
        assert audit.causes[-1] == cause


def test_a_certificate_does_not_stand_in_for_a_token(tmp_path: Path) -> None:
    """Where tokens are asked for, a certificate alone is not enough, and the token names the caller."""
    door = _Door(tmp_path, _line("alice", SECRET))
    assert door.identify(f"Bearer {SECRET}", certificate=["bob"]) == "alice"
    with pytest.raises(Unauthenticated):
        door.identify(certificate=["bob"])
    assert door.audit.records[-1] == (
        "authentication_failed",
        "token_missing",
        {"peer": PEER, "certificate": "'bob'"},
    )
