"""The service without its transport: bytes and a call in, bytes out, or an `RpcFailure` that carries a status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import cached_property, partial

from gradmill_server.engine.errors import EngineError, UnsupportedWish, quote
from gradmill_server.engine.explain import explain
from gradmill_server.engine.ir import Graph
from gradmill_server.engine.program import Options
from gradmill_server.serving.admission import Admission, AdmissionLimits
from gradmill_server.serving.answering import Answering
from gradmill_server.serving.cache import ByteBoundedCache
from gradmill_server.serving.call import CallContext, Peer
from gradmill_server.serving.errand import Errand
from gradmill_server.serving.evaluation import Evaluator
from gradmill_server.serving.functions import FunctionStore, StoredFunction, stored
from gradmill_server.serving.guard import UNGUARDED, Guard
from gradmill_server.serving.memory import MemoryGauge
from gradmill_server.serving.pool import WorkerPool
from gradmill_server.serving.prepared import PreparedCall, PreparedCalls
from gradmill_server.serving.processors import processors
from gradmill_server.serving.programs import ProgramStore
from gradmill_server.serving.reading import Reader
from gradmill_server.serving.security.quotas import UNLIMITED, Quotas
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.small_calls import SmallCalls
from gradmill_server.serving.status import RpcFailure, status_of
from gradmill_server.serving.streams import METHOD as STREAM_METHOD
from gradmill_server.serving.streams import EvaluateStream, Read, StreamParts, Write
from gradmill_server.serving.telemetry import SILENT, Telemetry
from gradmill_server.serving.wire import requests, responses
from gradmill_server.serving.wire.envelope import Envelope
from gradmill_server.serving.wire.functions import DigestReference
from gradmill_server.serving.work_queue import QueueLimits

UNARY_METHODS = ("Evaluate", "RegisterFunction", "Explain", "ListOperations")


class Handler:
    """Answers calls. Made and used on one event loop.

    Attributes:
        settings: how it was set up.
        cache: what is kept between calls.
        pool: the threads that compile and compute.
        admission: what is being answered.
        memory: how much memory is in use, as far as somebody looks.
    """

    def __init__(
        self, settings: Settings, telemetry: Telemetry = SILENT, *, quotas: Quotas = UNLIMITED, guard: Guard = UNGUARDED
    ) -> None:
        """Start the workers; needs a running event loop. `close` ends them."""
        self.settings = settings
        self.cache = ByteBoundedCache(settings.cache_bytes, settings.tenant_cache_bytes)
        self.pool = WorkerPool(
            workers=settings.workers or processors(),
            limits=_queue_limits(settings),
            niceness=settings.worker_niceness,
        )
        self.memory = MemoryGauge(settings.memory_bytes)
        self.admission = Admission(
            AdmissionLimits(
                calls=settings.maximum_calls_in_flight,
                request_bytes=settings.maximum_bytes_in_flight,
                streams=settings.maximum_streams,
                caller_calls=settings.caller_calls_in_flight,
                caller_streams=settings.caller_streams,
            ),
            self.memory,
        )
        self._answering = Answering(self.admission, telemetry, quotas)
        self._reader = Reader(self.pool)
        self._functions = FunctionStore(self.cache, self.pool, settings.limits, telemetry, guard)
        self._programs = ProgramStore(self.cache, self.pool, settings.limits, telemetry, guard)
        calls = PreparedCalls(self.cache, self._functions, self._programs)
        self._small_calls = SmallCalls(calls, settings.limits, telemetry, self.admission, quotas, guard)
        self._evaluator = Evaluator(
            self._functions,
            self._programs,
            calls,
            self._small_calls,
            self.pool,
            settings.limits,
            telemetry,
            quotas,
            guard,
            inline_seconds=settings.inline_microseconds / 1e6,
        )
        self._draining = asyncio.Event()
        self._unary: dict[str, Callable[[bytes, CallContext], Awaitable[bytes]]] = {
            "Evaluate": partial(self._evaluate, None),
            "RegisterFunction": self._register_function,
            "Explain": self._explain,
            "ListOperations": self._list_operations,
        }

    def context(self, time_remaining: float | None, peer: Peer = "", caller: str = "") -> CallContext:
        """Return the context of a call that arrives now.

        Args:
            time_remaining: seconds until the caller's deadline; None when there is none.
            peer: the address that it comes from, or what finds it out.
            caller: who calls, where credentials say so.
        """
        return CallContext.arriving(
            time_remaining,
            default_seconds=self.settings.default_deadline_seconds,
            maximum_seconds=self.settings.maximum_deadline_seconds,
            peer=peer,
            caller=caller,
        )

    def small_call(self, method: str, body: bytes, time_remaining: float | None, tenant: str) -> bytes | None:
        """Return the answer to a call that takes the shortest road; None for what `call` is to answer.

        Args:
            method: the method's name.
            body: the bytes of its request message.
            time_remaining: seconds until the caller's deadline; None when there is none.
            tenant: who calls, where credentials say so.
        """
        if method != "Evaluate" or (time_remaining is not None and time_remaining <= 0):
            return None
        answer = self._evaluator.evaluate_small(method, body, tenant)
        return None if answer is None else answer.body

    async def call(self, method: str, body: bytes, context: CallContext) -> bytes:
        """Return the answer to a unary call, as the bytes of the method's response message.

        Args:
            method: the method's name, such as "Evaluate".
            body: the bytes of the method's request message.
            context: the call.

        Raises:
            RpcFailure: with the status that the caller is to get.
            asyncio.CancelledError: when the awaiting task was cancelled; what runs for the call stops soon.
        """
        operation = self._unary.get(method)
        if operation is None:
            message = f"there is no method {quote(method)}; there are {', '.join(UNARY_METHODS)}"
            raise RpcFailure(status_of(UnsupportedWish(message, reason="METHOD_UNKNOWN")))
        if method == "Evaluate":
            envelope, prepared = self._evaluator.opened(body, 0, len(body), context.tenant)
            if envelope is not None and prepared is not None:
                return await self._evaluate_prepared(envelope, prepared, context)
            operation = partial(self._evaluate, envelope)
        return await self._answering.answer(method, len(body), context, partial(operation, body, context))

    async def _evaluate_prepared(self, envelope: Envelope, prepared: PreparedCall, context: CallContext) -> bytes:
        evaluator = self._evaluator
        if evaluator.belongs_here(envelope, prepared):
            await evaluator.turn()
            work = partial(evaluator.evaluate_here, envelope, prepared, context)
            return self._answering.answer_here("Evaluate", context, work)
        self._answering.check_first("Evaluate", context, partial(evaluator.check_in_time, envelope, prepared, context))
        later = partial(evaluator.evaluate_prepared, envelope, prepared, context)
        return await self._answering.answer("Evaluate", len(envelope.body), context, later)

    async def evaluate(self, body: bytes, context: CallContext) -> bytes:
        """Answer Evaluate. Raises like `call`."""
        return await self.call("Evaluate", body, context)

    async def register_function(self, body: bytes, context: CallContext) -> bytes:
        """Answer RegisterFunction. All its wishes together are compiled as one program. Raises like `call`."""
        return await self.call("RegisterFunction", body, context)

    async def explain(self, body: bytes, context: CallContext) -> bytes:
        """Answer Explain. A function that comes inline keeps the labels people gave. Raises like `call`."""
        return await self.call("Explain", body, context)

    async def list_operations(self, body: bytes, context: CallContext) -> bytes:
        """Answer ListOperations. Raises like `call`."""
        return await self.call("ListOperations", body, context)

    async def evaluate_stream(self, read: Read, write: Write, context: CallContext) -> None:
        """Answer EvaluateStream: one answer for each message, in their order. Returns when the caller sends no more.

        Args:
            read: waits for the bytes of the next `EvaluateStreamRequest`; None at the end.
            write: sends the bytes of an `EvaluateStreamResponse`.
            context: the call; its deadline is that of the whole stream.

        Raises:
            RpcFailure: with the status that ends the stream; what is wrong with one message does not end it.
        """
        parts = StreamParts(self.settings, self._answering, self._evaluator, self._reader, self._draining)
        try:
            with self.admission.stream(context.caller):
                await EvaluateStream(parts, context, read, write).run()
        except EngineError as error:
            raise self._answering.failure(STREAM_METHOD, error, context) from None

    async def _evaluate(self, envelope: Envelope | None, body: bytes, context: CallContext) -> bytes:
        parse = partial(requests.read_evaluate, maximum_wants=self.settings.maximum_wants)
        # Points that were found without parsing leave no room for much else.
        room = self._reader.room(requests.EVALUATE_REQUEST, body, context.caller)
        async with room if envelope is None else nullcontext():
            function, call = await self._reader.read(body, parse, context.caller)
            context.checkpoint()
            lookup = await self._functions.find(function, context)
        return await self._evaluator.evaluate(call, lookup, context, envelope)

    async def _register_function(self, body: bytes, context: CallContext) -> bytes:
        parse = partial(requests.read_register, maximum_wants=self.settings.maximum_wants)
        async with self._reader.room(requests.REGISTER_REQUEST, body, context.caller):
            call = await self._reader.read(body, parse, context.caller)
            function = (await self._functions.find(call.function, context)).function
        context.checkpoint()
        if call.wants:
            await self._programs.find(function, call.wants, Options(), context)
        return await self._worked(
            lambda: responses.write_register(function.digest, function.graph), context, function.digest
        )

    async def _explain(self, body: bytes, context: CallContext) -> bytes:
        async with self._reader.room(requests.EXPLAIN_REQUEST, body, context.caller):
            call = await self._reader.read(body, requests.read_explain, context.caller)
            return await self._explained(call, context)

    async def _explained(self, call: requests.ExplainCall, context: CallContext) -> bytes:
        reference = call.function
        if isinstance(reference, DigestReference):
            known = (await self._functions.find(reference, context)).function
            return await self._worked(
                lambda: self._explanation(call, known, known.graph, context), context, known.digest
            )

        def work() -> bytes:
            graph = reference.read(self.settings.limits, context.checkpoint)
            return self._explanation(call, stored(graph, context.checkpoint), graph, context)

        return await self._worked(work, context, reference.source_key)

    def _explanation(
        self, call: requests.ExplainCall, function: StoredFunction, graph: Graph, context: CallContext
    ) -> bytes:
        points = call.points.bind(graph.inputs, self.settings.limits)
        context.checkpoint()
        explanation = explain(graph, points, call.output, self.settings.limits, context.checkpoint)
        return responses.write_explanation(function.digest, explanation)

    async def _list_operations(self, body: bytes, _: CallContext) -> bytes:
        requests.read_list_operations(body)
        return self._operations

    @cached_property
    def _operations(self) -> bytes:
        return responses.write_operations()

    async def _worked(self, work: Callable[[], bytes], context: CallContext, function: bytes) -> bytes:
        errand = Errand(context.caller, function)
        return (await self.pool.run(work, errand, still_wanted=lambda: not context.cancelled)).value

    def failure(self, method: str, error: EngineError, context: CallContext) -> RpcFailure:
        """Return the failure of a call that was refused before it came here, and count and log it."""
        return self._answering.failure(method, error, context)

    @property
    def small_kinds(self) -> int:
        """How many kinds of small calls are remembered, those of one length counted once."""
        return len(self._small_calls)

    def forget_small_calls(self) -> None:
        """Give back the memory that small calls are answered in."""
        self._small_calls.clear()

    def begin_draining(self) -> None:
        """Refuse all new calls from now on, and end streams once the messages that came are answered."""
        self.admission.close()
        self._draining.set()

    def end_calls(self) -> None:
        """Refuse all new calls, and end those under way with UNAVAILABLE; what runs for them stops soon."""
        self.begin_draining()
        self._answering.end_all()

    async def close(self) -> None:
        """End the workers; what waits is refused."""
        self.end_calls()
        self.pool.close()
        await self._functions.close()
        await self._programs.close()


def _queue_limits(settings: Settings) -> QueueLimits:
    return QueueLimits(
        length=settings.queue_length,
        caller_length=settings.caller_queue_length,
        batch_points=settings.batch_points,
        batch_seconds=settings.batch_seconds,
        delay_seconds=settings.batch_delay_seconds,
    )
