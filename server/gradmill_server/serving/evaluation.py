"""The road of one evaluation: function, program, points, results."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gradmill_server.engine.limits import Limits
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Evaluation, Program
from gradmill_server.engine.wants import Want
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.functions import FunctionStore, Lookup
from gradmill_server.serving.pool import WorkerPool
from gradmill_server.serving.programs import ProgramLookup, ProgramStore
from gradmill_server.serving.reduction import evaluate_reduced
from gradmill_server.serving.telemetry import Stage, Telemetry
from gradmill_server.serving.wire.directions import Directions, part
from gradmill_server.serving.wire.functions import FunctionReference
from gradmill_server.serving.wire.requests import EvaluateCall, Reduction, bind_directions
from gradmill_server.serving.wire.responses import EvaluateAnswer, write_evaluate


@dataclass(frozen=True, slots=True)
class _Computed:
    """A response's bytes, and what computing and encoding took."""

    body: bytes
    points: int
    compute_seconds: float
    encode_seconds: float


class Evaluator:
    """Answers evaluations from the stores of functions and programs."""

    def __init__(
        self,
        functions: FunctionStore,
        programs: ProgramStore,
        pool: WorkerPool,
        limits: Limits,
        telemetry: Telemetry,
    ) -> None:
        """Put the parts together."""
        self.functions = functions
        self.programs = programs
        self._pool = pool
        self._limits = limits
        self._telemetry = telemetry

    async def evaluate(self, call: EvaluateCall, function: FunctionReference, context: CallContext) -> bytes:
        """Return the bytes of the `EvaluateResponse` to a call.

        Raises:
            EngineError: the call's failure.
        """
        context.checkpoint()
        lookup = await self.functions.find(function)
        context.checkpoint()
        found = await self.programs.find(lookup.function, call.wants, call.options)
        earlier_queue = lookup.queue_seconds + found.queue_seconds
        submitted = time.monotonic()

        def work() -> _Computed:
            queue_seconds = earlier_queue + time.monotonic() - submitted
            return self._compute(call, lookup, found, context, queue_seconds)

        completed = await self._pool.run(work, still_wanted=lambda: not context.cancelled)
        computed = completed.value
        self._telemetry.wishes_granted(want.kind for want in call.wants)
        self._telemetry.points_computed(computed.points, computed.points * found.program.node_count)
        self._telemetry.stage_finished(Stage.QUEUE, earlier_queue + completed.queue_seconds)
        self._telemetry.stage_finished(Stage.COMPUTE, computed.compute_seconds)
        self._telemetry.stage_finished(Stage.ENCODE, computed.encode_seconds)
        return computed.body

    def _compute(
        self,
        call: EvaluateCall,
        lookup: Lookup,
        found: ProgramLookup,
        context: CallContext,
        queue_seconds: float,
    ) -> _Computed:
        """Read the points, evaluate, and write the answer. Runs on a worker, which owns all of it until it returns."""
        context.checkpoint()
        started = time.monotonic()
        points = call.points.bind(lookup.function.graph.inputs, self._limits)
        directions = bind_directions(call.wants, found.program.wants, lookup.function.graph, points.count)
        bound = time.monotonic()
        evaluation = self._evaluated(call.reduction, found.program, points, directions, context)
        context.checkpoint()
        computed = time.monotonic()
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
        return _Computed(body, points.count, computed - bound, encode_seconds)

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


def _directions_first(wants: Sequence[Want], evaluation: Evaluation) -> Evaluation:
    arrays = [
        [result._replace(array=np.moveaxis(result.array, 1, 0)) for result in results] if want.directions else results
        for want, results in zip(wants, evaluation.arrays, strict=True)
    ]
    return evaluation._replace(arrays=arrays)
