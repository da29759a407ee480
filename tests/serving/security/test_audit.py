"""The audit: nothing that a caller sends breaks a record, and no flood of events fills a disk."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from gradmill_server.serving import logs
from gradmill_server.serving.security.audit import Audit, Event

from tests.serving.security.recording import Clock


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Give what the log is written to."""
    logger = logs.LOGGER
    before = (list(logger.handlers), logger.level, logger.propagate)
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    logger.handlers[:], logger.level, logger.propagate = before


def _records(written: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_flood_is_a_few_records_that_count_the_rest(written: io.StringIO) -> None:
    """Of a flood of events ten are recorded, then one every ten seconds, with the number that was left out."""
    clock = Clock()
    audit = Audit(clock)
    for _ in range(100_000):
        audit.record(Event.AUTHENTICATION_FAILED, "token_unknown", peer="ipv4:10.0.0.1:5")
    assert len(_records(written)) == 10
    clock.now += 10.0
    for _ in range(3):
        audit.record(Event.AUTHENTICATION_FAILED, "token_unknown")
    clock.now += 1_000.0
    audit.record(Event.AUTHENTICATION_FAILED, "token_unknown")
    assert [entry["left_out"] for entry in _records(written)[10:]] == [99_990, 2]


def test_a_flood_of_one_kind_hides_no_other(written: io.StringIO) -> None:
    """Each kind of event and each cause has records of its own."""
    audit = Audit(Clock())
    for _ in range(1_000):
        audit.record(Event.AUTHENTICATION_FAILED, "token_unknown")
    audit.record(Event.AUTHENTICATION_FAILED, "token_expired")
    audit.record(Event.FILES_RELOADED, "tokens", level=logging.INFO)
    assert [(entry["event"], entry["cause"]) for entry in _records(written)[10:]] == [
        ("authentication_failed", "token_expired"),
        ("files_reloaded", "tokens"),
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        '\n{"event": "forged"}',
        "\r\x00\x07",
        "\x1b[2J\x1b]0;owned\x07",
        "\u202egnitirw\u2066",
        "\x85\u2028\u2029",
        "\ud800",
        "x" * 1_000_000,
    ],
)
def test_a_hostile_value_stays_one_escaped_value(written: io.StringIO, hostile: str) -> None:
    """Line breaks, terminal codes, turned writing and huge values leave one short line of printable ASCII."""
    Audit(Clock()).record(Event.QUOTA_EXCEEDED, "caller_points_per_second", caller=hostile)
    text = written.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    assert text.rstrip("\n").isprintable()
    assert len(text) < 2_000
    (record,) = _records(written)
    assert record["event"] == "quota_exceeded"
