"""Which calls travel together, with messages that are answered by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gradmill.errors import ServerError
from gradmill.joining import Group, Joiner, Member


class Joined:
    """A joiner whose messages wait to be answered, and what its calls were told."""

    def __init__(self, maximum_points: int = 1000) -> None:
        """Start with nothing under way."""
        self.sent: list[Group[str]] = []
        self.told: dict[bytes, tuple[Group[str], int]] = {}
        self.cancelled = 0
        self.failures: list[BaseException] = []
        self._soon: list[Callable[[], None]] = []
        self.joiner: Joiner[str] = Joiner(self._send, self._soon.append, maximum_points)

    def _send(self, group: Group[str]) -> None:
        if self.failures:
            raise self.failures.pop()
        group.cancel = self._cancel
        self.sent.append(group)

    def _cancel(self) -> None:
        self.cancelled += 1

    def call(self, *names: str, points: int = 1) -> list[Member[str]]:
        """Make calls in one turn."""
        members = [
            Member(name.encode(), points, 0.0, lambda group, start, name=name: self._tell(name, group, start))  # type: ignore[misc]
            for name in names
        ]
        for member in members:
            self.joiner.add(member)
        self.turn()
        return members

    def _tell(self, name: str, group: Group[str], start: int) -> None:
        assert name.encode() not in self.told
        self.told[name.encode()] = (group, start)

    def turn(self) -> None:
        """Let happen what was to happen soon."""
        while self._soon:
            self._soon.pop(0)()

    def answer(self, number: int, compute_seconds: float | None = None) -> None:
        """Answer a message."""
        self.joiner.finish(self.sent[number], compute_seconds)
        self.turn()

    def meet(self) -> None:
        """Have two calls travel together, so that company is expected from now on; then forget them."""
        known = len(self.sent)
        self.call("1")
        self.call("2")
        self.call("3", "4")
        for number in range(3):
            self.answer(known + number)
        assert self.messages()[known:] == ["1", "2", "34"]
        del self.sent[known:]
        self.told.clear()

    def messages(self) -> list[str]:
        """Return the names of the calls in each message."""
        return [b"".join(member.rows for member in group.members).decode() for group in self.sent]


def test_a_call_alone_is_sent_at_once() -> None:
    """Nobody waits for company."""
    joined = Joined()
    joined.call("a")
    joined.call("b")
    assert joined.messages() == ["a", "b"]


def test_calls_of_one_turn_share_two_messages() -> None:
    """Calls made at the same time travel together, half of them in each of two messages."""
    joined = Joined()
    joined.meet()
    joined.call(*"abcdefgh")
    assert joined.messages() == ["abcd", "efgh"]


def test_what_comes_while_messages_are_under_way_waits_for_one_of_them() -> None:
    """Later calls are joined, and sent as soon as an answer comes."""
    joined = Joined()
    joined.call("a")
    joined.call("b")
    for name in "cdef":
        joined.call(name)
    assert joined.messages() == ["a", "b"]
    joined.answer(0)
    assert joined.messages() == ["a", "b", "cde"]
    joined.answer(1)
    assert joined.messages() == ["a", "b", "cde", "f"]


def test_each_call_is_told_where_its_points_are() -> None:
    """Every call learns its message and the place of its first point there."""
    joined = Joined()
    joined.meet()
    joined.call(*"abcd", points=3)
    joined.answer(0)
    assert joined.told == {b"a": (joined.sent[0], 0), b"b": (joined.sent[0], 3)}


def test_a_message_carries_no_more_points_than_allowed() -> None:
    """However many calls wait, messages have a bounded size; a call larger than that goes alone."""
    joined = Joined(maximum_points=5)
    joined.call("a")
    joined.call("b")
    for name in "cdefghij":
        joined.call(name, points=2)
    joined.call("K", points=50)
    assert joined.messages() == ["a", "b", "cd", "ef", "gh", "ij", "K"]


def test_a_message_that_passed_a_limit_makes_later_ones_smaller() -> None:
    """Calls are not refused together again and again for what each of them may do."""
    joined = Joined()
    joined.call("a")
    joined.call("b")
    joined.joiner.shrink(7)
    for name in "cdefgh":
        joined.call(name)
    assert joined.messages() == ["a", "b", "cde", "fgh"]


def test_points_that_take_long_do_not_wait() -> None:
    """Where a point costs the server far more than a message, each call is sent at once, to use all its cores."""
    joined = Joined()
    joined.call("a")
    joined.answer(0, compute_seconds=0.1)
    joined.call(*"bcdef")
    assert joined.messages() == ["a", "b", "c", "d", "e", "f"]
    for number in range(1, 6):
        joined.answer(number, compute_seconds=1e-6)
    joined.meet()
    joined.call(*"ghij")
    assert joined.messages()[6:] == ["gh", "ij"]


def test_one_message_that_was_held_up_changes_nothing() -> None:
    """Calls go on to be joined after a pause of the server."""
    joined = Joined()
    joined.call("a")
    joined.answer(0, compute_seconds=1e-6)
    joined.call("b")
    joined.answer(1, compute_seconds=0.1)
    joined.meet()
    joined.call(*"cdef")
    assert joined.messages()[2:] == ["cd", "ef"]


def test_a_call_that_leaves_before_it_is_sent_is_not_sent() -> None:
    """A call that was given up while it waited travels in no message."""
    joined = Joined()
    joined.call("a")
    joined.call("b")
    (member,) = joined.call("c")
    joined.call("d")
    joined.joiner.leave(member)
    joined.answer(0)
    assert joined.messages() == ["a", "b", "d"]


def test_a_message_that_all_have_left_is_given_up() -> None:
    """The server is told to stop once the last call of a message is given up, and not before."""
    joined = Joined()
    joined.meet()
    members = joined.call(*"abcd")
    joined.call("e")
    joined.joiner.leave(members[0])
    assert joined.cancelled == 0
    joined.joiner.leave(members[1])
    joined.turn()
    assert joined.cancelled == 1
    assert joined.messages() == ["ab", "cd", "e"]
    joined.answer(0)
    assert joined.told == {}
    joined.answer(1)
    joined.joiner.leave(members[2])
    assert joined.cancelled == 1
    assert list(joined.told) == [b"c", b"d"]


def test_a_message_that_cannot_be_sent_is_told_to_its_calls() -> None:
    """Whatever stops a message from being sent, its calls hear of it and later ones are sent."""
    joined = Joined()
    joined.meet()
    joined.failures = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        joined.call(*"abcd")
    joined.turn()
    assert list(joined.told) == [b"a", b"b"]
    assert isinstance(joined.told[b"a"][0].outcome, ServerError)
    joined.answer(0)
    joined.call("e")
    assert joined.messages() == ["c", "d", "e"]


def test_an_interrupt_before_calls_are_sent_holds_nobody_up() -> None:
    """Calls of others are sent when the thread that was about to send them is interrupted."""
    sent: list[Group[str]] = []
    interrupts = [False, False]

    def soon(function: Callable[[], None]) -> None:
        if interrupts.pop():
            raise KeyboardInterrupt
        function()

    joiner: Joiner[str] = Joiner(sent.append, soon, 1000)
    members: list[Member[str]] = [Member(b"", 1, 0.0, lambda _group, _start: None) for _ in range(6)]
    for member in members[:4]:
        joiner.add(member)
    joiner.finish(sent[0], None)
    joiner.finish(sent[1], None)
    interrupts.append(True)
    with pytest.raises(KeyboardInterrupt):
        joiner.add(members[4])
    joiner.add(members[5])
    joiner.finish(sent[2], None)
    assert [group.count for group in sent] == [1, 1, 2, 1, 1]
