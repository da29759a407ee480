"""Calls that are known already: computed where they arrive, together with others, or by themselves."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.status import RpcFailure
from gradmill_server.serving.telemetry import Joined, Telemetry

from tests.serving.support import (
    ask,
    digest,
    evaluation,
    failure_of,
    formula,
    handling,
    matrix,
    refusal,
    results,
    small_settings,
    until,
)


class _Placements(Telemetry):
    """Counts how calls were placed, and the sizes of passes."""

    def __init__(self) -> None:
        self.placed: Counter[Joined] = Counter()
        self.passes: list[tuple[int, int]] = []

    def call_placed(self, joined: Joined) -> None:
        self.placed[joined] += 1

    def pass_finished(self, calls: int, points: int) -> None:
        self.passes.append((calls, points))


def _request(*rows: tuple[float, float, float]) -> service_pb2.EvaluateRequest:
    return evaluation(points=matrix(rows))


async def _together(handler: Handler, requests: list[bytes], callers: list[str]) -> list[bytes | BaseException]:
    """Answer requests that all wait while every worker is busy."""
    gate = threading.Event()
    busy = [asyncio.create_task(handler.pool.run(gate.wait)) for _ in range(handler.pool.workers)]
    await until(lambda: handler.pool.busy == handler.pool.workers)
    calls = [
        asyncio.create_task(handler.evaluate(request, handler.context(60.0, caller)))
        for request, caller in zip(requests, callers, strict=True)
    ]
    await until(lambda: handler.pool.waiting == len(requests))
    gate.set()
    await asyncio.gather(*busy)
    return list(await asyncio.gather(*calls, return_exceptions=True))


def test_small_calls_are_computed_where_they_arrive() -> None:
    """A small call that is known is answered although every worker is busy, with the same bits."""
    telemetry = _Placements()

    async def scenario() -> tuple[bytes, bytes]:
        async with handling(small_settings(inline_microseconds=1_000_000), telemetry) as handler:
            first = await ask(handler, _request((2.0, 3.0, 4.0)))
            gate = threading.Event()
            busy = [asyncio.create_task(handler.pool.run(gate.wait)) for _ in range(2)]
            await until(lambda: handler.pool.busy == 2)
            second = await ask(handler, _request((2.0, 3.0, 4.0)))
            gate.set()
            await asyncio.gather(*busy)
            return first, second

    first, second = asyncio.run(scenario())
    assert [array.tolist() for array in results(second)] == [[48.0], [[12.0, 12.0, 9.0]]]
    assert [array.tobytes() for array in results(first)] == [array.tobytes() for array in results(second)]
    assert telemetry.placed == {Joined.KIND: 1, Joined.INLINE: 1}


def test_calls_that_wait_are_joined_with_identical_bits() -> None:
    """Calls of several callers for one program wait together, take one pass, and get what each alone would get."""
    telemetry = _Placements()
    chance = np.random.default_rng(1)
    batches = [chance.normal(size=(count, 3)) for count in (1, 7, 64, 2, 33)]
    requests = [evaluation(points=matrix(batch)).SerializeToString() for batch in batches]

    async def scenario() -> tuple[list[bytes], list[bytes | BaseException]]:
        async with handling(small_settings(), telemetry) as handler:
            alone = [await handler.evaluate(request, CallContext()) for request in requests]
            telemetry.placed.clear()
            telemetry.passes.clear()
            return alone, await _together(handler, requests, ["a", "b", "a", "c", "b"])

    alone, joined = asyncio.run(scenario())
    for one, other in zip(alone, joined, strict=True):
        assert isinstance(other, bytes)
        assert [array.tobytes() for array in results(one)] == [array.tobytes() for array in results(other)]
    assert telemetry.placed == {Joined.JOINED: 5}
    assert telemetry.passes == [(5, 107)]


def test_a_caller_who_leaves_does_not_spoil_the_batch() -> None:
    """When one of those who wait together gives up or is too late, the others get their answers."""

    async def scenario() -> tuple[list[bytes | BaseException], tuple[str, str]]:
        async with handling(small_settings()) as handler:
            body = _request((2.0, 3.0, 4.0)).SerializeToString()
            await handler.evaluate(body, CallContext())
            gate = threading.Event()
            busy = [asyncio.create_task(handler.pool.run(gate.wait)) for _ in range(2)]
            await until(lambda: handler.pool.busy == 2)
            calls = [asyncio.create_task(handler.evaluate(body, CallContext())) for _ in range(3)]
            late = await failure_of(handler.evaluate(body, handler.context(0.01)))
            await until(lambda: handler.pool.waiting == 3)
            calls[1].cancel()
            await asyncio.gather(calls[1], return_exceptions=True)
            gate.set()
            await asyncio.gather(*busy)
            return list(await asyncio.gather(calls[0], calls[2])), refusal(late)

    answers, late = asyncio.run(scenario())
    assert late[0] == "DEADLINE_EXCEEDED"
    for answer in answers:
        assert isinstance(answer, bytes)
        assert results(answer)[0].tolist() == [48.0]


def test_a_bad_request_does_not_spoil_the_batch() -> None:
    """A request with the wrong number of columns is refused by itself; those that wait beside it are answered."""

    async def scenario() -> list[bytes | BaseException]:
        async with handling(small_settings()) as handler:
            good = _request((2.0, 3.0, 4.0)).SerializeToString()
            await handler.evaluate(good, CallContext())
            bad = evaluation(points=matrix([[1.0, 2.0]])).SerializeToString()
            return await _together(handler, [good, bad, good], ["a", "b", "c"])

    first, second, third = asyncio.run(scenario())
    assert isinstance(second, RpcFailure)
    assert refusal(second.status) == ("INVALID_ARGUMENT", "POINTS_SHAPE")
    for answer in (first, third):
        assert isinstance(answer, bytes)
        assert results(answer)[0].tolist() == [48.0]


def test_points_that_are_not_finite_mark_their_own_call_only() -> None:
    """A call with a point that is not finite is flagged; the one that travels with it is not."""

    async def scenario() -> list[bytes | BaseException]:
        async with handling(small_settings()) as handler:
            requests = [_request((2.0, 3.0, 4.0)), _request((np.nan, 3.0, 4.0)), _request((2.0, 3.0, 4.0))]
            bodies = [request.SerializeToString() for request in requests]
            await handler.evaluate(bodies[0], CallContext())
            return await _together(handler, bodies, ["a", "b", "c"])

    answers = asyncio.run(scenario())
    flags = [service_pb2.EvaluateResponse.FromString(answer).point_flags for answer in answers]  # type: ignore[arg-type]
    assert flags == [b"", b"\x03", b""]


def test_tenants_do_not_find_one_anothers_functions() -> None:
    """What one tenant sent is as unknown to another as what nobody sent, also once calls are known."""

    async def scenario() -> list[tuple[str, str]]:
        async with handling(small_settings(inline_microseconds=1_000_000)) as handler:
            sent = await handler.evaluate(evaluation().SerializeToString(), CallContext(caller="one"))
            known = service_pb2.EvaluateResponse.FromString(sent).digest
            by_digest = evaluation(digest(known)).SerializeToString()
            for _ in range(2):
                await handler.evaluate(by_digest, CallContext(caller="one"))
            nobodys = evaluation(digest(bytes(32))).SerializeToString()
            failures = [
                await failure_of(handler.evaluate(body, CallContext(caller=caller, peer="address")))
                for caller in ("two", "")
                for body in (by_digest, nobodys)
            ]
            return [refusal(failure) for failure in failures]

    assert asyncio.run(scenario()) == [("NOT_FOUND", "DIGEST_UNKNOWN")] * 4


def test_work_that_cannot_be_in_time_is_refused_at_once() -> None:
    """Once a program's cost is known, a call whose deadline is shorter is refused unstarted, with the estimate."""

    async def scenario() -> tuple[tuple[str, str], bool]:
        async with handling(small_settings()) as handler:
            text = "sum(tanh(x) * erf(x) + lgamma(exp(x)))"
            function = formula(text)
            function.formula.inputs.add(name="x", shape=[1000])
            request = evaluation(function, matrix(np.ones((400, 1000))))
            await ask(handler, request)
            started = handler.pool.busy
            failure = await failure_of(ask(handler, request, timeout=0.002))
            return refusal(failure), bool(started or handler.pool.busy)

    assert asyncio.run(scenario()) == (("DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT"), False)


@pytest.mark.parametrize("count", [1, 200])
def test_an_evicted_program_is_compiled_again(count: int) -> None:
    """A call that was known is answered when the cache has lost its program, and even when it keeps nothing."""

    async def scenario() -> list[bytes]:
        settings = replace(small_settings(inline_microseconds=1_000_000), cache_bytes=0)
        async with handling(settings) as handler:
            request = evaluation(points=matrix(np.full((count, 3), 2.0)))
            return [await ask(handler, request) for _ in range(3)]

    for answer in asyncio.run(scenario()):
        assert results(answer)[0].tolist() == [24.0] * count


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.zeros((5, 3)), np.full((5, 3), 1e308)])
@pytest.mark.parametrize("inline_microseconds", [0, 1_000_000])
def test_known_calls_of_any_size_are_answered_as_unknown_ones(rows: np.ndarray, inline_microseconds: int) -> None:
    """However many points there are, none at all included, a known call has the answer that it had at first."""

    async def scenario() -> list[service_pb2.EvaluateResponse]:
        async with handling(small_settings(inline_microseconds=inline_microseconds)) as handler:
            request = evaluation(points=matrix(rows))
            return [service_pb2.EvaluateResponse.FromString(await ask(handler, request)) for _ in range(3)]

    first, *others = asyncio.run(scenario())
    for answer in others:
        assert (answer.results, answer.point_flags, answer.digest) == (first.results, first.point_flags, first.digest)


@pytest.mark.parametrize("inline_microseconds", [0, 1_000_000])
def test_known_calls_of_a_function_without_inputs(inline_microseconds: int) -> None:
    """A constant function has as many equal values as it is given empty points."""

    async def scenario() -> list[bytes]:
        async with handling(small_settings(inline_microseconds=inline_microseconds)) as handler:
            request = evaluation(formula("2 + 3"), matrix(np.zeros((4, 0))), [service_pb2.DERIVATIVE_VALUE])
            return [await ask(handler, request) for _ in range(3)]

    for answer in asyncio.run(scenario()):
        assert results(answer)[0].tolist() == [5.0] * 4
