"""Real gRPC servers that answer with raw bytes, and clients of both kinds to use on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import gradmill as gm
import grpc
import pytest

from tests.client.fakes import FakeService, RawAnswer, StreamAnswer, raw_handlers

FAST = gm.RetryPolicy(maximum_attempts=3, initial_backoff_seconds=0.01, maximum_backoff_seconds=0.01)
SMALL = gm.Batching(message_bytes=160)


class Servers:
    """Starts servers on free ports of this machine."""

    def __init__(self) -> None:
        """Start none yet."""
        self._started: list[grpc.Server] = []

    def start(self, answer: RawAnswer, port: int = 0, stream: StreamAnswer | None = None) -> str:
        """Start a server and return its address."""
        server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((raw_handlers(answer, stream),))
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        self._started.append(server)
        return f"127.0.0.1:{bound}"

    def stop(self) -> None:
        """Stop all that were started."""
        for server in self._started:
            server.stop(0).wait()
        self._started.clear()


@contextmanager
def serving() -> Iterator[Servers]:
    """Return what starts servers, and stop them afterwards."""
    started = Servers()
    try:
        yield started
    finally:
        started.stop()


def fake_answers(fake: FakeService) -> RawAnswer:
    """Return a fake service as a server's answers."""

    def answer(method: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return fake.answer(method, body)
        except gm.GradmillError as error:
            context.abort(grpc.StatusCode[error.status], str(error))
            raise

    return answer


def in_threads(target: str, use: Callable[[Any], Any], **options: Any) -> Any:  # noqa: ANN401 - any result
    """Use a client for threads."""
    with gm.connect(target, retries=FAST, batching=SMALL, **options) as client:
        return use(client)


def in_asyncio(target: str, use: Callable[[Any], Any], **options: Any) -> Any:  # noqa: ANN401 - any result
    """Use a client for asyncio."""

    async def run() -> Any:  # noqa: ANN401 - any result
        async with gm.connect_async(target, retries=FAST, batching=SMALL, **options) as client:
            return await use(client)

    return asyncio.run(run())


both = pytest.mark.parametrize("run", [in_threads, in_asyncio], ids=["threads", "asyncio"])
