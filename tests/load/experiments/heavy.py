"""Functions that take as long as they are told to, with small requests and small answers."""

from __future__ import annotations

import gradmill as gm
import numpy as np
from gradmill.sources import as_source
from gradmill.v1 import gradient_service_pb2 as service

from tests.load.answers import fingerprint, parsed
from tests.load.experiments.measuring import Question, asked
from tests.load.server_under_test import ServerUnderTest
from tests.load.workloads import array_message

_TRIALS = 5


def heavy_request(steps: int, points: int) -> service.EvaluateRequest:
    """Return the value of ``steps`` times state = sin(state) + x, at some points."""
    x = gm.inputs("x")
    function = as_source(gm.fold(lambda state, _: gm.sin(state) + x, x, steps=steps)).message()
    matrix = np.linspace(0.1, 0.9, points)[:, None]
    return service.EvaluateRequest(
        function=function,
        wants=[service.Want(derivative=service.DERIVATIVE_VALUE)],
        points=service.Points(matrix=array_message(matrix)),
    )


async def heavy_question(
    server: ServerUnderTest, milliseconds: float, *, points: int = 256, token: str = ""
) -> Question:
    """Return a question that keeps a worker busy for about so long, measured on this server.

    It has enough points that joining it with others saves nothing: what is asked of a worker is what is offered.
    """
    steps = await heavy_steps(server, milliseconds, points=points, token=token)
    return await question_of_steps(server, steps, points=points, token=token)


async def question_of_steps(server: ServerUnderTest, steps: int, *, points: int = 256, token: str = "") -> Question:
    """Return the question of so many steps. It brings its function along: not all workers know its digest."""
    request = heavy_request(steps, points).SerializeToString()
    answer = await asked(server, request, token=token)
    return Question(request, fingerprint("Evaluate", answer))


async def heavy_steps(server: ServerUnderTest, milliseconds: float, *, points: int = 256, token: str = "") -> int:
    """Return how many steps take about so long."""
    steps = 200
    for _ in range(_TRIALS):
        request = heavy_request(steps, points)
        await asked(server, request.SerializeToString(), token=token)
        seconds = min([await _compute_seconds(server, request, token) for _ in range(3)])
        if 0.9 < milliseconds / 1e3 / seconds < 1.1:
            break
        steps = max(1, round(steps * milliseconds / 1e3 / seconds))
    return steps


async def _compute_seconds(server: ServerUnderTest, request: service.EvaluateRequest, token: str) -> float:
    answer = parsed(await asked(server, request.SerializeToString(), token=token), service.EvaluateResponse())
    return answer.timings.compute.ToNanoseconds() / 1e9
