"""The programs of this folder, each started in a process of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import REPOSITORY
from tests.benchmarks.serving.processes import Background, Companion
from tests.benchmarks.serving.window import Window
from tests.end_to_end.server_process import running_server

_MODULES = "tests.benchmarks.serving"
_ANSWER_LIMIT_S = 60.0
_PEER_ENVIRONMENT = {"PYTHONPATH": str(REPOSITORY)}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs: its port on this machine, and its process."""

    port: int
    process_id: int

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"


class Programs:
    """Starts programs, and ends all of them together."""

    def __init__(self, stack: ExitStack) -> None:
        """End them with the stack."""
        self._stack = stack

    def program(self, module: str, *arguments: str) -> Companion:
        """Start a module of this folder."""
        started = Companion([sys.executable, "-m", f"{_MODULES}.{module}", *arguments])
        self._stack.callback(started.stop)
        return started

    def echo(self, *arguments: str) -> Server:
        """Start an echo server."""
        started = self.program("echo_server", *arguments)
        return Server(int(started.hello["port"]), started.process_id)

    def ours(self, *flags: str) -> Server:
        """Start our server."""
        started = self._stack.enter_context(running_server(*flags))
        return Server(started.port, started.pid)

    def background(self, command: Sequence[str | Path], environment: Mapping[str, str], port: int) -> int:
        """Start a server that says nothing, wait until it listens, and return its process."""
        started = Background(command, environment)
        self._stack.callback(started.stop)
        started.wait_for_port(port)
        return started.process_id

    def folder(self) -> str:
        """Return a folder that is removed in the end."""
        return self._stack.enter_context(tempfile.TemporaryDirectory())

    def peer(self, interpreter: Path, module: str, *arguments: str, port: int) -> int:
        """Start a peer's server with the interpreter that has it; return its process."""
        return self.background([interpreter, "-m", f"{_MODULES}.peers.{module}", *arguments], _PEER_ENVIRONMENT, port)

    def peer_caller(self, interpreter: Path, module: str, *arguments: str) -> Companion:
        """Start callers of a peer with the interpreter that has its client."""
        started = Companion([interpreter, "-m", f"{_MODULES}.peers.{module}", *arguments], _PEER_ENVIRONMENT)
        self._stack.callback(started.stop)
        return started


@contextmanager
def programs() -> Iterator[Programs]:
    """Give something to start programs with; they end with the block."""
    with ExitStack() as stack:
        yield Programs(stack)


def ask(program: Companion, **request: Any) -> Window:  # noqa: ANN401 - whatever JSON can hold
    """Return the window that a generator or callers measured."""
    seconds = float(request["seconds"])
    return Window(**program.ask(_ANSWER_LIMIT_S + 2 * seconds, **request))
