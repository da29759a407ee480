"""Files that are read again when they change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from gradmill_server.serving.security.files import UnusableFile, Watched

from tests.serving.security.recording import RecordedAudit


def _number(contents: Mapping[str, bytes]) -> int:
    try:
        return int(contents["number_file"])
    except ValueError:
        message = "number_file: no number"
        raise UnusableFile(message) from None


def _watched(path: Path, audit: RecordedAudit) -> Watched[int]:
    return Watched("numbers", {"number_file": str(path)}, _number, audit)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """A new content holds after the next look, and is recorded once."""
    path, audit = tmp_path / "number", RecordedAudit()
    path.write_text("1")
    watched = _watched(path, audit)
    assert not watched.refresh()
    path.write_text("2")
    assert watched.refresh()
    assert not watched.refresh()
    assert watched.current == 2
    assert [record[:2] for record in audit.records] == [("files_reloaded", "numbers")]


def test_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    """What was right holds while a file is broken or missing, which is recorded once, and until it is right again."""
    path, audit = tmp_path / "number", RecordedAudit()
    path.write_text("1")
    watched = _watched(path, audit)
    path.write_text("one")
    assert not any(watched.refresh() for _ in range(3))
    path.unlink()
    assert not any(watched.refresh() for _ in range(3))
    assert watched.current == 1
    assert [record[0] for record in audit.records] == ["files_unusable", "files_unusable"]
    path.write_text("3")
    assert watched.refresh()
    assert watched.current == 3


def test_a_file_that_returns_to_what_it_was_is_no_change(tmp_path: Path) -> None:
    """A file that was broken for a while and is what it was holds, and its next mistake is told again."""
    path, audit = tmp_path / "number", RecordedAudit()
    path.write_text("1")
    watched = _watched(path, audit)
    for _ in range(2):
        path.write_text("one")
        watched.refresh()
        path.write_text("1")
        assert not watched.refresh()
    assert watched.current == 1
    assert [record[0] for record in audit.records] == ["files_unusable"] * 2


def test_a_file_that_cannot_be_used_at_the_start_is_an_error(tmp_path: Path) -> None:
    """A missing file, and one that is too large, are told with the setting and the path."""
    path = tmp_path / "number"
    with pytest.raises(UnusableFile, match=f"number_file: {path}: No such file"):
        _watched(path, RecordedAudit())
    path.write_bytes(b"1" * (4 * 1024 * 1024 + 1))
    with pytest.raises(UnusableFile, match="larger than 4194304 bytes"):
        _watched(path, RecordedAudit())
