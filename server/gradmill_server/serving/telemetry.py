"""What the serving layer reports about itself. This one listens to nothing; `metrics` has one that counts."""

from __future__ import annotations

from collections.abc import Iterable
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


SILENT = Telemetry()
