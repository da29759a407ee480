"""Messages spread over a few long-lived streams, without the streams themselves.

Answers on one stream come in the order of its messages, so a slow message holds back those behind it. Therefore there
are several streams with few messages on each, and a message goes where the fewest are under way.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gradmill.errors import (
    NO_ANSWER,
    CancelledError,
    DeadlineExceededError,
    Failure,
    GradmillError,
    UnavailableError,
    UnsupportedError,
    client_failed,
    renewed,
)
from gradmill.stream_messages import read_answer, write_cancel, write_request
from gradmill.wire_format import Buffer

MAXIMUM_STREAMS = 8
MESSAGES_PER_STREAM = 3
"""One less than a server has in progress by default, so that it reads at once that one of them is given up."""

_IDLE = "STREAM_IDLE"

Outcome = Buffer | GradmillError
Done = Callable[[Outcome], None]
Metadata = tuple[tuple[str, str], ...] | None
"""What a stream is opened with, and a call made with, such as a token."""


class Link(Protocol):
    """One stream, as the pool sees it. Neither method waits."""

    def send(self, frame: bytes) -> None:
        """Send a message after those sent before."""

    def end(self) -> None:
        """Give the stream up."""


class OpenLink(Protocol):
    """Opens streams."""

    def __call__(
        self, metadata: Metadata, received: Callable[[bytes], None], ended: Callable[[GradmillError | None], None]
    ) -> Link:
        """Open a stream. It calls ``received`` with each answer and ``ended`` once, and neither before it returns."""


class SendAlone(Protocol):
    """Sends a request as a call of its own."""

    def __call__(
        self, body: bytes, timeout_seconds: float | None, metadata: Metadata, done: Done
    ) -> Callable[[], object]:
        """Send a request; ``done`` is called with its outcome. Returns what cancels it."""


@dataclass(slots=True, eq=False)
class _Message:
    """A message to be answered.

    Attributes:
        done: takes its outcome; None once it has one, or nobody waits for it.
        stream: the one that it was sent on.
        cancel_call: cancels the call of its own that it was sent as.
    """

    sequence: int
    body: bytes
    deadline: float
    metadata: Metadata = field(repr=False)  # may hold a token
    done: Done | None
    stream: _Stream | None = None
    cancel_call: Callable[[], object] | None = None


@dataclass(slots=True, eq=False)
class _Stream:
    """A stream and its messages under way, those that were given up included: the server still answers them."""

    metadata: Metadata = field(repr=False)  # may hold a token
    link: Link = field(init=False)
    messages: dict[int, _Message] = field(default_factory=dict)


class StreamPool:
    """Sends messages over streams that it opens when they are needed. May be used from any thread."""

    def __init__(
        self,
        open_link: OpenLink,
        send_alone: SendAlone,
        wake_at: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open no stream yet.

        Args:
            open_link: opens a stream.
            send_alone: for servers without streams, and for messages whose stream was refused.
            wake_at: asked to have :meth:`expire` called at a time of the clock, or soon after.
            clock: monotonic seconds.
        """
        self._open_link = open_link
        self._send_alone = send_alone
        self._wake_at = wake_at
        self._clock = clock
        self._lock = threading.RLock()  # guards all below, and each message's done
        self._finished: list[tuple[Done, Outcome]] = []
        self._alone: list[_Message] = []
        self._sequences = itertools.count(1)
        self._streams: list[_Stream] = []
        self._waiting: deque[_Message] = deque()
        self._next_wake = math.inf
        self._has_streams = True
        self._closed = False

    def submit(
        self, body: bytes, timeout_seconds: float | None, metadata: Metadata, done: Done
    ) -> Callable[[], object]:
        """Send a request; ``done`` is called once with its response or its error. Returns what gives it up."""
        deadline = math.inf if timeout_seconds is None else self._clock() + timeout_seconds
        with self._changing():
            message = _Message(next(self._sequences), body, deadline, metadata, done)
            if self._closed:
                self._finish(message, CancelledError("the client is closed"))
            elif self._has_streams:
                self._waiting.append(message)
                self._send_waiting()
                self._watch(deadline)
            else:
                self._alone.append(message)
        return partial(self._give_up, message)

    def expire(self) -> None:
        """End the messages whose time has passed."""
        with self._changing():
            now = self._clock()
            self._next_wake = math.inf
            for message in self._unanswered():
                if message.deadline <= now:
                    self._finish(
                        message, DeadlineExceededError("the time allowed for the call passed before it was answered")
                    )
                    self._stop(message)
            self._watch(min((message.deadline for message in self._unanswered()), default=math.inf))

    def close(self) -> None:
        """End all streams; messages under way fail as cancelled."""
        with self._changing():
            self._closed = True
            for message in self._unanswered():
                self._finish(message, CancelledError("the client was closed while the call was under way"))
            for stream in self._streams:
                stream.link.end()
            self._streams.clear()
            self._waiting.clear()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock, and afterwards, without it, tell what came of it."""
        finished: list[tuple[Done, Outcome]] = []
        alone: list[_Message] = []
        try:
            with self._lock:
                try:
                    yield
                finally:
                    finished, self._finished = self._finished, []
                    alone, self._alone = self._alone, []
        finally:
            for message in alone:
                self._call_alone(message)
            for done, outcome in finished:
                done(outcome)

    def _unanswered(self) -> list[_Message]:
        under_way = itertools.chain.from_iterable(stream.messages.values() for stream in self._streams)
        return [message for message in itertools.chain(under_way, self._waiting) if message.done is not None]

    def _watch(self, deadline: float) -> None:
        if deadline < self._next_wake:
            self._wake_at(deadline)
            self._next_wake = deadline

    def _finish(self, message: _Message, outcome: Outcome) -> None:
        if message.done is not None:
            self._finished.append((message.done, outcome))
            message.done = None

    def _give_up(self, message: _Message) -> None:
        with self._changing():
            if message.done is not None:
                message.done = None
                self._stop(message)

    def _stop(self, message: _Message) -> None:
        """Tell the server that a message need not be answered."""
        if message.cancel_call is not None:
            message.cancel_call()
        elif message.stream is not None:
            message.stream.link.send(write_cancel(message.sequence))

    def _send_waiting(self) -> None:
        """Send messages that wait, as long as there is room for them on a stream."""
        while self._waiting:
            message = self._waiting[0]
            if message.done is None:
                self._waiting.popleft()
                continue
            try:
                stream = self._roomiest(message.metadata)
            except BaseException as error:  # no stream can be opened, such as for want of a thread
                self._waiting.popleft()
                self._finish(message, client_failed(error))
                if isinstance(error, Exception):
                    continue
                raise
            if stream is None:
                return
            self._waiting.popleft()
            message.stream = stream
            stream.messages[message.sequence] = message
            remaining = None if math.isinf(message.deadline) else message.deadline - self._clock()
            stream.link.send(write_request(message.sequence, message.body, remaining))

    def _roomiest(self, metadata: Metadata) -> _Stream | None:
        """Return the stream for the next message, a new one if all are busy; None if there is no room."""
        usable = [stream for stream in self._streams if stream.metadata == metadata]
        found = min(usable, key=lambda stream: len(stream.messages), default=None)
        if found is not None and not found.messages:
            return found
        if len(self._streams) < MAXIMUM_STREAMS or self._drop_unused():
            return self._open(metadata)
        return found if found is not None and len(found.messages) < MESSAGES_PER_STREAM else None

    def _drop_unused(self) -> bool:
        """End a stream that nothing is under way on, which has another token than the one needed now."""
        for stream in self._streams:
            if not stream.messages:
                self._streams.remove(stream)
                stream.link.end()
                return True
        return False

    def _open(self, metadata: Metadata) -> _Stream:
        stream = _Stream(metadata)
        stream.link = self._open_link(metadata, partial(self._received, stream), partial(self._ended, stream))
        self._streams.append(stream)
        return stream

    def _received(self, stream: _Stream, frame: bytes) -> None:
        try:
            sequence, outcome = read_answer(frame)
        except GradmillError as error:
            stream.link.end()
            self._ended(stream, error)
            return
        with self._changing():
            message = stream.messages.pop(sequence, None)
            if message is not None:
                self._finish(message, outcome)
            self._send_waiting()

    def _ended(self, stream: _Stream, error: GradmillError | None) -> None:
        """Let go of a stream that is over, and find another way for what was not answered on it."""
        with self._changing():
            if stream not in self._streams:
                return
            self._streams.remove(stream)
            unanswered = [message for message in stream.messages.values() if message.done is not None]
            if isinstance(error, UnsupportedError):
                self._has_streams = False
                unanswered += self._waiting
                self._waiting.clear()
            if _may_come_back(error):
                for message in unanswered:
                    self._finish(message, _broken(error))
            else:  # each as a call of its own, so that each gets its own verdict
                self._alone += unanswered
            self._send_waiting()

    def _call_alone(self, message: _Message) -> None:
        if message.done is None:
            return
        remaining = None if math.isinf(message.deadline) else message.deadline - self._clock()
        if remaining is not None and remaining <= 0:
            with self._changing():
                self._finish(message, DeadlineExceededError("the time allowed for the call has passed"))
            return

        def done(outcome: Outcome) -> None:
            with self._changing():
                self._finish(message, outcome)

        try:
            message.cancel_call = self._send_alone(message.body, remaining, message.metadata, done)
        except Exception as error:  # noqa: BLE001 - raised here, it would end a thread that others need
            done(CancelledError("the client is closed") if self._closed else client_failed(error))


def _may_come_back(error: GradmillError | None) -> bool:
    """Return whether a stream ended in a way that says nothing against its messages."""
    return error is None or isinstance(error, (UnavailableError, CancelledError)) or error.reason == _IDLE


def _broken(error: GradmillError | None) -> GradmillError:
    """Return the error of a message whose stream broke: it may be sent again."""
    if isinstance(error, UnavailableError):
        return renewed(error)
    why = "the server ended the stream" if error is None else error.message
    return UnavailableError(f"the stream ended before the call was answered: {why}", Failure(reason=NO_ANSWER))
