"""The log: what a record looks like, and what it can never hold."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from gradmill_server.serving import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    logger = logs.LOGGER
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def _written(style: str, **values: logs.FieldValue) -> str:
    stream = io.StringIO()
    logs.configure("info", style, stream)
    logs.record(logging.INFO, "event", error=None, **values)
    return stream.getvalue()


def test_json_record() -> None:
    """A record in JSON is one line with time, level, event and the values as they are."""
    line = _written("json", port=50051, settings={"metrics": True})
    assert line.count("\n") == 1
    record = json.loads(line)
    assert record.pop("time").endswith("+00:00")
    assert record == {"level": "info", "event": "event", "port": 50051, "settings": {"metrics": True}}


def test_text_record() -> None:
    """A record for people is one line with quoted texts."""
    line = _written("text", peer="ipv4:1.2.3.4", calls=3)
    assert line.endswith(" INFO event peer='ipv4:1.2.3.4' calls=3\n")


@pytest.mark.parametrize("style", ["json", "text"])
def test_hostile_value(style: str) -> None:
    """A value with line breaks, terminal codes or a fake record stays one escaped value of at most 256 characters."""
    line = _written(style, name='\x1b[31m\n{"level": "error"}\u202e' + "x" * 10_000)
    assert line.count("\n") == 1
    assert line.isascii()
    assert line.rstrip("\n").isprintable()
    assert 256 <= len(line) < 450


@pytest.mark.parametrize("style", ["json", "text"])
def test_traceback_is_kept(style: str) -> None:
    """A record of an unexpected error holds its traceback."""
    stream = io.StringIO()
    logs.configure("info", style, stream)
    logs.record(logging.ERROR, "internal_error", error=ValueError("because"), incident="abc")
    assert "ValueError: because" in stream.getvalue()


def test_less_severe_records_are_left_out() -> None:
    """Records below the level that was set are not written."""
    stream = io.StringIO()
    logs.configure("warning", "json", stream)
    logs.record(logging.INFO, "event")
    assert stream.getvalue() == ""
