"""The gRPC transport, with grpcio's own client before it, in one process."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.listening import ListenError
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.transport import SERVICE_NAME, GrpcFront
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.serving.support import (
    VALUE,
    digest,
    evaluation,
    formula,
    handling,
    information,
    matrix,
    refusal,
    results,
    retry_seconds,
    small_settings,
    until,
)

T = TypeVar("T")
_HEALTH = "/grpc.health.v1.Health/"
_REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


class _Service:
    """A handler behind gRPC, and a channel to it."""

    def __init__(self, handler: Handler, front: GrpcFront, channel: grpc.aio.Channel) -> None:
        self.handler = handler
        self.front = front
        self.channel = channel

    async def call(self, method: str, body: bytes, timeout: float = 60.0) -> bytes:  # noqa: ASYNC109  gRPC's
        unary: Any = self.channel.unary_unary(method, None, None)
        answer: bytes = await unary(body, timeout=timeout)
        return answer

    async def evaluate(self, request: service_pb2.EvaluateRequest, timeout: float = 60.0) -> bytes:  # noqa: ASYNC109
        return await self.call(f"/{SERVICE_NAME}/Evaluate", request.SerializeToString(), timeout)

    async def check(self, service: str = "") -> health_pb2.HealthCheckResponse:
        request = health_pb2.HealthCheckRequest(service=service)
        return health_pb2.HealthCheckResponse.FromString(
            await self.call(f"{_HEALTH}Check", request.SerializeToString())
        )


@asynccontextmanager
async def _service(settings: Settings | None = None) -> AsyncIterator[_Service]:
    chosen = settings or small_settings()
    async with handling(chosen) as handler:
        front = GrpcFront(handler, chosen)
        await front.start()
        front.report_ready()
        options = (("grpc.max_receive_message_length", -1),)
        try:
            async with grpc.aio.insecure_channel(front.address, options=options) as channel:
                yield _Service(handler, front, channel)
        finally:
            await front.stop(0)


def _run(scenario: Callable[[_Service], Awaitable[T]], settings: Settings | None = None) -> T:
    async def whole() -> T:
        async with _service(settings) as service:
            return await scenario(service)

    return asyncio.run(whole())


async def _error(awaitable: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await awaitable
    return raised.value


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    metadata: Iterable[tuple[str, Any]] = error.trailing_metadata()
    return status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])


def test_evaluate_over_the_wire() -> None:
    """A unary call is answered."""
    assert results(_run(lambda service: service.evaluate(evaluation())))[0].tolist() == [48.0]


def test_status_details_reach_the_caller() -> None:
    """A refusal's code, message and details arrive in gRPC's own status."""
    error = _run(lambda service: _error(service.evaluate(evaluation(digest(bytes(32))))))
    status = _status(error)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == status.message
    assert refusal(status) == ("NOT_FOUND", "DIGEST_UNKNOWN")


def test_largest_status_still_fits() -> None:
    """Twenty mistakes with long names and an excerpt of a formula arrive whole enough to act on."""
    request = evaluation()
    for number in range(20):
        request.function.graph.inputs.add(name="\u20ac" * 3_000 + str(number))

    async def scenario(service: _Service) -> tuple[grpc.aio.AioRpcError, grpc.aio.AioRpcError]:
        long_line = evaluation(formula("x1 + " * 1_000 + "*"))
        return await _error(service.evaluate(request)), await _error(service.evaluate(long_line))

    for error in _run(scenario):
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert information(_status(error)).reason


def test_garbage_is_invalid_argument() -> None:
    """Bytes that are no message are the caller's mistake, and the next call is answered."""

    async def scenario(service: _Service) -> tuple[tuple[str, str], bytes]:
        error = await _error(service.call(f"/{SERVICE_NAME}/Evaluate", b"\xff\xff"))
        return refusal(_status(error)), await service.evaluate(evaluation())

    refused, answer = _run(scenario)
    assert refused == ("INVALID_ARGUMENT", "REQUEST_MALFORMED")
    assert results(answer)[0].tolist() == [48.0]


def test_oversized_message() -> None:
    """A message above the limit is refused with its size and the limit, and the next call is answered."""

    async def scenario(service: _Service) -> grpc.aio.AioRpcError:
        error = await _error(service.call(f"/{SERVICE_NAME}/Evaluate", bytes(2_000_000)))
        await service.evaluate(evaluation())
        return error

    error = _run(scenario, small_settings(maximum_message_bytes=1_000_000))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "2000000 vs. 1000000" in (error.details() or "")


def test_unknown_method() -> None:
    """A method that the service has not is UNIMPLEMENTED."""
    error = _run(lambda service: _error(service.call(f"/{SERVICE_NAME}/Integrate", b"")))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_deadline() -> None:
    """A call past its deadline is answered DEADLINE_EXCEEDED, and its worker becomes free."""
    text = " + ".join(f"exp(x * {number})" for number in range(1, 400))
    slow = evaluation(formula(text), matrix([[0.0]] * 400_000), [VALUE])

    async def scenario(service: _Service) -> grpc.aio.AioRpcError:
        error = await _error(service.evaluate(slow, timeout=0.2))
        await until(lambda: service.handler.pool.busy == 0 and service.handler.admission.calls == 0)
        return error

    assert _run(scenario).code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_cancelled_calls_leave_nothing_in_flight() -> None:
    """Two hundred calls cancelled by their callers leave no work, and the next call is answered."""

    async def scenario(service: _Service) -> bytes:
        gate = threading.Event()
        blocked = [asyncio.create_task(service.handler.pool.run(gate.wait)) for _ in range(2)]
        await until(lambda: service.handler.pool.busy == 2)
        calls = [asyncio.create_task(service.evaluate(evaluation())) for _ in range(200)]
        await until(lambda: service.handler.admission.calls == 200)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: service.handler.admission.calls == 0)
        gate.set()
        await asyncio.gather(*blocked)
        return await service.evaluate(evaluation())

    assert results(_run(scenario))[0].tolist() == [48.0]


def test_overload_says_when_to_retry() -> None:
    """A full queue is UNAVAILABLE with RetryInfo."""

    async def scenario(service: _Service) -> grpc.aio.AioRpcError:
        gate = threading.Event()
        blocked = [asyncio.create_task(service.handler.pool.run(gate.wait)) for _ in range(2)]
        await until(lambda: service.handler.pool.busy == 2)
        error = await _error(service.evaluate(evaluation()))
        gate.set()
        await asyncio.gather(*blocked)
        return error

    error = _run(scenario, small_settings(queue_length=0))
    assert refusal(_status(error)) == ("UNAVAILABLE", "QUEUE_FULL")
    assert retry_seconds(_status(error)) is not None


def test_stream() -> None:
    """A stream over the wire is answered in order, and an error in one message does not end it."""

    async def scenario(service: _Service) -> list[service_pb2.EvaluateStreamResponse]:
        method: Any = service.channel.stream_stream(f"/{SERVICE_NAME}/EvaluateStream", None, None)
        texts = ["x", "x +", "x * 2"]
        requests = [
            service_pb2.EvaluateStreamRequest(sequence=n, request=evaluation(formula(text), matrix([[3.0]]), [VALUE]))
            for n, text in enumerate(texts)
        ]
        call = method(iter([request.SerializeToString() for request in requests]), timeout=60)
        return [service_pb2.EvaluateStreamResponse.FromString(body) async for body in call]

    answers = _run(scenario)
    assert [answer.WhichOneof("outcome") for answer in answers] == ["response", "error", "response"]
    assert [answer.sequence for answer in answers] == [0, 1, 2]


def test_idle_streams_keep_nobody_waiting() -> None:
    """A hundred open streams on which nothing happens keep no unary call from its answer."""

    async def scenario(service: _Service) -> bytes:
        method: Any = service.channel.stream_stream(f"/{SERVICE_NAME}/EvaluateStream", None, None)
        streams = [method() for _ in range(100)]
        await until(lambda: service.handler.admission.streams == 100)
        answer = await service.evaluate(evaluation())
        for stream in streams:
            stream.cancel()
        await until(lambda: service.handler.admission.streams == 0)
        return answer

    assert results(_run(scenario))[0].tolist() == [48.0]


def test_health_while_every_worker_is_busy() -> None:
    """Health answers SERVING while all workers are busy and the queue is full."""

    async def scenario(service: _Service) -> tuple[int, int]:
        gate = threading.Event()
        blocked = [asyncio.create_task(service.handler.pool.run(gate.wait)) for _ in range(4)]
        await until(lambda: service.handler.pool.busy == 2 and service.handler.pool.waiting == 2)
        states = (await service.check()).status, (await service.check(SERVICE_NAME)).status
        gate.set()
        await asyncio.gather(*blocked)
        return states

    serving = health_pb2.HealthCheckResponse.SERVING
    assert _run(scenario, small_settings(queue_length=2)) == (serving, serving)


def test_health_of_an_unknown_service() -> None:
    """Health of a service that the server has not is NOT_FOUND."""
    error = _run(lambda service: _error(service.check("nobody.v1.Nothing")))
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_watchers_hear_of_the_drain_and_are_let_go() -> None:
    """Everyone who watches health hears SERVING, then NOT_SERVING when the server drains, and the watch ends."""

    async def scenario(service: _Service) -> list[list[int]]:
        method: Any = service.channel.unary_stream(f"{_HEALTH}Watch", None, None)
        watches = [
            method(health_pb2.HealthCheckRequest(service=name).SerializeToString()) for name in ("", "", "other")
        ]
        heard = [[health_pb2.HealthCheckResponse.FromString(await watch.read()).status] for watch in watches]
        service.front.report_draining()
        for states, watch in zip(heard, watches, strict=True):
            while (body := await watch.read()) is not grpc.aio.EOF:
                states.append(health_pb2.HealthCheckResponse.FromString(body).status)
        return heard

    serving, not_serving, unknown = (
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
        health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
    )
    assert _run(scenario) == [[serving, not_serving], [serving, not_serving], [unknown]]


def test_not_serving_before_ready() -> None:
    """Until the server is ready, health says NOT_SERVING."""

    async def scenario() -> int:
        async with handling() as handler:
            front = GrpcFront(handler, small_settings())
            await front.start()
            async with grpc.aio.insecure_channel(front.address) as channel:
                status = int((await _Service(handler, front, channel).check()).status)
            await front.stop(0)
            return status

    assert asyncio.run(scenario()) == health_pb2.HealthCheckResponse.NOT_SERVING


def test_reflection_lists_and_describes_the_service() -> None:
    """A generic client can learn the services and their messages from the server."""

    async def scenario(service: _Service) -> list[reflection_pb2.ServerReflectionResponse]:
        method: Any = service.channel.stream_stream(_REFLECTION, None, None)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE_NAME),
        ]
        call = method(iter([request.SerializeToString() for request in asked]))
        return [reflection_pb2.ServerReflectionResponse.FromString(body) async for body in call]

    listed, described = _run(scenario)
    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE_NAME, "grpc.health.v1.Health"} <= names
    assert any(b"EvaluateStream" in file for file in described.file_descriptor_response.file_descriptor_proto)


def test_caller_may_ping_every_ten_seconds() -> None:
    """The shortest interval between pings without calls that is tolerated is below ten seconds."""
    from gradmill_server.serving.transport import _options  # noqa: PLC0415

    options = dict(_options(small_settings()))
    assert options["grpc.http2.min_ping_interval_without_data_ms"] < 10_000
    assert options["grpc.keepalive_permit_without_calls"] == 1
    assert options["grpc.so_reuseport"] == 0


def test_taken_port_is_named() -> None:
    """A port that is taken is an error of one line that names it."""

    async def scenario() -> str:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            settings = small_settings()
            port = taken.getsockname()[1]
            async with handling(settings) as handler:
                front = GrpcFront(handler, Settings(port=port))
                with pytest.raises(ListenError) as error:
                    await front.start()
                assert str(port) in str(error.value)
                return str(error.value)

    assert "Address already in use" in asyncio.run(scenario())


def test_nothing_is_said_by_asyncio(caplog: pytest.LogCaptureFixture) -> None:
    """Calls that fail, are cancelled or run late leave no word of asyncio's or gRPC's own in the log."""

    async def scenario(service: _Service) -> None:
        await _error(service.evaluate(evaluation(kinds=())))
        await _error(service.evaluate(evaluation(), timeout=1e-9))
        call = asyncio.create_task(service.evaluate(evaluation()))
        await asyncio.sleep(0.001)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    with caplog.at_level(logging.WARNING):
        _run(scenario)
    assert [record for record in caplog.records if not record.name.startswith("gradmill")] == []
