"""Tokens known by their hashes."""

from __future__ import annotations

import hashlib
import hmac
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gradmill.command_line import main
from gradmill_server.serving.security import tokens
from gradmill_server.serving.security.files import UnusableFile
from gradmill_server.serving.security.tokens import TokenEntry, find_token, watched_tokens

from tests.serving.security.recording import RecordedAudit


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _read(path: Path, text: str) -> tuple[TokenEntry, ...]:
    path.write_text(text, encoding="utf-8")
    return watched_tokens(str(path), RecordedAudit()).current


def test_a_file_of_tokens(tmp_path: Path) -> None:
    """A line is a name, a hash and perhaps a date, in UTC unless it says otherwise; comments are passed over."""
    digests = [_digest(name).hex() for name in ("a", "b", "c")]
    lines = [
        "# callers\n",
        f"alice {digests[0]}",
        f"  bob\t{digests[1].upper()} 2030-01-31",
        f"c/d@e:f {digests[2]} 2030-01-31T01:00+01:00",
    ]
    alice, bob, other = _read(tmp_path / "tokens", "\n".join(lines))
    assert (alice.caller, alice.digest, alice.until) == ("alice", _digest("a"), math.inf)
    moment = datetime(2030, 1, 31, tzinfo=UTC).timestamp()
    assert (bob.caller, bob.digest, bob.until) == ("bob", _digest("b"), moment)
    assert (other.caller, other.until) == ("c/d@e:f", moment)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("alice", "line 2: not a name, a SHA-256"),
        ("alice SECRET", "line 2: the SHA-256 of 'alice'"),
        ("al\x1bice " + "0" * 64, "line 2: the name is not"),
        ("alice " + "0" * 64 + " soon", "line 2: the date of 'alice'"),
        ("alice " + "0" * 64 + " 2030-01-31 12:00", "line 2: not a name"),
        ("alice " + "0" * 64 + "\nbob " + "0" * 64, "stands in it twice"),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(tmp_path: Path, line: str, said: str) -> None:
    """A line that cannot be read is told by its number, and what stands in it is not shown: it may be a token."""
    with pytest.raises(UnusableFile) as caught:
        _read(tmp_path / "tokens", f"# callers\n{line}\n")
    assert said in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_too_many_tokens_are_refused(tmp_path: Path) -> None:
    """A file of more tokens than can be compared in time is refused with the limit."""
    lines = [f"caller {number:064x}" for number in range(tokens.MAXIMUM_TOKENS + 1)]
    with pytest.raises(UnusableFile, match="4097 tokens, limit 4096"):
        _read(tmp_path / "tokens", "\n".join(lines))


def test_every_entry_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a token stands, and when it stands nowhere, it is compared with all entries, by a safe comparison."""
    compared = []
    safely_equal = hmac.compare_digest

    def counting(first: bytes, second: bytes) -> bool:
        compared.append(first)
        return safely_equal(first, second)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    entries = tuple(TokenEntry(name, _digest(name), math.inf) for name in "abc")
    for presented, expected in (("a", "a"), ("b", "b"), ("c", "c"), ("x", None)):
        compared.clear()
        found = find_token(entries, _digest(presented))
        assert (found.caller if found else None) == expected
        assert compared == [entry.digest for entry in entries]


def test_the_line_that_the_command_prints_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `gradmill token` prints goes into the file as it is."""
    assert main(["token", "alice", "--expires", "2999-01-31"]) == 0
    token_line, file_line = capsys.readouterr().out.splitlines()
    (entry,) = _read(tmp_path / "tokens", file_line.removeprefix("line").strip())
    assert entry.caller == "alice"
    assert entry.digest == _digest(token_line.removeprefix("token").strip())
