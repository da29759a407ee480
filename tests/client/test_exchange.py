"""Sending again, deadlines and the number of messages under way, with a clock that stands still."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from gradmill.errors import (
    DeadlineExceededError,
    Failure,
    GradmillError,
    InvalidRequestError,
    LimitError,
    NotFoundError,
    UnavailableError,
)
from gradmill.exchange import Budget, Environment, Exchange, Request
from gradmill.flows import Answer, Call
from gradmill.settings import RetryPolicy
from gradmill.wire_format import Buffer

from tests.client.fakes import FakeClock, run_by_hand, unknown_digest


class Server:
    """Answers with what it was told to, then with the body that it was sent; remembers when."""

    def __init__(self, clock: FakeClock, *failures: GradmillError) -> None:
        """Fail so often first."""
        self.clock = clock
        self.failures = list(failures)
        self.times: list[float] = []

    def answer(self, _method: str, body: bytes) -> bytes:
        """Answer one call."""
        self.times.append(round(self.clock.now, 3))
        if self.failures:
            raise self.failures.pop(0)
        return body


def requests(got: list[Buffer], count: int = 1, inline: Callable[[], bytes] | None = None) -> list[Request]:
    """Return requests with the bodies 0, 1, 2, ..."""

    def request(number: int) -> Request:
        return Request("Evaluate", lambda: str(number).encode(), got.append, inline)

    return [request(number) for number in range(count)]


def exchange(
    entries: list[Request],
    clock: FakeClock,
    *,
    policy: RetryPolicy | None = None,
    budget: Budget | None = None,
    window: int = 4,
    deadline: float = float("inf"),
    timeout: float = 60.0,
    jitter: float = 1.0,
) -> Exchange:
    """Return an exchange by that clock."""
    policy = policy or RetryPolicy()
    environment = Environment(clock, policy, budget or Budget(policy.budget), lambda: jitter)
    return Exchange(iter(entries), environment, window=window, deadline=deadline, timeout=timeout)


def test_an_unavailable_server_is_tried_again_with_growing_pauses() -> None:
    """A server that restarts is not noticed by its callers."""
    clock, got = FakeClock(), list[Buffer]()
    server = Server(clock, *[UnavailableError("restarting")] * 6)
    run_by_hand(exchange(requests(got), clock).run(), server.answer, clock)
    assert got == [b"0"]
    assert server.times == [100.0, 100.1, 100.3, 100.7, 101.5, 103.1, 105.1]


def test_pauses_are_drawn_by_chance_between_half_and_all() -> None:
    """Clients that failed together do not come back together."""
    clock, got = FakeClock(), list[Buffer]()
    server = Server(clock, *[UnavailableError("restarting")] * 2)
    run_by_hand(exchange(requests(got), clock, jitter=0.0).run(), server.answer, clock)
    assert server.times == [100.0, 100.05, 100.15]


def test_trying_again_ends_with_the_last_error_and_the_number_of_attempts() -> None:
    """A server that stays away is reported as such after a few seconds, not at the end of the timeout."""
    clock, got = FakeClock(), list[Buffer]()
    server = Server(clock, *[UnavailableError("away", Failure(reason="GONE", metadata={"a": "b"}))] * 50)
    with pytest.raises(UnavailableError, match=r"away \(sent 8 times\)") as caught:
        run_by_hand(exchange(requests(got), clock).run(), server.answer, clock)
    assert (caught.value.reason, caught.value.metadata) == ("GONE", {"a": "b"})
    assert len(server.times) == 8


def test_a_full_server_is_given_the_time_it_asks_for() -> None:
    """A server that says when to come back is believed."""
    clock, got = FakeClock(), list[Buffer]()
    server = Server(clock, LimitError("queue full", Failure(retry_delay_seconds=5.0)))
    run_by_hand(exchange(requests(got), clock).run(), server.answer, clock)
    assert server.times == [100.0, 105.1]


@pytest.mark.parametrize("error", [LimitError("too many nodes"), InvalidRequestError("wrong"), NotFoundError("what")])
def test_what_cannot_get_better_is_not_tried_again(error: GradmillError) -> None:
    """A refusal reaches the caller at once."""
    clock, got = FakeClock(), list[Buffer]()
    server = Server(clock, error)
    with pytest.raises(type(error)):
        run_by_hand(exchange(requests(got), clock).run(), server.answer, clock)
    assert server.times == [100.0]


def test_no_pause_passes_the_deadline() -> None:
    """A call does not wait for a repetition that it has no time for."""
    clock, got = FakeClock(), list[Buffer]()
    server = Server(clock, *[UnavailableError("away")] * 50)
    with pytest.raises(UnavailableError, match="sent 3 times"):
        run_by_hand(exchange(requests(got), clock, deadline=100.5).run(), server.answer, clock)


def test_a_batch_whose_time_is_over_sends_nothing_more() -> None:
    """A deadline for the whole call holds for the messages not yet sent."""
    clock, got = FakeClock(), list[Buffer]()

    def slow(_method: str, body: bytes) -> bytes:
        clock.now += 1.0
        return body

    with pytest.raises(DeadlineExceededError, match="before everything was sent"):
        run_by_hand(exchange(requests(got, 10), clock, window=1, deadline=103.0).run(), slow, clock)
    assert len(got) == 3


def test_without_a_deadline_each_message_has_its_own_time() -> None:
    """A batch of any length succeeds as long as each message does."""
    clock, got, timeouts = FakeClock(), list[Buffer](), list[float | None]()
    flow = exchange(requests(got, 3), clock, window=1, timeout=5.0).run()
    step = next(flow)
    for _ in range(2):
        timeouts.append(step.start[0].timeout_seconds)
        clock.now += 4.0
        step = flow.send(Answer(step.start[0].key, b""))
    assert timeouts == [5.0, 5.0]


def test_an_infinite_time_is_no_timeout() -> None:
    """A caller may wait for ever by asking for it."""
    clock = FakeClock()
    step = next(exchange(requests([]), clock, timeout=float("inf")).run())
    assert step.start[0].timeout_seconds is None


def test_an_unknown_digest_is_answered_with_the_function_itself() -> None:
    """A server that forgot a function is sent it again, once, unseen."""
    clock, got = FakeClock(), list[Buffer]()
    server = Server(clock, unknown_digest())
    run_by_hand(exchange(requests(got, inline=lambda: b"inline"), clock).run(), server.answer, clock)
    assert got == [b"inline"]
    server = Server(clock, unknown_digest(), unknown_digest())
    with pytest.raises(NotFoundError):
        run_by_hand(exchange(requests(got, inline=lambda: b"inline"), clock).run(), server.answer, clock)


def test_a_digest_without_a_function_is_reported() -> None:
    """A digest that the server does not know is an error when nothing else was given."""
    clock = FakeClock()
    with pytest.raises(NotFoundError):
        run_by_hand(exchange(requests([]), clock).run(), Server(clock, unknown_digest()).answer, clock)


def test_no_more_messages_are_under_way_than_allowed() -> None:
    """A long batch is held back by its answers, and its messages are made only when there is room."""
    made: list[int] = []

    def request(number: int) -> Request:
        made.append(number)
        return Request("Evaluate", lambda: b"", lambda _body: None)

    clock = FakeClock()
    environment = Environment(clock, RetryPolicy(), Budget(10))
    flow = Exchange(map(request, range(100)), environment, window=3, deadline=float("inf"), timeout=60.0).run()
    step = next(flow)
    under_way: list[Call] = list(step.start)
    assert len(under_way) == len(made) == 3
    for _ in range(20):
        step = flow.send(Answer(under_way.pop().key, b""))
        under_way.extend(step.start)
        assert len(under_way) == 3
    assert len(made) == 23


def test_repetitions_have_a_budget_that_success_refills() -> None:
    """Callers of a failing server stop multiplying its load."""
    clock, budget = FakeClock(), Budget(2)
    server = Server(clock, *[UnavailableError("away")] * 50)
    with pytest.raises(UnavailableError, match="sent 3 times"):
        run_by_hand(exchange(requests([]), clock, budget=budget).run(), server.answer, clock)
    server.failures.clear()
    run_by_hand(exchange(requests([], 10), clock, budget=budget).run(), server.answer, clock)
    assert budget.left == pytest.approx(1.0)


def test_a_server_that_refuses_gets_a_tenth_more_messages_than_it_answers() -> None:
    """Under lasting overload repetitions stay within their budget, however many calls are made."""
    clock, budget, got = FakeClock(), Budget(50), list[Buffer]()
    full = LimitError("quota", Failure(status="RESOURCE_EXHAUSTED", retry_delay_seconds=0.1))
    sent = 0

    def answer(_method: str, body: bytes) -> bytes:
        nonlocal sent
        sent += 1
        if sent % 2:
            raise full
        return body

    for _ in range(2000):
        with contextlib.suppress(LimitError):
            run_by_hand(exchange(requests(got), clock, budget=budget).run(), answer, clock)
    assert len(got) > 500
    assert sent - 2000 <= 50 + 0.1 * len(got)


def test_twenty_servers_killed_in_a_row_cost_no_call() -> None:
    """Each kill breaks all messages under way, and finds nobody there for two seconds; every call is answered."""
    clock, budget, got = FakeClock(), Budget(RetryPolicy().budget), list[Buffer]()
    away = UnavailableError("no server answers", Failure(reason="NO_ANSWER"))
    back_at = 0.0

    def answer(_method: str, body: bytes) -> bytes:
        if clock.now < back_at:
            raise away
        return body

    for _ in range(20):
        back_at = clock.now + 2.0
        run_by_hand(exchange(requests(got, 24), clock, budget=budget, window=24).run(), answer, clock)
        run_by_hand(exchange(requests(got, 100), clock, budget=budget).run(), answer, clock)
    assert len(got) == 20 * 124


def test_no_message_is_given_more_than_the_time_allowed() -> None:
    """A message has the seconds allowed and not a rounding error more, at whatever moment of the clock it is sent."""
    clock = FakeClock()
    clock.now = 32741.030536112678
    assert clock.now + 60.0 - clock.now > 60.0
    step = next(exchange(requests([]), clock).run())
    assert step.start[0].timeout_seconds == 60.0
