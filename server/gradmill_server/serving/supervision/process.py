"""One worker process as the supervisor sees it: started by exec, talked to, listened to, ended."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gradmill_server.serving import logs
from gradmill_server.serving.settings import Scalar
from gradmill_server.serving.snapshots import Snapshot
from gradmill_server.serving.supervision.control import ControlChannel, Kind, Message
from gradmill_server.serving.supervision.journal import Journal, Note, new_journal_file
from gradmill_server.serving.supervision.whole_lines import whole_lines

_MODULE = "gradmill_server.serving.supervision.worker"
_MAXIMUM_LINE_BYTES = 1024 * 1024


class State(StrEnum):
    """How far a process has come: on its way, warm and without a seat, about to listen, answering calls."""

    STARTING = "starting"
    WARM = "warm"
    SEATED = "seated"
    SERVING = "serving"


@dataclass(frozen=True, slots=True)
class Plan:
    """What every worker of a server is told at its start.

    Attributes:
        settings: all of them, by name.
        port: the shared port.
        journal_slots: how many pieces of work can be noted at a time.
    """

    settings: Mapping[str, Scalar]
    port: int
    journal_slots: int


class WorkerProcess:
    """One process, from its start to its end.

    Attributes:
        state: how far it has come, or had come at its end.
        seat: the number that it answers calls under; 0 while it has none.
        silent_seconds: for how long it has given no sign of life, by the supervisor's own count.
        suspected_overdue: whether the last check found work that should have ended long ago. One check does not
            tell: a note that is just being written may have a part of the one before it.
        overdue: such work, found by two checks in a row.
        ended_by: why the supervisor ended it; empty when it did not.
        snapshot: what it counted, as far as it has told.
        answered: the last question that it has answered.
    """

    def __init__(self, on_message: Callable[[WorkerProcess, Kind, Message], None]) -> None:
        """Call this for each message, apart from those that only this class needs."""
        self.state = State.STARTING
        self.seat = 0
        self.silent_seconds = 0.0
        self.suspected_overdue = False
        self.overdue: list[Note] = []
        self.ended_by = ""
        self.snapshot: Snapshot | None = None
        self.answered = 0
        self._journal: Journal | None = None
        self._on_message = on_message
        self._process: asyncio.subprocess.Process | None = None
        self._channel: ControlChannel | None = None
        self._hung_up = asyncio.Event()

    async def start(self, plan: Plan, refused: Mapping[str, object], write_line: Callable[[str], object]) -> None:
        """Start the program, tell it the plan, and pass on the lines it writes.

        Raises:
            OSError: when the system lacks what that takes, such as descriptors. The process may live all the same.
        """
        descriptor = new_journal_file(plan.journal_slots)
        try:
            self._journal = Journal(descriptor, plan.journal_slots)
            ours, theirs = socket.socketpair()
            with theirs:
                await self._spawn(ours, theirs, descriptor)
        finally:
            os.close(descriptor)
        self._lines = asyncio.create_task(self._pass_on_lines(write_line))
        self._channel = await ControlChannel.over(ours, self._hear, self._hung_up.set)
        self._channel.send(
            Kind.BEGIN,
            settings=plan.settings,
            port=plan.port,
            journal=descriptor,
            slots=plan.journal_slots,
            **refused,
        )

    async def _spawn(self, ours: socket.socket, theirs: socket.socket, journal: int) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *_command(),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.PIPE,
                pass_fds=(journal,),
                # Ctrl-C in a terminal is meant for the supervisor, which tells the workers.
                process_group=0,
                limit=_MAXIMUM_LINE_BYTES,
            )
        except BaseException:
            ours.close()
            raise
        if self.ended_by:
            # Its end was asked for while there was nothing to end yet.
            self.kill(self.ended_by)

    @property
    def number(self) -> int:
        """The process's number in the system; 0 before its start."""
        return 0 if self._process is None else self._process.pid

    async def _pass_on_lines(self, write_line: Callable[[str], object]) -> None:
        if self._process is None or self._process.stdout is None:
            return
        async for line in whole_lines(self._process.stdout, self._tell_of_dropped_line):
            write_line(line)

    def _tell_of_dropped_line(self) -> None:
        logs.record(logging.WARNING, "log_lines_dropped", lines=1, process=self.number)

    def _hear(self, kind: Kind, message: Message) -> None:
        self.silent_seconds = 0.0
        if kind is Kind.BEAT:
            self.snapshot = message["snapshot"]
            self.answered = max(self.answered, message["number"])
        self._on_message(self, kind, message)

    def send(self, kind: Kind, **values: object) -> None:
        """Send a message, if there is still somebody to hear it."""
        if self._channel is not None:
            self._channel.send(kind, **values)

    def kill(self, reason: str) -> None:
        """End it at once; it is a moment until `wait` returns."""
        self.ended_by = self.ended_by or reason
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def wait(self) -> int:
        """Wait for its end; return its exit code, or the negative number of the signal that ended it."""
        if self._process is None:
            return 0
        code = await self._process.wait()
        # What it said last may still be on its way.
        await self._lines
        await self._hung_up.wait()
        return code

    def notes(self) -> list[Note]:
        """Return what it works on now; nothing before its start."""
        return [] if self._journal is None else list(self._journal.notes())

    def close(self) -> None:
        """Let go of its memory, once nobody will ask what it worked on."""
        if self._journal is not None:
            self._journal.close()


def _command() -> list[str]:
    """Return the command that starts a worker: the same interpreter, which treats warnings alike."""
    warnings = [f"-W{option}" for option in sys.warnoptions]
    return [sys.executable, *warnings, "-m", _MODULE]
