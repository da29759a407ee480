"""How much is answered at a time."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from gradmill_server.serving.admission import Admission, AdmissionLimits
from gradmill_server.serving.errors import CallerLimit, Overloaded, ShuttingDown


def _admission() -> Admission:
    return Admission(AdmissionLimits(calls=2, request_bytes=100, streams=2, caller_calls=1, caller_streams=1))


def test_calls_beyond_the_limit_are_refused() -> None:
    """One call too many is refused with the limit and its knob, and taken once another has ended."""
    admission = _admission()
    with ExitStack() as calls:
        calls.enter_context(admission.call(1, "first"))
        calls.enter_context(admission.call(1, "second"))
        with pytest.raises(Overloaded) as refused, admission.call(1, "third"):
            pass
    assert (refused.value.reason, refused.value.metadata["knob"]) == ("TOO_MANY_CALLS", "maximum_calls_in_flight")
    with admission.call(1):
        assert (admission.calls, admission.request_bytes) == (1, 1)
    assert (admission.calls, admission.request_bytes) == (0, 0)


def test_bytes_beyond_the_limit_are_refused() -> None:
    """A request whose bytes are too many together with those being answered is refused."""
    admission = _admission()
    with admission.call(60, "first"), pytest.raises(Overloaded) as refused, admission.call(41, "second"):
        pass
    assert refused.value.reason == "TOO_MANY_BYTES"
    assert refused.value.metadata["value"] == "101"


def test_streams_beyond_the_limit_are_refused() -> None:
    """One stream too many is refused."""
    admission = _admission()
    with admission.stream("first"), admission.stream("second"):  # noqa: SIM117  what is refused stands apart
        with pytest.raises(Overloaded) as refused, admission.stream("third"):
            pass
    assert refused.value.reason == "TOO_MANY_STREAMS"
    assert admission.streams == 0


def test_nothing_is_taken_once_closed() -> None:
    """A server that stops refuses calls and streams as unavailable."""
    admission = _admission()
    admission.close()
    with pytest.raises(ShuttingDown), admission.call(1):
        pass
    with pytest.raises(ShuttingDown), admission.stream():
        pass


def test_a_caller_has_a_share_of_its_own() -> None:
    """A caller at its limit is refused as the one who asks too much, while others are taken."""
    admission = _admission()
    with admission.call(1, "greedy"), admission.stream("greedy"):
        with pytest.raises(CallerLimit) as calls, admission.call(1, "greedy"):
            pass
        with pytest.raises(CallerLimit) as streams, admission.stream("greedy"):
            pass
        with admission.call(1, "quiet"), admission.stream("quiet"):
            assert admission.calls == 2
    assert (calls.value.status, calls.value.metadata["knob"]) == ("RESOURCE_EXHAUSTED", "caller_calls_in_flight")
    assert (streams.value.status, streams.value.metadata["knob"]) == ("RESOURCE_EXHAUSTED", "caller_streams")
    with admission.call(1, "greedy"):
        assert admission.calls == 1
