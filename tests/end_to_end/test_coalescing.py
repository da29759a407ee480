"""Concurrent small calls of one client against a real server: the same bits as each call alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradmill as gm
import numpy as np
import pytest

from tests.end_to_end.server_process import ServerProcess, running_server

APART = gm.Batching(coalesce=False)
RANDOM = np.random.default_rng(11)
ARRAY = gm.formula("a = sum(w * w) * x\nb = w * sin(x)\nreturn a, b", {"x": (), "w": 3})
SINGLE = gm.formula("x*y + exp(x)", ["x", "y"], dtype="float32")
LOGARITHM = "log(x) * y + sqrt(y)"
FUNCTIONS: dict[str, tuple[gm.FunctionLike, Sequence[Any], dict[str, Any]]] = {
    "gradient": ("x*y + sin(x)/y", [RANDOM.normal(size=2) for _ in range(48)], {"want": ["value", "gradient"]}),
    "several points": (
        "tanh(x*y)**2",
        [RANDOM.normal(size=(n % 5 + 1, 2)) for n in range(40)],
        {"want": ["value", "gradient", "hessian", "hessian_diagonal"]},
    ),
    "arrays": (ARRAY, [RANDOM.normal(size=4) for _ in range(40)], {"want": ["value", "jacobian"]}),
    "some inputs": (
        ARRAY,
        [RANDOM.normal(size=(2, 4)) for _ in range(40)],
        {"want": "jacobian", "with_respect_to": "w", "outputs": ["b"]},
    ),
    "by name": (
        "x*y**2 + exp(x*z)",
        [dict(zip("xyz", RANDOM.normal(size=3).tolist(), strict=True)) for _ in range(40)],
        {"want": ["value", "gradient", "hessian", "hessian_diagonal"], "with_respect_to": ["z", "x"]},
    ),
    "arrays by name": (
        ARRAY,
        [{"x": RANDOM.normal(size=2), "w": RANDOM.normal(size=(2, 3))} for _ in range(40)],
        {"want": ["value", "jacobian"]},
    ),
    "matrices by name": (
        gm.formula("sum(w*w*w) * x + x**3 * w[1]", {"x": (), "w": 3}),
        [{"x": float(RANDOM.normal()), "w": RANDOM.normal(size=3)} for _ in range(40)],
        {"want": ["gradient", "hessian"]},
    ),
    "single": (SINGLE, [RANDOM.normal(size=2).astype(np.float32) for _ in range(40)], {"want": ["value", "gradient"]}),
    "not finite": (
        LOGARITHM,
        [np.array([x, y]) for x in (0.0, -1.0, 2.0, np.nan) for y in (0.0, 4.0, -1.0, np.inf)],
        {"want": ["value", "gradient"]},
    ),
}
cases = pytest.mark.parametrize("name", FUNCTIONS)


def _facts(result: gm.Result) -> list[Any]:
    """Return all that a result says of its points, to the bit."""

    def fact(entry: Any) -> Any:  # noqa: ANN401 - a float, an array or a mapping of these
        if isinstance(entry, dict):
            return {name: fact(part) for name, part in entry.items()}
        if isinstance(entry, np.ndarray):
            return entry.dtype.str, entry.shape, entry.tobytes()
        return type(entry).__name__, np.float64(entry).tobytes() if isinstance(entry, float) else entry

    kinds = ("values", "gradient", "jacobian", "hessian", "hessian_diagonal", "point_flags")
    return [fact(getattr(result, kind)) for kind in (*kinds, "jacobian_mode", "digest", "stable_forms")]


def _alone(server: ServerProcess, name: str) -> list[list[Any]]:
    function, batches, wish = FUNCTIONS[name]
    with gm.connect(server.address, batching=APART) as client:
        return [_facts(client.evaluate(function, points, **wish)) for points in batches]


def _messages(server: ServerProcess) -> float:
    return server.metric("gradmill_requests_total", method="EvaluateStream")


@cases
def test_threads_get_the_bits_they_would_get_alone(server: ServerProcess, name: str) -> None:
    """Calls of many threads share messages without a trace in their results."""
    function, batches, wish = FUNCTIONS[name]
    expected = _alone(server, name)
    with gm.connect(server.address) as client, ThreadPoolExecutor(16) as pool:
        client.evaluate(function, batches[0], **wish)
        for _ in range(3):
            results = pool.map(lambda points: client.evaluate(function, points, **wish), batches)
            assert [_facts(result) for result in results] == expected


@cases
def test_tasks_get_the_bits_they_would_get_alone(server: ServerProcess, name: str) -> None:
    """Calls of many tasks share messages without a trace in their results, and there are few messages."""
    function, batches, wish = FUNCTIONS[name]

    async def scenario() -> list[gm.Result]:
        async with gm.connect_async(server.address) as client:
            await client.evaluate(function, batches[0], **wish)
            return list(await asyncio.gather(*[client.evaluate(function, points, **wish) for points in batches]))

    expected = _alone(server, name)
    before = _messages(server)
    assert [_facts(result) for result in asyncio.run(scenario())] == expected
    assert _messages(server) - before < len(batches) / 2


def test_a_limit_that_only_the_joint_message_passes_is_nobodys_error() -> None:
    """Calls that each fit a server's limits are answered, though all together pass one."""
    with_limit = ("--maximum-result-bytes", "1000")
    with running_server(*with_limit) as server, gm.connect(server.address) as client, ThreadPoolExecutor(32) as pool:
        client.gradient("x*y", [1.0, 2.0])
        results = list(pool.map(lambda n: client.gradient("x*y", [float(n), 2.0]), range(200)))
        assert [result.values for result in results] == [2.0 * n for n in range(200)]
