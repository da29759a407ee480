"""How a client behaves, as small value objects with units in their names."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

DEFAULT_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a message that failed is sent again: on UNAVAILABLE, and on RESOURCE_EXHAUSTED when the server says when.

    The pause before the n-th repetition is drawn between half of ``initial_backoff_seconds * 2**n`` and all of it, at
    most ``maximum_backoff_seconds``, and what the server asks for comes on top. Repetitions spend a budget that each
    success refills by a tenth, so that clients do not multiply the load on servers that fail; one that follows when
    nobody answered at all, as while a server restarts, spends a tenth.

    Attributes:
        maximum_attempts: how often one message is sent at most; 1 means never again.
        initial_backoff_seconds: the longest first pause.
        maximum_backoff_seconds: the longest pause, unless the server asks for more.
        budget: repetitions that may be spent without a success between them.
    """

    maximum_attempts: int = 8
    initial_backoff_seconds: float = 0.1
    maximum_backoff_seconds: float = 2.0
    budget: int = 50


@dataclass(frozen=True, slots=True)
class Batching:
    """How a big batch is cut into messages, and whether small calls are joined into messages.

    Attributes:
        message_bytes: about how many bytes of points one message carries.
        answer_bytes: about how many bytes of results one answer carries.
        messages_in_flight: how many messages of a batch may be under way at a time.
        coalesce: whether calls made at the same time, for the same function and wish, with few points of which nothing
            is shared, may travel in one message. Each gets the results, the errors and the time that it would get
            alone, to the bit. A call that finds nothing under way is sent at once. Only over a network.
    """

    message_bytes: int = 1024 * 1024
    answer_bytes: int = 4 * 1024 * 1024
    messages_in_flight: int = 4
    coalesce: bool = True

    def points_per_message(self, bytes_per_point: int, answer_bytes_per_point: int) -> int:
        """Return how many points to put into a message: at least one."""
        by_request = self.message_bytes // max(1, bytes_per_point)
        by_answer = self.answer_bytes // max(1, answer_bytes_per_point)
        return max(1, min(by_request, by_answer))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a client can be told besides where its server is.

    Attributes:
        timeout_seconds: the time allowed for each message when a call names no timeout of its own.
        retries: when a message is sent again.
        batching: how a big batch is cut.
    """

    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    batching: Batching = field(default_factory=Batching)


def checked_timeout(seconds: float) -> float:
    """Return a timeout as a float; infinity means none.

    Raises:
        ValueError: it is not greater than zero.
    """
    timeout = float(seconds)
    if math.isnan(timeout) or timeout <= 0:
        message = f"timeout={seconds!r} is not a number of seconds greater than zero"
        raise ValueError(message)
    return timeout
