"""A stream of evaluations: read ahead a little, answered in order, ended when idle or when the server stops.

Most messages are small calls that are known already. Those are computed between reading them and writing their answers,
without a task, a queue or a timer; only what takes longer waits its turn in a list of tasks.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gradmill_server.engine.errors import Cancelled, EngineError
from gradmill_server.serving.answering import Answering
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.errors import RequestMalformed, ShuttingDown, StreamIdle
from gradmill_server.serving.evaluation import Evaluator, Opened
from gradmill_server.serving.reading import Reader
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.status import RpcFailure, status_of
from gradmill_server.serving.wire import requests, responses
from gradmill_server.serving.wire.envelope import StreamEnvelope, open_stream_message
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


@dataclass(frozen=True, slots=True)
class _Pending:
    """A message that is being answered, or whose answer waits for its turn."""

    sequence: int
    answering: asyncio.Future[bytes]

    def answer(self) -> bytes:
        """Return the bytes of the answer, once there is one; a message that its caller gave up has one too."""
        if self.answering.cancelled():
            return responses.write_stream_error(self.sequence, status_of(Cancelled("the caller gave the message up")))
        return self.answering.result()


class EvaluateStream:
    """One stream. At most `stream_read_ahead` of its messages are being answered or wait for their turn to be sent."""

    def __init__(self, parts: StreamParts, context: CallContext, read: Read, write: Write) -> None:
        """Start with nothing read."""
        self._parts = parts
        self._context = context
        self._read = read
        self._write = write
        self._pending: collections.deque[_Pending] = collections.deque()
        self._writing: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._awaits_message = False
        self._ending = False
        self._last_head = b""
        self._last_function: FunctionReference | None = None
        self._loop = asyncio.get_running_loop()
        self._last_activity = self._loop.time()

    async def run(self) -> None:
        """Answer each message, in the order of the messages, until the caller sends no more.

        Raises:
            StreamIdle: when nothing came for too long.
            ShuttingDown: when the server stops; what came before is answered first.
        """
        self._reading = asyncio.create_task(self._take_all())
        draining = asyncio.create_task(self._parts.draining.wait())
        idling = asyncio.create_task(self._idle())
        try:
            await asyncio.wait((self._reading, draining, idling), return_when=asyncio.FIRST_COMPLETED)
            ended_by_caller = self._reading.done() and not self._reading.cancelled()
            await self._finish()
            if not ended_by_caller:
                raise _shut_down() if draining.done() else _idle(self._parts.settings.stream_idle_seconds)
        finally:
            await _abandon(
                [self._reading, draining, idling, self._writing, *(pending.answering for pending in self._pending)]
            )

    async def _finish(self) -> None:
        """Read no more, and return when every message that came is answered."""
        self._ending = True
        if self._awaits_message:
            self._reading.cancel()
        await asyncio.wait((self._reading,))
        if self._writing is not None:
            await self._writing
        if not self._reading.cancelled():
            self._reading.result()

    async def _idle(self) -> None:
        """Return when nothing was under way for too long."""
        patience = self._parts.settings.stream_idle_seconds
        while True:
            busy = bool(self._pending) or self._is_writing
            since = 0.0 if busy else self._loop.time() - self._last_activity
            if since >= patience:
                return
            await asyncio.sleep(patience - since)

    @property
    def _is_writing(self) -> bool:
        return self._writing is not None and not self._writing.done()

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
        if message is not None:
            opened = self._parts.evaluator.opened(body, message.begin, message.end, self._context.tenant)
            if opened.prepared is not None:
                await self._take_prepared(message, opened)
                return
            await self._take_parsed(body, opened)
        else:
            await self._take_parsed(body, Opened(None, None))

    async def _take_prepared(self, message: StreamEnvelope, opened: Opened) -> None:
        envelope, prepared = opened
        assert envelope is not None and prepared is not None  # noqa: PT018,S101  what makes it prepared
        self._last_head, self._last_function = envelope.head, None
        evaluator = self._parts.evaluator
        context = self._context.part(self._parts.settings.maximum_deadline_seconds, message.timeout_seconds)
        if not evaluator.belongs_here(envelope, prepared):
            work = partial(evaluator.evaluate_prepared, envelope, prepared, context)
            size = message.end - message.begin
            await self._line_up(message.sequence, asyncio.create_task(self._answer(message, size, context, work)))
            return
        await evaluator.turn()
        work_here = partial(evaluator.evaluate_here, envelope, prepared, context)
        try:
            response = self._parts.answering.answer_here(METHOD, context, work_here)
            answer = responses.write_stream_response(message.sequence, response)
        except RpcFailure as failure:
            answer = responses.write_stream_error(message.sequence, failure.status)
        if self._pending or self._is_writing:
            answered: asyncio.Future[bytes] = self._loop.create_future()
            answered.set_result(answer)
            await self._line_up(message.sequence, answered)
        else:
            await self._write(answer)

    async def _take_parsed(self, body: bytes, opened: Opened) -> None:
        parse = partial(requests.read_stream_message, maximum_wants=self._parts.settings.maximum_wants)
        call: requests.StreamCall | requests.StreamCancel | EngineError
        try:
            call = await self._parts.reader.read(body, parse, self._context.caller)
        except EngineError as error:
            call = error
        if isinstance(call, requests.StreamCancel):
            self._give_up(call.sequence)
            return
        sequence, wished_seconds = 0, None
        if isinstance(call, requests.StreamCall):
            sequence, wished_seconds = call.sequence, call.timeout_seconds
            if call.function_given:
                self._last_function, self._last_head = call.function, b""
        context = self._context.part(self._parts.settings.maximum_deadline_seconds, wished_seconds)
        work = partial(self._evaluate, call, self._function(), context, opened)
        message = StreamEnvelope(sequence, 0, 0, None)
        await self._line_up(sequence, asyncio.create_task(self._answer(message, len(body), context, work)))

    def _function(self) -> FunctionReference | None:
        """Return the function of the last message that had one."""
        if self._last_function is None and self._last_head:
            self._last_function = requests.read_head(self._last_head)
        return self._last_function

    async def _evaluate(
        self,
        call: requests.StreamCall | EngineError,
        function: FunctionReference | None,
        context: CallContext,
        opened: Opened,
    ) -> bytes:
        if isinstance(call, EngineError):
            raise call
        usable = call.usable()
        if function is None:
            description = "no function, and no earlier message of this stream had a usable one"
            raise RequestMalformed.at(field="function", reason="FUNCTION_MISSING", description=description)
        return await self._parts.evaluator.evaluate(usable, function, context, opened.envelope)

    async def _answer(
        self, message: StreamEnvelope, size: int, context: CallContext, work: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Return the bytes of the answer to one message: its result, or what is wrong with it."""
        try:
            response = await self._parts.answering.answer(METHOD, size, context, work)
        except RpcFailure as failure:
            return responses.write_stream_error(message.sequence, failure.status)
        return responses.write_stream_response(message.sequence, response)

    def _give_up(self, sequence: int) -> None:
        """Stop the work for messages with a number."""
        for pending in self._pending:
            if pending.sequence == sequence:
                pending.answering.cancel()

    async def _line_up(self, sequence: int, answering: asyncio.Future[bytes]) -> None:
        """Let an answer wait for its turn, and return when there is room for another one."""
        self._pending.append(_Pending(sequence, answering))
        if not self._is_writing:
            self._writing = asyncio.create_task(self._write_pending())
            self._writing.add_done_callback(self._stop_if_broken)
        while len(self._pending) >= self._parts.settings.stream_read_ahead:
            self._room.clear()
            await self._room.wait()

    async def _write_pending(self) -> None:
        while self._pending:
            first = self._pending[0]
            await asyncio.wait((first.answering,))
            # It keeps its place until it is sent: what is not sent yet is read ahead.
            await self._write(first.answer())
            self._pending.popleft()
            self._last_activity = self._loop.time()
            self._room.set()

    def _stop_if_broken(self, writing: asyncio.Task[None]) -> None:
        """Read no more when answers cannot be sent."""
        if writing.cancelled() or writing.exception() is not None:
            self._reading.cancel()


async def _abandon(futures: list[asyncio.Future[Any] | asyncio.Task[Any] | None]) -> None:
    """Cancel all that is still under way, and wait until it has ended."""
    left = [future for future in futures if future is not None]
    for future in left:
        future.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _shut_down() -> ShuttingDown:
    return ShuttingDown("server is shutting down")


def _idle(seconds: float) -> StreamIdle:
    return StreamIdle(
        f"nothing came for {seconds:g} seconds; knob: stream_idle_seconds",
        metadata={"limit": f"{seconds:g}", "knob": "stream_idle_seconds"},
    )
