"""The shortest road: what takes it, that its answers are those of the longer one, and what leaves it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.metrics import Metrics
from gradmill_server.serving.settings import Settings

from tests.serving.support import (
    GRADIENT,
    TEXTBOOK,
    VALUE,
    evaluation,
    formula,
    handling,
    matrix,
    results,
    small_settings,
    stream_answers,
)

_INLINE = small_settings(inline_microseconds=1_000_000)
_HESSIAN, _JACOBIAN = service_pb2.DERIVATIVE_HESSIAN, service_pb2.DERIVATIVE_JACOBIAN


async def _learned(handler: Handler, body: bytes, tenant: str = "") -> bytes:
    """Ask by the longer road until the shortest one is open, and return the last answer."""
    for _ in range(10):
        answer = await handler.evaluate(body, CallContext(caller=tenant))
    return answer


async def _answer(handler: Handler, body: bytes, tenant: str = "") -> bytes | None:
    await asyncio.sleep(0)  # the event loop computes for a millisecond, and then has to come round
    return handler.small_call("Evaluate", body, 60.0, tenant)


def _body(text: str, rows: npt.ArrayLike, kinds: Sequence[int] = (VALUE, GRADIENT)) -> bytes:
    return evaluation(formula(text), matrix(rows), kinds).SerializeToString()


def _same(first: bytes, second: bytes) -> bool:
    one, other = service_pb2.EvaluateResponse.FromString(first), service_pb2.EvaluateResponse.FromString(second)
    for message in (one, other):
        message.ClearField("timings")
        message.ClearField("cache")
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


@pytest.mark.parametrize("points", [1, 2, 17])
@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (TEXTBOOK, (VALUE, GRADIENT)),
        ("log(x1) / x2 + sqrt(x3)", (VALUE, GRADIENT)),
        ("a = x1 * x2; b = exp(x3); return a, b", (_JACOBIAN, VALUE)),
        ("sin(x1) * x2 + x3**3", (_HESSIAN,)),
    ],
)
def test_answers_are_those_of_the_longer_road(points: int, text: str, kinds: Sequence[int]) -> None:
    """At any points, those where nothing finite comes out included, both roads give the same bits, flags and shapes."""
    chance = np.random.default_rng(3)

    async def scenario() -> None:
        async with handling(_INLINE) as handler:
            await _learned(handler, _body(text, np.ones((points, 3)), kinds))
            for rows in (chance.normal(size=(points, 3)), np.full((points, 3), np.nan), np.zeros((points, 3))):
                body = _body(text, rows, kinds)
                for _ in range(2):
                    small = await _answer(handler, body)
                    assert small is not None
                    assert _same(small, await handler.evaluate(body, CallContext()))

    asyncio.run(scenario())


def test_float32_takes_it_too() -> None:
    """A function of float32 has the bits of the longer road."""

    async def scenario() -> None:
        async with handling(_INLINE) as handler:
            function = formula("x * exp(y)")
            for name in "xy":
                function.formula.inputs.add(name=name, element_type=graph_pb2.ELEMENT_TYPE_FLOAT32)
            rows = np.array([[1.5, 0.3]], dtype="<f4")
            array = graph_pb2.Array(shape=rows.shape, data=rows.tobytes(), element_type=graph_pb2.ELEMENT_TYPE_FLOAT32)
            body = evaluation(function, service_pb2.Points(matrix=array)).SerializeToString()
            longer = await _learned(handler, body)
            small = await _answer(handler, body)
            assert small is not None
            assert _same(small, longer)

    asyncio.run(scenario())


def test_requests_of_one_length_are_told_apart() -> None:
    """Requests of different functions and wishes, but of one length, get the answers of their own."""
    texts = [f"x1 * {number} + x2 * x3" for number in range(1, 8)]

    async def scenario() -> None:
        async with handling(_INLINE) as handler:
            bodies = [_body(text, [[2.0, 3.0, 4.0]]) for text in texts]
            assert len({len(body) for body in bodies}) == 1
            for body in bodies:
                await _learned(handler, body)
            answered = [(number, await _answer(handler, body)) for number, body in enumerate(bodies, 1)]
            found = [(number, results(answer)[0].tolist()) for number, answer in answered if answer is not None]
            assert len(found) == 4
            assert all(value == [2.0 * number + 12.0] for number, value in found)

    asyncio.run(scenario())


def test_what_is_unusual_takes_the_longer_road() -> None:
    """Late calls, other methods, tenants and requests, and a server that stops, are left to the longer road."""

    async def scenario() -> None:
        async with handling(_INLINE) as handler:
            body = _body(TEXTBOOK, [[2.0, 3.0, 4.0]])
            await _learned(handler, body, "one")
            assert await _answer(handler, body, "one") is not None
            assert await _answer(handler, body, "two") is None
            assert await _answer(handler, body) is None
            assert handler.small_call("Evaluate", body, 0.0, "one") is None
            assert handler.small_call("Explain", body, 60.0, "one") is None
            assert await _answer(handler, body + b"\x20\x02", "one") is None
            assert await _answer(handler, b"\x7f" + body[1:], "one") is None
            handler.begin_draining()
            assert await _answer(handler, body, "one") is None

    asyncio.run(scenario())


def test_what_is_evicted_is_compiled_again() -> None:
    """Once the cache has lost a function, calls of it leave the shortest road, and are answered all the same."""

    async def scenario() -> None:
        async with handling(_INLINE) as handler:
            body = _body(TEXTBOOK, [[2.0, 3.0, 4.0]])
            await _learned(handler, body)
            handler.cache.shrink(0)
            for _ in range(20):
                answer = await _answer(handler, body)
            assert answer is None
            assert results(await handler.evaluate(body, CallContext()))[0].tolist() == [48.0]

    asyncio.run(scenario())


def test_streams_take_it_and_keep_the_function() -> None:
    """On a stream, messages with and without a function get the answers of the function that is theirs."""
    texts = ["x1 + x2 * x3", None, "x1 - x2 * x3", None, None]

    def message(number: int, text: str | None) -> bytes:
        request = evaluation(formula(text or ""), matrix([[2.0, 3.0, 4.0]]))
        if text is None:
            request.ClearField("function")
        return service_pb2.EvaluateStreamRequest(sequence=number, request=request).SerializeToString()

    async def scenario(settings: Settings) -> list[tuple[int, float]]:
        async def sender() -> object:
            for number, text in enumerate(texts * 20):
                yield message(number, text)

        async with handling(settings) as handler:
            bodies = [body async for body in stream_answers(handler, sender())]  # type: ignore[arg-type]
        answers = [service_pb2.EvaluateStreamResponse.FromString(body) for body in bodies]
        return [(answer.sequence, results(answer.response.SerializeToString())[0].tolist()[0]) for answer in answers]

    expected = [(number, value) for number, value in enumerate([14.0, 14.0, -10.0, -10.0, -10.0] * 20)]
    assert asyncio.run(scenario(_INLINE)) == expected
    assert asyncio.run(scenario(small_settings())) == expected


def test_small_calls_are_counted_exactly() -> None:
    """Every small call is in the next snapshot, however few came since the last, and none is counted twice."""

    async def scenario() -> None:
        metrics = Metrics()
        async with handling(_INLINE, metrics) as handler:
            body = _body(TEXTBOOK, [[2.0, 3.0, 4.0]])
            await _learned(handler, body)

            def counted() -> dict[str, float]:
                counters = metrics.snapshot()["counters"]
                names = ("gradmill_requests", "gradmill_points_computed")
                return {name: sum(count for found, _, count in counters if found == name) for name in names}

            before = counted()
            for number in range(1, 200):
                assert await _answer(handler, body) is not None
                if number % 7 == 0:
                    assert counted() == {name: count + number for name, count in before.items()}

    asyncio.run(scenario())


def test_a_function_written_in_two_parts_is_nobody_elses() -> None:
    """A function in two parts, which the parser puts together, changes no answer of another caller."""
    declared, plain = formula(""), formula("x - y")
    for name in ("y", "x"):
        declared.formula.inputs.add(name=name)
    rows = matrix([[1.0, 10.0]])
    honest = evaluation(plain, rows).SerializeToString()
    without = evaluation(plain, rows)
    without.ClearField("function")
    parts = b"".join(service_pb2.EvaluateRequest(function=part).SerializeToString() for part in (declared, plain))
    request = parts + without.SerializeToString()
    bodies = [
        b"\x08\x01" + b"\x12" + bytes((len(request) & 0x7F | 0x80, len(request) >> 7)) + request
        if len(request) > 0x7F
        else b"\x08\x01\x12" + bytes((len(request),)) + request,
        *[service_pb2.EvaluateStreamRequest(sequence=2, request=without).SerializeToString()] * 20,
    ]

    async def scenario() -> tuple[list[float], list[float]]:
        async def sender() -> object:
            for body in bodies:
                yield body

        async with handling(_INLINE) as handler:
            answers = [body async for body in stream_answers(handler, sender())]  # type: ignore[arg-type]
            parsed = [service_pb2.EvaluateStreamResponse.FromString(body) for body in answers]
            merged = [results(each.response.SerializeToString())[0].tolist()[0] for each in parsed]
            own = [results(await _learned(handler, honest))[0].tolist()[0] for _ in range(3)]
            return merged, own

    merged, own = asyncio.run(scenario())
    assert merged == [9.0] * 21
    assert own == [-9.0] * 3


def test_large_functions_are_not_kept_alive_beside_the_cache() -> None:
    """A function of many nodes takes the longer road, however often it is called, so that the cache bounds memory."""
    text = " + ".join(f"x1 * {number}" for number in range(1, 3_000))

    async def scenario() -> bytes | None:
        async with handling(_INLINE) as handler:
            body = _body(text, [[2.0]], (VALUE,))
            await _learned(handler, body)
            return await _answer(handler, body)

    assert asyncio.run(scenario()) is None


def test_scarce_memory_takes_it_away() -> None:
    """When memory is short the kinds of calls that were remembered are forgotten, and are answered all the same."""

    async def scenario() -> None:
        async with handling(_INLINE) as handler:
            body = _body(TEXTBOOK, [[2.0, 3.0, 4.0]])
            await _learned(handler, body)
            assert await _answer(handler, body) is not None
            handler.forget_small_calls()
            assert await _answer(handler, body) is None
            assert results(await handler.evaluate(body, CallContext()))[0].tolist() == [48.0]

    asyncio.run(scenario())


def test_calls_that_never_take_it_leave_nothing_behind() -> None:
    """Known calls of too many points for the shortest road are not remembered for it, however many kinds."""

    async def scenario() -> int:
        async with handling(_INLINE) as handler:
            for points in range(70, 170):
                await _learned(handler, _body("x1", np.ones((points, 1)), (VALUE,)))
            return handler.small_kinds

    assert asyncio.run(scenario()) == 0
