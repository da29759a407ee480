"""What the serving layer reports about itself. This one listens to nothing; `metrics` has one that counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from gradmill_server.engine.wants import Kind


class Stage(StrEnum):
    """A stage of a call, as in `gradmill.v1.Timings`."""

    QUEUE = "queue"
    COMPILE = "compile"
    COMPUTE = "compute"
    ENCODE = "encode"


class Outcome(StrEnum):
    """What a cache held: it was there, it was made, or another call was making it."""

    HIT = "hit"
    MISS = "miss"
    SHARED = "shared"


class Joined(StrEnum):
    """Why the points of a call were computed together with those of other calls, or why not.

    ALONE: nothing else waited for the same program. INLINE: so little work that it was done where it arrived. KIND: its
    results depend on its points together (a reduction), or it has inputs or directions of its own. FULL: the pass had
    as many points as one may have.
    """

    JOINED = "joined"
    ALONE = "alone"
    INLINE = "inline"
    KIND = "kind"
    FULL = "full"


class Telemetry:
    """Hears of everything worth counting, and keeps none of it."""

    def call_finished(self, method: str, code: str, seconds: float) -> None:
        """Hear that a call, or one message of a stream, was answered with a canonical status code."""

    def call_refused(self, reason: str) -> None:
        """Hear that a call was refused; ``reason`` is the default reason of the error's class, so from a closed set."""

    def stage_finished(self, stage: Stage, seconds: float) -> None:
        """Hear how long a stage of a call took."""

    def looked_up(self, kind: str, outcome: Outcome) -> None:
        """Hear what the cache held of a kind of entry: "function" or "program"."""

    def program_compiled(self) -> None:
        """Hear that a program was compiled."""

    def wishes_granted(self, kinds: Iterable[Kind]) -> None:
        """Hear of what kinds the wishes of a call were that was answered."""

    def points_computed(self, points: int, node_evaluations: int) -> None:
        """Hear how many points were computed, and how many values of nodes that took."""

    def pass_finished(self, calls: int, points: int) -> None:
        """Hear of one pass over a batch: how many calls it was for, and how many points it had."""

    def call_placed(self, joined: Joined) -> None:
        """Hear how the points of a call were computed: together with others, or why not."""

    def computed_here(
        self,
        kinds: Sequence[Kind],
        points: int,
        node_evaluations: int,
        compute_seconds: float,
        encode_seconds: float,
    ) -> None:
        """Hear in one word of a known call that was computed where it arrived: what the others would hear of it."""
        self.looked_up("function", Outcome.HIT)
        self.looked_up("program", Outcome.HIT)
        self.wishes_granted(kinds)
        self.points_computed(points, node_evaluations)
        self.stage_finished(Stage.QUEUE, 0.0)
        self.stage_finished(Stage.COMPUTE, compute_seconds)
        self.stage_finished(Stage.ENCODE, encode_seconds)
        self.pass_finished(1, points)
        self.call_placed(Joined.INLINE)

    def small_call(
        self,
        method: str,
        kinds: Sequence[Kind],
        points: int,
        node_evaluations: int,
        compute_seconds: float,
        seconds: float,
    ) -> None:
        """Hear in one word of a call, or a message of a stream, that was answered by the shortest road."""
        self.call_finished(method, "OK", seconds)
        self.computed_here(kinds, points, node_evaluations, compute_seconds, seconds - compute_seconds)


SILENT = Telemetry()
