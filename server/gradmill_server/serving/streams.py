"""A stream of evaluations: read ahead a little, answered in order, ended when idle or when the server stops.

Most messages are small calls that are known already. Those are computed as they are read, without a task or a timer for
each; while their answers are sent the next ones are read. Only what takes longer waits its turn as a task.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from gradmill_server.engine.errors import Cancelled, EngineError
from gradmill_server.serving.answering import Answering
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.errors import RequestMalformed, ShuttingDown, StreamIdle
from gradmill_server.serving.evaluation import Evaluator, Opened
from gradmill_server.serving.prepared import PreparedCall
from gradmill_server.serving.reading import Reader, Release, no_room
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.small_calls import LONGEST_REQUEST_BYTES
from gradmill_server.serving.status import RpcFailure, status_of
from gradmill_server.serving.wire import requests, responses
from gradmill_server.serving.wire.envelope import Envelope, StreamEnvelope, open_stream_message, sequence_of
from gradmill_server.serving.wire.functions import FunctionReference

METHOD = "EvaluateStream"

Read = Callable[[], Awaitable[bytes | None]]
"""Waits for the next message; None at the end."""

Write = Callable[[bytes], Awaitable[None]]
"""Sends an answer; returns when there is room for the next."""


@dataclass(frozen=True, slots=True)
class StreamParts:
    """What every stream of a handler uses."""

    settings: Settings
    answering: Answering
    evaluator: Evaluator
    reader: Reader
    draining: asyncio.Event


_READY_BYTES = 256 * 1024
"""Answers to small calls that may wait to be sent. Their number is not bounded otherwise: they are computed as read."""


class _Answering(NamedTuple):
    """What is to be done for a message: its number, and what comes to the bytes of its answer."""

    sequence: int
    work: Coroutine[Any, Any, bytes]


@dataclass(frozen=True, slots=True)
class _Pending:
    """A message that is being answered, or whose answer waits for its turn.

    Attributes:
        sequence: its number.
        answer: the bytes of the answer, or what will have them.
    """

    sequence: int
    answer: bytes | asyncio.Task[bytes]

    async def answered(self) -> bytes:
        """Return the bytes of the answer, once there is one; a message that its caller gave up has one too."""
        if isinstance(self.answer, bytes):
            return self.answer
        await asyncio.wait((self.answer,))
        if self.answer.cancelled():
            return responses.write_stream_error(self.sequence, status_of(Cancelled("the caller gave the message up")))
        return self.answer.result()


class EvaluateStream:
    """One stream: a task that reads messages and computes the small ones, and one that sends answers.

    At most `stream_read_ahead` messages are being answered by workers or wait for their turn to be sent; small calls
    are answered as they are read, until 256 KiB of their answers wait.
    """

    def __init__(self, parts: StreamParts, context: CallContext, read: Read, write: Write) -> None:
        """Start with nothing read."""
        self._parts = parts
        self._context = context
        self._read = read
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._pending: collections.deque[_Pending] = collections.deque()
        self._tasks = 0
        self._ready_bytes = 0
        self._room = asyncio.Event()
        self._something: asyncio.Future[None] | None = None
        self._awaits_message = False
        self._ending = False
        self._read_to_end = False
        # The function of the last message that had one: as it was written, where that is short, and as it was read.
        self._last_written = b""
        self._last_function: FunctionReference | None = None
        self._last_activity = self._loop.time()

    async def run(self) -> None:
        """Answer each message, in the order of the messages, until the caller sends no more.

        Raises:
            StreamIdle: when nothing came for too long.
            ShuttingDown: when the server stops; what came before is answered first.
        """
        reading = asyncio.create_task(self._take_all())
        writing = asyncio.create_task(self._write_all())
        draining = asyncio.create_task(self._parts.draining.wait())
        idling = asyncio.create_task(self._idle())
        try:
            await asyncio.wait((reading, writing, draining, idling), return_when=asyncio.FIRST_COMPLETED)
            ended_by_caller = reading.done()
            await self._finish(reading, writing)
            if not ended_by_caller:
                raise _shut_down() if draining.done() else _idle(self._parts.settings.stream_idle_seconds)
        finally:
            tasks = [pending.answer for pending in self._pending if not isinstance(pending.answer, bytes)]
            await _abandon([reading, writing, draining, idling, *tasks])

    async def _finish(self, reading: asyncio.Task[None], writing: asyncio.Task[None]) -> None:
        """Read no more, and return when every message that came is answered."""
        self._ending = True
        if self._awaits_message or writing.done():
            reading.cancel()
        await asyncio.wait((reading,))
        self._read_to_end = True
        self._say_something()
        await writing
        if not reading.cancelled():
            reading.result()

    async def _idle(self) -> None:
        """Return when nothing was under way for too long."""
        patience = self._parts.settings.stream_idle_seconds
        while True:
            since = 0.0 if self._pending else self._loop.time() - self._last_activity
            if since >= patience:
                return
            await asyncio.sleep(patience - since)

    async def _take_all(self) -> None:
        while not self._ending:
            self._awaits_message = True
            body = await self._read()
            self._awaits_message = False
            if body is None:
                return
            await self._take(body)
            self._last_activity = self._loop.time()

    async def _take(self, body: bytes) -> None:
        """Begin to answer a message; answer it at once when that is quick."""
        message = open_stream_message(body)
        opened = Opened(None, None)
        if message is not None:
            if (answer := self._small_answer(message, body)) is not None:
                await self._line_up_answer(message.sequence, answer)
                return
            opened = self._parts.evaluator.opened(
                body, message.begin, message.end, self._context.tenant, self._last_written
            )
            if opened.envelope is not None and opened.prepared is not None:
                await self._take_prepared(message, opened.envelope, opened.prepared)
                return
        await self._take_parsed(body, opened)

    def _small_answer(self, message: StreamEnvelope, body: bytes) -> bytes | None:
        """Return the answer to a message that takes the shortest road."""
        late = message.timeout_seconds is not None and message.timeout_seconds <= 0
        if late or message.end - message.begin > LONGEST_REQUEST_BYTES:
            return None
        request, tenant, evaluator = body[message.begin : message.end], self._context.tenant, self._parts.evaluator
        answer = evaluator.evaluate_small(METHOD, request, tenant)
        if answer is not None:
            self._last_written, self._last_function = answer.function, None
        elif self._last_written:
            answer = evaluator.evaluate_small(METHOD, request, tenant, self._last_written)
        return None if answer is None else responses.write_stream_response(message.sequence, answer.body)

    async def _line_up_answer(self, sequence: int, answer: bytes) -> None:
        self._ready_bytes += len(answer)
        await self._line_up(_Pending(sequence, answer))

    async def _take_prepared(self, message: StreamEnvelope, envelope: Envelope, prepared: PreparedCall) -> None:
        self._last_written, self._last_function = envelope.function, None
        evaluator = self._parts.evaluator
        context = self._context.part(self._parts.settings.maximum_deadline_seconds, message.timeout_seconds)
        if not evaluator.belongs_here(envelope, prepared):
            work = partial(evaluator.evaluate_prepared, envelope, prepared, context)
            size = message.end - message.begin
            await self._begin(_Answering(message.sequence, self._answer(message.sequence, size, context, work)))
            return
        await evaluator.turn()
        work_here = partial(evaluator.evaluate_here, envelope, prepared, context)
        try:
            response = self._parts.answering.answer_here(METHOD, context, work_here)
            answer = responses.write_stream_response(message.sequence, response)
        except RpcFailure as failure:
            answer = responses.write_stream_error(message.sequence, failure.status)
        await self._line_up_answer(message.sequence, answer)

    async def _take_parsed(self, body: bytes, opened: Opened) -> None:
        try:
            release = await self._parts.reader.take_room(requests.STREAM_REQUEST, body, self._context.caller)
        except EngineError as error:
            await self._refuse_unread(body, error)
            return
        try:
            answering = await self._read_message(body, opened, release)
        except EngineError as error:
            release()
            await self._refuse_unread(body, error)
            return
        except BaseException:
            release()
            raise
        if answering is None:
            release()
            return
        await self._begin(answering, release)

    async def _begin(self, answering: _Answering, release: Release = no_room) -> None:
        """Begin to answer a message, and give its room back at the end, if it has any still."""
        task = asyncio.create_task(answering.work)
        task.add_done_callback(lambda _: release())
        self._tasks += 1
        await self._line_up(_Pending(answering.sequence, task))

    async def _refuse_unread(self, body: bytes, error: EngineError) -> None:
        """Answer a message that is no message, or that there was no room to read, under its number if that is told.

        Whether it had a function is not known, so a later message without one has none either.
        """
        self._last_function, self._last_written = None, b""
        sequence = sequence_of(body)
        context = self._context.part(self._parts.settings.maximum_deadline_seconds)
        work = partial(self._evaluate, error, None, context, Opened(None, None), no_room)
        await self._begin(_Answering(sequence, self._answer(sequence, len(body), context, work)))

    async def _read_message(self, body: bytes, opened: Opened, release: Release) -> _Answering | None:
        """Return what is to be done for a message; None for one that gives others up. Raises EngineError."""
        parse = partial(requests.read_stream_message, maximum_wants=self._parts.settings.maximum_wants)
        call = await self._parts.reader.read(body, parse, self._context.caller)
        if isinstance(call, requests.StreamCancel):
            self._give_up(call.sequence)
            return None
        if call.function_given:
            self._last_function = call.function
            self._last_written = opened.envelope.function if opened.envelope is not None else b""
        context = self._context.part(self._parts.settings.maximum_deadline_seconds, call.timeout_seconds)
        work = partial(self._evaluate, call, self._function(), context, opened, release)
        return _Answering(call.sequence, self._answer(call.sequence, len(body), context, work))

    def _function(self) -> FunctionReference | None:
        """Return the function of the last message that had one."""
        if self._last_function is None and self._last_written:
            self._last_function = requests.read_head(self._last_written)
        return self._last_function

    async def _evaluate(
        self,
        call: requests.StreamCall | EngineError,
        function: FunctionReference | None,
        context: CallContext,
        opened: Opened,
        release: Release,
    ) -> bytes:
        if isinstance(call, EngineError):
            raise call
        usable = call.usable()
        if function is None:
            description = "no function, and no earlier message of this stream had a usable one"
            raise RequestMalformed.at(field="function", reason="FUNCTION_MISSING", description=description)
        context.checkpoint()
        lookup = await self._parts.evaluator.functions.find(function, context)
        release()
        return await self._parts.evaluator.evaluate(usable, lookup, context, opened.envelope)

    async def _answer(
        self, sequence: int, size: int, context: CallContext, work: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Return the bytes of the answer to one message: its result, or what is wrong with it."""
        try:
            response = await self._parts.answering.answer(METHOD, size, context, work)
        except RpcFailure as failure:
            return responses.write_stream_error(sequence, failure.status)
        return responses.write_stream_response(sequence, response)

    def _give_up(self, sequence: int) -> None:
        """Stop the work for messages with a number."""
        for pending in self._pending:
            if pending.sequence == sequence and not isinstance(pending.answer, bytes):
                pending.answer.cancel()

    async def _line_up(self, pending: _Pending) -> None:
        """Let an answer wait for its turn, and return when there is room for another one."""
        self._pending.append(pending)
        self._say_something()
        while self._tasks >= self._parts.settings.stream_read_ahead or self._ready_bytes >= _READY_BYTES:
            self._room.clear()
            await self._room.wait()

    def _say_something(self) -> None:
        """Wake what writes."""
        if self._something is not None and not self._something.done():
            self._something.set_result(None)

    async def _write_all(self) -> None:
        while True:
            while self._pending:
                first = self._pending[0]
                # It keeps its place until it is sent: what is not sent yet is read ahead.
                await self._write(await first.answered())
                self._pending.popleft()
                if isinstance(first.answer, bytes):
                    self._ready_bytes -= len(first.answer)
                else:
                    self._tasks -= 1
                self._last_activity = self._loop.time()
                self._room.set()
            if self._read_to_end:
                return
            self._something = self._loop.create_future()
            await self._something


async def _abandon(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel all that is still under way, and wait until it has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _shut_down() -> ShuttingDown:
    return ShuttingDown("server is shutting down")


def _idle(seconds: float) -> StreamIdle:
    return StreamIdle(
        f"nothing came for {seconds:g} seconds; knob: stream_idle_seconds",
        metadata={"limit": f"{seconds:g}", "knob": "stream_idle_seconds"},
    )
