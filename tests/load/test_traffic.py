"""The traffic of the load tool must notice a server that lies."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import grpc
import pytest

from tests.load.judging import DIRECT, violations
from tests.load.lying_server import Lies, honest_case, lying_server
from tests.load.outcomes import Outcome
from tests.load.raw_traffic import RawPlan, RawTraffic
from tests.load.recording import Recorder, Tally
from tests.load.stream_traffic import send_stream


def sent(lies: Lies, *, stream: bool) -> Tally:
    """Send a call, or a stream of messages, to a server that lies, and return how that ended."""

    async def send() -> Tally:
        recorder = Recorder()
        async with lying_server(lies) as address:
            traffic = RawTraffic(RawPlan("test", 1, address, DIRECT, 1.0, (honest_case(),), ()), recorder)
            if stream:
                await send_stream(traffic.client, recorder, traffic.plan, random.Random(1), traffic.evaluations)
            else:
                await traffic.send_case(random.Random(1), honest_case())
            await traffic.close()
        assert not recorder.ledger.open
        return recorder.taken()

    return asyncio.run(send())


def problems(tally: Tally) -> list[str]:
    """Return what the judge finds."""
    return [violation.problem for violation in violations(tally.notable, ())]


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
def test_an_honest_server_is_found_right(stream: bool) -> None:
    """Right answers are counted as checked, and nothing is found wrong."""
    tally = sent(Lies(), stream=stream)
    assert tally.checked == len(tally.plain) >= 1
    assert problems(tally) == []


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
def test_one_wrong_bit_is_noticed(stream: bool) -> None:
    """An answer that differs in the last bit of one derivative is a violation."""
    found = problems(sent(Lies(flip_bit=True), stream=stream))
    assert found
    assert all("other bits" in problem for problem in found)


def test_a_doubled_answer_is_noticed() -> None:
    """A stream that answers a message twice is found out, at the message whose place the copy takes."""
    assert any("is next" in problem for problem in problems(sent(Lies(stream="double"), stream=True)))


def test_a_lost_answer_is_noticed() -> None:
    """A stream that ends well and has left a message out is found out."""
    found = problems(sent(Lies(stream="drop"), stream=True))
    assert any("without an answer" in problem for problem in found)


def test_answers_out_of_order_are_noticed() -> None:
    """A stream whose answers changed places is found out."""
    assert any("is next" in problem for problem in problems(sent(Lies(stream="swap"), stream=True)))


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE])
def test_a_failure_without_cause_is_noticed(code: grpc.StatusCode) -> None:
    """A server that fails although nothing disturbs it is found out."""
    (problem,) = problems(sent(Lies(fail_with=code), stream=False))
    assert code.name in problem


def test_a_request_is_struck_off_once() -> None:
    """The recorder marks a second ending of one request as a violation."""
    recorder = Recorder()
    number = recorder.begin("seed function")
    outcome = Outcome("test", number, "seed function", DIRECT, 1.0, 2.0, "OK")
    recorder.record(outcome)
    recorder.record(replace(outcome, ended=3.0))
    assert problems(recorder.taken()) == ["answered twice"]
