"""A driver that runs a flow by callbacks: no thread and no task waits for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from gradmill.errors import GradmillError, client_failed
from gradmill.flows import Answer, Call, Flow
from gradmill.wire_format import Buffer

T = TypeVar("T")
Submit = Callable[[str, bytes, float | None, Callable[[Buffer | GradmillError], None]], Callable[[], object]]
"""A transport's way to send: method, body, timeout in seconds, and what is called with the outcome."""

Later = Callable[[float, Callable[[], None]], object]
"""Has a function called after so many seconds."""


class CallbackDriver(Generic[T]):
    """Runs one flow, in whichever thread an answer comes, one answer at a time."""

    def __init__(self, flow: Flow[T], submit: Submit, later: Later, done: Callable[[T | GradmillError], None]) -> None:
        """Start the flow. ``done`` is called once with what it returns or raises, unless it is cancelled before."""
        self._flow = flow
        self._submit = submit
        self._later = later
        self._done: Callable[[T | GradmillError], None] | None = done
        self._lock = threading.Lock()  # guards _inbox and _is_running
        self._inbox: deque[Answer | None] = deque()
        self._is_running = False
        self._cancels: dict[int, Callable[[], object]] = {}
        self._push(None)

    def cancel(self) -> None:
        """Give the flow up, and what it has under way."""
        self._done = None
        for cancel in list(self._cancels.values()):
            cancel()

    def _push(self, answer: Answer | None) -> None:
        with self._lock:
            self._inbox.append(answer)
            if self._is_running:
                return
            self._is_running = True
        while (entry := self._next()) is not None:
            try:
                self._advance(entry[0])
            except BaseException as error:  # an interrupt of a thread that may not be the one which waits
                self._end(client_failed(error))
                raise

    def _next(self) -> tuple[Answer | None] | None:
        with self._lock:
            if self._inbox:
                return (self._inbox.popleft(),)
            self._is_running = False
            return None

    def _advance(self, answer: Answer | None) -> None:
        if self._done is None:
            return
        if answer is not None:
            self._cancels.pop(answer.key, None)
        try:
            step = self._flow.send(answer)
        except StopIteration as end:
            self._end(end.value)
        except GradmillError as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 - raised here, it would end a thread that others need, and nobody would know
            self._end(client_failed(error))
        else:
            for call in step.start:
                self._start(call)
            if step.wake_after_seconds is not None:
                self._wake_after(step.wake_after_seconds)

    def _start(self, call: Call) -> None:
        def done(outcome: Buffer | GradmillError) -> None:
            self._push(Answer(call.key, outcome))

        self._cancels[call.key] = bool
        try:
            cancel = self._submit(call.method, call.body, call.timeout_seconds, done)
        except GradmillError as error:
            done(error)
            return
        except Exception as error:  # noqa: BLE001 - such as for want of a thread; as in _advance
            done(client_failed(error))
            return
        if call.key in self._cancels:
            self._cancels[call.key] = cancel

    def _wake_after(self, seconds: float) -> None:
        try:
            self._later(seconds, lambda: self._push(None))
        except Exception as error:  # noqa: BLE001 - as in _start
            self._end(client_failed(error))

    def _end(self, outcome: T | GradmillError) -> None:
        done, self._done = self._done, None
        for cancel in list(self._cancels.values()):
            cancel()
        if done is not None:
            done(outcome)
