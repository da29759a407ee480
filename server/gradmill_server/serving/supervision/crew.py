"""Keeps every seat taken by a worker process, and some more of them warm, to take the seat of one that dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from gradmill_server.serving import logs
from gradmill_server.serving.supervision.control import Kind, Message
from gradmill_server.serving.supervision.process import Plan, State, WorkerProcess

_MAXIMUM_FAILED_STARTS = 5
LOST = "lost"
"""Why the crew ends a process itself: it cannot be talked or listened to."""

_BACKOFF_SECONDS = (0.1, 5.0)
"""The wait after the first failed start, which doubles with each one after it, and the longest wait."""


class WorkersFailed(Exception):
    """Worker processes end before they can answer, again and again; the message says so on one line."""


class Crew:
    """The worker processes of one server.

    Attributes:
        processes: all that live, whatever their state.
        stopping: whether those that end are to be replaced no more.
        backend: the name of what computes, as the processes say.
        full: set once all seats are taken for the first time.
        over: done when the last process has ended after `drain`. Raises WorkersFailed when none could be made to work.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        seats: int,
        spares: int,
        write_line: Callable[[str], object],
        refused: Callable[[], Mapping[str, object]],
        on_message: Callable[[Kind, Message], None],
        on_death: Callable[[WorkerProcess, int], None],
    ) -> None:
        """Start nobody yet.

        Args:
            plan: what each process is told.
            seats: how many are to answer calls.
            spares: how many more are to stand ready, once all seats are taken for the first time.
            write_line: takes each line that a process writes.
            refused: returns what a process is to refuse, as its first message says.
            on_message: called for each message of any process.
            on_death: called with a process that ended, and its exit code or the negative number of a signal.
        """
        self.processes: list[WorkerProcess] = []
        self.stopping = False
        self.backend = ""
        self.full = asyncio.Event()
        self._plan = plan
        self._vacant_since: dict[int, float] = {}
        self._seats = range(1, seats + 1)
        self._wanted_spares = spares
        self._write_line = write_line
        self._refused = refused
        self._on_message = on_message
        self._on_death = on_death
        self._lives: set[asyncio.Task[None]] = set()
        self._failed_starts = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def serving(self) -> int:
        """The number of processes that answer calls."""
        return sum(process.state is State.SERVING for process in self.processes)

    @property
    def spares(self) -> int:
        """The number of processes that are warm and have no seat."""
        return sum(process.state is State.WARM for process in self.processes)

    def seated(self) -> dict[str, int]:
        """Return the number in the system of the process in each seat."""
        return {str(process.seat): process.number for process in self.processes if process.seat}

    def fill(self) -> None:
        """Give free seats to those that are warm, and start as many processes as are missing."""
        if self.stopping:
            return
        taken = {process.seat for process in self.processes}
        warm = [process for process in self.processes if process.state is State.WARM]
        for seat, process in zip((seat for seat in self._seats if seat not in taken), warm, strict=False):
            process.seat, process.state = seat, State.SEATED
            process.send(Kind.SERVE, seat=seat)
        wanted = len(self._seats) + (self._wanted_spares if self.full.is_set() else 0)
        for _ in range(wanted - len(self.processes)):
            self._launch()

    def _launch(self) -> None:
        process = WorkerProcess(self._hear)
        self.processes.append(process)
        life = asyncio.create_task(self._live(process))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)

    async def _live(self, process: WorkerProcess) -> None:
        """See a process through from its start to its end, which is heard of whatever fails, lest its seat be lost."""
        code = 0
        try:
            await process.start(self._plan, self._refused(), self._write_line)
            code = await process.wait()
        except Exception as error:  # noqa: BLE001  none may keep the process from being replaced
            logs.record(logging.ERROR, "worker_lost", reason=str(error) or type(error).__name__)
            process.kill(LOST)
        self._end(process, code)

    def _hear(self, process: WorkerProcess, kind: Kind, message: Message) -> None:
        match kind:
            case Kind.WARM:
                process.state = State.WARM
                self.backend = str(message["backend"])
                self._failed_starts = 0
                self.fill()
            case Kind.SERVING:
                process.state = State.SERVING
                self._welcome(process)
            case Kind.UNABLE if not self.full.is_set():
                self._give_up(str(message["message"]))
            case _:
                pass
        self._on_message(kind, message)

    def _welcome(self, process: WorkerProcess) -> None:
        vacant_since = self._vacant_since.pop(process.seat, None)
        if vacant_since is not None:
            vacant_seconds = round(time.monotonic() - vacant_since, 3)
            logs.record(
                logging.INFO,
                "worker_replaced",
                worker=process.seat,
                process=process.number,
                vacant_seconds=vacant_seconds,
            )
        if not self.full.is_set() and self.serving == len(self._seats):
            self.full.set()
            self.fill()

    def _end(self, process: WorkerProcess, code: int) -> None:
        """Replace a process that has ended, at once unless several before it ended before they were ready."""
        self.processes.remove(process)
        if process.seat:
            self._vacant_since.setdefault(process.seat, time.monotonic())
        self._on_death(process, code)
        process.close()
        if self.stopping:
            if not self.processes:
                self._finish()
            return
        if process.state in {State.STARTING, State.SEATED}:
            self._failed_starts += 1
        if self._failed_starts >= _MAXIMUM_FAILED_STARTS and not self.serving:
            self._give_up(f"worker processes ended {self._failed_starts} times in a row before they were ready")
        elif self._failed_starts:
            first, longest = _BACKOFF_SECONDS
            wait = min(first * 2 ** (self._failed_starts - 1), longest)
            asyncio.get_running_loop().call_later(wait, self.fill)
        else:
            self.fill()

    def _give_up(self, message: str) -> None:
        self.stopping = True
        if not self.over.done():
            self.over.set_exception(WorkersFailed(message))

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def drain(self) -> None:
        """Let every process answer what is in flight and end; `over` is done when the last one has."""
        self.stopping = True
        for process in self.processes:
            if process.state is State.STARTING:
                process.kill("stopping")
            else:
                process.send(Kind.DRAIN)
        if not self.processes:
            self._finish()

    def kill_all(self, reason: str) -> None:
        """End every process at once."""
        self.stopping = True
        for process in self.processes:
            process.kill(reason)

    async def wait(self) -> None:
        """Wait until every process has ended."""
        await asyncio.gather(*self._lives)
