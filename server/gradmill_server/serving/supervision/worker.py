"""A worker process: one server on the shared port, told what to do by the supervisor.

Started as a program, with the control channel as standard input and a pipe for the log as standard output. It warms up,
waits to be given a seat, and then listens. When the supervisor is gone, it answers what is in flight and ends.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from signal import Signals

from gradmill_server.engine.backends.choice import backend_name, why_not_native
from gradmill_server.serving import logs
from gradmill_server.serving.guard import Work
from gradmill_server.serving.listening import ListenError
from gradmill_server.serving.security.files import UnusableFile
from gradmill_server.serving.server import Server
from gradmill_server.serving.settings import Settings, from_values
from gradmill_server.serving.supervision.control import ControlChannel, Kind, Message
from gradmill_server.serving.supervision.journal import Journal
from gradmill_server.serving.supervision.lifeline import end_with
from gradmill_server.serving.supervision.notices import send_engine_notices
from gradmill_server.serving.supervision.signals import told_to_stop
from gradmill_server.serving.supervision.worker_guard import WorkerGuard

EXIT_OK, EXIT_FAILED = 0, 1

_BEAT_SECONDS = 1.0

_PATIENCE_SECONDS = 10.0
"""For a process without a supervisor to end, beyond the time to drain; it is ended then, whatever holds it up."""

_SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a thread that compiles may keep the event loop from the interpreter; Python's own choice is ten times it."""


class Worker:
    """One worker, on its event loop."""

    def __init__(self) -> None:
        """Wait for what the supervisor says first."""
        self._plan: Message = {}
        self._server: Server | None = None
        self._guard: WorkerGuard | None = None
        self._channel: ControlChannel | None = None
        self._begun = asyncio.Event()
        self._seated = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self, control: socket.socket) -> None:
        """Serve until told to stop, or until the supervisor is gone."""
        lifeline = control.dup()
        channel = self._channel = await ControlChannel.over(control, self._hear, self.stop)
        await _any_of(self._begun, self._stopping)
        if self._stopping.is_set():
            lifeline.close()
            return
        settings = from_values(self._plan["settings"])
        logs.configure(settings.log_level, settings.log_format)
        logs.identify(worker=0, process=os.getpid())
        end_with(lifeline, after_seconds=settings.drain_seconds + _PATIENCE_SECONDS)
        send_engine_notices(channel)
        try:
            await self._work(self._set_up(settings), channel)
        except (ListenError, UnusableFile) as error:
            channel.send(Kind.UNABLE, message=str(error))
        await channel.finish()

    def _set_up(self, settings: Settings) -> Server:
        """Return the server, not listening yet. Raises UnusableFile."""
        journal = self._plan["journal"]
        self._guard = WorkerGuard(Journal(journal, self._plan["slots"]), settings.quarantine_deaths)
        # Memory that is mapped stays so without the descriptor.
        os.close(journal)
        self._refuse(self._plan)
        own = replace(settings, port=self._plan["port"], metrics=False)
        self._server = Server(own, guard=self._guard, shares_port=True)
        return self._server

    async def _work(self, server: Server, channel: ControlChannel) -> None:
        """Warm up, wait for a seat, serve. Raises ListenError."""
        await server.warm_up()
        channel.send(Kind.WARM, backend=backend_name(), why_not_native=why_not_native())
        beating = asyncio.create_task(self._beat_on())
        try:
            await _any_of(self._seated, self._stopping)
            if not self._stopping.is_set():
                await server.listen()
                channel.send(Kind.SERVING)
                await self._stopping.wait()
                await server.stop()
                # What was counted since the last beat must not be lost.
                self._beat()
        finally:
            beating.cancel()

    async def _beat_on(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            self._beat()

    def _beat(self, number: int = 0) -> None:
        """Send what was counted, which is a sign of life as well; the number says which question it answers."""
        if self._server is None or self._guard is None or self._channel is None:
            return
        ends = {digest.hex(): count for digest, count in self._guard.ends_of_suspects().items()}
        self._channel.send(Kind.BEAT, number=number, snapshot=self._server.metrics.snapshot(), ends=ends)

    def _hear(self, kind: Kind, message: Message) -> None:
        match kind:
            case Kind.BEGIN:
                self._plan = message
                self._begun.set()
            case Kind.SERVE:
                logs.identify(worker=message["seat"])
                self._seated.set()
            case Kind.GUARD:
                self._refuse(message)
            case Kind.ASK:
                self._beat(message["number"])
            case _:
                self.stop()

    def _refuse(self, message: Message) -> None:
        if self._guard is None:
            self._plan |= message
            return
        quarantined = {bytes.fromhex(digest): seconds for digest, seconds in message["quarantined"].items()}
        suspects = {bytes.fromhex(digest): Work(work) for digest, work in message["suspects"].items()}
        self._guard.refuse(quarantined, suspects)

    def stop(self) -> None:
        """Take no new calls, and end when those in flight are answered."""
        self._stopping.set()


async def _any_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for future in waiting:
        future.cancel()


async def _work(control: socket.socket) -> None:
    worker = Worker()
    with told_to_stop(worker.stop, _stop_at_once):
        await worker.run(control)


def _stop_at_once(_: Signals) -> None:
    os._exit(EXIT_FAILED)


def main() -> None:
    """Work as the supervisor at the other end of standard input says, then end the process."""
    faulthandler.enable()
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    logging.raiseExceptions = False  # where the log cannot be written, its errors cannot either
    control = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    asyncio.run(_work(control))
    with suppress(OSError):
        sys.stdout.flush()
    # Not sys.exit: threads that still compute would run on while the interpreter is taken apart under them.
    os._exit(EXIT_OK)


if __name__ == "__main__":
    main()
