"""One pass over the points of one call, or of several that ask for the same program: joined, computed, taken apart.

A point's results have the same bits whatever it is computed with, so no caller can tell.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gradmill_server.engine.checkpoints import Checkpoint
from gradmill_server.engine.errors import Cancelled
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Evaluation
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.guard import Guard, Work, guarded
from gradmill_server.serving.prepared import PreparedCall
from gradmill_server.serving.telemetry import Outcome
from gradmill_server.serving.wire.answers import Spent
from gradmill_server.serving.wire.envelope import Envelope


class Computed(NamedTuple):
    """What computing a call came to.

    Attributes:
        body: the bytes of the response.
        points: the call's points.
        compute_seconds: what the pass took.
        encode_seconds: what reading the points and writing the response took.
        pass_calls: the calls of the pass, told by the first of them only; 0 for the others.
        pass_points: the points of the pass, likewise.
    """

    body: bytes
    points: int
    compute_seconds: float
    encode_seconds: float
    pass_calls: int = 0
    pass_points: int = 0


@dataclass(eq=False, slots=True)
class PreparedPass:
    """The points of one prepared call; travels with others of its like.

    Attributes:
        prepared: what is asked.
        envelope: the points, in the request's memory, which lives as long as this.
        context: the call.
        limits: bounds on one evaluation.
        guard: hears of what is worked on.
        submitted: when it began to wait.
    """

    prepared: PreparedCall
    envelope: Envelope
    context: CallContext
    limits: Limits
    guard: Guard
    submitted: float = field(default_factory=time.monotonic)

    @property
    def like(self) -> Hashable:
        """Calls that one program answers travel together, also those of several tenants who sent the same function."""
        return self.prepared.kept.key

    @property
    def points(self) -> int:
        """The number of points."""
        return self.envelope.rows

    def wanted(self) -> bool:
        """Whether anyone waits for it and it can still be in time."""
        return not self.context.cancelled and time.monotonic() < self.context.deadline

    def travel(self, companions: Sequence[PreparedPass]) -> list[Computed | BaseException]:
        """Compute all companions in one pass; should that fail, each by itself, so that none spoils the others."""
        if len(companions) == 1:
            return [companions[0].outcome_alone()]
        try:
            return self._together(companions)
        except Exception:  # noqa: BLE001  each by itself meets its own
            return [companion.outcome_alone() for companion in companions]

    def outcome_alone(self) -> Computed | BaseException:
        """Return what computing it by itself comes to, an error too."""
        try:
            return self.alone()
        except BaseException as error:  # noqa: BLE001  raised where the call is awaited
            return error

    def alone(self) -> Computed:
        """Compute it by itself. Raises EngineError."""
        began = time.monotonic()
        context = self.context
        context.checkpoint()
        matrix = self.envelope.matrix()
        bound = time.monotonic()
        evaluation = self._evaluated(matrix, context.deadline, context.checkpoint)
        context.checkpoint()
        computed = time.monotonic()
        spent = Spent(began - self.submitted, 0.0, computed - bound, bound - began)
        return self._answer(evaluation, spent, computed)._replace(pass_calls=1, pass_points=self.points)

    def _together(self, companions: Sequence[PreparedPass]) -> list[Computed | BaseException]:
        began = time.monotonic()
        matrix = np.concatenate([companion.envelope.matrix() for companion in companions])
        bound = time.monotonic()

        def checkpoint() -> None:
            if not any(companion.wanted() for companion in companions):
                message = "every caller has gone"
                raise Cancelled(message)

        latest = max(companion.context.deadline for companion in companions)
        evaluation = self._evaluated(matrix, latest, checkpoint)
        computed = time.monotonic()
        answers: list[Computed] = []
        start = 0
        for companion in companions:
            part = _part(evaluation, start, start + companion.points)
            start += companion.points
            spent = Spent(began - companion.submitted, 0.0, computed - bound, bound - began)
            answers.append(companion._answer(part, spent, time.monotonic()))  # noqa: SLF001  its kind
        answers[0] = answers[0]._replace(pass_calls=len(companions), pass_points=len(matrix))
        return [*answers]

    def _evaluated(self, matrix: FloatArray, deadline: float, checkpoint: Checkpoint) -> Evaluation:
        """Evaluate at points of one call or of several, and learn what that takes."""
        kept = self.prepared.kept
        points = PointBatch(self.prepared.inputs, len(matrix), matrix=matrix)
        began = time.monotonic()
        with guarded(self.guard, self.prepared.function.digest, Work.PASS, deadline):
            evaluation = kept.program.evaluate(points, self.limits, checkpoint)
        kept.cost.learn(points.count, time.monotonic() - began)
        return evaluation

    def _answer(self, evaluation: Evaluation, spent: Spent, computed: float) -> Computed:
        """Return the answer, given the time at which its results were there."""
        body = self.prepared.writer.write(evaluation.arrays, evaluation.point_flags, Outcome.HIT, spent)
        return Computed(body, self.points, spent.compute, spent.encode + time.monotonic() - computed)


def _part(evaluation: Evaluation, start: int, stop: int) -> Evaluation:
    """Return the results of some points; rows of C-contiguous arrays, so no copies."""
    arrays = [[result._replace(array=result.array[start:stop]) for result in results] for results in evaluation.arrays]
    return Evaluation(arrays, evaluation.point_flags[start:stop])
