"""Flows run by callbacks, with a transport and a clock that wait to be moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gradmill.driving import CallbackDriver
from gradmill.errors import GradmillError, InvalidRequestError, ServerError, UnavailableError
from gradmill.flows import Call, Flow, Step
from gradmill.wire_format import Buffer


class Hand:
    """Everything that a driver needs, moved by hand."""

    def __init__(self) -> None:
        """Start with nothing sent."""
        self.sent: list[tuple[bytes, Callable[[Buffer | GradmillError], None]]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.outcomes: list[object] = []
        self.cancelled = 0

    def drive(self, flow: Flow[str]) -> CallbackDriver[str]:
        """Run a flow."""
        return CallbackDriver(flow, self.submit, self._later, self.outcomes.append)

    def submit(
        self, _method: str, body: bytes, _timeout: float | None, done: Callable[[Buffer | GradmillError], None]
    ) -> Callable[[], object]:
        """Send a message, or fail as its body says."""
        if body == b"refused":
            message = "no token"
            raise InvalidRequestError(message)
        if body == b"no thread":
            message = "can't start new thread"
            raise RuntimeError(message)
        if body == b"at once":
            done(b"answer")
        self.sent.append((body, done))
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        self.later.append((seconds, function))


def sending(*bodies: bytes, pause: float | None = None) -> Flow[str]:
    """Send messages at once, wait for all answers, and return them joined."""
    answers = dict[int, str]()
    answer = yield Step(tuple(Call(key, "Evaluate", body, None) for key, body in enumerate(bodies)), pause)
    while len(answers) < len(bodies):
        if answer is not None:
            if isinstance(answer.outcome, GradmillError):
                raise answer.outcome
            answers[answer.key] = bytes(answer.outcome).decode()
        if len(answers) < len(bodies):
            answer = yield Step(())
    return ",".join(answers[key] for key in sorted(answers))


def test_a_flow_ends_with_what_it_returns() -> None:
    """Answers that come in any order, or while a message is still being sent, reach their flow."""
    hand = Hand()
    hand.drive(sending(b"first", b"at once", b"third"))
    assert hand.outcomes == []
    hand.sent[2][1](b"3")
    hand.sent[0][1](b"1")
    assert hand.outcomes == ["1,answer,3"]


def test_a_failure_ends_a_flow_and_gives_up_the_rest() -> None:
    """When one message fails for good the others are cancelled, and late answers change nothing."""
    hand = Hand()
    hand.drive(sending(b"first", b"second"))
    hand.sent[0][1](UnavailableError("away"))
    hand.sent[1][1](b"late")
    assert [type(outcome) for outcome in hand.outcomes] == [UnavailableError]
    assert hand.cancelled == 1


def test_a_message_that_cannot_be_sent_is_a_failure() -> None:
    """What is wrong before anything is sent reaches the caller too."""
    hand = Hand()
    hand.drive(sending(b"refused"))
    assert [type(outcome) for outcome in hand.outcomes] == [InvalidRequestError]


def test_a_want_of_threads_is_a_failure() -> None:
    """What the system refuses when a message is sent, or is to be sent again later, reaches the caller too."""

    def refuse(_seconds: float, _function: Callable[[], None]) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    def waiting() -> Flow[str]:
        yield Step((), 0.5)
        return "woken"

    hand = Hand()
    hand.drive(sending(b"no thread"))
    hand.drive(sending(b"first", b"no thread"))
    CallbackDriver(waiting(), hand.submit, refuse, hand.outcomes.append)
    assert [type(outcome) for outcome in hand.outcomes] == [ServerError] * 3
    assert all("can't start new thread" in str(outcome) for outcome in hand.outcomes)
    assert hand.cancelled == 1


def test_an_interrupt_ends_the_flow_that_it_meets() -> None:
    """A thread that is interrupted while it takes an answer for another caller leaves that one no riddle."""

    def interrupted() -> Flow[str]:
        yield Step((Call(0, "Evaluate", b"first", None),))
        raise KeyboardInterrupt

    hand = Hand()
    hand.drive(interrupted())
    with pytest.raises(KeyboardInterrupt):
        hand.sent[0][1](b"1")
    assert [type(outcome) for outcome in hand.outcomes] == [ServerError]


def test_a_flow_that_waits_is_woken() -> None:
    """A pause before a message is sent again keeps no thread."""

    def waiting() -> Flow[str]:
        answer = yield Step((), 0.5)
        return f"woken with {answer}"

    hand = Hand()
    hand.drive(waiting())
    ((seconds, wake),) = hand.later
    assert (seconds, hand.outcomes) == (0.5, [])
    wake()
    assert hand.outcomes == ["woken with None"]


def test_a_flow_that_is_cancelled_tells_nobody() -> None:
    """A flow that is given up cancels what it has under way."""
    hand = Hand()
    hand.drive(sending(b"first", b"second")).cancel()
    hand.sent[0][1](b"late")
    assert (hand.cancelled, hand.outcomes) == (2, [])


def test_a_mistake_of_the_client_reaches_the_caller() -> None:
    """Whatever goes wrong is raised where the result is awaited, and never lost with a thread."""

    def mistaken() -> Flow[str]:
        yield Step((Call(0, "Evaluate", b"at once", None),))
        return dict[str, str]()["name"]

    hand = Hand()
    hand.drive(mistaken())
    (outcome,) = hand.outcomes
    assert isinstance(outcome, ServerError)
    assert "KeyError" in outcome.message
