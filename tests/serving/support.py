"""What the tests of the serving layer share: requests, and what stands in their answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from google.rpc import code_pb2, error_details_pb2, status_pb2
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2
from gradmill_server.engine.limits import Limits
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.status import RpcFailure
from gradmill_server.serving.telemetry import SILENT, Telemetry

T = TypeVar("T")

VALUE = service_pb2.DERIVATIVE_VALUE
GRADIENT = service_pb2.DERIVATIVE_GRADIENT
TEXTBOOK = "3*(x1**2 + x2*x3)"


def formula(text: str = TEXTBOOK) -> service_pb2.Function:
    """Return a function as a formula."""
    return service_pb2.Function(formula=graph_pb2.Formula(text=text))


def graph(*, name: str = "x", operation: str = "exp", argument: int = 0) -> service_pb2.Function:
    """Return a function of one input as a graph: one operation, whose value is the output."""
    return service_pb2.Function(
        graph=graph_pb2.Graph(
            inputs=[graph_pb2.Input(name=name)],
            operation_names=[operation],
            nodes=[graph_pb2.Node(operation=0, arguments=[argument])],
            outputs=[graph_pb2.Output(name="value", value=1)],
        )
    )


def digest(value: bytes) -> service_pb2.Function:
    """Return a function by its digest."""
    return service_pb2.Function(digest=value)


def wants(*kinds: int) -> list[service_pb2.Want]:
    """Return wishes for all outputs with respect to all inputs."""
    return [service_pb2.Want(derivative=kind) for kind in kinds]  # type: ignore[arg-type]


def array(values: npt.ArrayLike) -> graph_pb2.Array:
    """Return an array as raw bytes."""
    numbers = np.asarray(values, dtype="<f8")
    return graph_pb2.Array(shape=numbers.shape, data=numbers.tobytes())


def matrix(rows: npt.ArrayLike) -> service_pb2.Points:
    """Return points as a matrix."""
    return service_pb2.Points(matrix=array(rows))


def evaluation(
    function: service_pb2.Function | None = None,
    points: service_pb2.Points | None = None,
    kinds: Sequence[int] = (VALUE, GRADIENT),
) -> service_pb2.EvaluateRequest:
    """Return a request to evaluate; by default the textbook function at (2, 3, 4)."""
    return service_pb2.EvaluateRequest(
        function=formula() if function is None else function,
        points=matrix([[2.0, 3.0, 4.0]]) if points is None else points,
        wants=wants(*kinds),
    )


def numbers(message: graph_pb2.Array) -> npt.NDArray[np.float64]:
    """Return the elements of an answer's array, however it was written, in its shape."""
    flat = np.array(message.values) if message.values else np.frombuffer(message.data, dtype="<f8")
    return flat.reshape(tuple(message.shape))


def results(body: bytes) -> list[npt.NDArray[np.float64]]:
    """Return the arrays of an answer to Evaluate."""
    return [numbers(result.array) for result in service_pb2.EvaluateResponse.FromString(body).results]


def information(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """Return the ErrorInfo of a status, which must be its first detail."""
    found = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(found)
    return found


def violations(status: status_pb2.Status) -> dict[str, str]:
    """Return the reason of each field's violation."""
    for detail in status.details:
        request = error_details_pb2.BadRequest()
        if detail.Unpack(request):
            return {entry.field: entry.reason for entry in request.field_violations}
    return {}


def retry_seconds(status: status_pb2.Status) -> float | None:
    """Return after how long the status says to try again."""
    for detail in status.details:
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return float(retry.retry_delay.ToTimedelta().total_seconds())
    return None


def refusal(status: status_pb2.Status) -> tuple[str, str]:
    """Return the name of a status's code and its reason."""
    return code_pb2.Code.Name(status.code), information(status).reason


def small_settings(limits: Limits | None = None, **changes: object) -> Settings:
    """Return settings for a test: two workers, nothing computed anywhere else, and what is said."""
    common = replace(Settings(), workers=2, inline_microseconds=0, metrics_port=0, port=0)
    settings = replace(common, **changes)  # type: ignore[arg-type]
    return settings if limits is None else replace(settings, limits=limits)


@asynccontextmanager
async def handling(settings: Settings | None = None, telemetry: Telemetry = SILENT) -> AsyncIterator[Handler]:
    """Give a handler, and close it."""
    handler = Handler(settings or small_settings(), telemetry)
    try:
        yield handler
    finally:
        await handler.close()


async def ask(handler: Handler, request: service_pb2.EvaluateRequest, timeout: float | None = 60.0) -> bytes:  # noqa: ASYNC109
    """Return the answer to Evaluate."""
    return await handler.evaluate(request.SerializeToString(), handler.context(timeout, "test"))


async def failure_of(awaitable: Awaitable[object]) -> status_pb2.Status:
    """Return the status with which a call fails."""
    try:
        await awaitable
    except RpcFailure as failure:
        return failure.status
    message = "the call succeeded"
    raise AssertionError(message)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds; the test run's own time limit ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event to wait on
        await asyncio.sleep(0.001)


async def stream_answers(
    handler: Handler, sender: AsyncIterator[bytes], context: CallContext | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield the answers of a stream, one at a time: the next is written once this one was taken."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    taken = asyncio.Semaphore(0)

    async def read() -> bytes | None:
        return await anext(sender, None)

    async def write(answer: bytes) -> None:
        answers.put_nowait(answer)
        await taken.acquire()

    stream = asyncio.create_task(handler.evaluate_stream(read, write, context or CallContext()))
    getting: asyncio.Task[bytes] | None = None
    try:
        while True:
            getting = asyncio.create_task(answers.get())
            await asyncio.wait((stream, getting), return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                break
            yield getting.result()
            taken.release()
        await stream
    finally:
        for task in (stream, getting):
            if task is not None:
                task.cancel()
        await asyncio.gather(stream, return_exceptions=True)
