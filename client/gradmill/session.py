"""What a client does, written once for threads and for asyncio: each method is a flow (see :mod:`gradmill.flows`)."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from gradmill.assembling import Assembler
from gradmill.descriptions import FunctionInfo, OperationInfo, OutputInfo
from gradmill.errors import invalid_points, invalid_response
from gradmill.exchange import Budget, Environment, Exchange, Request
from gradmill.explanation import Explanation, read_explanation
from gradmill.flows import Flow
from gradmill.joined_plans import JoinedPlan, is_joinable
from gradmill.plans import ArrayKey, Plan
from gradmill.points import POINTS_FIELD, pack_points
from gradmill.results import Result
from gradmill.settings import Settings, checked_timeout
from gradmill.sources import FunctionLike, Source, as_source, digest_message
from gradmill.sparse import PatternMemory, SparsePattern
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import enclosed, output_shape, read_inputs
from gradmill.wire_format import Buffer
from gradmill.wishes import Wish

_MAXIMUM_REMEMBERED_FUNCTIONS = 1024
MessageType = TypeVar("MessageType", bound=Message)


@dataclass(frozen=True, slots=True)
class _Allowance:
    """The time a call has: until when as a whole, and how long for each message. Either may be infinite."""

    deadline: float
    message_seconds: float


class Session:
    """The state of one client: the functions its server is known to have, patterns, and the budget of repetitions."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Start knowing nothing."""
        self._settings = settings
        self._clock = clock
        self._environment = Environment(clock, settings.retries, Budget(settings.retries.budget))
        self._known: OrderedDict[bytes, FunctionInfo] = OrderedDict()
        self._lock = threading.Lock()  # guards _known
        self._patterns = PatternMemory()
        _SESSIONS.add(self)

    def forget_parent(self) -> None:
        """Start anew in a process that was forked, where another thread of the parent may have held a lock."""
        self._lock = threading.Lock()
        self._patterns = PatternMemory()

    def evaluate(self, function: FunctionLike, points: object, wish: Wish) -> Flow[Result]:
        """Evaluate a function at a batch of points, cut into messages."""
        source = as_source(function)
        allowance = self._allowance(wish.timeout)
        info = self._recall(source) or source.info
        if info is None:
            info = yield from self._register(source, allowance)
        plan = Plan(info, pack_points(points, info), wish)
        assembler = yield from self._evaluate(source, plan, allowance)
        if not assembler.patterns_agree:
            # A server of another version may find more zeros, or fewer. So its patterns are asked for anew, once.
            for remembered_as in plan.sparse_keys.values():
                self._patterns.forget(remembered_as)
            assembler = yield from self._evaluate(source, plan, allowance)
            if not assembler.patterns_agree:
                message = "servers of different versions answered, and their sparse matrices have different patterns"
                raise invalid_response(message)
        for key, remembered_as in plan.sparse_keys.items():
            self._patterns.put(remembered_as, assembler.patterns[key])
        return assembler.result()

    def _evaluate(self, source: Source, plan: Plan, allowance: _Allowance) -> Flow[Assembler]:
        """Send every message of a batch."""
        remembered = {key: self._patterns.get(remembered_as) for key, remembered_as in plan.sparse_keys.items()}
        known = {key: pattern for key, pattern in remembered.items() if pattern is not None}
        step = plan.points_per_message(self._settings.batching, known)
        if self._recall(source) is None and plan.batch.count > step:
            yield from self._register(source, allowance)
        by_digest = self._recall(source) is not None or source.is_digest
        job = _Job(source, plan, Assembler(plan, step, known), known, by_digest=by_digest)
        yield from self._exchange(job.requests(step), allowance)
        self._remember(source, plan.function)
        return job.assembler

    def joined_plan(self, function: FunctionLike, wish: Wish) -> JoinedPlan | None:
        """Return how calls for a function and a wish can be joined into messages; None when they cannot be."""
        source = as_source(function)
        info = self._recall(source)
        if info is None or not is_joinable(wish):
            return None
        return JoinedPlan(source, info, wish, self._settings.batching)

    def evaluate_joined(self, plan: JoinedPlan, rows: Sequence[bytes], count: int, deadline: float) -> Flow[Assembler]:
        """Evaluate the points of several calls as one message, and return its answer.

        Args:
            plan: how they are joined.
            rows: the points of each call.
            count: the number of points.
            deadline: the time, by the session's clock, by which it must be answered.
        """
        assembler = plan.assembler(count)
        request = Request(
            "Evaluate",
            lambda: plan.body(rows, count, inline=False),
            lambda body: assembler.add(0, count, body),
            None if plan.is_digest else lambda: plan.body(rows, count, inline=True),
        )
        yield from self._exchange(iter([request]), _Allowance(deadline, math.inf))
        return assembler

    def expiry(self, timeout: float | None) -> float:
        """Return the time, by the session's clock, by which a call of one message must be answered."""
        return self._clock() + checked_timeout(self._settings.timeout_seconds if timeout is None else timeout)

    def remaining(self, expires_at: float) -> float:
        """Return the seconds until a time of the session's clock; none below zero."""
        return max(0.0, expires_at - self._clock())

    def register(self, function: FunctionLike, timeout: float | None) -> Flow[FunctionInfo]:
        """Send a function, whether or not it was sent before, and return what the server says of it."""
        info = yield from self._register(as_source(function), self._allowance(timeout))
        return info

    def explain(
        self, function: FunctionLike, point: object, output: str | None, timeout: float | None
    ) -> Flow[Explanation]:
        """Ask for the forward and the backward pass at one point."""
        source = as_source(function)
        allowance = self._allowance(timeout)
        info = self._recall(source) or source.info
        if info is None:
            info = yield from self._register(source, allowance)
        batch = pack_points(point, info)
        if batch.count != 1:
            message = f"explain takes one point, not {batch.count}"
            raise invalid_points(message)
        request = service.ExplainRequest(function=source.message(), points=batch.message(0, 1), output=output or "")
        response = yield from self._single("Explain", request, service.ExplainResponse(), allowance)
        return read_explanation(response, info)

    def operations(self, timeout: float | None) -> Flow[tuple[OperationInfo, ...]]:
        """Ask for the operations that the server knows."""
        response = yield from self._single(
            "ListOperations",
            service.ListOperationsRequest(),
            service.ListOperationsResponse(),
            self._allowance(timeout),
        )
        return tuple(
            OperationInfo(
                entry.name,
                tuple(entry.aliases),
                entry.arity,
                entry.summary,
                entry.convention,
                maximum_arity=entry.maximum_arity or None,
                signature=entry.signature,
                result_shape=entry.result_shape,
                parameters=tuple(map(_parameter, entry.parameters)),
            )
            for entry in response.operations
        )

    def _register(self, source: Source, allowance: _Allowance) -> Flow[FunctionInfo]:
        request = service.RegisterFunctionRequest(function=source.message())
        response = yield from self._single("RegisterFunction", request, service.RegisterFunctionResponse(), allowance)
        outputs = tuple(OutputInfo(entry.name, output_shape(entry)) for entry in response.outputs)
        info = FunctionInfo(response.digest, read_inputs(response.inputs), outputs, response.value_count)
        if source.info is not None and source.info.digest != info.digest:
            message = (
                f"the server gives the function the digest {info.digest.hex()}, but by the contract it is "
                f"{source.info.digest.hex()}; client and server are of versions that do not fit together"
            )
            raise invalid_response(message)
        self._remember(source, info)
        return info

    def _single(self, method: str, request: Message, response: MessageType, allowance: _Allowance) -> Flow[MessageType]:
        """Send one request and read its response."""

        def read(body: Buffer) -> None:
            try:
                response.ParseFromString(body)  # type: ignore[arg-type]  # takes any buffer, its stub says bytes
            except DecodeError as error:
                message = f"the answer is not a valid {response.DESCRIPTOR.name}"
                raise invalid_response(message) from error

        yield from self._exchange(iter([Request(method, request.SerializeToString, read)]), allowance)
        return response

    def _exchange(self, requests: Iterator[Request], allowance: _Allowance) -> Flow[None]:
        exchange = Exchange(
            requests,
            self._environment,
            window=self._settings.batching.messages_in_flight,
            deadline=allowance.deadline,
            timeout=allowance.message_seconds,
        )
        yield from exchange.run()

    def _allowance(self, timeout: float | None) -> _Allowance:
        if timeout is None:
            return _Allowance(math.inf, checked_timeout(self._settings.timeout_seconds))
        return _Allowance(self._clock() + checked_timeout(timeout), math.inf)

    def _recall(self, source: Source) -> FunctionInfo | None:
        with self._lock:
            info = self._known.get(source.key)
            if info is not None:
                self._known.move_to_end(source.key)
            return info

    def _remember(self, source: Source, info: FunctionInfo) -> None:
        with self._lock:
            self._known[source.key] = info
            self._known.move_to_end(source.key)
            while len(self._known) > _MAXIMUM_REMEMBERED_FUNCTIONS:
                self._known.popitem(last=False)


def _parameter(message: service.ParameterDescription) -> str:
    return f"{message.name}: {message.kind}{', optional' if message.optional else ''}"


class _Job:
    """The messages of one batch."""

    def __init__(
        self,
        source: Source,
        plan: Plan,
        assembler: Assembler,
        known: Mapping[ArrayKey, SparsePattern],
        *,
        by_digest: bool,
    ) -> None:
        self.assembler = assembler
        self._source = source
        self._plan = plan
        self._known = known
        self._by_digest = by_digest
        self._done = 0

    def requests(self, step: int) -> Iterator[Request]:
        """Yield one request for every ``step`` points; one even for no points, so that the function is checked."""
        count = self._plan.batch.count
        for start in range(0, max(1, count), step):
            yield self._request(start, min(start + step, count))

    def _request(self, start: int, stop: int) -> Request:
        def body(function: Callable[[], service.Function]) -> Callable[[], bytes]:
            return lambda: self._body(function(), start, stop)

        written_out = body(self._source.message)
        deliver = self._deliverer(start, stop)
        if not self._by_digest:
            return Request("Evaluate", written_out, deliver)
        by_digest = body(lambda: digest_message(self._plan.function.digest))
        return Request("Evaluate", by_digest, deliver, None if self._source.is_digest else written_out)

    def _body(self, function: service.Function, start: int, stop: int) -> bytes:
        """Return the bytes of an `EvaluateRequest`, its fields in their order, with the points copied once."""
        before = service.EvaluateRequest(function=function, wants=self._plan.wants(start, stop, known=self._known))
        points = enclosed(POINTS_FIELD, self._plan.batch.parts(start, stop))
        after = service.EvaluateRequest(
            reduction=service.REDUCTION_NONE if self._plan.wish.reduction is None else service.REDUCTION_SUM,
            encoding=service.ARRAY_ENCODING_DATA,
        )
        return b"".join([before.SerializeToString(), *points, after.SerializeToString()])

    def _deliverer(self, start: int, stop: int) -> Callable[[Buffer], None]:
        def deliver(body: Buffer) -> None:
            self.assembler.add(start, stop, body)
            self._done += stop - start
            if self._plan.wish.progress is not None:
                self._plan.wish.progress(self._done, self._plan.batch.count)

        return deliver


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()


def _forget_parent() -> None:
    for session in list(_SESSIONS):
        session.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
