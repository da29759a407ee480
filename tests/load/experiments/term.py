"""SIGTERM under load: every call that is being answered is answered, and the server ends with 0."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from google.rpc import code_pb2

from tests.load.experiments.heavy import heavy_question
from tests.load.experiments.measuring import EVALUATE, Figure, Laboratory, Question
from tests.load.http2_calls import Answer, Http2Connection
from tests.load.server_under_test import ServerUnderTest

_COMPUTE_MILLISECONDS = 20.0
_CALLERS = 24
_CONNECTIONS = 6
_ROUNDS = 5
_ON_THE_WAY_SECONDS = 0.05
"""A call begun so shortly before the signal may not have arrived, and is new to the server."""


async def run(laboratory: Laboratory) -> list[Figure]:
    """Stop a server under load several times, and see how each call ended that was under way."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    exits: list[int] = []
    seconds: list[float] = []
    for number in range(max(1, round(_ROUNDS * laboratory.scale))):
        async with laboratory.server() as server:
            question = await heavy_question(server, _COMPUTE_MILLISECONDS)
            took = await _stopped_under_load(server, question, before, after)
            exits += server.exit_codes
            seconds.append(took)
        laboratory.tell(f"round {number + 1}: {dict(before)} before the signal, {dict(after)} after it")
    lost = sum(before.values()) - before["OK"]
    return [
        Figure("calls under way at the signal", str(dict(before)), "all OK", lost == 0 and before["OK"] > 0),
        Figure("calls begun after it", str(dict(after)), "UNAVAILABLE or OK", not set(after) - {"UNAVAILABLE", "OK"}),
        Figure("exit codes", str(exits), "all 0", set(exits) == {0}),
        Figure("from signal to end", f"longest {max(seconds):.2f} s"),
    ]


async def _stopped_under_load(
    server: ServerUnderTest, question: Question, before: Counter[str], after: Counter[str]
) -> float:
    """Stop a server while callers ask without pause; return how long it took to end."""
    connections = [await Http2Connection.connect(server.address) for _ in range(_CONNECTIONS)]
    signalled = float("inf")
    stopping = False

    def ask(connection: Http2Connection) -> None:
        began = time.monotonic()

        def ended(answer: Answer) -> None:
            code = str(code_pb2.Code.Name(answer.code))
            if code == "OK" and not question.is_answered(answer):
                code = "wrong"
            if time.monotonic() >= signalled:
                counter = before if began < signalled - _ON_THE_WAY_SECONDS else after
                counter[code] += 1
            if not stopping and connection.is_open:
                asyncio.get_running_loop().call_later(0.001, ask, connection)

        connection.call(EVALUATE, question.body, 30_000, ended)

    for number in range(_CALLERS):
        ask(connections[number % _CONNECTIONS])
    await asyncio.sleep(1.0)
    signalled = time.monotonic()
    await server.stop()
    stopping = True
    took = time.monotonic() - signalled
    for connection in connections:
        connection.close()
    return took
