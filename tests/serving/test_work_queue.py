"""The queue before the workers, with a clock that is a number: turns, shares, and what is taken together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from gradmill_server.serving.errand import Errand
from gradmill_server.serving.errors import CallerQueueFull, QueueFull
from gradmill_server.serving.work_queue import QueueLimits, WorkQueue


@dataclass(eq=False)
class _Work:
    """A piece of work of one caller."""

    errand: Errand
    like: str | None = None
    points: int = 1
    submitted: float = 0.0
    name: str = field(default="", kw_only=True)


def _work(caller: str = "one", function: bytes = b"f", seconds: float = 1.0, **further: object) -> _Work:
    return _Work(Errand(caller, function, seconds), **further)  # type: ignore[arg-type]


def _queue(*jobs: _Work, **limits: float) -> WorkQueue[_Work]:
    standard: dict[str, float] = {"length": 1_000, "caller_length": 1_000, "batch_seconds": 1_000.0}
    queue: WorkQueue[_Work] = WorkQueue(QueueLimits(**(standard | limits)))  # type: ignore[arg-type]
    for job in jobs:
        _put(queue, job)
    return queue


def _put(queue: WorkQueue[_Work], job: _Work, room: int = 0) -> None:
    queue.put(job, room=room, retry_seconds=0.1)


def _take(queue: WorkQueue[_Work], now: float = 0.0, *, others_busy: bool = False) -> list[_Work]:
    taken = queue.take(now, others_busy=others_busy)
    return [] if taken is None else taken.jobs


def test_one_caller_is_served_in_order() -> None:
    """The work of one function is done in the order in which it came."""
    jobs = [_work() for _ in range(5)]
    queue = _queue(*jobs)
    assert [_take(queue) for _ in range(5)] == [[job] for job in jobs]
    assert _take(queue) == []
    assert (len(queue), queue.seconds) == (0, 0.0)


def test_callers_take_turns_however_much_one_brings() -> None:
    """A caller with one piece of work waits behind one piece of each other caller, not behind all of them."""
    queue = _queue(*[_work("greedy") for _ in range(100)])
    _put(queue, quiet := _work("quiet"))
    assert quiet in _take(queue) + _take(queue)


def test_turns_are_by_predicted_time_not_by_number() -> None:
    """Of two callers who always have work, each gets half of the time, although one brings larger pieces."""
    queue = _queue(*[_work("large", seconds=4.0) for _ in range(50)], *[_work("small") for _ in range(200)])
    spent: Counter[str] = Counter()
    for _ in range(100):
        for job in _take(queue):
            spent[job.errand.caller] += int(job.errand.seconds)
    assert abs(spent["large"] - spent["small"]) <= 8


def test_functions_of_a_caller_take_turns() -> None:
    """A caller's flood for one function does not hold back its other functions."""
    queue = _queue(*[_work(function=b"flood") for _ in range(100)])
    _put(queue, other := _work(function=b"other"))
    assert other in _take(queue) + _take(queue)


def test_coming_one_at_a_time_is_no_way_to_the_front() -> None:
    """A caller whose one piece of work returns whenever it is done gets no more than its share of time."""
    queue = _queue(_work("single", seconds=10.0), *[_work("steady") for _ in range(100)])
    spent: Counter[str] = Counter()
    while spent["steady"] < 40:
        for job in _take(queue):
            spent[job.errand.caller] += int(job.errand.seconds)
            if job.errand.caller == "single":
                _put(queue, _work("single", seconds=10.0))
    assert 30 <= spent["single"] <= 60


def test_work_of_its_like_is_taken_together() -> None:
    """What waits for the same program is taken together, whoever brought it, and what does not is left."""
    jobs = [_work("one", like="p"), _work("two", like="p"), _work("three", like="q"), _work("four")]
    queue = _queue(*jobs)
    assert _take(queue) == jobs[:2]
    assert [_take(queue), _take(queue)] == [[jobs[2]], [jobs[3]]]


def test_a_batch_has_no_more_points_than_allowed() -> None:
    """Work is taken together up to the number of points allowed; a larger piece goes alone; what is left is told."""
    queue = _queue(*[_work(like="p", points=40) for _ in range(3)], batch_points=100)
    first = queue.take(0.0, others_busy=False)
    assert first is not None
    assert (len(first.jobs), first.full) == (2, True)
    second = queue.take(0.0, others_busy=False)
    assert second is not None
    assert (len(second.jobs), second.full) == (1, False)
    queue = _queue(_work(like="p", points=500), _work(like="p", points=1), batch_points=100)
    assert len(_take(queue)) == 1


def test_a_batch_takes_no_longer_than_allowed() -> None:
    """Work is taken together up to the predicted time allowed."""
    queue = _queue(*[_work(like="p", seconds=0.4) for _ in range(5)], batch_seconds=1.0)
    assert [len(_take(queue)), len(_take(queue)), len(_take(queue))] == [2, 2, 1]


def test_callers_share_a_batch() -> None:
    """No caller fills a batch alone while another has work of its like."""
    queue = _queue(*[_work("greedy", like="p", points=10) for _ in range(50)], batch_points=40)
    _put(queue, quiet := _work("quiet", like="p", points=10))
    assert quiet in _take(queue)


def test_nothing_is_held_back_when_idle() -> None:
    """With a delay allowed, work is still taken at once while no worker is busy."""
    queue = _queue(job := _work(like="p"), delay_seconds=5.0)
    assert _take(queue, 0.0) == [job]


def test_busy_servers_hold_work_back_for_the_delay_allowed() -> None:
    """While others are busy work waits for more of its like, until the delay is over or the batch is full."""
    jobs = [_work(like="p", submitted=1.0), _work(like="p", submitted=3.0)]
    queue = _queue(*jobs, delay_seconds=5.0, batch_points=3)
    assert _take(queue, 4.0, others_busy=True) == []
    assert queue.wait_seconds(4.0) == 2.0
    assert _take(queue, 6.0, others_busy=True) == jobs
    queue = _queue(*[_work(like="p") for _ in range(3)], delay_seconds=5.0, batch_points=3)
    assert len(_take(queue, 0.0, others_busy=True)) == 3


def test_work_without_its_like_is_never_held_back() -> None:
    """What cannot be joined is taken at once, also while work that can be is held back before it."""
    queue = _queue(_work("one", like="p"), alone := _work("two"), delay_seconds=5.0)
    assert _take(queue, 0.0, others_busy=True) == [alone]


def test_full_queues_refuse() -> None:
    """Beyond the length in all the server is overloaded, beyond a caller's own it is the caller's limit."""
    queue = _queue(*[_work("greedy") for _ in range(3)], length=5, caller_length=3)
    with pytest.raises(CallerQueueFull) as own:
        _put(queue, _work("greedy"))
    assert (own.value.status, own.value.metadata["knob"]) == ("RESOURCE_EXHAUSTED", "caller_queue_length")
    for _ in range(2):
        _put(queue, _work("quiet"))
    with pytest.raises(QueueFull) as whole:
        _put(queue, _work("third"))
    assert (whole.value.status, whole.value.metadata["value"]) == ("UNAVAILABLE", "6")
    _put(queue, _work("third"), room=1)


def test_withdrawn_work_is_gone() -> None:
    """Work that nobody wants any more leaves the queue, also from among its like."""
    queue = _queue(first := _work(like="p"), second := _work(like="p"))
    assert queue.remove(first)
    assert not queue.remove(first)
    assert _take(queue) == [second]


def test_waiting_time_is_foreseen() -> None:
    """A caller of many pieces is told of all before it, and a newcomer of one turn of each other caller."""
    queue = _queue(*[_work("greedy") for _ in range(100)])
    assert queue.seconds_before(Errand("greedy", b"f", 1.0)) == 100.0
    assert queue.seconds_before(Errand("quiet", b"f", 1.0)) == 1.0


def test_going_along_with_others_is_not_paid_for_ever() -> None:
    """A caller whose work always went along with that of others waits no longer for it than one who just came."""
    queue = _queue()
    for _ in range(300):
        _put(queue, _work("first", like="p", seconds=0.01))
        for _ in range(30):
            _put(queue, _work("along", like="p", seconds=0.01))
        while len(queue):
            _take(queue)
    for _ in range(900):
        _put(queue, _work("newcomer", seconds=0.01))
    _put(queue, along := _work("along", seconds=0.01))
    waited = 0
    while along not in _take(queue):
        waited += 1
    assert waited <= 2
