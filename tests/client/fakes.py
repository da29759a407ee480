"""A server made of a Python function, and drivers that run flows by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import grpc
import numpy as np
from gradmill.errors import Failure, GradmillError, NotFoundError
from gradmill.flows import Answer, Flow
from gradmill.transports import METHODS, SERVICE, STREAM_METHOD
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import FloatArray, array_message, read_array

T = TypeVar("T")
RawAnswer = Callable[[str, bytes, grpc.ServicerContext], bytes]
StreamAnswer = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]
DIGEST = bytes(range(32))
WEIGHTS = np.array([1.0, 10.0])


def unknown_digest() -> GradmillError:
    """Return the error of a server that has not got a function."""
    return NotFoundError("unknown digest", Failure(status="NOT_FOUND", reason="DIGEST_UNKNOWN"))


class FakeService:
    """A service that knows one function of the scalars a and b: a + 10*b. Counts what it is asked.

    Attributes:
        calls: the methods called, in order.
        rows: the number of points of each evaluation.
        forms: how each evaluation named its function: "digest", "formula" or "graph".
        failures: errors to answer with first, taken from the front.
        digest: the digest it gives the function.
        has_function: whether it knows the function by its digest.
        compute_microseconds: what it says that each evaluation took.
    """

    def __init__(self, failures: Sequence[GradmillError] = (), digest: bytes = DIGEST) -> None:
        """Start knowing nothing."""
        self.calls: list[str] = []
        self.rows: list[int] = []
        self.forms: list[str] = []
        self.failures = list(failures)
        self.digest = digest
        self.has_function = False
        self.compute_microseconds = 2000
        self.timeouts: list[float | None] = []
        self.closed = 0
        self._lock = threading.Lock()

    def answer(self, method: str, body: bytes, timeout_seconds: float | None = None) -> bytes:
        """Return the serialized response to a serialized request."""
        with self._lock:
            self.calls.append(method)
            self.timeouts.append(timeout_seconds)
            if self.failures:
                raise self.failures.pop(0)
            if method == "RegisterFunction":
                return self._register(body).SerializeToString()
            return self._evaluate(service.EvaluateRequest.FromString(body)).SerializeToString()

    def _register(self, body: bytes) -> service.RegisterFunctionResponse:
        request = service.RegisterFunctionRequest.FromString(body)
        self._find(request.function)
        response = service.RegisterFunctionResponse(digest=self.digest, value_count=5)
        for name in ("a", "b"):
            response.inputs.add(name=name)
        response.outputs.add(name="value")
        return response

    def _find(self, function: service.Function) -> str:
        form = function.WhichOneof("function") or ""
        if form == "digest" and not self.has_function:
            raise unknown_digest()
        self.has_function = True
        return form

    def _evaluate(self, request: service.EvaluateRequest) -> service.EvaluateResponse:
        self.forms.append(self._find(request.function))
        columns = self._columns(request.points)
        self.rows.append(request.points.count)
        outcome = service.CACHE_OUTCOME_MISS if len(self.rows) == 1 else service.CACHE_OUTCOME_HIT
        response = service.EvaluateResponse(digest=self.digest, cache=outcome, stable_forms=["log1p"])
        response.timings.compute.FromMicroseconds(self.compute_microseconds)
        for want in request.wants:
            names = [name for name in ("a", "b") if not want.with_respect_to or name in want.with_respect_to]
            weights = dict(zip(("a", "b"), WEIGHTS.tolist(), strict=True))
            if want.derivative == service.DERIVATIVE_VALUE:
                self._add(response, want, "", columns @ WEIGHTS)
            elif request.points.inputs:
                for name in names:
                    self._add(response, want, name, np.full(len(columns), weights[name]))
            else:
                self._add(response, want, "", np.tile([weights[name] for name in names], (len(columns), 1)))
        return response

    @staticmethod
    def _columns(points: service.Points) -> FloatArray:
        if not points.inputs:
            return read_array(points.matrix, "points")
        arrays = {entry.name: read_array(entry.values, entry.name) for entry in points.inputs}
        return np.stack([np.broadcast_to(arrays[name], points.count) for name in ("a", "b")], axis=1)

    @staticmethod
    def _add(response: service.EvaluateResponse, want: service.Want, name: str, array: FloatArray) -> None:
        response.results.add(
            derivative=want.derivative, output="value", with_respect_to=name, array=array_message(array)
        )


class FakeTransport:
    """Carries messages to a fake service, each in a thread of its own."""

    def __init__(self, fake: FakeService) -> None:
        """Start the threads."""
        self._fake = fake
        self._pool = ThreadPoolExecutor(4)

    def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        """Answer in this thread."""
        return self._fake.answer(method, body, timeout_seconds)

    def submit(
        self, method: str, body: bytes, timeout_seconds: float | None, done: Callable[[bytes | GradmillError], None]
    ) -> Callable[[], object]:
        """Answer in another thread."""

        def run() -> None:
            try:
                done(self._fake.answer(method, body, timeout_seconds))
            except GradmillError as error:
                done(error)

        return self._pool.submit(run).cancel

    def close(self) -> None:
        """Stop the threads."""
        self._fake.closed += 1
        self._pool.shutdown()


class AsyncFakeTransport:
    """Carries messages to a fake service in the event loop."""

    def __init__(self, fake: FakeService) -> None:
        """Remember the service."""
        self._fake = fake

    async def call(self, method: str, body: bytes, timeout_seconds: float | None) -> bytes:
        """Answer after other tasks have had a turn."""
        await asyncio.sleep(0)
        return self._fake.answer(method, body, timeout_seconds)

    async def close(self) -> None:
        """Count."""
        self._fake.closed += 1


def run_by_hand(flow: Flow[T], answer: Callable[[str, bytes], bytes], clock: FakeClock) -> T:
    """Run a flow with a clock that jumps to wherever the flow wants to be woken; answers come first in, first out."""
    waiting: list[Answer] = []
    try:
        step = next(flow)
        while True:
            for call in step.start:
                try:
                    waiting.append(Answer(call.key, answer(call.method, call.body)))
                except GradmillError as error:
                    waiting.append(Answer(call.key, error))
            if waiting:
                step = flow.send(waiting.pop(0))
            else:
                clock.now += step.wake_after_seconds or 0.0
                step = flow.send(None)
    except StopIteration as end:
        result: T = end.value
        return result


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        """Start at a hundred seconds."""
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def raw_handlers(answer: RawAnswer, stream: StreamAnswer | None = None) -> grpc.GenericRpcHandler:
    """Return a gRPC server's handlers that hand every call's bytes to a function, and each stream to another."""

    def handler(name: str) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(lambda body, context: answer(name, body, context))

    handlers = {name: handler(name) for name in METHODS}
    if stream is not None:
        handlers[STREAM_METHOD] = grpc.stream_stream_rpc_method_handler(stream)
    return grpc.method_handlers_generic_handler(SERVICE, handlers)
