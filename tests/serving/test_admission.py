"""How much is answered at a time."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from gradmill_server.serving.admission import Admission, AdmissionLimits
from gradmill_server.serving.errors import Overloaded, ShuttingDown


def _admission() -> Admission:
    return Admission(AdmissionLimits(calls=2, request_bytes=100, streams=1))


def test_calls_beyond_the_limit_are_refused() -> None:
    """One call too many is refused with the limit and its knob, and taken once another has ended."""
    admission = _admission()
    with ExitStack() as calls:
        calls.enter_context(admission.call(1))
        calls.enter_context(admission.call(1))
        with pytest.raises(Overloaded) as refused, admission.call(1):
            pass
    assert (refused.value.reason, refused.value.metadata["knob"]) == ("TOO_MANY_CALLS", "maximum_calls_in_flight")
    with admission.call(1):
        assert (admission.calls, admission.request_bytes) == (1, 1)
    assert (admission.calls, admission.request_bytes) == (0, 0)


def test_bytes_beyond_the_limit_are_refused() -> None:
    """A request whose bytes are too many together with those being answered is refused."""
    admission = _admission()
    with admission.call(60), pytest.raises(Overloaded) as refused, admission.call(41):
        pass
    assert refused.value.reason == "TOO_MANY_BYTES"
    assert refused.value.metadata["value"] == "101"


def test_streams_beyond_the_limit_are_refused() -> None:
    """One stream too many is refused."""
    admission = _admission()
    with admission.stream(), pytest.raises(Overloaded) as refused, admission.stream():
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
