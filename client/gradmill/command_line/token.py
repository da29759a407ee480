"""``gradmill token``: makes a bearer token, and the line that lets a server know it without holding it."""

from __future__ import annotations

import argparse
import hashlib
import re
import secrets
import sys
from datetime import UTC, datetime

from gradmill.command_line import json_output
from gradmill.command_line.problems import UsageError

_NAME = re.compile(r"[A-Za-z0-9._@:/+-]{1,128}", re.ASCII)
_RANDOM_BYTES = 32
_PREFIX = "gradmill_"
"""So that those who look for secrets in texts can tell what they found."""


def make_token(options: argparse.Namespace) -> int:
    """Run ``gradmill token`` and return its exit status.

    Raises:
        UsageError: the name is none, or the date is none or has passed.
    """
    name: str = options.name
    if not _NAME.fullmatch(name):
        message = f"{name!r} is no name: up to 128 letters, digits and . _ @ : / + -"
        raise UsageError(message)
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    parts = [name, hashlib.sha256(token.encode()).hexdigest()]
    if options.expires is not None:
        parts.append(_checked_date(options.expires))
    line = " ".join(parts)
    if options.json:
        sys.stdout.write(json_output.to_text({"token": token, "line": line}))
    else:
        sys.stdout.write(f"token  {token}\nline   {line}\n")
    return 0


def _checked_date(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"--expires {text}: not a date, such as 2030-01-31"
        raise UsageError(message) from None
    if (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) <= datetime.now(UTC):
        message = f"--expires {text}: this has passed already"
        raise UsageError(message)
    if " " in text:
        message = f"--expires {text}: write a T between date and time"
        raise UsageError(message)
    return text
