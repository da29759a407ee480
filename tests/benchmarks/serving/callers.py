"""Many callers at once, as threads or as tasks of asyncio, each calling again as soon as it has its answer.

It is loaded by the interpreters of peers as well, so it needs nothing but Python.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

from tests.benchmarks.serving.conversation import answer_requests
from tests.benchmarks.serving.window import Window

WARM_S = 0.15
"""Seconds that callers run before they are counted."""


def with_threads(calls: Sequence[Callable[[], object]], seconds: float) -> Window:
    """Return what callers get in a time, each calling one of ``calls`` in a thread of its own.

    Raises:
        Exception: what a call raised.
    """
    counts = [0] * len(calls)
    over = threading.Event()
    problems: list[Exception] = []

    def work(place: int, call: Callable[[], object]) -> None:
        try:
            while not over.is_set():
                call()
                counts[place] += 1
        except Exception as problem:  # noqa: BLE001 - raised below, where somebody listens
            problems.append(problem)

    threads = [threading.Thread(target=work, args=entry, daemon=True) for entry in enumerate(calls)]
    for thread in threads:
        thread.start()
    time.sleep(WARM_S)
    began, began_cpu, before = time.perf_counter(), time.process_time(), sum(counts)
    time.sleep(seconds)
    elapsed, used, after = time.perf_counter() - began, time.process_time() - began_cpu, sum(counts)
    over.set()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return Window(after - before, elapsed, client_cpu_s=used, all_calls=after)


async def with_tasks(calls: Sequence[Callable[[], Awaitable[object]]], seconds: float) -> Window:
    """Return what callers get in a time, each awaiting one of ``calls`` in a task of its own.

    Raises:
        Exception: what a call raised.
    """
    counts = [0] * len(calls)
    over = False

    async def work(place: int, call: Callable[[], Awaitable[object]]) -> None:
        while not over:
            await call()
            counts[place] += 1

    async def measure() -> Window:
        nonlocal over
        await asyncio.sleep(WARM_S)
        began, began_cpu, before = time.perf_counter(), time.process_time(), sum(counts)
        await asyncio.sleep(seconds)
        elapsed, used, after = time.perf_counter() - began, time.process_time() - began_cpu, sum(counts)
        over = True
        return Window(after - before, elapsed, client_cpu_s=used, all_calls=after)

    measuring = asyncio.create_task(measure())
    await asyncio.gather(measuring, *(work(place, call) for place, call in enumerate(calls)))
    return measuring.result()


def answer_callers(
    thread: Callable[[int], Callable[[], object]] | None = None,
    task: Callable[[int], Callable[[], Awaitable[object]]] | None = None,
) -> None:
    """Answer requests for callers, each with ``way`` ("threads" or "tasks"), ``callers`` and ``seconds``.

    Args:
        thread: returns what the caller of a number calls in a thread; None where there is no such way.
        task: returns what the caller of a number awaits in a task, all of them on one event loop.
    """
    in_threads: dict[int, Callable[[], object]] = {}
    in_tasks: dict[int, Callable[[], Awaitable[object]]] = {}

    async def tasks(numbers: range, seconds: float) -> Window:
        if task is not None:
            in_tasks.update({number: task(number) for number in numbers if number not in in_tasks})
        return await with_tasks([in_tasks[number] for number in numbers], seconds)

    def measure(request: dict[str, object]) -> dict[str, object]:
        numbers, seconds = range(int(str(request["callers"]))), float(str(request["seconds"]))
        if request["way"] == "tasks":
            return runner.run(tasks(numbers, seconds)).as_record()
        if thread is not None:
            in_threads.update({number: thread(number) for number in numbers if number not in in_threads})
        return with_threads([in_threads[number] for number in numbers], seconds).as_record()

    with asyncio.Runner() as runner:
        answer_requests(measure)
