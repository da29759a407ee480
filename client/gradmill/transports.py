"""What clients need of a transport, and the drivers that run flows over one."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from gradmill.errors import GradmillError
from gradmill.flows import Answer, Call, Flow, Step
from gradmill.wire_format import Buffer

T = TypeVar("T")

SERVICE = "gradmill.v1.GradientService"
METHODS = ("Evaluate", "RegisterFunction", "Explain", "ListOperations")
STREAMED = "Evaluate"
"""The method whose requests also travel as messages of a stream."""
STREAM_METHOD = "EvaluateStream"


class Transport(Protocol):
    """Carries serialized messages for threads. Every failure is a GradmillError already."""

    def call(self, method: str, body: bytes, timeout_seconds: float | None) -> Buffer:
        """Send one request and wait for its response.

        Raises:
            GradmillError: the call failed.
        """

    def submit(
        self, method: str, body: bytes, timeout_seconds: float | None, done: Callable[[Buffer | GradmillError], None]
    ) -> Callable[[], object]:
        """Send one request; ``done`` is called with the outcome, in any thread. Returns what cancels the call."""

    def close(self) -> None:
        """Let go of connections; calls under way fail."""


class AsyncTransport(Protocol):
    """Carries serialized messages for asyncio. Every failure is a GradmillError already."""

    async def call(self, method: str, body: bytes, timeout_seconds: float | None) -> Buffer:
        """Send one request and wait for its response.

        Raises:
            GradmillError: the call failed.
        """

    async def close(self) -> None:
        """Let go of connections; calls under way fail."""


def run_flow(flow: Flow[T], transport: Transport) -> T:
    """Run a flow to its end in this thread; calls still under way are cancelled when it ends early."""
    driver = _ThreadDriver(transport)
    try:
        step = next(flow)
        while True:
            step = flow.send(driver.take(step))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        driver.cancel()
        flow.close()


class _ThreadDriver:
    """Starts the calls of a flow and waits for their answers."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._cancels: dict[int, Callable[[], object]] = {}

    def take(self, step: Step) -> Answer | None:
        """Return the next answer, or None when the step's time to wake has come."""
        if len(step.start) == 1 and not self._cancels and step.wake_after_seconds is None:
            return self._call_in_place(step.start[0])
        for call in step.start:
            self._submit(call)
        if not self._cancels:
            time.sleep(step.wake_after_seconds or 0.0)
            return None
        try:
            answer = self._answers.get(timeout=step.wake_after_seconds)
        except queue.Empty:
            return None
        self._cancels.pop(answer.key)
        return answer

    def cancel(self) -> None:
        """Cancel what is still under way."""
        for cancel in self._cancels.values():
            cancel()

    def _call_in_place(self, call: Call) -> Answer:
        """Make the only call without a queue in between: the way of nearly every call."""
        try:
            return Answer(call.key, self._transport.call(call.method, call.body, call.timeout_seconds))
        except GradmillError as error:
            return Answer(call.key, error)

    def _submit(self, call: Call) -> None:
        def done(outcome: Buffer | GradmillError) -> None:
            self._answers.put(Answer(call.key, outcome))

        self._cancels[call.key] = self._transport.submit(call.method, call.body, call.timeout_seconds, done)


async def run_flow_async(flow: Flow[T], transport: AsyncTransport) -> T:
    """Run a flow to its end in this event loop; calls still under way are cancelled when it ends early."""
    tasks: dict[asyncio.Task[Buffer | GradmillError], int] = {}
    try:
        step = next(flow)
        while True:
            step = flow.send(await _take(step, tasks, transport))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        for task in tasks:
            task.cancel()
        flow.close()


async def _take(
    step: Step, tasks: dict[asyncio.Task[Buffer | GradmillError], int], transport: AsyncTransport
) -> Answer | None:
    for call in step.start:
        tasks[asyncio.create_task(_outcome(call, transport))] = call.key
    if not tasks:
        await asyncio.sleep(step.wake_after_seconds or 0.0)
        return None
    done, _ = await asyncio.wait(tasks, timeout=step.wake_after_seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        return Answer(tasks.pop(task), task.result())
    return None


async def _outcome(call: Call, transport: AsyncTransport) -> Buffer | GradmillError:
    try:
        return await transport.call(call.method, call.body, call.timeout_seconds)
    except GradmillError as error:
        return error
