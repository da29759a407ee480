"""Evaluations as messages of streams, over real gRPC, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradmill as gm
import grpc
import numpy as np
import pytest
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import read_array

from tests.client.fakes import FakeService
from tests.client.raw_servers import Servers, both, fake_answers, serving


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Return what starts servers, and stop them afterwards."""
    with serving() as started:
        yield started


class StreamingService:
    """A service with streams around a fake one. Counts what comes.

    Attributes:
        streams: how many streams were opened.
        ended: how many of them have ended.
        messages: the messages that came, those that give up others included.
        breaks: how often still to break a stream instead of answering.
    """

    def __init__(self, breaks: int = 0) -> None:
        """Know the function already."""
        self.fake = FakeService()
        self.fake.has_function = True
        self.streams = 0
        self.ended = 0
        self.messages: list[service.EvaluateStreamRequest] = []
        self.breaks = breaks
        self.hold: Callable[[service.EvaluateStreamRequest], object] = bool
        self._lock = threading.Lock()

    def stream(self, bodies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer one stream."""
        with self._lock:
            self.streams += 1
        try:
            yield from self._answers(bodies, context)
        finally:
            with self._lock:
                self.ended += 1

    def _answers(self, bodies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for body in bodies:
            message = service.EvaluateStreamRequest.FromString(body)
            with self._lock:
                self.messages.append(message)
                broken, self.breaks = self.breaks > 0, max(0, self.breaks - 1)
            if broken:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the worker died")
            if message.cancel:
                continue
            self.hold(message)
            response = self.fake.answer("Evaluate", message.request.SerializeToString())
            answer = service.EvaluateStreamResponse(sequence=message.sequence)
            answer.response.ParseFromString(response)
            yield answer.SerializeToString()

    def wait_for(self, messages: int) -> None:
        """Wait until so many messages have come."""
        limit = time.monotonic() + 20
        while len(self.messages) < messages and time.monotonic() < limit:
            time.sleep(0.001)
        assert len(self.messages) >= messages

    def start(self, servers: Servers) -> str:
        """Start it and return its address."""
        return servers.start(fake_answers(self.fake), stream=self.stream)


@both
def test_evaluations_travel_on_one_stream(servers: Servers, run: Callable[..., Any]) -> None:
    """A batch of many messages is answered in full and in order, and none of them is a call of its own."""
    streaming = StreamingService()
    points = np.random.default_rng(3).integers(-9, 9, (101, 2)).astype(float)
    result = run(streaming.start(servers), lambda client: client.gradient("f", points))
    assert np.array_equal(result.values, points @ [1.0, 10.0])
    assert len(streaming.messages) > 4
    assert len(streaming.fake.rows) == len(streaming.messages)


@both
@pytest.mark.parametrize("breaks", [1, 2])
def test_a_stream_that_breaks_midway_is_not_noticed(servers: Servers, run: Callable[..., Any], breaks: int) -> None:
    """What was not answered when a stream broke is sent again on another one."""
    streaming = StreamingService(breaks)
    points = np.random.default_rng(4).integers(-9, 9, (101, 2)).astype(float)
    result = run(streaming.start(servers), lambda client: client.value("f", points))
    assert np.array_equal(result.values, points @ [1.0, 10.0])
    assert streaming.streams > breaks


@both
def test_a_server_without_streams_is_called_without(servers: Servers, run: Callable[..., Any]) -> None:
    """An old server, or a proxy that knows no streams, is served by calls of their own."""
    fake = FakeService()
    points = np.random.default_rng(5).integers(-9, 9, (101, 2)).astype(float)
    result = run(servers.start(fake_answers(fake)), lambda client: client.value("f", points))
    assert np.array_equal(result.values, points @ [1.0, 10.0])


@both
def test_a_late_answer_is_not_waited_for(servers: Servers, run: Callable[..., Any]) -> None:
    """A call ends by itself when its time is over, whatever the server does, and the server is told to stop."""
    streaming, release = StreamingService(), threading.Event()
    streaming.hold = lambda _message: release.wait(20)
    target = streaming.start(servers)
    started = time.monotonic()
    try:
        with pytest.raises(gm.DeadlineExceededError, match="before it was answered"):
            run(target, lambda client: client.value("f", [1, 2], timeout=0.5))
    finally:
        release.set()
    assert time.monotonic() - started < 10
    assert streaming.messages[0].timeout.ToMilliseconds() <= 500


def test_a_slow_message_holds_no_other_back(servers: Servers) -> None:
    """Calls of other threads are answered while one of them takes long."""
    streaming, release = StreamingService(), threading.Event()
    streaming.hold = lambda message: release.wait(20) if message.request.points.matrix.data[:8] == bytes(8) else None
    with gm.connect(streaming.start(servers)) as client, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.value, "f", [0.0, 2.0])
        streaming.wait_for(1)
        assert [client.value("f", [float(a), 2.0]).values for a in range(1, 9)] == [a + 20.0 for a in range(1, 9)]
        assert not slow.done()
        release.set()
        assert slow.result().values == 20.0


def test_cancelling_a_task_tells_the_server(servers: Servers) -> None:
    """A call that is given up is given up at the server too, and its stream goes on."""
    streaming, release = StreamingService(), threading.Event()

    async def scenario() -> float:
        async with gm.connect_async(streaming.start(servers)) as client:
            await client.value("f", [3, 4])
            streaming.hold = lambda message: release.wait(20) if not message.cancel else None
            task = asyncio.create_task(client.value("f", [1, 2]))
            await asyncio.to_thread(streaming.wait_for, 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            release.set()
            await asyncio.to_thread(streaming.wait_for, 3)
            value = float((await client.value("f", [5, 6])).values)
            # The next call may take another stream, while the first one has yet to answer what was given up.
            assert streaming.ended == 0
            return value

    assert asyncio.run(scenario()) == 65.0
    assert streaming.messages[2].sequence == streaming.messages[1].sequence


def test_closing_ends_calls_of_other_threads(servers: Servers) -> None:
    """A client that is closed lets nobody wait."""
    streaming, release = StreamingService(), threading.Event()
    target = streaming.start(servers)
    client = gm.connect(target)
    client.value("f", [3, 4])
    streaming.hold = lambda _message: release.wait(20)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.value, "f", [1, 2])
        streaming.wait_for(2)
        client.close()
        with pytest.raises(gm.CancelledError, match="closed"):
            call.result(20)
    release.set()


def test_closing_ends_calls_of_other_tasks(servers: Servers) -> None:
    """A client for asyncio that is closed lets nobody wait either."""
    streaming, release = StreamingService(), threading.Event()

    async def scenario() -> None:
        client = gm.connect_async(streaming.start(servers))
        await client.value("f", [3, 4])
        streaming.hold = lambda _message: release.wait(20)
        task = asyncio.create_task(client.value("f", [1, 2]))
        await asyncio.to_thread(streaming.wait_for, 2)
        await client.close()
        with pytest.raises(gm.CancelledError, match="closed"):
            await task
        release.set()

    asyncio.run(scenario())


_NEVER_CLOSED = """
import sys
import gradmill as gm
client = gm.connect(sys.argv[1])
print(client.value("f", [1, 2]).values)
"""

_FORKED = """
import os, sys
import gradmill as gm
client = gm.connect(sys.argv[1])
client.value("f", [1, 2])
sys.stdout.flush()
with client._session._lock, client._session._patterns._lock:  # as another thread of the parent may
    child = os.fork()
    if child == 0:
        print(client.value("f", [3, 4]).values, flush=True)
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(client.value("f", [5, 6]).values)
"""


def _run(program: str, target: str) -> list[str]:
    environment = os.environ | {"GRPC_VERBOSITY": "NONE"}
    command = [sys.executable, "-c", program, target]
    finished = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment)
    return finished.stdout.split()


def test_a_program_that_never_closes_just_ends(servers: Servers) -> None:
    """Streams that are open keep no program from ending."""
    assert _run(_NEVER_CLOSED, StreamingService().start(servers)) == ["21.0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_streams_of_its_own(servers: Servers) -> None:
    """A forked child can call, and its parent still can."""
    assert _run(_FORKED, StreamingService().start(servers)) == ["43.0", "65.0"]


class _Callers:
    """A server that notes whose points come with whose token."""

    def __init__(self) -> None:
        """Have heard of nobody."""
        self.heard: list[tuple[float, str]] = []
        fake = FakeService()
        fake.compute_microseconds = 1  # so little that calls would wait to be joined
        self._answer = fake_answers(fake)

    def __call__(self, method: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer after a while, so that other calls come meanwhile."""
        if method == "Evaluate":
            request = service.EvaluateRequest.FromString(body)
            token = dict(context.invocation_metadata())["authorization"]
            rows = read_array(request.points.matrix, "points")
            self.heard += [(row[0], str(token)) for row in rows]
            time.sleep(0.005)
        return self._answer(method, body, context)

    def check(self) -> None:
        """Check that every caller's points came with its own token."""
        assert len(self.heard) == 1 + 8 * 4
        assert all(token == f"Bearer {number:g}" for number, token in self.heard)


CALLER = contextvars.ContextVar("CALLER", default=0)


def test_the_token_of_each_thread_goes_with_its_own_calls(servers: Servers) -> None:
    """A token that depends on the thread which calls never goes with the points of another."""
    callers = _Callers()

    def use(client: gm.Client, number: int) -> None:
        CALLER.set(number)
        for _ in range(4):
            client.gradient("f", [number, 2])

    with gm.connect(servers.start(callers), token=lambda: str(CALLER.get())) as client, ThreadPoolExecutor(8) as pool:
        client.gradient("f", [0, 2])
        list(pool.map(lambda number: use(client, number), range(8)))
    callers.check()


def test_the_token_of_each_task_goes_with_its_own_calls(servers: Servers) -> None:
    """The same for tasks."""
    callers = _Callers()

    async def use(client: gm.AsyncClient, number: int) -> None:
        CALLER.set(number)
        for _ in range(4):
            await client.gradient("f", [number, 2])

    async def run() -> None:
        async with gm.connect_async(servers.start(callers), token=lambda: str(CALLER.get())) as client:
            await client.gradient("f", [0, 2])
            await asyncio.gather(*(use(client, number) for number in range(8)))

    asyncio.run(run())
    callers.check()
