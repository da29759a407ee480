"""gRPC as a transport for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from gradmill.credentials import Access
from gradmill.errors import CancelledError, GradmillError, client_closed, client_failed
from gradmill.network import CLOSED_UNDER_WAY, UNLIMITED, channel_options, error_from_call, method_path
from gradmill.stream_pool import Metadata, StreamPool
from gradmill.transports import METHODS, STREAM_METHOD, STREAMED
from gradmill.wire_format import Buffer


class AsyncLink:
    """A stream, for asyncio: one task sends, another takes the answers.

    Attributes:
        sending: the task that sends.
        receiving: the task that takes the answers; it ends when the stream does.
    """

    def __init__(
        self,
        call: Any,  # noqa: ANN401 - gRPC's calls share no typed base
        received: Callable[[bytes], None],
        ended: Callable[[Any], None],
    ) -> None:
        """Use a call that was opened.

        Args:
            call: gRPC's call.
            received: called with each answer.
            ended: called once at the end, with gRPC's error if there was one.
        """
        self._call = call
        self._frames: deque[bytes] = deque()
        self._has_frames = asyncio.Event()
        self._received = received
        self._ended = ended
        self.sending = asyncio.create_task(self._send_all())
        self.receiving = asyncio.create_task(self._receive())

    def send(self, frame: bytes) -> None:
        """Send a message after those sent before."""
        self._frames.append(frame)
        self._has_frames.set()

    def end(self) -> None:
        """Give the stream up."""
        self._call.cancel()

    async def _send_all(self) -> None:
        try:
            while True:
                while self._frames:
                    await self._call.write(self._frames.popleft())
                self._has_frames.clear()
                await self._has_frames.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the stream is over, which the other task tells

    async def _receive(self) -> None:
        error: grpc.aio.AioRpcError | None = None
        try:
            while (frame := await self._call.read()) is not grpc.aio.EOF:
                self._received(frame)
        except grpc.aio.AioRpcError as failure:
            error = failure
        finally:
            self.sending.cancel()
        self._ended(error)


class AsyncNetworkTransport:
    """Calls a server over the network, for asyncio. Belongs to the event loop that is running when it is made.

    Evaluations travel as messages of streams, all others as calls of their own.
    """

    def __init__(self, target: str, access: Access, maximum_message_bytes: int = UNLIMITED) -> None:
        """Make the channel; nothing is sent yet."""
        options = channel_options(maximum_message_bytes, access.server_name)
        self._target = target
        self._authorization = access.authorization
        self._channel = (
            grpc.aio.insecure_channel(target, options=options)
            if access.channel_credentials is None
            else grpc.aio.secure_channel(target, access.channel_credentials, options=options)
        )
        self._methods: dict[str, Any] = {
            name: self._channel.unary_unary(method_path(name), None, None) for name in METHODS
        }
        self._stream: Any = self._channel.stream_stream(method_path(STREAM_METHOD), None, None)
        self._pool = StreamPool(self._open_link, self._call_alone, self._wake_at)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def call(self, method: str, body: bytes, timeout_seconds: float | None) -> Buffer:
        """Send one request and wait for its response.

        Raises:
            GradmillError: the call failed.
        """
        if method != STREAMED:
            return await self._call_unary(method, body, timeout_seconds, self._authorization.metadata())
        outcomes: asyncio.Future[Buffer | GradmillError] = asyncio.get_running_loop().create_future()

        def done(outcome: Buffer | GradmillError) -> None:
            if not outcomes.done():
                outcomes.set_result(outcome)

        give_up = self._pool.submit(body, timeout_seconds, self._authorization.metadata(), done)
        try:
            outcome = await outcomes
        except asyncio.CancelledError:
            give_up()
            raise
        if isinstance(outcome, GradmillError):
            raise outcome
        return outcome

    def submit(
        self, _method: str, body: bytes, timeout_seconds: float | None, done: Callable[[Buffer | GradmillError], None]
    ) -> Callable[[], object]:
        """Send one evaluation; ``done`` is called with the outcome. Returns what cancels it."""
        return self._pool.submit(body, timeout_seconds, self._authorization.metadata(), done)

    async def _call_unary(self, method: str, body: bytes, timeout_seconds: float | None, metadata: Metadata) -> Buffer:
        if self._closed:
            raise client_closed()
        try:
            response: bytes = await self._methods[method](body, timeout=timeout_seconds, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise error_from_call(error, self._target) from None
        except asyncio.CancelledError:
            if not self._was_ended_by_closing():
                raise
            raise CancelledError(CLOSED_UNDER_WAY) from None
        return response

    def _was_ended_by_closing(self) -> bool:
        """Whether gRPC raises in a task what says that the task is cancelled, though only the call is."""
        task = asyncio.current_task()
        return self._closed and task is not None and not task.cancelling()

    def _call_alone(
        self,
        body: bytes,
        timeout_seconds: float | None,
        metadata: Metadata,
        done: Callable[[Buffer | GradmillError], None],
    ) -> Callable[[], object]:
        async def run() -> None:
            try:
                outcome: Buffer | GradmillError = await self._call_unary(STREAMED, body, timeout_seconds, metadata)
            except GradmillError as error:
                outcome = error
            except asyncio.CancelledError:
                done(CancelledError("the call was given up before it was answered"))
                raise
            except Exception as error:  # noqa: BLE001 - raised here, nobody would know
                outcome = client_failed(error)
            done(outcome)

        task = asyncio.get_running_loop().create_task(run())
        self._keep(task)
        return task.cancel

    def _open_link(
        self, metadata: Metadata, received: Callable[[bytes], None], ended: Callable[[GradmillError | None], None]
    ) -> AsyncLink:
        def finish(error: Any) -> None:  # noqa: ANN401 - see error_from_call
            ended(None if error is None else error_from_call(error, self._target))

        link = AsyncLink(self._stream(metadata=metadata), received, finish)
        for task in (link.sending, link.receiving):
            self._keep(task)
        return link

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Hold a task until it has ended; an event loop alone does not."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake_at(self, when: float) -> None:
        asyncio.get_running_loop().call_later(max(0.0, when - time.monotonic()), self._pool.expire)

    async def close(self) -> None:
        """Close the channel; calls under way fail."""
        self._closed = True
        self._pool.close()
        await self._channel.close(None)
        await asyncio.gather(*self._tasks, return_exceptions=True)
