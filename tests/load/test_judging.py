"""The judge of the load tool must condemn what is wrong: each test breaks one promise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.load.judging import BUSY, DIRECT, ENDED, RETRYING, Disturbance, problem_of, violations
from tests.load.outcomes import Ledger, Outcome

GOOD = Outcome("sender", 7, "seed function", DIRECT, began=10.0, ended=10.5, code="OK")
KILL = Disturbance("worker killed", frozenset({DIRECT}), ENDED, began=9.0, ended=11.0)
CROWD = Disturbance("overload", frozenset({DIRECT}), BUSY, began=9.0, ended=11.0)


def test_a_right_answer_is_no_violation() -> None:
    """An OK answer with nothing wrong about it passes, disturbed or not."""
    assert violations([GOOD], []) == violations([GOOD], [KILL]) == []


def test_a_wrong_answer_is_a_violation_whatever_happened_meanwhile() -> None:
    """No disturbance excuses an OK answer with other bits."""
    found = violations([replace(GOOD, problem="other bits")], [KILL])
    assert [violation.problem for violation in found] == ["other bits"]
    assert "request 7 of sender" in str(found[0])


@pytest.mark.parametrize("code", ["INTERNAL", "UNKNOWN"])
def test_a_code_that_admits_a_fault_is_never_excused(code: str) -> None:
    """INTERNAL and UNKNOWN are violations also while workers are killed."""
    everything = replace(KILL, allowed=frozenset({code}))
    assert "no caller must ever see" in problem_of(replace(GOOD, code=code), [everything])


def test_a_failure_needs_a_disturbance_at_its_time_and_on_its_road() -> None:
    """UNAVAILABLE passes beside a kill, and is a violation before, after, or for a client that tries again."""
    failed = replace(GOOD, code="UNAVAILABLE")
    assert problem_of(failed, [KILL]) == ""
    assert "nothing excuses" in problem_of(failed, [])
    assert "nothing excuses" in problem_of(replace(failed, began=11.1, ended=11.2), [KILL])
    assert "nothing excuses" in problem_of(replace(failed, began=8.1, ended=8.2), [KILL])
    assert "nothing excuses" in problem_of(replace(failed, scope=RETRYING), [KILL])


def test_a_refusal_for_overload_must_say_when_to_try_again() -> None:
    """RESOURCE_EXHAUSTED without RetryInfo is a violation even under overload."""
    refused = replace(GOOD, code="RESOURCE_EXHAUSTED")
    assert "without a time" in problem_of(refused, [CROWD])
    assert problem_of(replace(refused, told_when=True), [CROWD]) == ""


def test_a_wrong_request_must_be_refused_and_for_its_own_reason() -> None:
    """A wrong request that is answered, or refused for another reason, is a violation."""
    refused = replace(
        GOOD,
        code="INVALID_ARGUMENT",
        reason="NAME_INVALID",
        expected_code="INVALID_ARGUMENT",
        expected_reason="NAME_INVALID",
    )
    assert problem_of(refused, []) == ""
    assert "not for NAME_INVALID" in problem_of(replace(refused, reason="NAME_MISSING"), [])
    assert "should have been refused" in problem_of(replace(refused, code="OK"), [])


def test_a_deadline_that_has_not_passed_cannot_be_exceeded() -> None:
    """DEADLINE_EXCEEDED before the deadline, with no reason given, is a violation; after it, it is not."""
    late = replace(GOOD, code="DEADLINE_EXCEEDED", also=frozenset({"DEADLINE_EXCEEDED"}), allowed_seconds=0.5)
    assert problem_of(late, []) == ""
    assert "of 2.0000" in problem_of(replace(late, allowed_seconds=2.0), [])
    assert problem_of(replace(late, allowed_seconds=2.0, reason="DEADLINE_TOO_SHORT"), []) == ""


def test_the_ledger_notices_doubled_and_lost_answers() -> None:
    """An answer that comes twice, or to nothing, is named; one that never comes stays open."""
    ledger = Ledger()
    first, second = ledger.begin("stream"), ledger.begin("stream")
    assert ledger.end(first) == ""
    assert ledger.end(first) == "answered twice"
    assert "never sent" in ledger.end(99)
    assert list(ledger.open) == [second]
    assert ledger.begun == 2
