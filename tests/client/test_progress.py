"""Progress of long batches."""

from __future__ import annotations

import pytest
from gradmill.progress import Bar, reporting


def test_nobody_watching_sees_nothing() -> None:
    """A program whose standard error is no terminal gets no bar."""
    with reporting(None) as report:
        assert report is None
    with reporting(progress=False) as report:
        assert report is None


def test_a_function_is_told() -> None:
    """A program can show progress in its own way."""
    told: list[tuple[int, int]] = []
    with reporting(lambda done, total: told.append((done, total))) as report:
        assert report is not None
        report(1, 2)
    assert told == [(1, 2)]


def test_a_bar_is_drawn_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A bar that was asked for shows the points done, away from the results."""
    with reporting(progress=True) as report:
        assert report is not None
        report(500, 2000)
        report(2000, 2000)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2.00k/2.00k" in captured.err


def test_a_terminal_sees_no_bar_for_a_short_batch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch of one message never flashes a bar."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with reporting(None) as report:
        assert report is not None
        report(100, 100)
    assert capsys.readouterr().err == ""


def test_a_bar_without_an_end_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Points from a stream of unknown length are counted."""
    bar = Bar(delay_seconds=0.0)
    bar.report(1500, None)
    bar.close()
    assert "1.50k points" in capsys.readouterr().err
