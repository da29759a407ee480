"""The light caller speaks gRPC as every client does: answers, refusals, deadlines, and servers that go away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from tests.load.experiments.measuring import EVALUATE, Load, Question, caller
from tests.load.http2_calls import Answer, Http2Connection, header_block, literal_fields
from tests.load.lying_server import Lies, honest_case, lying_server
from tests.load.server_under_test import ServerUnderTest

_UNAVAILABLE, _INVALID_ARGUMENT = 14, 3
_NOWHERE = Path("nowhere")


def against(lies: Lies, scenario: Callable[[Http2Connection], Awaitable[None]]) -> None:
    """Run a scenario over a connection to a server."""

    async def run() -> None:
        async with lying_server(lies) as address:
            connection = await Http2Connection.connect(address)
            await asyncio.wait_for(scenario(connection), 10.0)
            connection.close()

    asyncio.run(run())


async def answer_of(connection: Http2Connection, body: bytes) -> Answer:
    """Call and wait."""
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    connection.call(EVALUATE, body, 5_000, answered.set_result)
    return await answered


def test_answers_come_whole() -> None:
    """An answer has the bytes that the server wrote, also when many calls are under way at once."""

    async def scenario(connection: Http2Connection) -> None:
        case = honest_case()
        answers = await asyncio.gather(*(answer_of(connection, case.body) for _ in range(50)))
        assert {answer.code for answer in answers} == {0}
        assert all(case.disagrees(answer.body) is None for answer in answers)
        assert connection.under_way == 0

    against(Lies(), scenario)


def test_a_refusal_has_its_code() -> None:
    """The status of a refused call is read from the trailers."""

    async def scenario(connection: Http2Connection) -> None:
        assert (await answer_of(connection, b"x")).code == _INVALID_ARGUMENT

    against(Lies(fail_with=grpc.StatusCode.INVALID_ARGUMENT), scenario)


def test_a_closed_connection_ends_all_calls() -> None:
    """Calls on a connection that is gone end with UNAVAILABLE, those under way and those to come."""

    async def scenario(connection: Http2Connection) -> None:
        under_way = asyncio.ensure_future(answer_of(connection, b"x"))
        await asyncio.sleep(0)
        connection.close()
        assert (await under_way).code == _UNAVAILABLE
        assert (await answer_of(connection, b"x")).code == _UNAVAILABLE

    against(Lies(), scenario)


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 300, 20_000])
def test_header_fields_of_any_length_are_read_back(length: int) -> None:
    """What is written as header fields is read as the same, on both sides of the lengths that need more bytes."""
    fields = [(b"name", b"v" * length), (b"n" * max(1, length), b"")]
    assert list(literal_fields(header_block(iter(fields)))) == fields


@pytest.mark.parametrize("lies", [Lies(), Lies(flip_bit=True)], ids=["honest", "lying"])
def test_load_counts_right_answers_and_notices_wrong_ones(lies: Lies) -> None:
    """Load of an honest server is good, and a wrong bit is counted as wrong, never as good."""

    async def run() -> tuple[Load, Load]:
        case = honest_case()
        async with lying_server(lies) as address:
            server = ServerUnderTest(folder=_NOWHERE)
            server.address = address
            async with caller(server, Question(case.body, case.right_answer), 5_000, connections=2) as asking:
                return await asking.at_rate(100.0, 0.3, seed=1), await asking.in_turn(2, 0.1)

    for load in asyncio.run(run()):
        assert load.begun == sum(load.codes.values()) > 0
        good, wrong = (0, load.begun) if lies.flip_bit else (load.begun, 0)
        assert (len(load.latencies), load.wrong) == (good, wrong)
