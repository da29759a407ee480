"""The loads: what they send arrives, what they count are right answers, and a server that fails is not counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.benchmarks.serving import echo_server
from tests.benchmarks.serving.callers import with_tasks, with_threads
from tests.benchmarks.serving.connection import Connection, WrongAnswerError, message
from tests.benchmarks.serving.generator import Load, run
from tests.benchmarks.serving.processes import ProcessFailedError
from tests.benchmarks.serving.programs import Programs, Server, programs
from tests.benchmarks.serving.window import quantile


@pytest.fixture(scope="module")
def started() -> Iterator[Programs]:
    """Give something to start programs with."""
    with programs() as made:
        yield made


@pytest.fixture(scope="module")
def echo(started: Programs) -> Server:
    """Give an echo server."""
    return started.echo()


def test_calls_and_messages_come_back_whole(echo: Server) -> None:
    """Each call has its own answer, and those of a stream come in order, also when they fill more than one window."""
    bodies = [bytes([number]) * size for number, size in enumerate((0, 1, 100, *[16_000] * 10))]
    with closing(Connection(echo.port, echo_server.UNARY)) as calls:
        sent = {calls.call(message(body))[0]: body for body in bodies}
        while len(calls.answers) < len(bodies):
            calls.receive()
        assert dict(calls.answers) == sent
    with closing(Connection(echo.port, echo_server.STREAM)) as stream:
        number = stream.open()
        for body in bodies:
            stream.send(number, message(body))
        while len(stream.answers) < len(bodies):
            stream.receive()
        assert list(stream.answers) == [(number, body) for body in bodies]


@pytest.mark.parametrize(
    "load",
    [
        {"path": echo_server.UNARY, "in_flight": 4},
        {"path": echo_server.STREAM, "in_flight": 4, "streams": 2},
        {"path": echo_server.UNARY, "rate": 200.0},
    ],
)
def test_a_load_counts_answers(echo: Server, load: dict[str, object]) -> None:
    """Calls, streams and calls at a rate are all answered, and the count is that of the time measured."""
    window = run(Load(port=echo.port, body=b"abc", expected=b"abc", seconds=0.1, **load))  # type: ignore[arg-type]
    assert 0 < window.calls < window.all_calls
    assert window.rate == pytest.approx(window.calls / window.seconds)
    if "rate" in load:
        assert window.calls == pytest.approx(20, abs=2)
        assert 0.0 < window.p50_s <= window.p99_s


def test_a_wrong_answer_ends_a_load(echo: Server) -> None:
    """An answer without the bytes that were expected is not counted, and neither is a refusal."""
    with pytest.raises(WrongAnswerError, match=r"^an answer of 3 bytes is not the one expected"):
        run(Load(port=echo.port, path=echo_server.UNARY, body=b"abc", expected=b"x", seconds=0.1))
    with pytest.raises(WrongAnswerError):
        run(Load(port=echo.port, path="/echo/Nothing", body=b"abc", expected=b"a", seconds=0.1))


def test_a_program_tells_what_went_wrong(started: Programs) -> None:
    """A load that cannot be applied is an error with the reason, and the program can be asked again."""
    generator = started.program("generator")
    for _ in range(2):
        with pytest.raises(ProcessFailedError, match=r"^ConnectionRefusedError: "):
            generator.ask(30.0, port=1, path="/", body="", expected="", seconds=0.1)


def test_callers_are_counted_in_threads_and_in_tasks() -> None:
    """Callers call again as soon as they have their answer, so more of them get more answers."""
    threads = with_threads([lambda: time.sleep(0.01)] * 5, 0.2)
    tasks = asyncio.run(with_tasks([lambda: asyncio.sleep(0.01)] * 5, 0.2))
    for window in (threads, tasks):
        assert 0 < window.calls <= window.all_calls
        assert window.calls <= 5 * (1 + window.seconds / 0.01)


def test_what_a_caller_raises_is_raised() -> None:
    """A peer that fails has no figure."""

    def fail() -> None:
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match=r"^no$"):
        with_threads([fail], 0.01)


def test_a_quantile_is_one_of_the_values() -> None:
    """The p99 of a hundred waits is the longest one."""
    assert quantile([float(number) for number in range(100)], 0.99) == 99.0
    assert quantile([], 0.5) == 0.0
