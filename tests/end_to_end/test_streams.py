"""The client's streams against real server processes that stop, die, and grow tired of waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import gradmill as gm
import numpy as np
import pytest

from tests.end_to_end.server_process import ServerProcess, running_server

FUNCTION = "x*y + sin(x)"
POINTS = np.random.default_rng(5).normal(size=(40_000, 2))
EXPECTED = POINTS[:, 0] * POINTS[:, 1] + np.sin(POINTS[:, 0])


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """Run one server for the tests that do not stop it."""
    with running_server("--stream-idle-seconds", "0.3") as process:
        yield process


def test_an_idle_stream_is_opened_again(server: ServerProcess) -> None:
    """A client that pauses for longer than the server keeps streams does not notice."""
    with gm.connect(server.address, retries=gm.RetryPolicy(maximum_attempts=1)) as client:
        for _ in range(3):
            assert client.value(FUNCTION, [2.0, 3.0]).values == pytest.approx(6.909297426825682)
            time.sleep(0.5)


def test_a_long_batch_comes_in_order_on_several_streams(server: ServerProcess) -> None:
    """Many messages under way at once, and other calls beside them, get each row to its place."""
    batching = gm.Batching(message_bytes=4096, messages_in_flight=24)
    with gm.connect(server.address, batching=batching) as client, ThreadPoolExecutor(4) as pool:
        batches = [pool.submit(client.value, FUNCTION, POINTS + shift) for shift in range(4)]
        for shift, batch in enumerate(batches):
            moved = POINTS + shift
            assert np.allclose(batch.result(60).values, moved[:, 0] * moved[:, 1] + np.sin(moved[:, 0]), rtol=1e-12)


def test_a_server_killed_midway_is_not_noticed_once_another_runs() -> None:
    """A batch goes on at a new server on the same address, and no row is lost or doubled."""
    with ExitStack() as stack:
        first = stack.enter_context(running_server())
        port = first.port
        killed = threading.Event()

        def kill(done: int, total: int) -> None:
            if done > total // 4 and not killed.is_set():
                killed.set()
                first.kill()
                stack.enter_context(running_server(port=port))

        batching = gm.Batching(message_bytes=4096)
        retries = gm.RetryPolicy(maximum_attempts=400, maximum_backoff_seconds=0.5)
        with gm.connect(first.address, batching=batching, retries=retries) as client:
            result = client.value(FUNCTION, POINTS, progress=kill)
    assert killed.is_set()
    assert np.allclose(result.values, EXPECTED, rtol=1e-12)


def test_a_server_that_stops_answers_what_it_has_and_its_successor_the_rest() -> None:
    """Threads that call all the time while a server is replaced get every answer."""
    with ExitStack() as stack:
        first = stack.enter_context(running_server())
        retries = gm.RetryPolicy(maximum_attempts=400, maximum_backoff_seconds=0.5)
        stopping = threading.Event()

        def call(row: int) -> list[float]:
            values: list[float] = []
            while not stopping.is_set() or len(values) < 20:
                values.append(client.value(FUNCTION, POINTS[row]).values)
            return values

        with gm.connect(first.address, retries=retries) as client, ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(call, row) for row in range(8)]
            time.sleep(0.3)
            assert first.stop() == 0
            stack.enter_context(running_server(port=first.port))
            time.sleep(0.3)
            stopping.set()
            for row, made in enumerate(calls):
                assert set(made.result(60)) == {client.value(FUNCTION, POINTS[row]).values}


def test_a_cancelled_task_costs_others_nothing(server: ServerProcess) -> None:
    """Tasks that are given up in great number leave the client and the server as they were."""

    async def scenario() -> float:
        async with gm.connect_async(server.address) as client:
            await client.value(FUNCTION, [1.0, 2.0])
            for _ in range(20):
                tasks = [asyncio.create_task(client.value(FUNCTION, [float(n), 2.0])) for n in range(50)]
                await asyncio.sleep(0.001)
                for task in tasks[::2]:
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
                kept = [outcome.values for outcome in outcomes[1::2] if isinstance(outcome, gm.Result)]
                assert kept == pytest.approx([2.0 * n + np.sin(float(n)) for n in range(1, 50, 2)], rel=1e-14)
            return float((await client.value(FUNCTION, [0.0, 5.0])).values)

    assert asyncio.run(scenario()) == 0.0
