"""A clock that jumps changes no deadline, no queue and no quota."""

from __future__ import annotations

import re

from tests import REPOSITORY

_TIME_OF_DAY = re.compile(r"\btime\.time(_ns)?\(|\.(now|utcnow|today)\(|\bgmtime\(|\blocaltime\(")
_WHERE_IT_IS_MEANT = re.compile(r"/(logs|security/[a-z_]+|command_line/token)\.py$")
"""Stamps of the log, and what expires on a day: certificates and tokens."""


def test_only_stamps_and_credentials_go_by_the_time_of_day() -> None:
    """All durations are measured by a clock that nobody sets, so that a jump of an hour ends no call."""
    sources = [*(REPOSITORY / "server").rglob("*.py"), *(REPOSITORY / "client").rglob("*.py")]
    found = [
        str(path)
        for path in sources
        if not _WHERE_IT_IS_MEANT.search(path.as_posix()) and _TIME_OF_DAY.search(path.read_text(encoding="utf-8"))
    ]
    assert len(sources) > 100
    assert found == []
