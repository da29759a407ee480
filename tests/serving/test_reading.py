"""Reading requests: what memory is safe with."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2
from gradmill_server.serving.reading import Reader

from tests.serving.support import (
    digest,
    evaluation,
    failure_of,
    handling,
    matrix,
    refusal,
    results,
    stream_answers,
    until,
)

_BULKY = service_pb2.EvaluateRequest(
    function=service_pb2.Function(graph=graph_pb2.Graph(nodes=[graph_pb2.Node(arguments=[0] * 9)] * 100_000)),
    wants=[service_pb2.Want(derivative=service_pb2.DERIVATIVE_VALUE)],
).SerializeToString()
_NUMBERS = evaluation(digest(bytes(32)), matrix(np.zeros((100_000, 3)))).SerializeToString()


def test_bulky_requests_are_read_one_at_a_time() -> None:
    """While a request of much structure is answered another one waits, and one of as many numbers does not."""

    async def scenario() -> list[str]:
        order: list[str] = []
        async with handling() as handler:
            reader = Reader(handler.pool)

            async def call(name: str, body: bytes) -> None:
                async with reader.room(service_pb2.EvaluateRequest, body, name):
                    order.append(f"{name} begins")
                    await asyncio.sleep(0.05)
                    order.append(f"{name} ends")

            first = asyncio.create_task(call("first", _BULKY))
            await until(lambda: bool(order))
            await asyncio.gather(first, call("second", _BULKY), call("numbers", _NUMBERS))
        return order

    order = asyncio.run(scenario())
    assert order.index("first ends") < order.index("second begins")
    assert order.index("numbers begins") < order.index("second begins")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_bulky_request_gives_its_room_back(streamed: bool) -> None:
    """Bulky requests that are refused or given up, as calls and on a stream, keep no later one from its answer."""
    message = service_pb2.EvaluateStreamRequest(sequence=7)
    message.request.ParseFromString(_BULKY)

    async def scenario() -> tuple[list[str], list[float]]:
        async with handling() as handler:
            codes = []
            for _ in range(3):
                if streamed:

                    async def sent() -> object:
                        yield message.SerializeToString()

                    answers = [each async for each in stream_answers(handler, sent())]  # type: ignore[arg-type]
                    codes.append(str(service_pb2.EvaluateStreamResponse.FromString(answers[0]).error.code))
                else:
                    failure = await failure_of(handler.evaluate(_BULKY, handler.context(60.0)))
                    codes.append(refusal(failure)[0])
                given_up = asyncio.create_task(handler.evaluate(_BULKY, handler.context(60.0)))
                await asyncio.sleep(0.01)
                given_up.cancel()
                await asyncio.gather(given_up, return_exceptions=True)
            answer = await handler.evaluate(evaluation().SerializeToString(), handler.context(60.0))
            return codes, results(answer)[0].tolist()

    codes, value = asyncio.run(scenario())
    assert codes == (["3"] * 3 if streamed else ["INVALID_ARGUMENT"] * 3)
    assert value == [48.0]
