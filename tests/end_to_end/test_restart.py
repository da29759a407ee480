"""What a caller notices when a server goes away and comes back: nothing."""

from __future__ import annotations

import asyncio

import gradmill
import numpy as np

from tests.end_to_end.server_process import ServerProcess, running_server

FORMULA = "exp(-x1)*x2 + log(x3)"  # not the sample that a server warms up with


def test_a_restart_between_two_calls_by_digest_is_invisible() -> None:
    """A client that calls by digest gets its answer from a new server that has never seen the function."""
    with running_server() as first:
        port = first.port
        client = gradmill.connect(first.address)
        before = client.gradient(FORMULA, [[2.0, 3.0, 4.0]])
        again = client.gradient(FORMULA, [[2.0, 3.0, 4.0]])
        assert first.stop() == 0
    with running_server(port=port) as second, client:
        after = client.gradient(FORMULA, [[2.0, 3.0, 4.0]])
        assert second.metric("gradmill_requests_total", code="NOT_FOUND") == 1
    for result in (again, after):
        np.testing.assert_array_equal(result.gradient, before.gradient)
        assert result.digest == before.digest


def test_sixty_four_first_calls_compile_once() -> None:
    """64 callers who bring one new graph at the same moment cause one compilation, and all get the answer."""
    x, y = gradmill.inputs("x", "y")
    function = x
    for _ in range(2_000):
        function = gradmill.sin(function) + y * function
    with running_server() as server:
        before = server.metric("gradmill_programs_compiled_total")
        results = asyncio.run(_call_together(server, function, callers=64))
        compiled = server.metric("gradmill_programs_compiled_total") - before
    assert compiled == 1
    for result in results:
        np.testing.assert_array_equal(result.gradient, results[0].gradient)


async def _call_together(server: ServerProcess, function: gradmill.Expression, callers: int) -> list[gradmill.Result]:
    clients = [gradmill.connect_async(server.address) for _ in range(callers)]
    try:
        calls = [client.gradient(function, [[0.5, 0.25]]) for client in clients]
        return list(await asyncio.gather(*calls))
    finally:
        await asyncio.gather(*(client.close() for client in clients))
