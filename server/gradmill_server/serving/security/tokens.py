"""Bearer tokens in a file that holds their SHA-256 only, so that who reads it can call nobody.

Each line is a caller's name, the token's SHA-256 in hexadecimal, and when the token expires, if it does: an ISO date or
time, in UTC unless it says otherwise. A line that begins with `#` is a comment.
`gradmill token` makes them.
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gradmill_server.engine.errors import quote
from gradmill_server.serving.security.audit import Audit
from gradmill_server.serving.security.files import UnusableFile, Watched

KNOB = "token_file"
MAXIMUM_TOKENS = 4_096
"""All are compared with each unknown token, so more would hold the event loop for longer than a millisecond or two."""

_NAME = re.compile(r"[A-Za-z0-9._@:/+-]{1,128}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_FIELDS_AT_LEAST, _FIELDS_AT_MOST = 2, 3


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A token that a caller may use.

    Attributes:
        caller: the caller's name.
        digest: the token's SHA-256.
        until: when it expires, in seconds of the wall clock; infinite for never.
    """

    caller: str
    digest: bytes
    until: float


def find_token(entries: tuple[TokenEntry, ...], digest: bytes) -> TokenEntry | None:
    """Return the entry of a token, given its SHA-256. Takes as long whether or not and wherever it stands."""
    found: TokenEntry | None = None
    for entry in entries:
        if hmac.compare_digest(entry.digest, digest):
            found = entry
    return found


def watched_tokens(path: str, audit: Audit) -> Watched[tuple[TokenEntry, ...]]:
    """Read a file of tokens.

    Raises:
        UnusableFile: it cannot be used; the message names the line.
    """

    def parse(contents: Mapping[str, bytes]) -> tuple[TokenEntry, ...]:
        return _parse(path, contents[KNOB])

    return Watched("tokens", {KNOB: path}, parse, audit)


def _parse(path: str, content: bytes) -> tuple[TokenEntry, ...]:
    entries = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        entry = _entry(fields)
        if isinstance(entry, str):
            message = f"{KNOB}: {path}: line {number}: {entry}"
            raise UnusableFile(message)
        entries.append(entry)
    if len(entries) > MAXIMUM_TOKENS:
        message = f"{KNOB}: {path}: {len(entries)} tokens, limit {MAXIMUM_TOKENS}"
        raise UnusableFile(message)
    if len({entry.digest for entry in entries}) < len(entries):
        message = f"{KNOB}: {path}: a token stands in it twice"
        raise UnusableFile(message)
    return tuple(entries)


def _entry(fields: list[str]) -> TokenEntry | str:
    """Return the entry of a line, or what is wrong with it. The line's own text is not shown: it may be a token."""
    if not _FIELDS_AT_LEAST <= len(fields) <= _FIELDS_AT_MOST:
        return "not a name, a SHA-256 and, perhaps, a date"
    name, digest, *date = fields
    if not _NAME.fullmatch(name):
        return "the name is not of up to 128 letters, digits and . _ @ : / + -"
    if not _DIGEST.fullmatch(digest):
        return f"the SHA-256 of {quote(name)}'s token is not 64 hexadecimal digits"
    try:
        until = _seconds(date[0]) if date else math.inf
    except (ValueError, OverflowError):
        return f"the date of {quote(name)}'s token is not an ISO date, such as 2030-01-31"
    return TokenEntry(name, bytes.fromhex(digest), until)


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
