"""Messages spread over streams, with streams that only remember what was sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from gradmill.errors import (
    AccessDeniedError,
    CancelledError,
    DeadlineExceededError,
    Failure,
    GradmillError,
    InvalidRequestError,
    LimitError,
    ServerError,
    UnavailableError,
    UnsupportedError,
)
from gradmill.stream_pool import MAXIMUM_STREAMS, MESSAGES_PER_STREAM, Metadata, StreamPool
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire_format import Buffer

from tests.client.fakes import FakeClock

IDLE = DeadlineExceededError("idle", Failure(reason="STREAM_IDLE"))
ROOM = MAXIMUM_STREAMS * MESSAGES_PER_STREAM


@dataclass
class FakeLink:
    """A stream that only remembers."""

    metadata: Metadata
    received: Callable[[bytes], None]
    ended: Callable[[GradmillError | None], None]
    sent: list[service.EvaluateStreamRequest] = field(default_factory=list)
    is_open: bool = True

    def send(self, frame: bytes) -> None:
        """Remember a message."""
        self.sent.append(service.EvaluateStreamRequest.FromString(frame))

    def end(self) -> None:
        """Remember the end."""
        self.is_open = False

    def answer(self, sequence: int) -> None:
        """Answer a message with its own number."""
        response = service.EvaluateResponse(digest=b"%d" % sequence)
        self.received(service.EvaluateStreamResponse(sequence=sequence, response=response).SerializeToString())


class Pooled:
    """A pool, its streams, and what came of the messages."""

    def __init__(self) -> None:
        """Start with nothing sent."""
        self.clock = FakeClock()
        self.links: list[FakeLink] = []
        self.has_no_thread = False
        self.alone: list[bytes] = []
        self.outcomes: dict[int, Buffer | GradmillError] = {}
        self.wakes: list[float] = []
        self.pool = StreamPool(self._open, self._send_alone, self.wakes.append, self.clock)

    def _open(
        self, metadata: Metadata, received: Callable[[bytes], None], ended: Callable[[GradmillError | None], None]
    ) -> FakeLink:
        if self.has_no_thread:
            message = "can't start new thread"
            raise RuntimeError(message)
        self.links.append(FakeLink(metadata, received, ended))
        return self.links[-1]

    def _send_alone(
        self,
        body: bytes,
        timeout_seconds: float | None,
        metadata: Metadata,
        done: Callable[[Buffer | GradmillError], None],
    ) -> Callable[[], object]:
        assert timeout_seconds is None
        assert metadata == (("authorization", "any"),)
        self.alone.append(body)
        done(b"alone")
        return bool

    def submit(self, name: int, timeout: float | None = None, token: str = "any") -> Callable[[], object]:  # noqa: S107 - no secret
        """Submit a message that is known by a number here."""

        def done(outcome: Buffer | GradmillError) -> None:
            assert name not in self.outcomes
            self.outcomes[name] = outcome if isinstance(outcome, GradmillError) else bytes(outcome)

        body = service.EvaluateRequest(reduction=service.REDUCTION_NONE).SerializeToString()
        return self.pool.submit(body, timeout, (("authorization", token),), done)

    def under_way(self) -> int:
        """Return the number of messages sent on streams."""
        return sum(len(link.sent) for link in self.links)


def digest(number: int) -> bytes:
    """Return the answer to the message with a number."""
    return service.EvaluateResponse(digest=b"%d" % number).SerializeToString()


def test_each_answer_goes_to_its_own_caller() -> None:
    """Answers that come in any order on any stream reach those who asked."""
    pooled = Pooled()
    for number in range(1, ROOM + 1):
        pooled.submit(number)
    assert len(pooled.links) == MAXIMUM_STREAMS
    for link in reversed(pooled.links):
        for message in link.sent:
            link.answer(message.sequence)
    assert pooled.outcomes == {number: digest(number) for number in range(1, ROOM + 1)}


def test_calls_one_after_the_other_share_a_stream() -> None:
    """A caller that waits for each answer needs one stream."""
    pooled = Pooled()
    for number in range(1, 20):
        pooled.submit(number)
        pooled.links[0].answer(number)
    assert len(pooled.links) == 1


def test_what_there_is_no_room_for_waits_for_an_answer() -> None:
    """Only few messages are on a stream at a time, and the next goes where one was answered."""
    pooled = Pooled()
    for number in range(1, ROOM + 3):
        pooled.submit(number)
    assert pooled.under_way() == ROOM
    last = pooled.links[-1]
    last.answer(last.sent[0].sequence)
    assert last.sent[-1].sequence == ROOM + 1


def test_a_broken_stream_fails_its_calls_as_unavailable_and_no_others() -> None:
    """What was not answered may be sent again, and the next call opens another stream."""
    pooled = Pooled()
    pooled.submit(1)
    pooled.submit(2)
    pooled.links[0].ended(UnavailableError("draining", Failure(retry_delay_seconds=3.0)))
    outcome = pooled.outcomes[1]
    assert isinstance(outcome, UnavailableError)
    assert outcome.retry_delay_seconds == 3.0
    pooled.links[1].answer(2)
    pooled.submit(3)
    assert pooled.outcomes[2] == digest(2)
    assert len(pooled.links) == 2
    assert pooled.links[1].sent[-1].sequence == 3


@pytest.mark.parametrize("error", [None, IDLE, UnavailableError("away"), CancelledError("reset")])
def test_a_stream_that_ends_unused_is_not_noticed(error: GradmillError | None) -> None:
    """A stream that a server ends because it is idle is opened again by the next call."""
    pooled = Pooled()
    pooled.submit(1)
    pooled.links[0].answer(1)
    pooled.links[0].ended(error)
    pooled.submit(2)
    pooled.links[1].answer(2)
    assert pooled.outcomes == {1: digest(1), 2: digest(2)}


@pytest.mark.parametrize("error", [None, IDLE, CancelledError("reset")])
def test_a_stream_that_ends_in_any_harmless_way_may_be_tried_again(error: GradmillError | None) -> None:
    """A message that crossed the end of its stream is one to send again."""
    pooled = Pooled()
    pooled.submit(1)
    pooled.links[0].ended(error)
    assert isinstance(pooled.outcomes[1], UnavailableError)


def test_a_server_without_streams_is_remembered() -> None:
    """Calls to an old server travel as calls of their own, after one attempt."""
    pooled = Pooled()
    for number in range(ROOM + 2):
        pooled.submit(number)
    pooled.links[0].ended(UnsupportedError("no such method"))
    pooled.submit(1000)
    assert len(pooled.links) == MAXIMUM_STREAMS
    assert pooled.outcomes == dict.fromkeys([0, MAXIMUM_STREAMS, 2 * MAXIMUM_STREAMS, ROOM, ROOM + 1, 1000], b"alone")


@pytest.mark.parametrize("error", [LimitError("message too large"), AccessDeniedError("no"), InvalidRequestError("?")])
def test_messages_of_a_refused_stream_each_get_their_own_verdict(error: GradmillError) -> None:
    """One message that a stream breaks at does not speak for the others on it."""
    pooled = Pooled()
    pooled.submit(1)
    pooled.links[0].ended(error)
    assert pooled.outcomes == {1: b"alone"}
    pooled.submit(2)
    assert len(pooled.links) == 2


def test_an_answer_that_cannot_be_read_ends_its_stream() -> None:
    """Garbage on a stream costs the stream, not the calls."""
    pooled = Pooled()
    pooled.submit(1)
    pooled.links[0].received(b"\xff")
    assert not pooled.links[0].is_open
    assert pooled.outcomes == {1: b"alone"}


def test_a_server_is_told_the_time_a_message_has() -> None:
    """A server need not compute what comes too late."""
    pooled = Pooled()
    pooled.submit(1, timeout=2.5)
    pooled.submit(2)
    assert pooled.links[0].sent[0].timeout.ToMilliseconds() == 2500
    assert not pooled.links[1].sent[0].HasField("timeout")


def test_a_call_ends_when_its_time_has_passed() -> None:
    """A caller does not wait for a late answer, and the server is told to stop."""
    pooled = Pooled()
    pooled.submit(1, timeout=5.0)
    pooled.submit(2, timeout=1.0)
    assert pooled.wakes == [105.0, 101.0]
    pooled.clock.now = 101.0
    pooled.pool.expire()
    assert isinstance(pooled.outcomes.pop(2), DeadlineExceededError)
    assert (pooled.links[1].sent[-1].sequence, pooled.links[1].sent[-1].cancel) == (2, True)
    assert pooled.wakes[-1] == 105.0
    pooled.links[1].answer(2)
    pooled.links[0].answer(1)
    assert pooled.outcomes == {1: digest(1)}


def test_a_call_that_waits_for_room_ends_too() -> None:
    """Time passes also for a message that was not sent yet, and then it never is."""
    pooled = Pooled()
    for number in range(1, ROOM + 1):
        pooled.submit(number)
    pooled.submit(ROOM + 1, timeout=1.0)
    pooled.clock.now = 102.0
    pooled.pool.expire()
    assert isinstance(pooled.outcomes[ROOM + 1], DeadlineExceededError)
    pooled.links[0].answer(1)
    assert pooled.under_way() == ROOM


def test_a_call_that_is_given_up_keeps_its_place_until_it_is_answered() -> None:
    """A server still answers what was given up, so nothing more is sent to it before."""
    pooled = Pooled()
    give_up = pooled.submit(1)
    give_up()
    give_up()
    assert [message.cancel for message in pooled.links[0].sent] == [False, True]
    pooled.submit(2)
    assert len(pooled.links) == 2
    pooled.links[0].answer(1)
    assert pooled.outcomes == {}


def test_another_token_takes_another_stream() -> None:
    """A message never travels on a stream that was opened with an older token."""
    pooled = Pooled()
    pooled.submit(1, token="old")
    pooled.links[0].answer(1)
    for number in range(2, 2 + MAXIMUM_STREAMS):
        pooled.submit(number, token="new")
    assert not pooled.links[0].is_open
    assert [link.metadata for link in pooled.links[1:]] == [(("authorization", "new"),)] * MAXIMUM_STREAMS


def test_closing_ends_what_is_under_way() -> None:
    """Calls under way fail when the client is closed, and so does one that comes later."""
    pooled = Pooled()
    for number in range(1, ROOM + 2):
        pooled.submit(number)
    pooled.pool.close()
    pooled.submit(1000)
    assert len(pooled.outcomes) == ROOM + 2
    assert all(isinstance(outcome, CancelledError) for outcome in pooled.outcomes.values())
    assert not any(link.is_open for link in pooled.links)


def test_a_message_without_a_limit_never_expires() -> None:
    """An infinite timeout is no timeout."""
    pooled = Pooled()
    pooled.submit(1)
    pooled.clock.now = 1e300
    pooled.pool.expire()
    assert pooled.outcomes == {}


def test_a_stream_that_cannot_be_opened_fails_its_call_and_no_later_one() -> None:
    """A moment without a free thread costs the calls of that moment alone."""
    pooled = Pooled()
    pooled.has_no_thread = True
    pooled.submit(1)
    pooled.submit(2)
    assert all(isinstance(pooled.outcomes.pop(number), ServerError) for number in (1, 2))
    pooled.has_no_thread = False
    pooled.submit(3)
    pooled.links[0].answer(3)
    assert pooled.outcomes == {3: digest(3)}
