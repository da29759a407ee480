"""The load: one process that keeps a number of requests under way, or sends them at a rate.

It reads what to do from its standard input, a JSON object a line, and answers in the same way; see `Load`.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.serving.connection import Connection, WrongAnswerError, message
from tests.benchmarks.serving.conversation import answer_requests
from tests.benchmarks.serving.window import Window, quantile

WARM_S = 0.15
"""Seconds that a load runs before it is measured."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send, and how.

    Attributes:
        port: the server's port on this machine.
        path: the method, such as "/echo/Unary".
        body: the request message.
        expected: bytes that each answer must contain.
        seconds: how long to measure.
        in_flight: requests under way at a time, on each stream if there are any.
        streams: streams to send on; 0 makes each request a call of its own.
        rate: requests a second, evenly spaced and whether or not earlier ones were answered; 0 for as many as go.
    """

    port: int
    path: str
    body: bytes
    expected: bytes
    seconds: float
    in_flight: int = 1
    streams: int = 0
    rate: float = 0.0


def run(load: Load) -> Window:
    """Apply a load and return what was measured.

    Raises:
        WrongAnswerError: for an answer that is not what was expected.
    """
    connection = Connection(load.port, load.path)
    try:
        if load.rate:
            return _at_a_rate(load, connection)
        return _on_streams(load, connection) if load.streams else _calls(load, connection)
    finally:
        connection.close()


def _calls(load: Load, connection: Connection) -> Window:
    body = message(load.body)
    connection.call(body, load.in_flight)

    def again() -> int:
        answers = connection.answers
        count = len(answers)
        while answers:
            _check(answers.popleft()[1], load.expected)
        if count:
            connection.call(body, count)
        return count

    return _closed_loop(load, connection, again)


def _on_streams(load: Load, connection: Connection) -> Window:
    body = message(load.body)
    for _ in range(load.streams):
        connection.send(connection.open(), body, load.in_flight)

    def again() -> int:
        answers = connection.answers
        count = len(answers)
        room: dict[int, int] = {}
        while answers:
            stream, answer = answers.popleft()
            _check(answer, load.expected)
            room[stream] = room.get(stream, 0) + 1
        for stream, times in room.items():
            connection.send(stream, body, times)
        return count

    return _closed_loop(load, connection, again)


def _closed_loop(load: Load, connection: Connection, again: Callable[[], int]) -> Window:
    """Send a request for each answer: `again` does, and returns how many there were."""
    warm, begin = 0, time.perf_counter() + WARM_S
    while time.perf_counter() < begin:
        connection.receive()
        warm += again()
    began, began_cpu = time.perf_counter(), time.process_time()
    calls, end = 0, began + load.seconds
    while time.perf_counter() < end:
        connection.receive()
        calls += again()
    elapsed = time.perf_counter() - began
    return Window(calls, elapsed, client_cpu_s=time.process_time() - began_cpu, all_calls=warm + calls)


def _at_a_rate(load: Load, connection: Connection) -> Window:
    """Send calls evenly spaced; the wait of a call begins when it was to be sent, so a late one counts as late."""
    body, interval = message(load.body), 1.0 / load.rate
    planned: dict[int, float] = {}
    waits: list[float] = []
    warm = 0
    began = time.perf_counter() + interval
    due, end = began, began + WARM_S + load.seconds
    while due < end or planned:
        now = time.perf_counter()
        while due <= now and due < end:
            planned[connection.call(body)[0]] = due
            due += interval
        patience = max(0.0, due - time.perf_counter()) if due < end else None
        if select.select((connection,), (), (), patience)[0]:
            connection.receive()
        now = time.perf_counter()
        while connection.answers:
            stream, answer = connection.answers.popleft()
            _check(answer, load.expected)
            start = planned.pop(stream)
            if start >= began + WARM_S:
                waits.append(now - start)
            else:
                warm += 1
    p50_s, p99_s = quantile(waits, 0.5), quantile(waits, 0.99)
    return Window(len(waits), load.seconds, p50_s=p50_s, p99_s=p99_s, all_calls=warm + len(waits))


def _check(answer: bytes, expected: bytes) -> None:
    if expected not in answer:
        text = f"an answer of {len(answer)} bytes is not the one expected: {answer[:200]!r}"
        raise WrongAnswerError(text)


def _measure(request: dict[str, object]) -> dict[str, object]:
    """Run the load that a request describes, its bytes in hexadecimal."""
    values = {
        name: bytes.fromhex(str(value)) if name in ("body", "expected") else value for name, value in request.items()
    }
    return run(Load(**values)).as_record()  # type: ignore[arg-type]  # read from JSON; Load names them


if __name__ == "__main__":
    answer_requests(_measure)
