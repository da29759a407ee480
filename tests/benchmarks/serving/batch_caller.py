"""One big batch a request: through our client library, or its bytes over the stream of an echo.

A request has ``way`` ("sdk", "echo, threads" or "echo, asyncio"), ``address`` and ``points``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradmill as gm
import grpc
import grpc.aio
import numpy as np
from gradmill.settings import Batching

from tests.benchmarks.serving.conversation import answer_requests
from tests.benchmarks.serving.echo_server import STREAM
from tests.benchmarks.serving.window import Window

INPUTS = 10
SDK, ECHO_THREADS, ECHO_TASKS = "sdk", "echo, threads", "echo, asyncio"
POINT_BYTES = 8 * INPUTS
ANSWER_BYTES = 8 * (INPUTS + 1)
_FORMULA = "sum(100*(x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)"
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def _through_the_sdk(address: str, points: int) -> Callable[[], None]:
    """Return what asks for values and gradients at so many points, once both sides know the function."""
    function = gm.formula(_FORMULA, inputs={"x": INPUTS})
    batch = np.random.default_rng(7).uniform(-1.0, 1.0, (points, INPUTS))
    client = gm.connect(address)
    client.gradient(function, batch[:1])

    def call() -> None:
        result = client.gradient(function, batch, progress=False)
        client.close()
        _check(batch[-1], float(result.values[-1]), result.gradient[-1])

    return call


def _check(point: np.ndarray, value: float, gradient: np.ndarray) -> None:
    """Compare an answer with the function in NumPy and its differences."""
    moves = 1e-6 * np.eye(INPUTS)
    slopes = [(_value(point + move) - _value(point - move)) / 2e-6 for move in moves]
    if not np.isclose(value, _value(point)) or not np.allclose(gradient, slopes, rtol=1e-4, atol=1e-4):
        message = "the server's answer is wrong"
        raise ValueError(message)


def _value(x: np.ndarray) -> float:
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def _messages(points: int) -> list[bytes]:
    """Return as many messages as our client sends, with half of all bytes that it sends and gets."""
    own = Batching().points_per_message(POINT_BYTES, ANSWER_BYTES)
    counts = [min(own, points - start) for start in range(0, points, own)]
    return [bytes(count * (POINT_BYTES + ANSWER_BYTES) // 2) for count in counts]


def _echoed_to_threads(address: str, points: int) -> Callable[[], None]:
    bodies = _messages(points)

    def call() -> None:
        with grpc.insecure_channel(address, options=_UNLIMITED) as channel:
            echo: Any = channel.stream_stream(STREAM)
            for _ in echo(iter(bodies)):
                pass

    return call


def _echoed_to_tasks(address: str, points: int) -> Callable[[], None]:
    messages = _messages(points)

    async def bodies() -> AsyncIterator[bytes]:
        for message in messages:
            yield message

    async def echoed() -> None:
        async with grpc.aio.insecure_channel(address, options=_UNLIMITED) as channel:
            echo: Any = channel.stream_stream(STREAM)
            async for _ in echo(bodies()):
                pass

    return lambda: asyncio.run(echoed())


_WAYS: dict[str, Callable[[str, int], Callable[[], None]]] = {
    SDK: _through_the_sdk,
    ECHO_THREADS: _echoed_to_threads,
    ECHO_TASKS: _echoed_to_tasks,
}


def _measure(request: dict[str, Any]) -> dict[str, object]:
    points = int(request["points"])
    call = _WAYS[request["way"]](str(request["address"]), points)
    began, began_cpu = time.perf_counter(), time.process_time()
    call()
    elapsed, used = time.perf_counter() - began, time.process_time() - began_cpu
    return Window(points, elapsed, client_cpu_s=used, all_calls=points).as_record()


if __name__ == "__main__":
    answer_requests(_measure)
