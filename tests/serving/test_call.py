"""Deadlines and cancellation of one call."""

from __future__ import annotations

import math

import pytest
from gradmill_server.engine.errors import Cancelled, DeadlineExceeded
from gradmill_server.serving.call import CallContext


def _arriving(time_remaining: float | None) -> CallContext:
    return CallContext.arriving(time_remaining, default_seconds=10.0, maximum_seconds=20.0)


@pytest.mark.parametrize(
    ("time_remaining", "allowed", "ceiling"),
    [(None, 10.0, 10.0), (5.0, 5.0, None), (20.0, 20.0, None), (1e9, 20.0, 20.0), (math.inf, 20.0, 20.0)],
)
def test_time_allowed(time_remaining: float | None, allowed: float, ceiling: float | None) -> None:
    """A caller's deadline holds up to the server's ceiling; without one the server's default holds."""
    context = _arriving(time_remaining)
    assert allowed - 1 < context.remaining_seconds <= allowed
    assert context.ceiling_seconds == ceiling


@pytest.mark.parametrize("time_remaining", [0.0, -1.0, -math.inf])
def test_passed_deadline_stops_before_work(time_remaining: float) -> None:
    """A deadline that passed on the way is noticed before any work is done."""
    with pytest.raises(DeadlineExceeded, match="caller's deadline"):
        _arriving(time_remaining).checkpoint()


def test_error_says_whose_deadline_it_was() -> None:
    """When the server's own ceiling passed, the error says so and names the knobs."""
    error = _arriving(None).too_late()
    assert "10 seconds" in error.message
    assert error.metadata == {"limit": "10", "knob": "maximum_deadline_seconds"}


def test_cancelled_call_stops() -> None:
    """A call whose caller has gone stops at the next checkpoint."""
    context = CallContext()
    context.checkpoint()
    context.cancelled = True
    with pytest.raises(Cancelled):
        context.checkpoint()


def test_part_of_a_stream_has_both_deadlines() -> None:
    """A message of a stream may take no longer than the ceiling, and no longer than its stream."""
    stream = CallContext.arriving(5.0, default_seconds=math.inf, maximum_seconds=math.inf)
    assert stream.part(100.0).remaining_seconds <= 5.0
    assert stream.part(1.0).remaining_seconds <= 1.0
    assert stream.part(1.0).ceiling_seconds == 1.0
