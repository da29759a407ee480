"""Clients of both kinds whose concurrent calls are joined, before a service whose answers can be held back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from gradmill.async_client import AsyncClient
from gradmill.client import Client
from gradmill.errors import (
    CancelledError,
    DeadlineExceededError,
    Failure,
    GradmillError,
    InvalidRequestError,
    UnavailableError,
)
from gradmill.settings import Batching, RetryPolicy, Settings
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import read_array
from gradmill.wire_format import Buffer

from tests.client.fakes import DIGEST, FakeService

Done = Callable[[Buffer | GradmillError], None]
QUICK = Settings(retries=RetryPolicy(initial_backoff_seconds=0.001, maximum_backoff_seconds=0.001))


class HeldTransport:
    """Answers evaluations that are submitted when it is let; refuses any with a point whose a is negative.

    Attributes:
        held: the evaluations that wait.
        is_open: whether they are answered at once.
        cancelled: how many were given up.
    """

    def __init__(self) -> None:
        """Start open, with a service that knows the function."""
        self.fake = FakeService()
        self.fake.compute_microseconds = 1
        self.held: list[tuple[bytes, Done]] = []
        self.is_open = True
        self.cancelled = 0

    def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        """Answer a call that is made alone."""
        outcome = self._answer(method, body, timeout_seconds)
        if isinstance(outcome, GradmillError):
            raise outcome
        return outcome

    def _answer(self, method: str, body: bytes, timeout_seconds: float | None = None) -> bytes | GradmillError:
        if method == "Evaluate":
            points = service.EvaluateRequest.FromString(body).points
            if not points.inputs and (read_array(points.matrix, "points")[:, 0] < 0).any():
                return InvalidRequestError("a is negative")
        try:
            return self.fake.answer(method, body, timeout_seconds)
        except GradmillError as error:
            return error

    def submit(self, method: str, body: bytes, _timeout: float | None, done: Done) -> Callable[[], object]:
        """Answer now, or later."""
        if self.is_open:
            done(self._answer(method, body))
        else:
            self.held.append((body, done))
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1

    def release(self) -> None:
        """Answer all that waits, and at once from now on."""
        self.is_open = True
        while self.held:
            body, done = self.held.pop(0)
            done(self._answer("Evaluate", body))

    def close(self) -> None:
        """End what waits."""
        while self.held:
            self.held.pop(0)[1](CancelledError("the client was closed"))


class AsyncHeldTransport(HeldTransport):
    """The same for asyncio."""

    async def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:  # type: ignore[override]
        """Answer a call that is made alone."""
        return HeldTransport.call(self, method, body, timeout_seconds)

    async def close(self) -> None:  # type: ignore[override]
        """End what waits."""
        HeldTransport.close(self)


Call = Callable[[Any], Any]
"""What to do with a client; for asyncio, what to await."""


def in_threads(transport: HeldTransport, calls: list[Call], settings: Settings) -> list[Any]:
    """Return the results or errors of calls made at the same time by threads."""
    with Client(transport, settings, coalesces=True) as client, ThreadPoolExecutor(len(calls)) as pool:
        client.gradient("f", [1, 2])
        client.value("f", [1, 2])
        transport.is_open = False
        futures: list[Future[Any]] = []
        for call in calls:
            futures.append(pool.submit(call, client))
            time.sleep(0.01)
        transport.release()
        return [future.exception(20) or future.result() for future in futures]


def in_asyncio(transport: HeldTransport, calls: list[Call], settings: Settings) -> list[Any]:
    """Return the results or errors of calls made at the same time by tasks."""

    async def run() -> list[Any]:
        waiting = AsyncHeldTransport()
        waiting.fake, waiting.__dict__ = transport.fake, transport.__dict__
        async with AsyncClient(waiting, settings, submit=waiting.submit) as client:
            await client.gradient("f", [1, 2])
            await client.value("f", [1, 2])
            waiting.is_open = False
            tasks = [asyncio.create_task(call(client)) for call in calls]
            for _ in range(10):
                await asyncio.sleep(0)
            waiting.release()
            return list(await asyncio.gather(*tasks, return_exceptions=True))

    return asyncio.run(run())


Run = Callable[[HeldTransport, list[Call], Settings], list[Any]]
both = pytest.mark.parametrize("run", [in_threads, in_asyncio], ids=["threads", "asyncio"])


def gradient_at(a: float, b: float, **options: Any) -> Call:  # noqa: ANN401 - a client's own arguments
    """Return a call for one gradient."""
    return lambda client: client.gradient("f", [a, b], **options)


@both
def test_calls_at_the_same_time_travel_together(run: Run) -> None:
    """Calls of several threads or tasks share messages, and each gets its own result."""
    transport = HeldTransport()
    results = run(transport, [gradient_at(a, 2) for a in range(20)], QUICK)
    assert [result.values for result in results] == [a + 20.0 for a in range(20)]
    assert all(isinstance(result.values, float) for result in results)
    assert all(result.gradient.tolist() == [1.0, 10.0] for result in results)
    assert len(transport.fake.rows) < 2 + 10
    assert sum(transport.fake.rows) == 2 + 20


@both
def test_calls_with_several_points_travel_together_too(run: Run) -> None:
    """Each call gets as many rows as it has points, in memory of its own."""
    transport = HeldTransport()
    batches = [np.arange(2.0 * n).reshape(n, 2) for n in (3, 1, 2, 4, 1)]
    calls: list[Call] = [lambda client, points=points: client.gradient("f", points) for points in batches]  # type: ignore[misc]
    results = run(transport, calls, QUICK)
    for points, result in zip(batches, results, strict=True):
        assert np.array_equal(result.values, points @ [1.0, 10.0])
        assert result.gradient.shape == points.shape
        assert result.point_flags.shape == (len(points),)
        assert result.values.flags.owndata
        assert result.values.flags.writeable


@both
def test_different_wishes_do_not_mix(run: Run) -> None:
    """Calls that want different things are in different messages."""
    values: list[Call] = [lambda client: client.value("f", [1, 2])] * 4
    results = run(HeldTransport(), [*[gradient_at(1, 2)] * 4, *values], QUICK)
    assert [result.gradient is None for result in results] == [False] * 4 + [True] * 4


@both
def test_one_bad_call_spoils_no_other(run: Run) -> None:
    """What a server refuses in one call's points is told to that call alone."""
    results = run(HeldTransport(), [gradient_at(a, 2) for a in (1, 2, -3, 4, 5, 6)], QUICK)
    assert [result.values for result in results if not isinstance(result, GradmillError)] == [21, 22, 24, 25, 26]
    assert isinstance(results[2], InvalidRequestError)
    assert results[2].message == "a is negative"


@both
def test_points_that_do_not_fit_are_refused_before_they_are_joined(run: Run) -> None:
    """A call with a wrong shape gets the error that it would get alone."""
    wrong: Call = lambda client: client.gradient("f", [1, 2, 3])  # noqa: E731
    text: Call = lambda client: client.gradient("f", ["a", "b"])  # noqa: E731
    results = run(HeldTransport(), [gradient_at(1, 2), wrong, gradient_at(3, 4), text], QUICK)
    assert [result.values for result in results[::2]] == [21.0, 43.0]
    assert "takes [points, 2]" in str(results[1])
    assert "not real numbers" in str(results[3])


@both
def test_a_message_is_sent_again_as_one(run: Run) -> None:
    """A server that is away for a moment is not noticed by any call, and is not sent one message for each."""
    transport = HeldTransport()
    calls = [gradient_at(a, 2) for a in range(8)]
    fake_answer, failures = transport.fake.answer, [UnavailableError("busy", Failure(retry_delay_seconds=0.0))] * 2

    def answer(method: str, body: bytes, timeout_seconds: float | None = None) -> bytes:
        if len(transport.fake.rows) > 1 and failures:
            raise failures.pop()
        return fake_answer(method, body, timeout_seconds)

    transport.fake.answer = answer  # type: ignore[method-assign]
    assert [result.values for result in run(transport, calls, QUICK)] == [a + 20.0 for a in range(8)]
    assert len(transport.fake.rows) < 2 + 8


@both
def test_a_function_that_was_forgotten_is_sent_again_for_all(run: Run) -> None:
    """A server that restarts is sent the function once more with the joint message."""
    transport = HeldTransport()

    def forget(client: Any) -> Any:  # noqa: ANN401 - a client of either kind
        transport.fake.has_function = False
        return client.gradient("f", [1, 2])

    results = run(transport, [gradient_at(0, 2), forget, gradient_at(2, 2)], QUICK)
    assert [result.values for result in results] == [20.0, 21.0, 22.0]
    assert transport.fake.forms[-1] in {"formula", "digest"}


@both
def test_failures_that_all_share_are_errors_of_their_own(run: Run) -> None:
    """When nobody answers each call raises, and what is raised belongs to it alone."""
    transport = HeldTransport()
    once = Settings(retries=RetryPolicy(maximum_attempts=1))
    calls = [gradient_at(a, 2) for a in range(6)]
    fake_answer, away = transport.fake.answer, UnavailableError("away")

    def answer(method: str, body: bytes, timeout_seconds: float | None = None) -> bytes:
        if len(transport.fake.rows) > 1:
            raise away
        return fake_answer(method, body, timeout_seconds)

    transport.fake.answer = answer  # type: ignore[method-assign]
    results = run(transport, calls, once)
    assert all(isinstance(result, UnavailableError) for result in results)
    assert len(set(map(id, results))) == 6


@both
def test_joining_can_be_turned_off(run: Run) -> None:
    """Each call is a message of its own for a client that was told so."""
    transport = HeldTransport()
    run(transport, [gradient_at(a, 2) for a in range(6)], Settings(batching=Batching(coalesce=False)))
    assert transport.fake.rows == [1] * 8


@both
def test_the_form_of_the_points_is_kept(run: Run) -> None:
    """Calls with points by name get results by name while others are joined."""
    transport = HeldTransport()
    forms = [{"a": 1.0, "b": 2.0}, {"a": [1.0, 3.0], "b": [2.0, 4.0]}, {"a": 1.0, "b": [2.0, 3.0]}]
    calls: list[Call] = [lambda client, points=points: client.gradient("f", points) for points in forms]  # type: ignore[misc]
    one, several, shared, _ = run(transport, [*calls, gradient_at(1, 2)], QUICK)
    assert (one.values, one.gradient) == (21.0, {"a": 1.0, "b": 10.0})
    assert several.values.tolist() == [21.0, 43.0]
    assert several.gradient["b"].tolist() == [10.0, 10.0]
    assert shared.gradient["a"].tolist() == [1.0, 1.0]
    assert 2 in transport.fake.rows


def test_a_call_keeps_its_own_time() -> None:
    """A short timeout ends its call while others with more time in the same message are answered."""
    transport = HeldTransport()
    with Client(transport, QUICK, coalesces=True) as client, ThreadPoolExecutor(4) as pool:
        client.gradient("f", [1, 2])
        transport.is_open = False
        patient = [pool.submit(client.gradient, "f", [a, 2]) for a in range(3)]
        started = time.monotonic()
        with pytest.raises(DeadlineExceededError, match="before it was answered"):
            client.gradient("f", [9, 9], timeout=0.05)
        assert time.monotonic() - started < 10
        transport.release()
        assert [future.result(20).values for future in patient] == [20.0, 21.0, 22.0]


def test_a_task_keeps_its_own_time() -> None:
    """The same for tasks; one that is cancelled disturbs no other either."""

    async def run() -> list[float]:
        transport = AsyncHeldTransport()
        async with AsyncClient(transport, QUICK, submit=transport.submit) as client:
            await client.gradient("f", [1, 2])
            transport.is_open = False
            patient = [asyncio.create_task(client.gradient("f", [a, 2])) for a in range(3)]
            given_up = asyncio.create_task(client.gradient("f", [7, 7]))
            with pytest.raises(DeadlineExceededError, match="before it was answered"):
                await client.gradient("f", [9, 9], timeout=0.01)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            transport.release()
            return [(await task).values for task in patient]

    assert asyncio.run(run()) == [20.0, 21.0, 22.0]


def test_a_message_that_nobody_waits_for_is_given_up() -> None:
    """When the only call of a message is given up, so is the message."""

    async def run() -> int:
        transport = AsyncHeldTransport()
        async with AsyncClient(transport, QUICK, submit=transport.submit) as client:
            await client.gradient("f", [1, 2])
            transport.is_open = False
            task = asyncio.create_task(client.gradient("f", [3, 4]))
            while not transport.held:  # noqa: ASYNC110 - what is waited for has no event to wait on
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return transport.cancelled

    assert asyncio.run(run()) == 1


def test_functions_that_are_equal_in_name_only_are_kept_apart() -> None:
    """A client that sees very many functions forgets the oldest, and none is taken for another."""
    transport = HeldTransport()
    with Client(transport, QUICK, coalesces=True) as client:
        for number in range(600):
            assert client.value(f"f{number}", [number, 0]).values == number
        assert client.value(DIGEST, [1, 2]).values == 21.0
        assert threading.active_count() < 20


SHORT = Settings(timeout_seconds=0.2)


def test_a_call_without_a_timeout_keeps_its_clients() -> None:
    """A joined call that names no timeout waits no longer than its client allows, whatever becomes of its message."""
    transport = HeldTransport()
    with Client(transport, SHORT, coalesces=True) as client, ThreadPoolExecutor(1) as pool:
        client.gradient("f", [1, 2])
        transport.is_open = False
        error = pool.submit(client.gradient, "f", [9, 9]).exception(20)
        assert isinstance(error, DeadlineExceededError)


def test_a_task_without_a_timeout_keeps_its_clients() -> None:
    """The same for tasks."""

    async def run() -> None:
        transport = AsyncHeldTransport()
        async with AsyncClient(transport, SHORT, submit=transport.submit) as client:
            await client.gradient("f", [1, 2])
            transport.is_open = False
            async with asyncio.timeout(20):
                with pytest.raises(DeadlineExceededError):
                    await client.gradient("f", [9, 9])

    asyncio.run(run())
