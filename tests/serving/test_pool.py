"""The pool: what it takes, what it refuses, and who owns what runs."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from gradmill_server.serving.errand import Errand
from gradmill_server.serving.errors import DeadlineTooShort, QueueFull, QueueTooSlow, ShuttingDown
from gradmill_server.serving.pool import WorkerPool
from gradmill_server.serving.single_flight import Abandoned
from gradmill_server.serving.work_queue import QueueLimits

from tests.serving.support import until


@asynccontextmanager
async def _pool(workers: int = 1, queue_length: int = 2) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(workers=workers, limits=QueueLimits(queue_length, queue_length))
    try:
        yield pool
    finally:
        pool.close()


def test_work_and_its_errors_come_back() -> None:
    """The caller gets what the work returns, or the exception it raises."""

    async def scenario() -> tuple[int, float]:
        async with _pool() as pool:
            completed = await pool.run(lambda: 6 * 7)
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 // 0)
            with pytest.raises(RuntimeError, match="StopIteration"):
                await pool.run(lambda: next(iter(())))
            return completed.value, completed.queue_seconds

    value, waited = asyncio.run(scenario())
    assert value == 42
    assert waited >= 0


def test_full_queue_refuses_at_once_with_a_time_to_retry() -> None:
    """Work beyond workers and queue is refused at once, naming the limit, its knob and when to try again."""

    async def scenario() -> QueueFull:
        gate = threading.Event()
        async with _pool(workers=2, queue_length=3) as pool:
            jobs = [asyncio.create_task(pool.run(gate.wait)) for _ in range(5)]
            await until(lambda: pool.busy == 2 and pool.waiting == 3)
            with pytest.raises(QueueFull) as refused:
                await pool.run(gate.wait)
            gate.set()
            await asyncio.gather(*jobs)
            assert (pool.busy, pool.waiting) == (0, 0)
            return refused.value

    error = asyncio.run(scenario())
    assert error.reason == "QUEUE_FULL"
    assert error.metadata["limit"] == "3"
    assert error.metadata["knob"] == "queue_length"
    assert error.retry_seconds > 0


def test_no_queue_still_uses_idle_workers() -> None:
    """With a queue of length zero, work is taken as long as a worker is free."""

    async def scenario() -> list[int]:
        async with _pool(workers=2, queue_length=0) as pool:
            return [(await pool.run(lambda: 1)).value for _ in range(20)]

    assert asyncio.run(scenario()) == [1] * 20


def test_cancelled_waiting_work_leaves_the_queue() -> None:
    """Work whose caller went away while it waited is never done, and gives its place in the queue back at once."""

    async def scenario() -> tuple[int, list[str]]:
        gate = threading.Event()
        done: list[str] = []
        async with _pool(workers=1, queue_length=1) as pool:
            first = asyncio.create_task(pool.run(gate.wait))
            await until(lambda: pool.busy == 1)
            second = asyncio.create_task(pool.run(lambda: done.append("second")))
            await until(lambda: pool.waiting == 1)
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            waiting = pool.waiting
            third = asyncio.create_task(pool.run(lambda: done.append("third")))
            gate.set()
            await asyncio.gather(first, third)
            return waiting, done

    assert asyncio.run(scenario()) == (0, ["third"])


def test_running_work_keeps_its_buffers_after_its_caller_left() -> None:
    """Arrays of work that runs live until it returns, though its caller was cancelled; then they are let go."""

    async def scenario() -> tuple[bool, bool]:
        begun, gate = threading.Event(), threading.Event()
        async with _pool() as pool:
            buffer = np.zeros(1000)
            reference = weakref.ref(buffer)

            def work(held: np.ndarray = buffer) -> float:
                begun.set()
                gate.wait()
                return float(held.sum())

            caller = asyncio.create_task(pool.run(work))
            await asyncio.to_thread(begun.wait)
            caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)
            del buffer, work, caller
            gc.collect()
            alive_while_running = reference() is not None
            gate.set()
            await until(lambda: pool.busy == 0)
            gc.collect()
            return alive_while_running, reference() is None

    assert asyncio.run(scenario()) == (True, True)


def test_unwanted_work_is_dropped_before_it_begins() -> None:
    """Work that nobody wants any more when its turn comes is not begun."""

    async def scenario() -> list[str]:
        done: list[str] = []
        async with _pool() as pool:
            with pytest.raises(Abandoned):
                await pool.run(lambda: done.append("work"), still_wanted=lambda: False)
        return done

    assert asyncio.run(scenario()) == []


def test_closed_pool_refuses() -> None:
    """A closed pool refuses new work and drops what waits, saying that the server shuts down."""

    async def scenario() -> list[object]:
        gate = threading.Event()
        pool = WorkerPool(workers=1, limits=QueueLimits(5, 5))
        running = asyncio.create_task(pool.run(gate.wait))
        await until(lambda: pool.busy == 1)
        waiting = asyncio.create_task(pool.run(gate.wait))
        await until(lambda: pool.waiting == 1)
        pool.close(timeout_seconds=0)
        outcomes = await asyncio.gather(waiting, pool.run(gate.wait), return_exceptions=True)
        gate.set()
        await running
        return list(outcomes)

    assert [type(outcome) for outcome in asyncio.run(scenario())] == [ShuttingDown, ShuttingDown]


def test_work_that_outlives_its_loop_ends_quietly() -> None:
    """Work that returns after its event loop was closed harms nobody."""
    gate = threading.Event()
    pools: list[WorkerPool] = []

    async def scenario() -> None:
        pool = WorkerPool(workers=1, limits=QueueLimits(1, 1))
        pools.append(pool)
        caller = asyncio.create_task(pool.run(gate.wait))
        await until(lambda: pool.busy == 1)
        caller.cancel()

    asyncio.run(scenario())
    gate.set()
    pools[0].close()
    assert pools[0].busy == 0


def test_a_slow_moment_does_not_refuse_for_ever() -> None:
    """After work that took a thousand times longer than it should, an idle pool takes work that is in time."""

    async def scenario() -> int:
        async with _pool() as pool:

            def errand(seconds: float) -> Errand:
                return Errand("caller", b"f", 0.001, 0.001, time.monotonic() + seconds)

            await pool.run(lambda: time.sleep(0.2), errand(60.0))
            return sum([(await pool.run(lambda: 1, errand(0.05))).value for _ in range(20)])

    assert asyncio.run(scenario()) == 20


def test_what_is_late_by_itself_is_the_deadlines_fault_and_else_the_queues() -> None:
    """Before busy workers, work too long for its deadline is told so, and so is work that would wait too long."""

    async def scenario() -> list[type[BaseException]]:
        async with _pool(queue_length=100) as pool:
            gate = threading.Event()
            running = asyncio.create_task(pool.run(gate.wait))
            await until(lambda: pool.busy == 1)

            def errand(seconds: float, remaining: float) -> Errand:
                return Errand("caller", b"f", seconds, seconds, time.monotonic() + remaining)

            waiting = asyncio.create_task(pool.run(lambda: 1, errand(20.0, 60.0)))
            await until(lambda: pool.waiting == 1)
            refused = await asyncio.gather(
                pool.run(lambda: 1, errand(15.0, 10.0)),
                pool.run(lambda: 1, errand(9.999, 10.0)),
                pool.run(lambda: 1, errand(1.0, 10.0)),
                return_exceptions=True,
            )
            gate.set()
            await asyncio.gather(running, waiting)
            return [type(each) for each in refused if isinstance(each, BaseException)]

    assert asyncio.run(scenario()) == [DeadlineTooShort, DeadlineTooShort, QueueTooSlow]
