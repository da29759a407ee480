"""Memory: what happens by degrees when it becomes scarce, with figures that are made up."""

from __future__ import annotations

import pytest
from gradmill_server.serving.admission import Admission, AdmissionLimits
from gradmill_server.serving.cache import ByteBoundedCache, Shelf
from gradmill_server.serving.errors import MemoryScarce
from gradmill_server.serving.memory import Degree, MemoryGauge, MemoryWatch, allowed_bytes, resident_bytes

_LARGE_BYTES = 1_000_000


class _Process:
    """A process of 1,000 bytes that uses what it is told."""

    def __init__(self) -> None:
        self.used_bytes = 0
        self.gauge = MemoryGauge(1_000)
        self.cache = ByteBoundedCache(1_000_000)
        self.shelf: Shelf[int] = Shelf(self.cache, "number")
        for number in range(100):
            self.shelf.put("", bytes([number]), number, 500)
        self._watch = MemoryWatch(self.gauge, self.cache, lambda: self.used_bytes)
        limits = AdmissionLimits(calls=10, request_bytes=10**9, streams=1, caller_calls=10, caller_streams=1)
        self.admission = Admission(limits, self.gauge)

    def use(self, used_bytes: int) -> Degree:
        self.used_bytes = used_bytes
        self._watch.look()
        return self.gauge.degree

    def admits(self, request_bytes: int) -> bool:
        try:
            with self.admission.call(request_bytes):
                return True
        except MemoryScarce:
            return False


@pytest.mark.parametrize(
    ("used_bytes", "degree", "small", "large"),
    [
        (0, Degree.EASY, True, True),
        (799, Degree.EASY, True, True),
        (800, Degree.TIGHT, True, True),
        (900, Degree.SCARCE, True, False),
        (950, Degree.CRITICAL, False, False),
        (2_000, Degree.CRITICAL, False, False),
    ],
)
def test_the_scarcer_memory_is_the_less_is_let_in(used_bytes: int, degree: Degree, small: bool, large: bool) -> None:
    """At nine tenths large requests are refused, at nineteen twentieths all, and below neither."""
    process = _Process()
    assert process.use(used_bytes) is degree
    assert (process.admits(100), process.admits(_LARGE_BYTES)) == (small, large)


def test_what_is_kept_goes_first() -> None:
    """While memory is tight and grows the cache gives back half of what it holds, and all is let in still."""
    process = _Process()
    process.use(700)
    assert len(process.cache) == 100
    process.use(850)
    assert len(process.cache) == 50
    process.use(850)
    assert len(process.cache) == 50
    process.use(880)
    assert len(process.cache) == 25
    assert process.admits(_LARGE_BYTES)


def test_calls_are_let_in_again() -> None:
    """As soon as there is memory again, calls are answered."""
    process = _Process()
    process.use(1_000)
    assert not process.admits(1)
    process.use(100)
    assert process.admits(_LARGE_BYTES)


def test_a_refusal_says_what_is_used_and_what_is_allowed() -> None:
    """A refused caller is told the figures, the knob, and when to try again; another server may take the call."""
    process = _Process()
    process.use(990)
    with pytest.raises(MemoryScarce) as refused, process.admission.call(1):
        pass
    assert refused.value.status == "UNAVAILABLE"
    assert refused.value.metadata == {"value": "990", "limit": "1000", "knob": "memory_bytes"}
    assert refused.value.retry_seconds > 0


def test_without_a_bound_nothing_is_refused() -> None:
    """A process that may use as much as it likes, such as a program with the engine inside, is never held back."""
    gauge = MemoryGauge()
    assert gauge.look(10**15) is Degree.EASY
    gauge.admit(10**12)


def test_this_process_is_measured() -> None:
    """This process occupies some memory, and no more than it may."""
    assert 1_000_000 < resident_bytes() < allowed_bytes()
