"""Streams: order, read-ahead, errors inside, and how they end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from google.rpc import status_pb2
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.status import RpcFailure

from tests.serving.support import (
    VALUE,
    digest,
    evaluation,
    formula,
    handling,
    matrix,
    numbers,
    refusal,
    small_settings,
    stream_answers,
    until,
)


def _message(sequence: int, text: str | None = None, x: float = 1.0) -> bytes:
    request = evaluation(service_pb2.Function(), matrix([[x]]), [VALUE])
    if text is None:
        request.ClearField("function")
    else:
        request.function.CopyFrom(formula(text))
    return service_pb2.EvaluateStreamRequest(sequence=sequence, request=request).SerializeToString()


class _Sender:
    """A caller's side of a stream: sends messages, counts those that were read, and stays open until told."""

    def __init__(self, bodies: Sequence[bytes], *, open_ended: bool = False) -> None:
        self.read = 0
        self._bodies = bodies
        self._open_ended = open_ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for body in self._bodies:
            self.read += 1
            yield body
        if self._open_ended:
            await asyncio.Event().wait()


async def _answers(handler: Handler, sender: _Sender) -> list[service_pb2.EvaluateStreamResponse]:
    return [
        service_pb2.EvaluateStreamResponse.FromString(body) async for body in stream_answers(handler, aiter(sender))
    ]


def _exchange(bodies: Sequence[bytes], settings: Settings | None = None) -> list[service_pb2.EvaluateStreamResponse]:
    async def scenario() -> list[service_pb2.EvaluateStreamResponse]:
        async with handling(settings) as handler:
            return await _answers(handler, _Sender(bodies))

    return asyncio.run(scenario())


def _value(answer: service_pb2.EvaluateStreamResponse) -> float:
    return float(numbers(answer.response.results[0].array)[0])


def _status(answer: service_pb2.EvaluateStreamResponse) -> status_pb2.Status:
    return status_pb2.Status.FromString(answer.error.status)


def test_answers_come_in_order() -> None:
    """A hundred messages are answered in the order in which they were sent, each with its own number."""
    bodies = [_message(1000 - number, f"x * {number}") for number in range(100)]
    answers = _exchange(bodies)
    assert [answer.sequence for answer in answers] == [1000 - number for number in range(100)]
    assert [_value(answer) for answer in answers] == [float(number) for number in range(100)]


def test_empty_stream() -> None:
    """A stream without messages ends without answers."""
    assert _exchange([]) == []


def test_absent_function_is_the_last_one() -> None:
    """A message without a function means that of the last message that had one."""
    bodies = [_message(1, "x + 1"), _message(2, x=5.0), _message(3, "x + 2"), _message(4, x=7.0), _message(5, x=8.0)]
    assert [_value(answer) for answer in _exchange(bodies)] == [2.0, 6.0, 3.0, 9.0, 10.0]


def test_absent_function_is_known_even_when_nothing_is_kept() -> None:
    """A stream goes on with its last function, though the cache had no room to keep it."""
    bodies = [_message(1, "x + 1"), _message(2, x=5.0)]
    assert [_value(answer) for answer in _exchange(bodies, small_settings(cache_bytes=0))] == [2.0, 6.0]


def test_error_is_in_the_stream_and_the_stream_goes_on() -> None:
    """A message that fails is answered by what a unary call would have carried, and the next one is answered."""
    unknown = evaluation(digest(bytes(32)), matrix([[1.0]]), [VALUE])
    bodies = [
        _message(1),
        _message(2, "x +"),
        _message(3, "x"),
        b"\xff",
        service_pb2.EvaluateStreamRequest(sequence=5, request=unknown).SerializeToString(),
        _message(6, "x * 3"),
    ]
    answers = _exchange(bodies)
    assert [answer.WhichOneof("outcome") for answer in answers] == [
        "error", "error", "response", "error", "error", "response",
    ]  # fmt: skip
    assert [answer.sequence for answer in answers] == [1, 2, 3, 0, 5, 6]
    failed = [answer for answer in answers if answer.WhichOneof("outcome") == "error"]
    assert [refusal(_status(answer))[1] for answer in failed] == [
        "FUNCTION_MISSING",
        "FORMULA_SYNTAX",
        "REQUEST_MALFORMED",
        "DIGEST_UNKNOWN",
    ]
    assert [answer.error.code for answer in failed] == [3, 3, 3, 5]
    assert all(answer.error.message == _status(answer).message for answer in failed)


def test_unusable_function_is_not_replaced_by_an_older_one() -> None:
    """After a message whose function cannot be used, one without a function does not fall back to an older function."""
    short = service_pb2.EvaluateStreamRequest(
        sequence=2, request=evaluation(digest(b"short"), matrix([[1.0]]), [VALUE])
    )
    answers = _exchange([_message(1, "x"), short.SerializeToString(), _message(3)])
    assert [refusal(_status(answer))[1] for answer in answers[1:]] == ["DIGEST_INVALID", "FUNCTION_MISSING"]


def test_reads_ahead_no_more_than_allowed() -> None:
    """While the first message is not answered, no more messages are read than may be in flight."""

    async def scenario() -> tuple[int, list[int]]:
        async with handling(small_settings(stream_read_ahead=3)) as handler:
            gate = threading.Event()
            busy = [asyncio.create_task(handler.pool.run(gate.wait)) for _ in range(2)]
            await until(lambda: handler.pool.busy == 2)
            sender = _Sender([_message(number, "x") for number in range(50)])
            stream = asyncio.create_task(_answers(handler, sender))
            await until(lambda: sender.read == 3)
            for _ in range(100):
                await asyncio.sleep(0)
            read = sender.read
            gate.set()
            await asyncio.gather(*busy)
            return read, [answer.sequence for answer in await stream]

    assert asyncio.run(scenario()) == (3, list(range(50)))


def test_slow_caller_is_not_read_ahead_of() -> None:
    """A caller that does not take its answers gets no more messages read than may be in flight."""

    async def scenario() -> int:
        async with handling(small_settings(stream_read_ahead=2)) as handler:
            sender = _Sender([_message(number, "x") for number in range(50)])
            async with aclosing(stream_answers(handler, aiter(sender))) as stream:
                await anext(stream)
                await until(lambda: handler.pool.busy == 0)
                for _ in range(100):
                    await asyncio.sleep(0)
            return sender.read

    assert asyncio.run(scenario()) <= 4


def _ending(settings: Settings, *, drain: bool) -> tuple[list[float], tuple[str, str]]:
    async def scenario() -> tuple[list[float], tuple[str, str]]:
        async with handling(settings) as handler:
            sender = _Sender([_message(1, "x + 1"), _message(2, "x + 2")], open_ended=True)
            values: list[float] = []
            try:
                async for body in stream_answers(handler, aiter(sender)):
                    values.append(_value(service_pb2.EvaluateStreamResponse.FromString(body)))
                    if drain and len(values) == 2:
                        handler.begin_draining()
            except RpcFailure as failure:
                assert handler.admission.streams == 0
                return values, refusal(failure.status)
            pytest.fail("the stream ended by itself")

    return asyncio.run(scenario())


def test_draining_ends_streams_after_what_came() -> None:
    """A server that stops answers what came on a stream, then ends it as UNAVAILABLE."""
    assert _ending(small_settings(), drain=True) == ([2.0, 3.0], ("UNAVAILABLE", "SHUTTING_DOWN"))


def test_idle_stream_is_ended() -> None:
    """A stream on which nothing comes for too long is ended, with the reason."""
    ending = _ending(small_settings(stream_idle_seconds=0.05), drain=False)
    assert ending == ([2.0, 3.0], ("DEADLINE_EXCEEDED", "STREAM_IDLE"))


def test_too_many_streams() -> None:
    """One stream too many is refused, and an open one goes on."""

    async def scenario() -> tuple[str, str]:
        async with handling(small_settings(maximum_streams=1)) as handler:
            sender = _Sender([_message(1, "x"), _message(2, "x")])
            async with aclosing(stream_answers(handler, aiter(sender))) as stream:
                await anext(stream)
                try:
                    await _answers(handler, _Sender([]))
                except RpcFailure as failure:
                    assert service_pb2.EvaluateStreamResponse.FromString(await anext(stream)).sequence == 2
                    return refusal(failure.status)
            pytest.fail("a second stream was taken")

    assert asyncio.run(scenario()) == ("UNAVAILABLE", "TOO_MANY_STREAMS")


def test_message_has_the_time_that_its_caller_gives_it() -> None:
    """A message is refused by its own timeout, one without is not, and the stream goes on."""
    late = service_pb2.EvaluateStreamRequest.FromString(_message(1, "x"))
    late.timeout.seconds = -1
    soon = service_pb2.EvaluateStreamRequest.FromString(_message(2, "x"))
    soon.timeout.seconds = 60
    answers = _exchange([late.SerializeToString(), soon.SerializeToString(), _message(3, "x")])
    assert [answer.WhichOneof("outcome") for answer in answers] == ["error", "response", "response"]
    assert refusal(_status(answers[0])) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    assert "the caller's deadline" in answers[0].error.message


def test_message_given_up_is_answered_as_cancelled_in_its_turn() -> None:
    """A message that its caller gives up stops, and costs the others neither their answer nor their place."""

    async def scenario() -> list[service_pb2.EvaluateStreamResponse]:
        async with handling(small_settings()) as handler:
            gate = threading.Event()
            busy = [asyncio.create_task(handler.pool.run(gate.wait)) for _ in range(2)]
            await until(lambda: handler.pool.busy == 2)
            give_up = service_pb2.EvaluateStreamRequest(sequence=2, cancel=True).SerializeToString()
            sender = _Sender([_message(1, "x"), _message(2, "x"), _message(3, "x"), give_up])
            stream = asyncio.create_task(_answers(handler, sender))
            await until(lambda: sender.read == 4)
            await until(lambda: handler.admission.calls == 2)
            gate.set()
            await asyncio.gather(*busy)
            return await stream

    answers = asyncio.run(scenario())
    assert [answer.sequence for answer in answers] == [1, 2, 3]
    assert [answer.error.code for answer in answers] == [0, 1, 0]
    assert refusal(_status(answers[1])) == ("CANCELLED", "CANCELLED")


def test_giving_up_what_is_not_under_way_changes_nothing() -> None:
    """A message that gives up an unknown number, or one that was answered, has no effect and no answer."""
    give_up = service_pb2.EvaluateStreamRequest(sequence=9, cancel=True).SerializeToString()
    assert [answer.sequence for answer in _exchange([give_up, _message(1, "x"), give_up])] == [1]


def test_caller_that_leaves_leaves_nothing_behind() -> None:
    """When a caller leaves in the middle of a stream, nothing of it stays in flight."""

    async def scenario() -> tuple[int, int, int]:
        async with handling() as handler:
            sender = _Sender([_message(number, "x") for number in range(50)])
            async with aclosing(stream_answers(handler, aiter(sender))) as stream:
                await anext(stream)
            return handler.admission.calls, handler.admission.streams, len(asyncio.all_tasks()) - 1

    assert asyncio.run(scenario()) == (0, 0, 0)


def test_messages_without_a_function_have_that_of_the_last_one_that_had() -> None:
    """However known their calls are, messages without a function are computed with that of the message before them."""
    texts = ["x + 1", None, "x + 2", None, None, "x + 1", None]
    bodies = [_message(number, text) for number, text in enumerate(texts * 3)]
    for settings in (small_settings(), small_settings(inline_microseconds=1_000_000)):
        answers = _exchange(bodies, settings)
        assert [_value(answer) for answer in answers] == [2.0, 2.0, 3.0, 3.0, 3.0, 2.0, 2.0] * 3


def test_a_message_that_there_was_no_room_to_read_keeps_its_number() -> None:
    """A large message refused for load is told so under its number, and no later one has an earlier function."""
    large = evaluation(formula("x * 3"), matrix([[1.0]] * 10_000), [VALUE])
    # By name, so that it has to be parsed.
    named = service_pb2.Points(inputs=[service_pb2.InputValues(name="x", values=large.points.matrix)])
    named.inputs[0].values.ClearField("shape")
    named.inputs[0].values.shape.append(10_000)
    large.points.CopyFrom(named)
    refused = service_pb2.EvaluateStreamRequest(sequence=77, request=large).SerializeToString()

    async def scenario() -> list[service_pb2.EvaluateStreamResponse]:
        async with handling(small_settings(queue_length=0)) as handler:
            await _answers(handler, _Sender([_message(1, "x + 1")]))
            gate = threading.Event()
            busy = [asyncio.create_task(handler.pool.run(gate.wait)) for _ in range(2)]
            await until(lambda: handler.pool.busy == 2)
            sender = _Sender([refused, _message(78)])
            answers = await _answers(handler, sender)
            gate.set()
            await asyncio.gather(*busy)
            return answers

    first, second = asyncio.run(scenario())
    assert (first.sequence, refusal(_status(first))) == (77, ("UNAVAILABLE", "QUEUE_FULL"))
    assert (second.sequence, refusal(_status(second))) == (78, ("INVALID_ARGUMENT", "FUNCTION_MISSING"))
