"""A bounded pool of worker threads before a bounded queue. Numpy lets go of the interpreter lock while it computes.

A job owns all that its work refers to until the work has returned, even when the caller that brought it has long
gone: arrays that are freed under a running computation take the process down.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gradmill_server.serving.errors import QueueFull, ShuttingDown
from gradmill_server.serving.single_flight import Abandoned

_AVERAGE_WEIGHT = 0.1
_RETRY_BOUNDS_SECONDS = (0.05, 5.0)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Completed(Generic[T]):
    """What a job returned, and the time it took.

    Attributes:
        value: what the work returned.
        queue_seconds: how long it waited for a worker.
        work_seconds: how long the work took.
    """

    value: T
    queue_seconds: float
    work_seconds: float


@dataclass(eq=False, slots=True)
class _Job:
    work: Callable[[], Any]
    still_wanted: Callable[[], bool]
    future: asyncio.Future[Completed[Any]]
    loop: asyncio.AbstractEventLoop
    submitted: float = field(default_factory=time.monotonic)


def _always() -> bool:
    return True


class WorkerPool:
    """Threads that run work handed over from an event loop.

    Attributes:
        workers: the number of threads.
        queue_length: the number of jobs that may wait beyond those that run.
    """

    def __init__(self, *, workers: int, queue_length: int, name: str = "gradmill-worker") -> None:
        """Start the threads."""
        self.workers = workers
        self.queue_length = queue_length
        # Guards all of _waiting, _busy, _closed and _average_seconds.
        self._condition = threading.Condition()
        self._waiting: collections.deque[_Job] = collections.deque()
        self._busy = 0
        self._closed = False
        self._average_seconds = 0.001
        # Daemons: a compilation that will not end must not keep a process that was told to end.
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def busy(self) -> int:
        """The number of jobs that run now."""
        return self._busy

    @property
    def waiting(self) -> int:
        """The number of jobs that wait now."""
        return len(self._waiting)

    async def run(self, work: Callable[[], T], *, still_wanted: Callable[[], bool] = _always) -> Completed[T]:
        """Run work on a worker and return what it returns.

        Args:
            work: what to do. When the awaiting task is cancelled, work that waits is dropped, and work that runs goes
                on to its end, its result ignored; long work therefore asks at times whether it is still wanted.
            still_wanted: asked on the worker just before the work begins; when false the work is dropped.

        Raises:
            QueueFull: when the queue is full; nothing is kept then.
            ShuttingDown: when the pool is closed.
            Abandoned: when the work was dropped because it was not wanted any more.
            Exception: whatever the work raises.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, still_wanted, loop.create_future(), loop)
        self._enqueue(job)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._withdraw(job)
            raise

    def _enqueue(self, job: _Job) -> None:
        with self._condition:
            if self._closed:
                message = "server is shutting down"
                raise ShuttingDown(message)
            ahead = len(self._waiting) + self._busy - self.workers
            if ahead >= self.queue_length:
                raise QueueFull.beyond(ahead + 1, self.queue_length, retry_seconds=self._retry_seconds())
            self._waiting.append(job)
            self._condition.notify()

    def _retry_seconds(self) -> float:
        """Return about how long half of the queue takes to clear."""
        low, high = _RETRY_BOUNDS_SECONDS
        return min(max(self._average_seconds * len(self._waiting) / (2 * self.workers), low), high)

    def _withdraw(self, job: _Job) -> None:
        with self._condition:
            if job in self._waiting:
                self._waiting.remove(job)

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            started = time.monotonic()
            outcome = _outcome(job, started)
            with self._condition:
                # Before the delivery, so that whoever gets the outcome finds the worker free.
                self._busy -= 1
                self._average_seconds += _AVERAGE_WEIGHT * (time.monotonic() - started - self._average_seconds)
            _deliver(job, outcome)
            # The job's buffers must not live on in this frame while the thread waits for the next one.
            del job, outcome

    def _next(self) -> _Job | None:
        with self._condition:
            while not self._waiting and not self._closed:
                self._condition.wait()
            if self._closed:
                return None
            self._busy += 1
            return self._waiting.popleft()

    def close(self, *, timeout_seconds: float = 1.0) -> None:
        """Take no more work, drop what waits, and wait up to the time given for what runs."""
        with self._condition:
            self._closed = True
            dropped = list(self._waiting)
            self._waiting.clear()
            self._condition.notify_all()
        for job in dropped:
            _deliver(job, ShuttingDown("server is shutting down"))
        patience = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, patience - time.monotonic()))


def _outcome(job: _Job, started: float) -> Completed[Any] | BaseException:
    """Do a job's work and return what comes of it, an exception too: a worker outlives any work."""
    if not job.still_wanted():
        return Abandoned()
    try:
        value = job.work()
    except StopIteration as error:
        # No future can hold one; whoever waits must hear of it all the same.
        return RuntimeError(f"work ended with {error!r}")
    except BaseException as error:  # noqa: BLE001  raised where the job is awaited
        return error
    return Completed(value, started - job.submitted, time.monotonic() - started)


def _deliver(job: _Job, outcome: Completed[Any] | BaseException) -> None:
    """Hand a job's outcome to its event loop; there is nobody to hand it to once that is closed."""
    with contextlib.suppress(RuntimeError):
        job.loop.call_soon_threadsafe(_settle, job.future, outcome)


def _settle(future: asyncio.Future[Completed[Any]], outcome: Completed[Any] | BaseException) -> None:
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
