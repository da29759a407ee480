"""Small calls that are made at the same time, joined into messages; without input and output.

A message costs far more than a point. So a call that finds nothing under way is sent at once, and what comes while two
messages are under way waits for one of them and then travels together. Two, so that the server works on one while the
client deals with the other; and each takes half of the calls there are, or one of them would soon carry nearly all.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gradmill.errors import GradmillError, client_failed

A = TypeVar("A")
"""What the answer to a message is read as."""

Soon = Callable[[Callable[[], None]], object]
"""Calls a function once those who are about to make calls have made them."""

_MESSAGES = 2
_REMEMBERED_RATES = 8
_SECONDS_WORTH_WAITING = 0.002
"""Points that take the server so long fill a message: then waiting would save nothing, and use fewer of its cores."""


@dataclass(slots=True, eq=False)
class Member(Generic[A]):
    """A call that may be joined with others.

    Attributes:
        rows: its points, as they are sent.
        count: the number of its points.
        expires_at: the time by which it must be answered.
        settle: told what came of its message.
        is_wanted: whether somebody still waits for it.
        group: the message that it travels in.
    """

    rows: bytes
    count: int
    expires_at: float
    settle: Callable[[Group[A], int], None]
    is_wanted: bool = True
    group: Group[A] | None = None


@dataclass(slots=True, eq=False)
class Group(Generic[A]):
    """Calls that travel in one message.

    Attributes:
        members: the calls, in the order of their points.
        count: the number of their points.
        wanted: how many of them somebody still waits for.
        outcome: what came of the message.
        is_over: whether the message is over.
        cancel: gives the message up.
    """

    members: Sequence[Member[A]]
    count: int
    wanted: int
    outcome: A | GradmillError | None = None
    is_over: bool = False
    cancel: Callable[[], object] = bool


class Joiner(Generic[A]):
    """Joins calls that differ in nothing but their points. May be used from any thread."""

    def __init__(
        self,
        send: Callable[[Group[A]], object],
        soon: Soon,
        maximum_points: int,
    ) -> None:
        """Start with nothing under way.

        Args:
            send: sends a message; :meth:`finish` is to be called when it is answered.
            soon: when to send what has come.
            maximum_points: the most that one message may carry.
        """
        self._send = send
        self._soon = soon
        self._maximum_points = maximum_points
        self._points_worth_waiting = maximum_points
        self._lock = threading.Lock()  # guards all below
        self._waiting: deque[Member[A]] = deque()
        self._waiting_points = 0
        self._under_way = 0
        self._points_under_way = 0
        self._is_due = False
        self._has_company = False  # whether the last message was of several calls, so that more may come in a moment
        self._rates: deque[float] = deque(maxlen=_REMEMBERED_RATES)

    def add(self, member: Member[A]) -> None:
        """Take a call."""
        with self._lock:
            self._waiting.append(member)
            self._waiting_points += member.count
            if self._is_due or not self._may_send():
                return
            self._is_due = True
            has_company = self._has_company
        if has_company:
            self._flush_soon()
        else:
            self._flush()

    def leave(self, member: Member[A]) -> None:
        """Forget a call that nobody waits for any more; a message of such calls alone is given up."""
        with self._lock:
            member.is_wanted = False
            group = member.group
            if group is None or group.is_over:
                return
            group.wanted -= 1
            is_in_vain = group.wanted == 0
        if is_in_vain:
            group.cancel()
            self.finish(group, None)

    def finish(self, group: Group[A], compute_seconds: float | None) -> None:
        """Note that a message is over, tell its calls, and send what has waited for it.

        Args:
            group: the message, with its outcome.
            compute_seconds: what computing its points took; None if that is not known.
        """
        with self._lock:
            if group.is_over:
                return
            group.is_over = True
        start = 0
        for member in group.members:
            if member.is_wanted:
                member.settle(group, start)
            start += member.count
        with self._lock:
            self._under_way -= 1
            self._points_under_way -= group.count
            if compute_seconds:
                self._learn(group.count / compute_seconds)
            if self._is_due or not self._waiting:
                return
            self._is_due = True
        self._flush_soon()

    def shrink(self, count: int) -> None:
        """Note that a message with so many points passed a limit of the server, so that later ones have fewer."""
        with self._lock:
            self._maximum_points = max(1, min(self._maximum_points, count // 2))
            self._points_worth_waiting = min(self._points_worth_waiting, self._maximum_points)

    def _learn(self, points_per_second: float) -> None:
        """Remember how fast points are computed; the best of the last messages counts, for any may be held up."""
        self._rates.append(points_per_second)
        worth = int(_SECONDS_WORTH_WAITING * max(self._rates))
        self._points_worth_waiting = min(max(1, worth), self._maximum_points)

    def _may_send(self) -> bool:
        return self._under_way < _MESSAGES or self._waiting_points >= self._points_worth_waiting

    def _flush_soon(self) -> None:
        try:
            self._soon(self._flush)
        except BaseException:  # such as an interrupt of this thread, for which the calls of others must not wait
            self._flush()
            raise

    def _flush(self) -> None:
        with self._lock:
            self._is_due = False
        while (group := self._next_group()) is not None:
            try:
                self._send(group)
            except BaseException as error:
                group.outcome = client_failed(error)
                self.finish(group, None)
                raise

    def _next_group(self) -> Group[A] | None:
        with self._lock:
            if not self._waiting or not self._may_send():
                return None
            share = -(-(self._waiting_points + self._points_under_way) // _MESSAGES)
            room = min(share, self._maximum_points, self._points_worth_waiting)
            members: list[Member[A]] = []
            count = 0
            while self._waiting and (not count or count + self._waiting[0].count <= room):
                member = self._waiting.popleft()
                self._waiting_points -= member.count
                if member.is_wanted:
                    members.append(member)
                    count += member.count
            if not members:
                return None
            group = Group(members, count, len(members))
            self._has_company = len(members) > 1
            for member in members:
                member.group = group
            self._under_way += 1
            self._points_under_way += count
            return group
