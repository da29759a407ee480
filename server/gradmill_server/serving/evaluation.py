"""The road of one evaluation: function, program, points, results.

Most calls are known already, up to their points, and take a shorter road: they are not parsed, and when they are small
they are computed where they arrive, on the event loop, because handing them to a worker would cost more than they do.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gradmill_server.engine.limits import Limits
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Evaluation, Program
from gradmill_server.engine.wants import SPARSE, WITH_DIRECTIONS, Kind, Want
from gradmill_server.serving.batch_pass import Computed, PreparedPass
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.costs import LearnedCost
from gradmill_server.serving.errand import Errand
from gradmill_server.serving.functions import FunctionStore, Lookup
from gradmill_server.serving.guard import Guard, Work, guarded
from gradmill_server.serving.pool import Completed, WorkerPool
from gradmill_server.serving.prepared import PreparedCall, PreparedCalls
from gradmill_server.serving.programs import ProgramLookup, ProgramStore
from gradmill_server.serving.reduction import evaluate_reduced
from gradmill_server.serving.security.quotas import Quotas
from gradmill_server.serving.small_calls import SmallAnswer, SmallCalls
from gradmill_server.serving.telemetry import Joined, Outcome, Stage, Telemetry
from gradmill_server.serving.wire.arrays import Encoding
from gradmill_server.serving.wire.directions import Directions, part
from gradmill_server.serving.wire.envelope import Envelope, open_envelope
from gradmill_server.serving.wire.requests import EvaluateCall, Reduction, bind_directions
from gradmill_server.serving.wire.responses import EvaluateAnswer, write_evaluate

_TURN_SECONDS = 0.001
"""Of computing on the event loop until it looks at what else came."""

_PAUSE_SECONDS = 0.00005
"""Between two calls, in which the event loop did other things than compute."""

_LARGEST_BYTES_HERE = 64 * 1024
"""Of results that are written on the event loop."""


class Opened(NamedTuple):
    """A request taken apart, and the prepared call that it is, if it is one."""

    envelope: Envelope | None
    prepared: PreparedCall | None


class Evaluator:
    """Answers evaluations from the stores of functions and programs. Used from the event loop only."""

    def __init__(
        self,
        functions: FunctionStore,
        programs: ProgramStore,
        calls: PreparedCalls,
        small_calls: SmallCalls,
        pool: WorkerPool,
        limits: Limits,
        telemetry: Telemetry,
        quotas: Quotas,
        guard: Guard,
        *,
        inline_seconds: float,
    ) -> None:
        """Put the parts together.

        Args:
            functions: finds functions.
            programs: finds programs.
            calls: finds prepared calls.
            small_calls: answers those that take the shortest road.
            pool: the workers.
            limits: bounds on one evaluation.
            telemetry: hears of what was computed.
            quotas: charges callers for points.
            guard: hears of what is worked on.
            inline_seconds: the predicted seconds up to which a pass runs on the event loop.
        """
        self.functions = functions
        self._programs = programs
        self._calls = calls
        self._small_calls = small_calls
        self._pool = pool
        self._limits = limits
        self._telemetry = telemetry
        self._quotas = quotas
        self._guard = guard
        self._inline_seconds = inline_seconds
        self._spent_seconds = 0.0
        self._ended = 0.0

    def evaluate_small(self, method: str, body: bytes, tenant: str, function: bytes = b"") -> SmallAnswer | None:
        """Return the answer to a call that takes the shortest road; None for one that does not, or not now."""
        if self._spent_seconds > _TURN_SECONDS:
            return None
        began = time.monotonic()
        answer = self._small_calls.answer(method, body, tenant, function)
        if answer is not None:
            self._spend(began)
        return answer

    def _spend(self, began: float) -> None:
        """Count the time for which the event loop computed since then, unless it did something else before that."""
        ended = time.monotonic()
        if began - self._ended > _PAUSE_SECONDS:
            self._spent_seconds = 0.0
        self._spent_seconds += ended - began
        self._ended = ended

    def opened(self, body: bytes, begin: int, end: int, tenant: str, function: bytes = b"") -> Opened:
        """Return what can be seen of a request without parsing it; it may have the function of an earlier one."""
        envelope = open_envelope(body, begin, end)
        if envelope is None or envelope.rows > self._limits.maximum_points:
            return Opened(None, None)
        if not envelope.function:
            if not function:
                return Opened(None, None)
            envelope = envelope.of(function)
        return Opened(envelope, self._calls.find(envelope, tenant))

    def belongs_here(self, envelope: Envelope, prepared: PreparedCall) -> bool:
        """Whether a call is so small that it is best computed on the event loop."""
        seconds = prepared.kept.cost.predict(envelope.rows)
        return seconds <= self._inline_seconds and envelope.rows * prepared.point_bytes <= _LARGEST_BYTES_HERE

    async def turn(self) -> None:
        """Return when the event loop may compute: it looks at what else came after each millisecond of that."""
        if self._spent_seconds > _TURN_SECONDS:
            await asyncio.sleep(0)
            self._spent_seconds = 0.0

    def evaluate_here(self, envelope: Envelope, prepared: PreparedCall, context: CallContext) -> bytes:
        """Return the bytes of the answer to a small call, computed here and now. Raises EngineError."""
        points = envelope.rows
        self._begin(prepared.function.digest, context, points)
        began = time.monotonic()
        computed = PreparedPass(prepared, envelope, context, self._limits, self._guard).alone()
        self._spend(began)
        self._small_calls.learn(envelope, prepared, context.tenant)
        self._telemetry.computed_here(
            prepared.kinds,
            points,
            points * prepared.node_count,
            computed.compute_seconds,
            computed.encode_seconds,
        )
        return computed.body

    def _begin(self, digest: bytes, context: CallContext, points: int) -> None:
        """Refuse a call of a function in quarantine, or of a caller beyond its quota."""
        self._guard.check(digest)
        if not self._quotas.is_unlimited:
            self._quotas.charge_points(context.caller, points)

    def check_in_time(self, envelope: Envelope, prepared: PreparedCall, context: CallContext) -> None:
        """Return when a prepared call can be in time: refusing is cheapest before anything is begun.

        Raises:
            DeadlineTooShort, QueueTooSlow: for one that cannot.
        """
        self._guard.check(prepared.function.digest)
        cost = prepared.kept.cost
        with cost.doubted():
            self._pool.check_in_time(_errand(context, prepared.function.digest, cost, envelope.rows))

    async def evaluate_prepared(self, envelope: Envelope, prepared: PreparedCall, context: CallContext) -> bytes:
        """Return the bytes of the answer to a prepared call, computed by a worker, perhaps together with others.

        Raises:
            EngineError: the call's failure.
        """
        self._begin(prepared.function.digest, context, envelope.rows)
        cost = prepared.kept.cost
        errand = _errand(context, prepared.function.digest, cost, envelope.rows)
        passenger = PreparedPass(prepared, envelope, context, self._limits, self._guard)
        with cost.doubted():
            completed: Completed[Computed] = await self._pool.carry(passenger, errand)
        self._telemetry.looked_up("function", Outcome.HIT)
        self._telemetry.looked_up("program", Outcome.HIT)
        self._count(prepared.kinds, prepared.node_count, completed.value, completed.queue_seconds, completed.joined)
        return completed.value.body

    def _count(
        self, kinds: Sequence[Kind], node_count: int, computed: Computed, queue_seconds: float, joined: Joined
    ) -> None:
        telemetry = self._telemetry
        telemetry.wishes_granted(kinds)
        telemetry.points_computed(computed.points, computed.points * node_count)
        telemetry.stage_finished(Stage.QUEUE, queue_seconds)
        telemetry.stage_finished(Stage.COMPUTE, computed.compute_seconds)
        telemetry.stage_finished(Stage.ENCODE, computed.encode_seconds)
        telemetry.call_placed(joined)
        if computed.pass_calls:
            telemetry.pass_finished(computed.pass_calls, computed.pass_points)

    async def evaluate(
        self, call: EvaluateCall, lookup: Lookup, context: CallContext, envelope: Envelope | None = None
    ) -> bytes:
        """Return the bytes of the `EvaluateResponse` to a call, and remember the call if others may be like it.

        Raises:
            EngineError: the call's failure.
        """
        context.checkpoint()
        found = await self._programs.find(lookup.function, call.wants, call.options, context)
        if envelope is not None and _is_plain(call):
            self._calls.keep(envelope, context.tenant, lookup, found)
        points = call.points.rows(self._limits.maximum_points)
        self._begin(lookup.function.digest, context, points)
        earlier_queue = lookup.queue_seconds + found.queue_seconds
        submitted = time.monotonic()

        def work() -> Computed:
            queue_seconds = earlier_queue + time.monotonic() - submitted
            with guarded(self._guard, lookup.function.digest, Work.PASS, context.deadline):
                return self._compute(call, lookup, found, context, queue_seconds)

        cost = found.kept.cost
        errand = _errand(context, lookup.function.digest, cost, points)
        with cost.doubted():
            completed = await self._pool.run(work, errand, still_wanted=lambda: not context.cancelled)
        kinds = tuple(want.kind for want in call.wants)
        queue_seconds = earlier_queue + completed.queue_seconds
        self._count(kinds, found.program.node_count, completed.value, queue_seconds, completed.joined)
        return completed.value.body

    def _compute(
        self,
        call: EvaluateCall,
        lookup: Lookup,
        found: ProgramLookup,
        context: CallContext,
        queue_seconds: float,
    ) -> Computed:
        """Read the points, evaluate, and write the answer. Runs on a worker, which owns all of it until it returns."""
        context.checkpoint()
        started = time.monotonic()
        points = call.points.bind(lookup.function.graph.inputs, self._limits)
        directions = bind_directions(call.wants, found.program.wants, lookup.function.graph, points.count)
        bound = time.monotonic()
        evaluation = self._evaluated(call.reduction, found.program, points, directions, context)
        context.checkpoint()
        computed = time.monotonic()
        found.kept.cost.learn(points.count, computed - bound)
        seconds = {
            Stage.QUEUE: queue_seconds,
            Stage.COMPILE: lookup.work_seconds + found.compile_seconds,
            Stage.COMPUTE: computed - bound,
            Stage.ENCODE: bound - started,
        }
        answer = EvaluateAnswer(
            digest=lookup.function.digest,
            results=evaluation.arrays,
            point_flags=evaluation.point_flags,
            patterns=found.program.patterns,
            known_patterns=frozenset(number for number, want in enumerate(call.wants) if want.omit_pattern),
            modes=found.program.modes,
            cache=found.outcome,
            stable_forms=found.program.stable_forms,
            seconds=seconds,
        )
        body, encode_seconds = write_evaluate(answer, call.encoding)
        return Computed(body, points.count, computed - bound, encode_seconds, pass_calls=1, pass_points=points.count)

    def _evaluated(
        self,
        reduction: Reduction,
        program: Program,
        points: PointBatch,
        directions: Sequence[Directions],
        context: CallContext,
    ) -> Evaluation:
        """Return results as they are to be written: directions first, and without points where they are reduced."""

        def on_block(method: Callable[..., Evaluation], start: int, stop: int) -> Evaluation:
            context.checkpoint()
            block = points if stop - start == points.count else points.part(start, stop)
            own = [part(entry, start, stop) for entry in directions]
            return method(block, self._limits, context.checkpoint, own)

        evaluate = functools.partial(on_block, program.evaluate)
        if reduction is not Reduction.NONE:
            sums = functools.partial(on_block, program.evaluate_sums) if program.sums_points else None
            return evaluate_reduced(evaluate, points.count, program.point_bytes, reduction, sums)
        evaluation = evaluate(0, points.count)
        return evaluation if not directions else _directions_first(program.wants, evaluation)


def _errand(context: CallContext, digest: bytes, cost: LearnedCost, points: int) -> Errand:
    seconds = cost.predict(points)
    return Errand(context.caller, digest, seconds, cost.trust * seconds if cost.measured else 0.0, context.deadline)


def _is_plain(call: EvaluateCall) -> bool:
    """Whether the points of a call may be computed together with others, and its answer is numbers alone."""
    return (
        call.reduction is Reduction.NONE
        and call.encoding is Encoding.DATA
        and not any(want.kind in WITH_DIRECTIONS or want.kind in SPARSE for want in call.wants)
    )


def _directions_first(wants: Sequence[Want], evaluation: Evaluation) -> Evaluation:
    arrays = [
        [result._replace(array=np.moveaxis(result.array, 1, 0)) for result in results] if want.directions else results
        for want, results in zip(wants, evaluation.arrays, strict=True)
    ]
    return evaluation._replace(arrays=arrays)
