"""Clients of both kinds against real gRPC servers that answer with raw bytes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradmill as gm
import grpc
import numpy as np
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from gradmill.network import channel_options

from tests.client.fakes import FakeService, unknown_digest
from tests.client.raw_servers import Servers, both, fake_answers, serving
from tests.client.test_statuses import detailed_status


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Return what starts servers, and stop them afterwards."""
    with serving() as started:
        yield started


@both
def test_a_batch_travels_over_the_network(servers: Servers, run: Callable[..., Any]) -> None:
    """A batch of many messages comes back in order from a real server."""
    target = servers.start(fake_answers(FakeService()))
    points = np.random.default_rng(2).normal(size=(101, 2))
    result = run(target, lambda client: client.gradient("f", points))
    assert np.array_equal(result.values, points @ [1.0, 10.0])


@both
def test_details_of_a_refusal_arrive(servers: Servers, run: Callable[..., Any]) -> None:
    """What a server says about a mistake reaches the program, through gRPC's own trailer."""

    def refuse(_method: str, _body: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("grpc-status-details-bin", detailed_status()),))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "short")
        raise AssertionError

    target = servers.start(refuse)
    with pytest.raises(gm.InvalidRequestError, match="unknown operation") as caught:
        run(target, lambda client: client.register("f"))
    assert caught.value.metadata["node"] == "5"


@both
def test_nobody_there_is_said_with_the_address(run: Callable[..., Any]) -> None:
    """A wrong address is reported within seconds, by name."""
    with pytest.raises(gm.UnavailableError, match=r"no server answers at 127.0.0.1:9.*sent 3 times") as caught:
        run("127.0.0.1:9", lambda client: client.register("f"))
    assert "gradmill serve" in caught.value.advice


@both
def test_a_deadline_is_kept(servers: Servers, run: Callable[..., Any]) -> None:
    """A server that takes too long is left when the time is over."""
    release = threading.Event()

    def wait(_method: str, _body: bytes, _context: grpc.ServicerContext) -> bytes:
        release.wait(20)
        return b""

    target = servers.start(wait)
    try:
        with pytest.raises(gm.DeadlineExceededError):
            run(target, lambda client: client.register("f", timeout=0.05))
    finally:
        release.set()


@both
def test_a_forgotten_digest_is_not_seen(servers: Servers, run: Callable[..., Any]) -> None:
    """A server that forgets every function once is not noticed."""
    fake = FakeService()

    def use(client: Any) -> Any:  # noqa: ANN401 - a client of either kind
        fake.failures = []
        return client.value("f", [1, 2])

    def answer(method: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        if method == "Evaluate" and not fake.rows and "Evaluate" not in fake.calls:
            fake.failures = [unknown_digest()]
        try:
            return fake.answer(method, body)
        except gm.NotFoundError:
            status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="unknown digest")
            status.details.add().Pack(error_details_pb2.ErrorInfo(reason="DIGEST_UNKNOWN", domain="gradmill.dev"))
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown digest")
            raise

    assert run(servers.start(answer), use).values == 21.0
    assert fake.forms == ["formula"]


def test_a_restart_is_not_seen(servers: Servers) -> None:
    """A server that is replaced by another at the same address is not noticed by a caller between two calls."""
    target = servers.start(fake_answers(FakeService()))
    with gm.connect(target) as client:
        assert client.value("f", [1, 2]).values == 21.0
        servers.stop()
        second = FakeService()
        second.has_function = True
        servers.start(fake_answers(second), port=int(target.rpartition(":")[2]))
        assert client.value("f", [1, 2]).values == 21.0
    assert second.forms == ["digest"]


def test_channels_spread_calls_and_leave_repetition_to_us() -> None:
    """Calls go to all addresses in turn, and are never repeated twice over."""
    options = dict(channel_options(-1))
    assert "round_robin" in options["grpc.service_config"]
    assert options["grpc.enable_retries"] == 0
    assert options["grpc.max_receive_message_length"] == -1


@both
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (grpc.StatusCode.CANCELLED, "CANCELLED"),
        (grpc.StatusCode.INTERNAL, "Internal error from Core"),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
    ],
)
def test_calls_that_break_off_are_made_again(
    servers: Servers, run: Callable[..., Any], code: grpc.StatusCode, message: str
) -> None:
    """A call that a stopping server cancels, or that ends with its connection, is sent again and answered."""
    answer = fake_answers(FakeService())
    breaks = iter([True])

    def break_off_once(method: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        if next(breaks, False):
            context.abort(code, message)
        return answer(method, body, context)

    target = servers.start(break_off_once)
    result = run(target, lambda client: client.gradient("f", [1.0, 2.0]))
    assert result.values == 21.0


@both
def test_a_servers_own_failure_is_not_taken_for_a_broken_call(servers: Servers, run: Callable[..., Any]) -> None:
    """An internal error of a server is reported at once."""
    calls = 0

    def fail(_method: str, _body: bytes, context: grpc.ServicerContext) -> bytes:
        nonlocal calls
        calls += 1
        context.abort(grpc.StatusCode.INTERNAL, "internal error; the server's log has it as incident 7")
        raise AssertionError

    target = servers.start(fail)
    with pytest.raises(gm.ServerError, match="incident 7"):
        run(target, lambda client: client.register("f"))
    assert calls == 1


class _Waiting:
    """An answer that waits until it is let, of a server without streams.

    Attributes:
        came: set once a call has come that waits.
        release: lets it go on.
    """

    def __init__(self, method: str) -> None:
        self._method = method
        self._answer = fake_answers(FakeService())
        self.came = threading.Event()
        self.release = threading.Event()

    def __call__(self, method: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        if method == self._method:
            self.came.set()
            self.release.wait(20)
        return self._answer(method, body, context)


_CALLS: dict[str, Callable[[Any], Any]] = {
    "ListOperations": lambda client: client.operations(),
    "Evaluate": lambda client: client.gradient("f", [1, 2]),
}
each_way = pytest.mark.parametrize("method", list(_CALLS))


@each_way
def test_closing_ends_the_calls_of_threads(servers: Servers, method: str) -> None:
    """A call of its own that is under way when its client is closed ends at once, and says why."""
    waiting = _Waiting(method)
    client = gm.connect(servers.start(waiting))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(_CALLS[method], client)
        assert waiting.came.wait(20)
        client.close()
        error = call.exception(10)
        waiting.release.set()
    assert isinstance(error, gm.CancelledError)
    assert "client was closed" in str(error)
    with pytest.raises(gm.ClientClosedError):
        _CALLS[method](client)


@each_way
def test_closing_ends_the_calls_of_tasks(servers: Servers, method: str) -> None:
    """The same for tasks, which are not cancelled themselves."""
    waiting = _Waiting(method)
    target = servers.start(waiting)

    async def run() -> None:
        client = gm.connect_async(target)
        call = asyncio.create_task(_CALLS[method](client))
        assert await asyncio.to_thread(waiting.came.wait, 20)
        await client.close()
        async with asyncio.timeout(10):
            with pytest.raises(gm.CancelledError):
                await call

    try:
        asyncio.run(run())
    finally:
        waiting.release.set()
