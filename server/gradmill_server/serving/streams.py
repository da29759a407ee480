"""A stream of evaluations: read ahead a little, answered in order, ended when idle or when the server stops."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from gradmill_server.engine.errors import Cancelled, EngineError
from gradmill_server.serving.answering import Answering
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.errors import RequestMalformed, ShuttingDown, StreamIdle
from gradmill_server.serving.evaluation import Evaluator
from gradmill_server.serving.reading import Reader
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.status import RpcFailure, status_of
from gradmill_server.serving.wire import requests, responses
from gradmill_server.serving.wire.functions import FunctionReference

METHOD = "EvaluateStream"


@dataclass(frozen=True, slots=True)
class StreamParts:
    """What every stream of a handler uses."""

    settings: Settings
    answering: Answering
    evaluator: Evaluator
    reader: Reader
    draining: asyncio.Event


@dataclass(frozen=True, slots=True)
class _Received:
    """A message that came: its size, and what it asks or what is wrong with it."""

    request_bytes: int
    call: requests.StreamCall | requests.StreamCancel | EngineError


@dataclass(frozen=True, slots=True)
class _Pending:
    """A message that is being answered, or whose answer waits for its turn."""

    sequence: int
    task: asyncio.Task[bytes]

    def answer(self) -> bytes:
        """Return the bytes of the answer, once there is one; a message that its caller gave up has one too."""
        if self.task.cancelled():
            return responses.write_stream_error(self.sequence, status_of(Cancelled("the caller gave the message up")))
        return self.task.result()


class EvaluateStream:
    """One stream. At most `stream_read_ahead` of its messages are being answered or wait for their turn to be sent."""

    def __init__(self, parts: StreamParts, context: CallContext) -> None:
        """Start with nothing read."""
        self._parts = parts
        self._context = context
        self._pending: collections.deque[_Pending] = collections.deque()
        self._receiving: asyncio.Task[_Received | None] | None = None
        self._ended = False
        self._last_function: FunctionReference | None = None

    async def answers(self, bodies: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the answer to each message, in the order of the messages.

        Raises:
            StreamIdle: when nothing came for too long.
            ShuttingDown: when the server stops; what came before is answered first.
        """
        incoming = aiter(bodies)
        draining = asyncio.create_task(self._parts.draining.wait())
        try:
            while self._pending or not self._ended:
                await self._progress(incoming, draining)
                while self._pending and self._pending[0].task.done():
                    yield self._pending.popleft().answer()
            if draining.done():
                message = "server is shutting down"
                raise ShuttingDown(message)
        finally:
            await self._abandon(draining)

    async def _progress(self, incoming: AsyncIterator[bytes], draining: asyncio.Task[Any]) -> None:
        """Wait until the first answer is ready or a message came, and begin to answer the one that came."""
        room = len(self._pending) < self._parts.settings.stream_read_ahead
        if room and not self._ended and self._receiving is None:
            self._receiving = asyncio.create_task(self._receive(incoming))
        awaited: list[asyncio.Task[Any]] = [] if self._ended else [draining]
        if self._receiving is not None:
            awaited.append(self._receiving)
        if self._pending:
            awaited.append(self._pending[0].task)
        patience = None if self._pending else self._parts.settings.stream_idle_seconds
        done, _ = await asyncio.wait(awaited, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise _idle(self._parts.settings.stream_idle_seconds)
        if self._receiving is not None and self._receiving.done():
            received, self._receiving = self._receiving.result(), None
            self._take(received)
        if draining.done():
            self._ended = True

    async def _receive(self, incoming: AsyncIterator[bytes]) -> _Received | None:
        """Return the next message, read; None at the end."""
        body = await anext(incoming, None)
        if body is None:
            return None
        parse = partial(requests.read_stream_message, maximum_wants=self._parts.settings.maximum_wants)
        try:
            return _Received(len(body), await self._parts.reader.read(body, parse))
        except EngineError as error:
            return _Received(len(body), error)

    def _take(self, received: _Received | None) -> None:
        if received is None:
            self._ended = True
            return
        call = received.call
        if isinstance(call, requests.StreamCancel):
            self._give_up(call.sequence)
            return
        if isinstance(call, requests.StreamCall) and call.function_given:
            self._last_function = call.function
        answering = self._answer(call, received.request_bytes, self._last_function)
        sequence = call.sequence if isinstance(call, requests.StreamCall) else 0
        self._pending.append(_Pending(sequence, asyncio.create_task(answering)))

    def _give_up(self, sequence: int) -> None:
        """Stop the work for messages with a number."""
        for pending in self._pending:
            if pending.sequence == sequence:
                pending.task.cancel()

    async def _answer(
        self, call: requests.StreamCall | EngineError, request_bytes: int, function: FunctionReference | None
    ) -> bytes:
        """Return the bytes of the answer to one message: its result, or what is wrong with it."""
        parts = self._parts
        sequence, wished_seconds = (
            (call.sequence, call.timeout_seconds) if isinstance(call, requests.StreamCall) else (0, None)
        )
        context = self._context.part(parts.settings.maximum_deadline_seconds, wished_seconds)

        async def work() -> bytes:
            if isinstance(call, EngineError):
                raise call
            return await parts.evaluator.evaluate(call.usable(), _given(function), context)

        try:
            response = await parts.answering.answer(METHOD, request_bytes, context, work)
        except RpcFailure as failure:
            return responses.write_stream_error(sequence, failure.status)
        return responses.write_stream_response(sequence, response)

    async def _abandon(self, draining: asyncio.Task[Any]) -> None:
        """Cancel all that is still under way, and wait until it has ended."""
        tasks: list[asyncio.Task[Any]] = [draining, *(pending.task for pending in self._pending)]
        if self._receiving is not None:
            tasks.append(self._receiving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _idle(seconds: float) -> StreamIdle:
    return StreamIdle(
        f"nothing came for {seconds:g} seconds; knob: stream_idle_seconds",
        metadata={"limit": f"{seconds:g}", "knob": "stream_idle_seconds"},
    )


def _given(function: FunctionReference | None) -> FunctionReference:
    if function is None:
        description = "no function, and no earlier message of this stream had a usable one"
        raise RequestMalformed.at(field="function", reason="FUNCTION_MISSING", description=description)
    return function
