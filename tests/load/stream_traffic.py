"""Streams with several messages under way at a time, each of which must be answered once, in order, and right."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc.aio
from gradmill.v1 import gradient_service_pb2 as service

from tests.load.answers import evaluation_fingerprint, parsed
from tests.load.calling import Ending, RawClient, ending_of_error, ending_of_status
from tests.load.cases import Case
from tests.load.outcomes import OK, Outcome
from tests.load.recording import Recorder

if TYPE_CHECKING:
    from tests.load.raw_traffic import RawPlan

_SCENARIO = "stream message"
_STREAM_SECONDS = 20.0
_MESSAGES = (4, 24)
ARRIVAL: ContextVar[int] = ContextVar("arrival", default=-1)
"""The number of the request, or of the stream, that a task sends; -1 for those of storms."""


@dataclass(slots=True)
class _Sent:
    """A message of a stream that waits for its answer."""

    number: int
    sequence: int
    case: Case
    began: float


async def send_stream(
    client: RawClient, recorder: Recorder, plan: RawPlan, chance: random.Random, cases: Sequence[Case]
) -> None:
    """Open a stream, send all its messages without waiting, and take in the answers."""
    sender = _Stream(client.stream(_STREAM_SECONDS), recorder, plan)
    await sender.run([chance.choice(cases) for _ in range(chance.randint(*_MESSAGES))], chance.getrandbits(32))


class _Stream:
    def __init__(self, call: Any, recorder: Recorder, plan: RawPlan) -> None:  # noqa: ANN401 - grpcio's call
        self._call = call
        self._recorder = recorder
        self._plan = plan
        self._waiting: deque[_Sent] = deque()

    async def run(self, cases: Sequence[Case], first_sequence: int) -> None:
        """Send and receive at once; whatever has no answer when the stream ends has the stream's ending."""
        messages = [
            _Sent(self._recorder.begin(_SCENARIO), first_sequence + position, case, time.monotonic())
            for position, case in enumerate(cases)
        ]
        self._waiting.extend(messages)
        writing = asyncio.ensure_future(self._write(messages))
        ending = Ending("CANCELLED")
        try:
            async for body in self._call:
                self._take(body)
            ending = Ending(OK)
        except grpc.aio.AioRpcError as error:
            ending = ending_of_error(error)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        while self._waiting:
            problem = "the stream ended well without an answer to this message" if ending.code == OK else ""
            self._record(self._waiting.popleft(), ending, problem)

    async def _write(self, messages: Sequence[_Sent]) -> None:
        for message in messages:
            request = service.EvaluateStreamRequest(sequence=message.sequence)
            request.request.ParseFromString(message.case.body)
            await self._call.write(request.SerializeToString())
        await self._call.done_writing()

    def _take(self, body: bytes) -> None:
        answer = parsed(body, service.EvaluateStreamResponse())
        if not self._waiting:
            self._record_surplus(answer.sequence)
            return
        message = self._waiting.popleft()
        if answer.sequence != message.sequence:
            told = f" ({answer.error.message[:100]})" if answer.WhichOneof("outcome") == "error" else ""
            self._record(message, Ending(OK), f"answer {answer.sequence} where {message.sequence} is next{told}")
        elif answer.WhichOneof("outcome") == "error":
            self._record(message, ending_of_status(answer.error.code, answer.error.message, answer.error.status))
        else:
            right = evaluation_fingerprint(answer.response) == message.case.right_answer
            self._record(message, Ending(OK), "" if right else "other bits than those of the undisturbed server")

    def _record_surplus(self, sequence: int) -> None:
        surplus = _Sent(-1, sequence, self._plan.cases[0], time.monotonic())
        self._record(surplus, Ending(OK), "one answer more than messages")

    def _record(self, message: _Sent, ending: Ending, problem: str = "") -> None:
        self._recorder.record(
            Outcome(
                self._plan.name,
                message.number,
                _SCENARIO,
                self._plan.scope,
                message.began,
                time.monotonic(),
                ending.code,
                ending.reason,
                ending.message[:200],
                ending.told_when,
                allowed_seconds=_STREAM_SECONDS,
                problem=problem,
                arrival=ARRIVAL.get(),
            )
        )
