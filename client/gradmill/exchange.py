"""Sends a row of requests, several at a time, each again when that can help, until all are answered."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gradmill.errors import (
    NO_ANSWER,
    DeadlineExceededError,
    GradmillError,
    LimitError,
    NotFoundError,
    UnavailableError,
    renewed,
)
from gradmill.flows import Answer, Call, Flow, Step
from gradmill.settings import RetryPolicy
from gradmill.wire_format import Buffer

DIGEST_UNKNOWN = "DIGEST_UNKNOWN"
_REFILL_PER_SUCCESS = 0.1
_COST_WHERE_NOBODY_ANSWERED = 0.1


@dataclass(slots=True)
class Request:
    """One message to get answered.

    Attributes:
        method: the name of the service's method.
        body: makes the serialized request.
        inline_body: makes the same request with the function written out, for a server that does not know its digest;
            None when there is no other way to write it.
        deliver: takes the serialized response.
    """

    method: str
    body: Callable[[], bytes]
    deliver: Callable[[Buffer], None]
    inline_body: Callable[[], bytes] | None = None


@dataclass(slots=True)
class _Attempt:
    """A request under way.

    Attributes:
        expires_at: the time by which it must be answered, repetitions included.
        sent: how often it was sent.
    """

    request: Request
    expires_at: float
    sent: int = 0


@dataclass(slots=True)
class Budget:
    """Repetitions that a client may still spend; each success gives a tenth of one back.

    So in the long run a server that refuses gets at most a tenth more messages than it answers. A repetition where
    nobody answered costs a tenth, for it burdens no server: many messages may be under way when one is killed, and each
    may find nobody there several times until the next one has started.

    Threads that race here lose or gain a fraction of a repetition, which does not matter.
    """

    limit: float
    left: float = field(init=False)

    def __post_init__(self) -> None:
        """Start full."""
        self.left = self.limit

    def spend(self, error: GradmillError) -> bool:
        """Take the repetition of a message that failed; False when there is not enough left."""
        cost = _COST_WHERE_NOBODY_ANSWERED if error.reason == NO_ANSWER else 1.0
        if self.left < cost:
            return False
        self.left -= cost
        return True

    def refill(self) -> None:
        """Give back a tenth of a repetition."""
        self.left = min(self.limit, self.left + _REFILL_PER_SUCCESS)


@dataclass(frozen=True, slots=True)
class Environment:
    """What an exchange takes from outside: time, chance and policy.

    Attributes:
        clock: monotonic seconds.
        jitter: a random number in [0, 1).
        policy: when to send again.
        budget: repetitions left, shared by all calls of a client.
    """

    clock: Callable[[], float]
    policy: RetryPolicy
    budget: Budget
    jitter: Callable[[], float] = random.random


class Exchange:
    """Sends requests, a bounded number at a time; bodies are made when sent, so a long batch needs little memory."""

    def __init__(
        self, requests: Iterator[Request], environment: Environment, *, window: int, deadline: float, timeout: float
    ) -> None:
        """Plan to send ``requests``, ``window`` at a time.

        Args:
            requests: the requests, made when there is room for them.
            environment: time, chance and policy.
            window: how many may be under way at a time.
            deadline: the time by which everything must be answered, by the environment's clock; may be infinite.
            timeout: the seconds that each request has, from when it is first sent; may be infinite.
        """
        self._requests = requests
        self._environment = environment
        self._window = window
        self._deadline = deadline
        self._timeout = timeout
        self._keys = itertools.count()
        self._under_way: dict[int, _Attempt] = {}
        self._delayed: list[tuple[float, int, _Attempt]] = []
        self._exhausted = False

    def run(self) -> Flow[None]:
        """Return the flow that ends when every request has been answered.

        Raises:
            GradmillError: the first failure that sending again cannot mend.
        """
        while True:
            calls = tuple(self._calls_to_start())
            if not calls and not self._under_way and not self._delayed:
                return
            answer = yield Step(calls, self._pause())
            if answer is not None:
                self._settle(self._under_way.pop(answer.key), answer)

    def _calls_to_start(self) -> Iterator[Call]:
        now = self._environment.clock()
        while self._delayed and self._delayed[0][0] <= now and len(self._under_way) < self._window:
            yield self._call(heapq.heappop(self._delayed)[2], now)
        while not self._exhausted and len(self._under_way) + len(self._delayed) < self._window:
            request = next(self._requests, None)
            if request is None:
                self._exhausted = True
                return
            yield self._call(_Attempt(request, min(self._deadline, now + self._timeout)), now)

    def _call(self, attempt: _Attempt, now: float) -> Call:
        # The end of the time is rounded, so that what is left of it may seem a trifle more than there was.
        remaining = min(attempt.expires_at - now, self._timeout)
        if remaining <= 0:
            message = "the time allowed for the call has passed before everything was sent"
            raise DeadlineExceededError(message)
        key = next(self._keys)
        attempt.sent += 1
        self._under_way[key] = attempt
        timeout = None if math.isinf(remaining) else remaining
        return Call(key, attempt.request.method, attempt.request.body(), timeout)

    def _pause(self) -> float | None:
        """Return how long to wait at most: until the next delayed request may be sent."""
        if not self._delayed:
            return None
        return max(0.0, self._delayed[0][0] - self._environment.clock())

    def _settle(self, attempt: _Attempt, answer: Answer) -> None:
        outcome = answer.outcome
        if not isinstance(outcome, GradmillError):
            self._environment.budget.refill()
            attempt.request.deliver(outcome)
            return
        request = attempt.request
        if isinstance(outcome, NotFoundError) and outcome.reason == DIGEST_UNKNOWN and request.inline_body is not None:
            request.body, request.inline_body = request.inline_body, None
            self._delay(attempt, 0.0)
            return
        self._delay(attempt, self._backoff(attempt, outcome))

    def _backoff(self, attempt: _Attempt, error: GradmillError) -> float:
        """Return the seconds to wait before sending again; raises the error when that cannot help or is not allowed."""
        policy = self._environment.policy
        asked = error.retry_delay_seconds
        can_help = isinstance(error, UnavailableError) or (isinstance(error, LimitError) and asked is not None)
        if not can_help:
            raise error
        if attempt.sent >= policy.maximum_attempts or not self._environment.budget.spend(error):
            raise _with_attempts(error, attempt.sent)
        longest = min(policy.maximum_backoff_seconds, policy.initial_backoff_seconds * 2.0 ** (attempt.sent - 1))
        pause = longest * (0.5 + 0.5 * self._environment.jitter()) + (asked or 0.0)
        if self._environment.clock() + pause >= attempt.expires_at:
            raise _with_attempts(error, attempt.sent)
        return pause

    def _delay(self, attempt: _Attempt, seconds: float) -> None:
        heapq.heappush(self._delayed, (self._environment.clock() + seconds, next(self._keys), attempt))


def _with_attempts(error: GradmillError, attempts: int) -> GradmillError:
    """Return the error with the number of attempts in its message, when there was more than one."""
    if attempts == 1:
        return error
    return renewed(error, f"{error.message} (sent {attempts} times)")
