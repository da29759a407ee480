"""Concurrent small calls of one client as joint messages: what is remembered of them, and how callers wait."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from functools import partial

from gradmill.assembling import Assembler
from gradmill.driving import CallbackDriver, Later, Submit
from gradmill.errors import (
    AccessDeniedError,
    CancelledError,
    DeadlineExceededError,
    GradmillError,
    LimitError,
    UnavailableError,
    renewed,
)
from gradmill.joined_plans import JoinedPlan, Packed
from gradmill.joining import Group, Joiner, Member, Soon
from gradmill.results import Result
from gradmill.session import Session
from gradmill.sources import FunctionLike
from gradmill.v1 import graph_pb2
from gradmill.wishes import Wish

_MAXIMUM_LANES = 256
_OF_ALL_ALIKE = (UnavailableError, DeadlineExceededError, CancelledError, AccessDeniedError)
"""Failures that say nothing about the points, so that each call would have met them alone too."""

Names = str | Sequence[str] | None


class Lane:
    """Where calls meet that differ in nothing but their points.

    Attributes:
        function: their function.
        plan: how they are packed, sent and answered.
    """

    def __init__(self, coalescer: Coalescer, function: FunctionLike, plan: JoinedPlan) -> None:
        """Start with no calls."""
        self.function = function
        self.plan = plan
        self._coalescer = coalescer
        self._joiner: Joiner[Assembler] = Joiner(self._send, coalescer.soon, plan.maximum_points)

    def _send(self, group: Group[Assembler]) -> None:
        deadline = max(member.expires_at for member in group.members)
        rows = [member.rows for member in group.members]
        flow = self._coalescer.session.evaluate_joined(self.plan, rows, group.count, deadline)
        driver = CallbackDriver(flow, self._coalescer.submit, self._coalescer.later, partial(self._finish, group))
        group.cancel = driver.cancel

    def _finish(self, group: Group[Assembler], outcome: Assembler | GradmillError) -> None:
        group.outcome = outcome
        if isinstance(outcome, LimitError) and not _would_fail_alone(outcome):
            self._joiner.shrink(group.count)
        self._joiner.finish(group, outcome.compute_seconds if isinstance(outcome, Assembler) else None)

    def _member(
        self, packed: Packed, timeout: float | None, settle: Callable[[Group[Assembler], int], None]
    ) -> Member[Assembler]:
        return Member(packed.rows, packed.points, self._coalescer.session.expiry(timeout), settle)

    def call(self, packed: Packed, timeout: float | None) -> Result | None:
        """Return the result of a call, waiting in this thread; None when it must be made alone.

        Raises:
            GradmillError: the call failed, as it would have alone.
        """
        settled: list[tuple[Group[Assembler], int]] = []
        waiting = threading.Lock()
        waiting.acquire()

        def settle(group: Group[Assembler], start: int) -> None:
            settled.append((group, start))
            waiting.release()

        member = self._member(packed, timeout, settle)
        try:
            self._joiner.add(member)
            waiting.acquire(timeout=min(self._coalescer.session.remaining(member.expires_at), threading.TIMEOUT_MAX))
        finally:
            if not settled:
                self._joiner.leave(member)
        if not settled:
            raise _too_late()
        return _result(*settled[0], packed)

    async def call_async(self, packed: Packed, timeout: float | None) -> Result | None:  # noqa: ASYNC109 - see async_client
        """Return the result of a call, waiting in this task; for the rest as :meth:`call`."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[tuple[Group[Assembler], int]] = loop.create_future()

        def settle(group: Group[Assembler], start: int) -> None:
            if not waiting.done():
                waiting.set_result((group, start))

        def expire() -> None:
            if not waiting.done():
                waiting.set_exception(_too_late())

        member = self._member(packed, timeout, settle)
        remaining = self._coalescer.session.remaining(member.expires_at)
        alarm = None if math.isinf(remaining) else loop.call_later(remaining, expire)
        try:
            self._joiner.add(member)
            group, start = await waiting
        except BaseException:
            self._joiner.leave(member)
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
        return _result(group, start, packed)


def _result(group: Group[Assembler], start: int, packed: Packed) -> Result | None:
    outcome = group.outcome
    if isinstance(outcome, Assembler):
        stop = start + packed.points
        return outcome.part(start, stop, is_one_point=packed.is_one_point, by_name=packed.by_name)
    if outcome is None:
        message = "the call was given up before it was answered"
        raise CancelledError(message)
    if len(group.members) > 1 and not _would_fail_alone(outcome):
        return None
    raise renewed(outcome)


def _would_fail_alone(error: GradmillError) -> bool:
    is_full = isinstance(error, LimitError) and error.retry_delay_seconds is not None
    return is_full or isinstance(error, _OF_ALL_ALIKE)


def _too_late() -> GradmillError:
    return DeadlineExceededError("the time allowed for the call passed before it was answered")


class Coalescer:
    """Joins the calls of one client.

    The first call for a function and a wish takes the ordinary road, which checks both; then they are remembered.

    Attributes:
        session: the client's core.
        submit: its transport's way to send.
        soon: calls a function once those who are about to make calls have made them.
        later: calls a function after some seconds.
    """

    def __init__(self, session: Session, submit: Submit, soon: Soon, later: Later) -> None:
        """Remember nothing yet."""
        self.session = session
        self.submit = submit
        self.soon = soon
        self.later = later
        self._lanes: dict[Hashable, Lane] = {}
        _COALESCERS.add(self)

    def lane(self, function: FunctionLike, *names: Names) -> Lane | None:
        """Return where calls for a function and a wish meet; None while the ordinary road must be taken.

        Args:
            function: the function.
            names: the kinds wanted, the inputs to differentiate by, and the outputs.
        """
        lane = self._lanes.get(_key(function, names))
        is_same = lane is not None and (lane.function is function or isinstance(function, (str, bytes)))
        return lane if is_same else None

    def remember(self, function: FunctionLike, wish: Wish, *names: Names) -> None:
        """Join calls for a function and a wish from now on, after one of them went well, if they can be joined."""
        if isinstance(function, (graph_pb2.Graph, bytearray, memoryview)):  # which may change
            return
        plan = self.session.joined_plan(function, wish)
        if plan is None:
            return
        while len(self._lanes) >= _MAXIMUM_LANES:
            self._lanes.pop(next(iter(self._lanes)), None)
        self._lanes[_key(function, names)] = Lane(self, function, plan)

    def forget_all(self) -> None:
        """Start anew, in a process that was forked: what is under way is the parent's."""
        self._lanes = {}


def _key(function: FunctionLike, names: Sequence[Names]) -> Hashable:
    """Return what a lane is found by; of a function that is no text, its place in memory."""
    listed = [name if name is None or isinstance(name, str) else tuple(name) for name in names]
    return (function if isinstance(function, (str, bytes)) else id(function), *listed)


def soon_in_thread(function: Callable[[], None]) -> None:
    """Call a function after other threads have had a turn; sleeping instead would take a hundred times as long."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)
    function()


def later_in_thread(seconds: float, function: Callable[[], None]) -> None:
    """Call a function after some seconds, in a thread for it alone; for what is as rare as a pause after a failure."""
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()


_COALESCERS: weakref.WeakSet[Coalescer] = weakref.WeakSet()


def _forget_parent() -> None:
    for coalescer in list(_COALESCERS):
        coalescer.forget_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
