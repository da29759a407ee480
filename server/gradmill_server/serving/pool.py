"""A bounded pool of worker threads before a fair queue. Native code lets go of the interpreter lock while it computes.

A job owns all that its work refers to until the work has returned, even when the caller that brought it has long
gone: arrays that are freed under a running computation take the process down.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from gradmill_server.serving.errand import SOMETHING, Errand
from gradmill_server.serving.errors import DeadlineTooShort, QueueTooSlow, ShuttingDown
from gradmill_server.serving.single_flight import Abandoned
from gradmill_server.serving.telemetry import Joined
from gradmill_server.serving.work_queue import QueueLimits, Taken, WorkQueue

_RETRY_BOUNDS_SECONDS = (0.05, 5.0)

_SLOWEST = 50.0
_SLOWNESS_WEIGHT = 0.1
"""Of the newest job in what is known of how much longer work takes than it should."""

_MARGIN_SECONDS = 0.005
"""For an answer to be written and sent."""

T = TypeVar("T")


class Completed(NamedTuple, Generic[T]):
    """What a job returned, and the time it took.

    Attributes:
        value: what the work returned.
        queue_seconds: how long it waited for a worker.
        work_seconds: how long the work took.
        joined: whether it was done together with others, or why not.
    """

    value: T
    queue_seconds: float
    work_seconds: float
    joined: Joined = Joined.KIND


class Passenger(Protocol):
    """Work that may be done together with others of its like."""

    @property
    def like(self) -> Hashable:
        """Equal for what may be done together."""

    @property
    def points(self) -> int:
        """How many points it has."""

    def wanted(self) -> bool:
        """Whether anyone waits for it still."""

    def travel(self, companions: Sequence[Any]) -> list[Any]:
        """Do the work of all companions, itself among them; return what comes of each, in order: a value or an error.

        Called on a worker, of the first companion.
        """


@dataclass(eq=False, slots=True)
class _Job:
    work: Callable[[], Any] | Passenger
    errand: Errand
    still_wanted: Callable[[], bool]
    future: asyncio.Future[Completed[Any]]
    loop: asyncio.AbstractEventLoop
    like: Hashable | None = None
    points: int = 0
    submitted: float = field(default_factory=time.monotonic)


def _always() -> bool:
    return True


class WorkerPool:
    """Threads that run work handed over from an event loop.

    Attributes:
        workers: the number of threads.
        limits: how much may wait, and how much is taken together.
    """

    def __init__(self, *, workers: int, limits: QueueLimits, niceness: int = 0, name: str = "gradmill-worker") -> None:
        """Start the threads.

        Args:
            workers: their number.
            limits: how much may wait, and how much is taken together.
            niceness: by how much their priority is below that of the thread that makes them, as `nice` counts.
            name: what they are called, before their numbers.
        """
        self._niceness = niceness
        self.workers = workers
        self.limits = limits
        # Guards all of _queue, _busy, _slowness and _closed.
        self._condition = threading.Condition()
        self._queue: WorkQueue[_Job] = WorkQueue(limits)
        self._busy = 0
        # Work takes longer than was learned of it when there are more threads at work than processors.
        self._slowness = 1.0
        self._closed = False
        # Daemons: a compilation that will not end must not keep a process that was told to end.
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def busy(self) -> int:
        """The number of workers that work now."""
        return self._busy

    @property
    def waiting(self) -> int:
        """The number of jobs that wait now."""
        return len(self._queue)

    async def run(
        self, work: Callable[[], T], errand: Errand = SOMETHING, *, still_wanted: Callable[[], bool] = _always
    ) -> Completed[T]:
        """Run work on a worker and return what it returns.

        Args:
            work: what to do. When the awaiting task is cancelled, work that waits is dropped, and work that runs goes
                on to its end, its result ignored; long work therefore asks at times whether it is still wanted.
            errand: who it is for, and what it will take.
            still_wanted: asked on the worker just before the work begins; when false the work is dropped.

        Raises:
            QueueFull, CallerQueueFull: when the queue is full; nothing is kept then.
            QueueTooSlow: when what waits already would make it too late.
            DeadlineTooShort: when it is known to take longer than there is time.
            ShuttingDown: when the pool is closed.
            Abandoned: when the work was dropped because it was not wanted any more.
            Exception: whatever the work raises.
        """
        loop = asyncio.get_running_loop()
        return await self._awaited(_Job(work, errand, still_wanted, loop.create_future(), loop))

    async def carry(self, passenger: Passenger, errand: Errand) -> Completed[Any]:
        """Run work that may be done together with what is like it. Raises like `run`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Completed[Any]] = loop.create_future()
        return await self._awaited(
            _Job(passenger, errand, passenger.wanted, future, loop, passenger.like, passenger.points)
        )

    async def _awaited(self, job: _Job) -> Completed[Any]:
        self._enqueue(job)
        try:
            return await job.future
        except asyncio.CancelledError:
            with self._condition:
                self._queue.remove(job)
            raise

    def check_in_time(self, errand: Errand) -> None:
        """Return when an errand that comes now would be in time. Raises DeadlineTooShort or QueueTooSlow."""
        with self._condition:
            self._refuse_when_late(errand)

    def _enqueue(self, job: _Job) -> None:
        with self._condition:
            if self._closed:
                message = "server is shutting down"
                raise ShuttingDown(message)
            self._refuse_when_late(job.errand)
            self._queue.put(job, room=self.workers - self._busy, retry_seconds=self._retry_seconds())
            self._condition.notify()

    def _refuse_when_late(self, errand: Errand) -> None:
        if not errand.sure_seconds:
            return
        remaining = errand.deadline - time.monotonic()
        if errand.sure_seconds > remaining:
            raise DeadlineTooShort.against(errand.sure_seconds, remaining)
        if self._busy < self.workers:
            return
        own = self._slowness * errand.seconds + _MARGIN_SECONDS
        total = own + self._slowness * self._queue.seconds_before(errand) / self.workers
        if total > remaining:
            raise _too_late(own, total, remaining, self._retry_seconds())

    def _retry_seconds(self) -> float:
        """Return about how long half of the queue takes to clear."""
        low, high = _RETRY_BOUNDS_SECONDS
        return min(max(self._queue.seconds / (2 * self.workers), low), high)

    def _serve(self) -> None:
        _be_nice(self._niceness)
        while (taken := self._next()) is not None:
            outcomes = _outcomes(taken, self._slowness_now())
            with self._condition:
                # Before the delivery, so that whoever gets the outcome finds the worker free.
                self._busy -= 1
                self._note_slowness(taken, outcomes)
            _deliver(taken.jobs, outcomes)
            # The buffers must not live on in this frame while the thread waits for the next job.
            del taken, outcomes

    def _slowness_now(self) -> float:
        """Return how much longer work takes that begins now: no longer than alone, when it is alone."""
        with self._condition:
            return self._slowness if self._busy > 1 or len(self._queue) else 1.0

    def _note_slowness(self, taken: Taken[_Job], outcomes: Sequence[Completed[Any] | BaseException]) -> None:
        """Learn how much longer work takes than was learned of it alone."""
        done = next((outcome for outcome in outcomes if isinstance(outcome, Completed)), None)
        expected = sum(job.errand.seconds for job in taken.jobs)
        if done is not None and taken.jobs[0].errand.sure_seconds and expected:
            seen = min(max(done.work_seconds / expected, 1.0), _SLOWEST)
            self._slowness += _SLOWNESS_WEIGHT * (seen - self._slowness)
        elif any(isinstance(outcome, QueueTooSlow) for outcome in outcomes):
            # Work that is not begun teaches nothing: what refused it is believed a little less.
            self._slowness += _SLOWNESS_WEIGHT * (1.0 - self._slowness)

    def _next(self) -> Taken[_Job] | None:
        with self._condition:
            while not self._closed:
                now = time.monotonic()
                taken = self._queue.take(now, others_busy=self._busy > 0) if len(self._queue) else None
                if taken is not None:
                    self._busy += 1
                    return taken
                self._condition.wait(self._queue.wait_seconds(now) if len(self._queue) else None)
            return None

    def close(self, *, timeout_seconds: float = 1.0) -> None:
        """Take no more work, drop what waits, and wait up to the time given for what runs."""
        with self._condition:
            self._closed = True
            dropped = self._queue.clear()
            self._condition.notify_all()
        for job in dropped:
            _deliver([job], [ShuttingDown("server is shutting down")])
        patience = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, patience - time.monotonic()))


def _be_nice(niceness: int) -> None:
    """Let this thread have the processor when others do not want it.

    Where workers take the processors from the event loop, calls grow old before anyone looks at them, and are computed
    for nobody. On Linux priorities are of threads; elsewhere they would be of the whole process.
    """
    if niceness and sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)


def _outcomes(taken: Taken[_Job], slowness: float) -> list[Completed[Any] | BaseException]:
    """Do the work of jobs and return what comes of each, exceptions too: a worker outlives any work."""
    started = time.monotonic()
    reasons = [_reason_against(job, started, slowness) for job in taken.jobs]
    wanted = [job for job, reason in zip(taken.jobs, reasons, strict=True) if reason is None]
    values = iter(_values([job.work for job in wanted]))
    seconds = time.monotonic() - started
    joined = _joined(taken, len(wanted))
    outcomes: list[Completed[Any] | BaseException] = []
    for job, reason in zip(taken.jobs, reasons, strict=True):
        value = next(values) if reason is None else reason
        if isinstance(value, BaseException):
            outcomes.append(value)
        else:
            outcomes.append(Completed(value, started - job.submitted, seconds, joined))
    return outcomes


def _reason_against(job: _Job, now: float, slowness: float) -> BaseException | None:
    """Return why work is not to be begun: nobody waits for it, or it would be too late. None where it is."""
    if not job.still_wanted():
        return Abandoned()
    remaining = job.errand.deadline - now
    needed = slowness * job.errand.seconds
    if job.errand.sure_seconds and needed > remaining:
        # Work that is sure to be thrown away would only make the work behind it late as well.
        waited = now - job.submitted
        return _too_late(needed, needed + waited, remaining + waited, _RETRY_BOUNDS_SECONDS[0])
    return None


def _too_late(own: float, total: float, remaining: float, retry_seconds: float) -> DeadlineTooShort | QueueTooSlow:
    """Return the refusal of what would be late: the deadline's fault where the work alone is too long for it.

    Args:
        own: the seconds that the work takes by itself.
        total: those until it is done.
        remaining: those that there were when it came.
        retry_seconds: after how long trying again is worth it.
    """
    if own > remaining:
        return DeadlineTooShort.against(_round(own), _round(remaining))
    return QueueTooSlow.beyond(_round(total), _round(remaining), retry_seconds=_round(retry_seconds))


def _round(seconds: float) -> float:
    """Return round figures, of which there are few: one answer then does for many refusals."""
    return float(f"{max(0.0, seconds):.1g}")


def _joined(taken: Taken[_Job], wanted: int) -> Joined:
    if wanted > 1:
        return Joined.JOINED
    if taken.full:
        return Joined.FULL
    return Joined.KIND if taken.jobs[0].like is None else Joined.ALONE


def _values(works: Sequence[Any]) -> Sequence[Any]:
    try:
        if not works:
            return []
        first = works[0]
        return [first()] if callable(first) else first.travel(works)
    except StopIteration as error:
        # No future can hold one; whoever waits must hear of it all the same.
        return [RuntimeError(f"work ended with {error!r}")] * len(works)
    except BaseException as error:  # noqa: BLE001  raised where each job is awaited
        return [error] * len(works)


def _deliver(jobs: Sequence[_Job], outcomes: Sequence[Completed[Any] | BaseException]) -> None:
    """Hand outcomes to the jobs' event loop at once; there is nobody to hand them to when that is closed."""
    futures = [job.future for job in jobs]
    with contextlib.suppress(RuntimeError):
        jobs[0].loop.call_soon_threadsafe(_settle, futures, outcomes)


def _settle(
    futures: Sequence[asyncio.Future[Completed[Any]]], outcomes: Sequence[Completed[Any] | BaseException]
) -> None:
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
