"""Times peers against each other: in every round each is timed once, and the median of its rounds is what counts.

Noise of the machine, such as a neighbour or a change of clock, then falls on all alike. What would take too long or too
much memory is left out, with the reason in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.models import MODELS, FloatArray, Model
from tests.benchmarks.peers.peer import NotApplicableError
from tests.benchmarks.peers.table import PEERS
from tests.benchmarks.results import WRONG, Measurement, Results
from tests.benchmarks.workers import NO_ANSWER, NoAnswerError, PeerFailedError, Worker

Sample = tuple[FloatArray, "FloatArray | None"]

_SAMPLED_POINTS = 64
_FEWEST_ROUNDS = 3
_LEAST_CALLS = 4
"""Calls that the shortest measurement takes: the first, the sampled, the one that decides how many, and one round."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How much is measured, and when it is given up.

    Attributes:
        rounds: timed rounds of each peer.
        round_s: seconds that a round is filled with calls, unless one call is longer.
        total_s: seconds of rounds after which a slow peer gets fewer of them, though no fewer than three if it can be.
        measurement_s: a peer whose shortest measurement is predicted to take longer is left out.
        compile_s: a peer that has no answer after so long is ended.
        repeated_compile_s: a peer that took longer to compile is not asked to compile the same for other batches.
        stand_in_compile_s: the same for a peer that another row of its library stands for.
        memory_bytes: a peer that is predicted to need more is left out.
        tolerance: largest difference from the reference, relative to a value, or to a gradient's largest entry.
    """

    rounds: int = 15
    round_s: float = 0.01
    total_s: float = 1.0
    measurement_s: float = 12.0
    compile_s: float = 120.0
    repeated_compile_s: float = 30.0
    stand_in_compile_s: float = 6.0
    memory_bytes: float = 2.5 * 2**30
    tolerance: float = 1e-9


class Plan(NamedTuple):
    """How one peer is timed: how many rounds, of how many calls, and whether a round begins with a call for nothing."""

    rounds: int
    calls: int
    warm: bool


def plan_for(call_s: float, patience: Patience) -> Plan:
    """Return the plan for a call of about this many seconds."""
    calls = max(1, round(patience.round_s / call_s))
    round_s = calls * call_s
    rounds = int(patience.total_s / round_s)
    fewest = _FEWEST_ROUNDS if _FEWEST_ROUNDS * round_s <= patience.measurement_s else 1
    return Plan(min(patience.rounds, max(fewest, rounds)), calls, warm=call_s < 10.0 * patience.round_s)


def largest_difference(sample: Sample, reference: Sample) -> float:
    """Return how far two answers are apart: values relative to the typical value, gradients to their largest entry."""
    (values, gradients), (true_values, true_gradients) = sample, reference
    typical = np.maximum(np.abs(true_values), np.median(np.abs(true_values)))
    apart = np.max(np.abs(values - true_values) / typical)
    if gradients is None or true_gradients is None:
        return float(apart)
    largest = np.max(np.abs(true_gradients), axis=1, keepdims=True)
    return float(np.maximum(apart, np.max(np.abs(gradients - true_gradients) / largest)))


class Hopeless:
    """Tells before it is tried what would take too long or too much memory."""

    def __init__(self, patience: Patience) -> None:
        """Start without experience."""
        self._patience = patience
        self._without_answer: list[tuple[Measurement, Model]] = []

    def remember(self, entry: Measurement, model: Model) -> None:
        """Learn that a peer had no answer."""
        self._without_answer.append((entry, model))

    def reason(self, entry: Measurement, model: Model, results: Results) -> str:
        """Return why not to try, or nothing."""
        return (
            self._without_answer_before(entry, model)
            or self._too_long(entry, results)
            or self._too_large(entry, model)
            or self._compiled_too_long(entry, results)
        )

    def _without_answer_before(self, entry: Measurement, model: Model) -> str:
        """Whether the peer had no answer to a smaller model of the kind, or to this or its value at another batch."""
        for failed, smaller in self._without_answer:
            same_kind = (failed.peer, failed.model.partition("-")[0]) == (entry.peer, entry.model.partition("-")[0])
            if same_kind and smaller.operations < model.operations:
                return f"{failed.reason} to {failed.model}"
            if same_kind and failed.model == entry.model and failed.gradient <= entry.gradient:
                return failed.reason
        return ""

    def _too_long(self, entry: Measurement, results: Results) -> str:
        measured = [(found.batch, found.call_s) for found in _other_batches(entry, results) if found.call_s]
        if not measured:
            return ""
        batch, call_s = max(measured)
        predicted = _LEAST_CALLS * call_s * entry.batch / batch
        return f"skipped: predicted {predicted:.0f} s" if predicted > self._patience.measurement_s else ""

    def _compiled_too_long(self, entry: Measurement, results: Results) -> str:
        if not PEERS[entry.peer].compiles_each_batch:
            return ""
        took = max((found.setup_s or 0.0 for found in _other_batches(entry, results)), default=0.0)
        return f"skipped: {took:.0f} s to compile" if took > self._patience.repeated_compile_s else ""

    def _too_large(self, entry: Measurement, model: Model) -> str:
        kept = 3 * model.inputs
        if entry.gradient and PEERS[entry.peer].keeps_intermediates:
            kept += model.operations
        predicted = 8.0 * kept * entry.batch
        return f"skipped: predicted {predicted / 2**30:.1f} GiB" if predicted > self._patience.memory_bytes else ""


def _other_batches(entry: Measurement, results: Results) -> list[Measurement]:
    same = (entry.model, entry.peer, entry.gradient)
    return [found for found in results if (found.model, found.peer, found.gradient) == same]


class Harness:
    """A worker for each peer, and what is known about them so far."""

    def __init__(self, peers: Sequence[str], patience: Patience) -> None:
        """Prepare workers; none is started yet."""
        self.results = Results()
        self._patience = patience
        self._workers = {peer: Worker(peer) for peer in peers}
        self._absent: dict[str, str] = {}
        self._hopeless = Hopeless(patience)

    def start(self) -> dict[str, str]:
        """Start every worker; return why some peers are absent."""
        for peer, worker in self._workers.items():
            try:
                worker.start()
            except (PeerFailedError, NoAnswerError) as problem:
                self._absent[peer] = str(problem)
                worker.stop()
        return self._absent

    def stop(self) -> None:
        """End every worker."""
        for worker in self._workers.values():
            worker.stop()

    def measure(self, key: str, batch: int) -> None:
        """Measure a model at one batch: its value alone, and with its gradient, by all peers."""
        model = MODELS[key]()
        entries = [entry for peer in self._workers for entry in self._prepared(key, model, peer, batch)]
        for gradient in (False, True):
            self._check([entry for entry in entries if entry.gradient == gradient and not entry.reason])
        self._time([entry for entry in entries if not entry.reason])

    def _prepared(self, key: str, model: Model, peer: str, batch: int) -> list[Measurement]:
        """Prepare a peer for the value and for the gradient; return their measurements, empty or with reasons."""
        entries = [Measurement(key, peer, gradient, batch) for gradient in (False, True)]
        if peer in self._absent:
            return []
        try:
            for entry in entries:
                entry.reason = self._hopeless.reason(entry, model, self.results)
                if not entry.reason:
                    self._prepare(entry, model)
                self.results.add(entry)
        except NotApplicableError:
            return []
        value, gradient = entries
        if not value.reason and gradient.reason.startswith(NO_ANSWER):
            self._prepare(value, model)  # once more, in the worker that came after the one that was ended
        return entries

    def _prepare(self, entry: Measurement, model: Model) -> None:
        patience = self._patience
        limit_s = patience.stand_in_compile_s if PEERS[entry.peer].stands_in else patience.compile_s
        try:
            entry.setup_s = self._ask(limit_s, entry, "prepare", entry.model, entry.batch)
        except NoAnswerError as problem:
            entry.reason = str(problem)
            self._hopeless.remember(entry, model)
        except PeerFailedError as problem:
            if problem.kind == NotApplicableError.__name__:
                raise NotApplicableError from problem
            entry.reason = str(problem)

    def _check(self, entries: Sequence[Measurement]) -> None:
        """Give those a reason that differ from the first, which is ours where ours is there."""
        reference: Sample | None = None
        for entry in entries:
            sample = self._attempt(entry, "sample", _SAMPLED_POINTS)
            reference = reference or sample
            if sample is None or reference is None:
                continue
            difference = largest_difference(sample, reference)
            if not difference <= self._patience.tolerance:
                entry.reason = f"{WRONG}: differs by {difference:.1e}"

    def _time(self, entries: Sequence[Measurement]) -> None:
        """Time all in turn, round by round, beginning with another one each round."""
        plans = [(entry, self._plan(entry)) for entry in entries]
        for number in range(self._patience.rounds):
            start = number % max(1, len(plans))
            for entry, plan in plans[start:] + plans[:start]:
                if number < plan.rounds and not entry.reason:
                    seconds = self._attempt(entry, "seconds", plan.calls, warm=plan.warm)
                    entry.rounds_s += [] if seconds is None else [seconds]

    def _plan(self, entry: Measurement) -> Plan:
        call_s = self._attempt(entry, "seconds", 1, warm=False)
        return Plan(0, 0, warm=False) if call_s is None else plan_for(call_s, self._patience)

    def _attempt(self, entry: Measurement, method: str, *positions: object, **keywords: object) -> Any:  # noqa: ANN401
        """Return what the worker answers; where it does not, give the measurement the reason and return None."""
        try:
            return self._ask(self._patience.compile_s, entry, method, *positions, **keywords)
        except (NoAnswerError, PeerFailedError) as problem:
            entry.reason = str(problem)
            entry.rounds_s.clear()
            return None

    def _ask(self, limit_s: float, entry: Measurement, method: str, *positions: object, **keywords: object) -> Any:  # noqa: ANN401
        return self._workers[entry.peer].ask(limit_s, method, *positions, gradient=entry.gradient, **keywords)
