"""pytensor-federated: a gRPC service with value and gradients, and `LogpGradServiceClient` on its streams.

Run by the interpreter of the peers. A server is one process; its clients are spread over one for each core.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from grpclib.server import Server
from pytensor_federated import ArraysToArraysService, LogpGradServiceClient, wrap_logp_grad_func

from tests.benchmarks.serving import two_inputs
from tests.benchmarks.serving.callers import answer_callers


def _value_and_gradient(x: Any, y: Any) -> tuple[Any, list[Any]]:  # noqa: ANN401 - NumPy's scalars, as arrays
    value = np.asarray(two_inputs.value(float(x), float(y)))
    return value, [np.asarray(slope) for slope in two_inputs.gradient(float(x), float(y))]


async def _serve(port: int) -> None:
    server = Server([ArraysToArraysService(wrap_logp_grad_func(_value_and_gradient))])
    await server.start("127.0.0.1", port)
    await server.wait_closed()


def main(arguments: Sequence[str]) -> None:
    """Serve on a port, or call the servers on several."""
    role, *ports = arguments
    if role == "serve":
        asyncio.run(_serve(int(ports[0])))
        return
    point = [np.asarray(number) for number in two_inputs.POINT]

    def caller(number: int) -> Callable[[], Awaitable[object]]:
        client = LogpGradServiceClient("127.0.0.1", int(ports[number % len(ports)]))
        checked = False

        async def call() -> object:
            nonlocal checked
            answer = await client.evaluate_async(*point)
            if not checked:
                two_inputs.check(answer[1])
                checked = True
            return answer

        return call

    answer_callers(task=caller)


if __name__ == "__main__":
    main(sys.argv[1:])
