"""One process for each peer, so that none disturbs another and one that finds no answer can be ended.

A worker answers one request at a time and otherwise sleeps; all inherit the one core that the parent is pinned to.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from typing import Any, Self

import numpy as np

from tests.benchmarks.models import MODELS, WARM_UP, FloatArray, Model
from tests.benchmarks.peers.peer import Prepared
from tests.benchmarks.peers.table import PEERS

_SPAWN = multiprocessing.get_context("spawn")
_START_LIMIT_S = 120.0
NO_ANSWER = "no answer"
"""How the reason of a NoAnswerError begins."""


class NoAnswerError(Exception):
    """The worker gave no answer in time and was ended, or it died."""

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Say how long the answer was waited for."""
        return cls(f"{NO_ANSWER} in {seconds:.0f} s")

    @classmethod
    def of_the_dead(cls) -> Self:
        """Say that the process is gone, as after a crash or for want of memory."""
        return cls(f"{NO_ANSWER}: its process died")


class PeerFailedError(Exception):
    """The peer raised; the message is its own.

    Attributes:
        kind: the name of the exception's class.
    """

    def __init__(self, kind: str, message: str) -> None:
        """Say both."""
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Desk:
    """What a worker does: it keeps a model prepared for one batch, with and without its gradient."""

    def __init__(self, peer: str) -> None:
        """Load the peer and use it once, so that no later measurement pays for the first use."""
        self._peer = PEERS[peer].load()
        self._model: Model = WARM_UP
        self._model_key = ""
        self._points = WARM_UP.points(1)
        self._prepared: dict[bool, Prepared] = {}
        self._peer.prepare(WARM_UP, WARM_UP.points(1), gradient=True).call()

    def prepare(self, model: str, batch: int, *, gradient: bool) -> float:
        """Prepare, evaluate once, and return the seconds from the model to its first answer."""
        if self._model_key != model or len(self._points) != batch:
            self._prepared.clear()
            self._model, self._model_key = MODELS[model](), model
            self._points = self._model.points(batch)
        self._prepared.pop(gradient, None)
        start = time.perf_counter()
        prepared = self._peer.prepare(self._model, self._points, gradient=gradient)
        prepared.call()
        elapsed = time.perf_counter() - start
        self._prepared[gradient] = prepared
        return elapsed

    def sample(self, rows: int, *, gradient: bool) -> tuple[FloatArray, FloatArray | None]:
        """Return values and gradients at some of the points, evenly chosen."""
        values, gradients = self._prepared[gradient].results()
        chosen = np.unique(np.linspace(0, len(values) - 1, rows).astype(int))
        return values[chosen], None if gradients is None else gradients[chosen]

    def seconds(self, calls: int, *, gradient: bool, warm: bool) -> float:
        """Return the seconds that one of ``calls`` calls takes; ``warm`` calls once before the clock starts."""
        call = self._prepared[gradient].call
        if warm:
            call()
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - start) / calls


def _serve(connection: Connection, peer: str) -> None:
    """Answer requests, (method, positions, keywords), until the parent hangs up. An empty method only starts."""
    os.setsid()  # so that ending the worker also ends a compiler that it started
    desk: Desk | None = None
    while True:
        try:
            method, positions, keywords = connection.recv()
        except EOFError:
            return
        try:
            if desk is None:
                desk = Desk(peer)
            answer = getattr(desk, method)(*positions, **keywords) if method else None
        except Exception as problem:  # noqa: BLE001 - whatever a peer raises is told to the parent
            connection.send((type(problem).__name__, str(problem)))
        else:
            connection.send(("", answer))


class Worker:
    """A process with a peer in it, started at the first request and again after it had to be ended."""

    def __init__(self, peer: str) -> None:
        """Name the peer."""
        self.peer = peer
        self._process: Any = None
        self._connection: Any = None

    def start(self) -> None:
        """Start the process. Raises PeerFailedError, with "ImportError" in it, when the library is not installed."""
        if self._process is not None:
            return
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, self.peer), daemon=True)
        self._process.start()
        theirs.close()
        self._ask(_START_LIMIT_S, "")

    def ask(self, limit_s: float, method: str, *positions: object, **keywords: object) -> Any:  # noqa: ANN401
        """Call a method of the desk and return what it returns.

        Raises:
            NoAnswerError: when it takes longer than ``limit_s`` seconds, or the process dies.
            PeerFailedError: when it raises.
        """
        self.start()
        return self._ask(limit_s, method, *positions, **keywords)

    def _ask(self, limit_s: float, method: str, *positions: object, **keywords: object) -> Any:  # noqa: ANN401
        try:
            self._connection.send((method, positions, keywords))
            if not self._connection.poll(limit_s):
                self.stop()
                raise NoAnswerError.after(limit_s)
            kind, answer = self._connection.recv()
        except (EOFError, OSError) as problem:
            self.stop()
            raise NoAnswerError.of_the_dead() from problem
        if kind:
            raise PeerFailedError(kind, answer)
        return answer

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()  # had it no group of its own yet
            self._process.join()
            self._connection.close()
        self._process = None
