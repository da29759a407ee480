"""What is a violation: an answer that is wrong, doubled or lost, or a failure for which there was no reason.

A value and its derivatives are a pure function of function and point, so an OK answer is right or wrong whatever else
happens. A failure is judged by when it came: disturbances say from when to when which codes may be seen on which road.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.load.outcomes import OK, Outcome

NEVER = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS", "UNIMPLEMENTED"})
"""Codes by which a server admits that it is wrong, or would if these requests could earn them."""

BUSY = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE"})
"""Codes by which a server refuses more than it can do; both come with a time to try again."""

ENDED = frozenset({"UNAVAILABLE"})
LATE = frozenset({"DEADLINE_EXCEEDED"})
DIRECT, PROXIED, RETRYING = "direct", "through the proxy", "retrying client"
_EARLY = 0.9
"""Of a deadline, the part that must have passed before a server may say that it has; the rest is travel."""


@dataclass(slots=True)
class Disturbance:
    """Something that was done to the server or to the network, and what callers may see of it.

    Attributes:
        kind: its name.
        scopes: the roads it touches.
        allowed: the codes that may be seen there meanwhile.
        began: when it began, in seconds of the monotonic clock.
        ended: when all was well again; infinite until then.
    """

    kind: str
    scopes: frozenset[str]
    allowed: frozenset[str]
    began: float
    ended: float = float("inf")

    def excuses(self, outcome: Outcome) -> bool:
        """Return whether a request that ended so may blame this disturbance."""
        overlaps = outcome.began <= self.ended and outcome.ended >= self.began
        return overlaps and outcome.scope in self.scopes and outcome.code in self.allowed


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, with what it takes to look at it again."""

    outcome: Outcome
    problem: str

    def __str__(self) -> str:
        """Return one line for the report."""
        outcome = self.outcome
        told = f" [{outcome.reason}] {outcome.message}"[:300] if outcome.code != OK else ""
        again = f" (arrival {outcome.arrival})" if outcome.arrival >= 0 else ""
        return (
            f"{outcome.scenario}, request {outcome.index} of {outcome.source}{again}: {self.problem}"
            f" ({outcome.code} after {outcome.ended - outcome.began:.3f} s at {outcome.began:.3f}){told}"
        )


def violations(outcomes: Iterable[Outcome], disturbances: Sequence[Disturbance]) -> list[Violation]:
    """Return what is wrong with how requests ended."""
    found = []
    for outcome in outcomes:
        problem = problem_of(outcome, disturbances)
        if problem:
            found.append(Violation(outcome, problem))
    return found


def problem_of(outcome: Outcome, disturbances: Sequence[Disturbance]) -> str:
    """Return what is wrong with how a request ended, empty for nothing."""
    if outcome.problem or outcome.code == outcome.expected_code:
        return outcome.problem or _problem_of_expected(outcome)
    if outcome.code == OK:
        return f"answered, and should have been refused with {outcome.expected_code} {outcome.expected_reason}"
    if outcome.code in NEVER:
        return f"{outcome.code}, which no caller must ever see"
    if outcome.code in outcome.also:
        return _problem_of_lateness(outcome)
    if any(disturbance.excuses(outcome) for disturbance in disturbances):
        return _problem_of_refusal(outcome)
    return f"{outcome.code} at a time when nothing excuses it"


def _problem_of_expected(outcome: Outcome) -> str:
    if outcome.expected_reason and outcome.reason != outcome.expected_reason:
        return f"refused for {outcome.reason or 'no reason'}, not for {outcome.expected_reason}"
    return ""


def _problem_of_lateness(outcome: Outcome) -> str:
    """Return what is wrong with a deadline that is said to have passed, or could not have been met."""
    passed = outcome.ended - outcome.began
    refused_early = outcome.reason not in ("", "DEADLINE_EXCEEDED")
    if outcome.code not in LATE or refused_early or passed >= _EARLY * outcome.allowed_seconds:
        return ""
    return f"DEADLINE_EXCEEDED after {passed:.4f} s of {outcome.allowed_seconds:.4f}, without another reason"


def _problem_of_refusal(outcome: Outcome) -> str:
    if outcome.code == "RESOURCE_EXHAUSTED" and not outcome.told_when:
        return "RESOURCE_EXHAUSTED without a time to try again"
    return ""
