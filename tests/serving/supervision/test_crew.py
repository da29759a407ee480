"""Seats that stay taken, whatever becomes of the processes in them."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from typing import Any, NoReturn

import pytest
from gradmill_server.serving.supervision import crew as crew_module
from gradmill_server.serving.supervision import process as process_module
from gradmill_server.serving.supervision.crew import Crew, WorkersFailed
from gradmill_server.serving.supervision.process import Plan, WorkerProcess
from gradmill_server.serving.supervision.watchdog import hung


class _Program:
    """A program that was started: it lives until it is killed, or told to end."""

    def __init__(self, control: int, limit: int) -> None:
        self.pid = 4711
        self.returncode: int | None = None
        self.stdout = asyncio.StreamReader(limit=limit)
        self._control = socket.socket(fileno=os.dup(control))
        self._ended = asyncio.Event()

    def kill(self) -> None:
        self.end(-signal.SIGKILL)

    def end(self, code: int) -> None:
        self.returncode = code
        self.stdout.feed_eof()
        self._control.close()
        self._ended.set()

    async def wait(self) -> int | None:
        await self._ended.wait()
        return self.returncode


class _System:
    """Starts programs that are none, once it is let to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_start = asyncio.Event()
        self.started: asyncio.Queue[_Program] = asyncio.Queue()
        monkeypatch.setattr(asyncio, "create_subprocess_exec", self._start)
        monkeypatch.setattr(crew_module, "_BACKOFF_SECONDS", (0.001, 0.001))

    async def _start(self, *_: str, stdin: int, limit: int, **_others: object) -> _Program:
        await self.may_start.wait()
        program = _Program(stdin, limit)
        self.started.put_nowait(program)
        return program


class _Watched:
    """A crew of one seat, and what it tells."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.deaths: list[tuple[int, str]] = []
        self.crew = Crew(
            Plan({}, 1, 4),
            seats=1,
            spares=0,
            write_line=self.lines.append,
            refused=dict,
            on_message=lambda *_: None,
            on_death=lambda process, code: self.deaths.append((code, process.ended_by)),
        )


def test_a_long_line_costs_no_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that writes a line of more than a mebibyte is listened to all the same, and replaced when it ends."""

    async def scenario() -> None:
        system, watched = _System(monkeypatch), _Watched()
        system.may_start.set()
        watched.crew.fill()
        program = await system.started.get()
        program.stdout.feed_data(b"x" * 1_100_000 + b"\nshort\n")
        program.end(7)
        next_program = await system.started.get()
        assert (watched.deaths, watched.lines) == ([(7, "")], ["short\n"])
        watched.crew.kill_all("stopping")
        await watched.crew.over
        assert next_program.returncode == -signal.SIGKILL

    asyncio.run(scenario())


def test_a_process_that_cannot_be_listened_to_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong with what a process writes, it is ended and another takes its place."""

    async def scenario() -> None:
        system, watched = _System(monkeypatch), _Watched()
        system.may_start.set()
        watched.crew.fill()
        program = await system.started.get()
        program.stdout.set_exception(OSError(errno.EIO, "Input/output error"))
        program.end(0)
        await system.started.get()
        assert watched.deaths == [(0, "lost")]
        watched.crew.kill_all("stopping")
        await watched.crew.over

    asyncio.run(scenario())


@pytest.mark.parametrize("ending", [Crew.drain, lambda crew: crew.kill_all("stopping")])
def test_a_process_that_is_being_started_can_be_ended(monkeypatch: pytest.MonkeyPatch, ending: Any) -> None:  # noqa: ANN401
    """A server told to stop while a process is on its way does not wait for it to be ready."""

    async def scenario() -> None:
        system, watched = _System(monkeypatch), _Watched()
        watched.crew.fill()
        await asyncio.sleep(0)
        ending(watched.crew)
        system.may_start.set()
        await asyncio.wait_for(watched.crew.over, 10.0)
        assert watched.deaths == [(-signal.SIGKILL, "stopping")]

    asyncio.run(scenario())


@pytest.mark.parametrize("lacking", ["new_journal_file", "socketpair"])
def test_where_descriptors_are_short_a_process_is_started_later(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    """A process that cannot be started for want of descriptors keeps none, and is tried again until it succeeds."""

    def refuse(*_: int) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    async def scenario() -> None:
        system, watched = _System(monkeypatch), _Watched()
        system.may_start.set()
        with monkeypatch.context() as shortage:
            shortage.setattr(process_module if lacking == "new_journal_file" else socket, lacking, refuse)
            watched.crew.fill()
            before = _descriptors()
            while len(watched.deaths) < 3:  # noqa: ASYNC110 - a crew has no event for this
                await asyncio.sleep(0.001)
            assert _descriptors() == before
        await system.started.get()
        watched.crew.kill_all("stopping")
        await watched.crew.over

    asyncio.run(scenario())


def _descriptors() -> int:
    """Return the number that the next descriptor gets, which is higher when some were left open."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_a_server_without_descriptors_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that can start no process at all says so after five attempts."""

    def refuse(*_: int) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    async def scenario() -> None:
        _System(monkeypatch)
        monkeypatch.setattr(process_module, "new_journal_file", refuse)
        watched = _Watched()
        watched.crew.fill()
        with pytest.raises(WorkersFailed, match="5 times in a row"):
            await watched.crew.over
        assert watched.crew.processes == []

    asyncio.run(scenario())


def test_a_check_that_fails_keeps_no_process_unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is found in a process that has not begun, and beside one that cannot be checked."""
    broken, silent = (WorkerProcess(lambda *_: None) for _ in range(2))
    monkeypatch.setattr(broken, "notes", lambda: [None])
    failures: list[Exception] = []
    assert hung([broken, silent], 10.0, 200.0, failures.append) == []
    assert hung([broken, silent], 10.0, 200.0, failures.append) == [silent]
    assert len(failures) == 2
