"""The queue before the workers: fair between callers, and between the functions of each; like work is taken together.

Start-time fair queueing (Goyal, Vin and Cheng, IEEE/ACM Transactions on Networking 5, 1997) by predicted seconds: each
caller has a virtual time that advances by what is done for it, and the caller who is furthest behind comes first. The
functions of a caller take turns in the same way. Nothing here reads a clock: whoever takes says what time it is.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from gradmill_server.serving.errand import Errand
from gradmill_server.serving.errors import CallerQueueFull, QueueFull

_REMEMBERED_CALLERS = 4_096

_LONGEST_LEAD_SECONDS = 0.1
"""By which a caller whose work went along with that of others may be ahead of his turn."""


class Waiting(Protocol):
    """What waits in the queue."""

    @property
    def errand(self) -> Errand:
        """Who it is for and what it will take."""

    @property
    def submitted(self) -> float:
        """When it came."""

    @property
    def like(self) -> Hashable | None:
        """Equal for what may be done together; None for what is done alone."""

    @property
    def points(self) -> int:
        """How many points it has."""


W = TypeVar("W", bound=Waiting)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much may wait, and how much is taken together.

    Attributes:
        length: pieces of work that may wait.
        caller_length: those that may wait for one caller.
        batch_points: the points that are taken together at most, unless one piece alone has more.
        batch_seconds: the predicted seconds that are taken together at most, likewise.
        delay_seconds: how long work may be held back for more of its like while other workers are busy.
    """

    length: int
    caller_length: int
    batch_points: int = 1_024
    batch_seconds: float = 0.002
    delay_seconds: float = 0.0


class Taken(NamedTuple, Generic[W]):
    """Work that was taken.

    Attributes:
        jobs: one piece, or several alike.
        full: whether more of its like had no room.
    """

    jobs: list[W]
    full: bool


@dataclass(slots=True)
class _Flow(Generic[W]):
    """What waits for one function of a caller, and its virtual time."""

    virtual: float
    jobs: deque[W] = field(default_factory=deque)


@dataclass(slots=True)
class _Caller(Generic[W]):
    """What waits for one caller: its virtual time, and its functions with theirs."""

    virtual: float
    now: float = 0.0
    length: int = 0
    seconds: float = 0.0
    flows: dict[bytes, _Flow[W]] = field(default_factory=dict)


class WorkQueue(Generic[W]):
    """Work that waits. Used under its owner's lock.

    Attributes:
        seconds: what all that waits will take, as predicted.
    """

    def __init__(self, limits: QueueLimits) -> None:
        """Start empty."""
        self.limits = limits
        self.seconds = 0.0
        self._length = 0
        self._virtual = 0.0
        self._callers: dict[str, _Caller[W]] = {}
        self._like: dict[Hashable, dict[int, W]] = {}
        # Where callers who have nothing waiting left off, so that coming one at a time is no way to the front.
        self._left_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many pieces of work wait."""
        return self._length

    def seconds_before(self, errand: Errand) -> float:
        """Return about how many seconds of work will be done before an errand that comes now."""
        caller = self._callers.get(errand.caller)
        own = 0.0 if caller is None else caller.seconds
        others = len(self._callers) - (caller is not None)
        # Every other caller gets about as much as this one until its turn is over.
        return min(self.seconds, own + (own + errand.seconds) * others)

    def put(self, job: W, *, room: int, retry_seconds: float) -> None:
        """Let work wait.

        Args:
            job: the work.
            room: how many pieces are taken at once, and so do not count.
            retry_seconds: after how long a refused caller may try again.

        Raises:
            QueueFull: when too much waits.
            CallerQueueFull: when too much waits for this caller.
        """
        if self._length - room >= self.limits.length:
            value = max(1, self._length - room + 1)
            raise QueueFull.beyond(value, self.limits.length, retry_seconds=retry_seconds)
        name = job.errand.caller
        caller = self._callers.get(name)
        if caller is not None and caller.length - room >= self.limits.caller_length:
            raise CallerQueueFull.beyond(
                caller.length - room + 1, self.limits.caller_length, retry_seconds=retry_seconds
            )
        if caller is None:
            caller = self._callers[name] = _Caller(max(self._virtual, self._left_at.pop(name, 0.0)))
        flow = caller.flows.get(job.errand.function)
        if flow is None:
            flow = caller.flows[job.errand.function] = _Flow(caller.now)
        flow.jobs.append(job)
        self._count(caller, job, 1)
        if job.like is not None:
            self._like.setdefault(job.like, {})[id(job)] = job

    def remove(self, job: W) -> bool:
        """Take out work that is not wanted any more; False when it does not wait."""
        caller = self._callers.get(job.errand.caller)
        flow = None if caller is None else caller.flows.get(job.errand.function)
        if caller is None or flow is None or job not in flow.jobs:
            return False
        self._take_out(job, charge=0.0)
        return True

    def take(self, now: float, *, others_busy: bool) -> Taken[W] | None:
        """Return the work whose turn it is; None when nothing is to be done yet."""
        first = self._first(now, others_busy=others_busy)
        if first is None:
            return None
        self._virtual = max(self._virtual, self._callers[first.errand.caller].virtual)
        taken = self._with_mates(first)
        for job in taken.jobs:
            self._take_out(job, charge=job.errand.seconds, is_mate=job is not first)
        return taken

    def wait_seconds(self, now: float) -> float | None:
        """Return after how long work that is held back is to be taken; None when none is."""
        held = [next(iter(jobs.values())).submitted for jobs in self._like.values()]
        return max(0.0, min(held) + self.limits.delay_seconds - now) if held else None

    def clear(self) -> list[W]:
        """Take out everything."""
        jobs = [job for caller in self._callers.values() for flow in caller.flows.values() for job in flow.jobs]
        for job in jobs:
            self._take_out(job, charge=0.0)
        return jobs

    def _first(self, now: float, *, others_busy: bool) -> W | None:
        hold = others_busy and self.limits.delay_seconds > 0
        if not hold and len(self._callers) == 1:
            (caller,) = self._callers.values()
            return min(caller.flows.values(), key=_virtual).jobs[0]
        for caller in sorted(self._callers.values(), key=_virtual):
            for flow in sorted(caller.flows.values(), key=_virtual):
                if not hold or self._is_ripe(flow.jobs[0], now):
                    return flow.jobs[0]
        return None

    def _is_ripe(self, job: W, now: float) -> bool:
        if job.like is None or now - job.submitted >= self.limits.delay_seconds:
            return True
        return sum(mate.points for mate in self._like[job.like].values()) >= self.limits.batch_points

    def _with_mates(self, first: W) -> Taken[W]:
        """Return work with all that is done together with it: callers in turn, so that none fills it alone."""
        alike = {} if first.like is None else self._like[first.like]
        if len(alike) <= 1:
            return Taken([first], full=False)
        by_caller: dict[str, list[W]] = {}
        for job in alike.values():
            if job is not first:
                by_caller.setdefault(job.errand.caller, []).append(job)
        taken, points, seconds = [first], first.points, first.errand.seconds
        for job in _in_turn(by_caller):
            points += job.points
            seconds += job.errand.seconds
            if points > self.limits.batch_points or seconds > self.limits.batch_seconds:
                break
            taken.append(job)
        return Taken(taken, full=len(taken) < len(alike))

    def _take_out(self, job: W, *, charge: float, is_mate: bool = False) -> None:
        name = job.errand.caller
        caller = self._callers[name]
        flow = caller.flows[job.errand.function]
        flow.jobs.remove(job)
        caller.now = max(caller.now, flow.virtual)
        flow.virtual += charge
        caller.virtual += charge
        if is_mate:
            # Whoever goes along with others does not wait for his own turn; his lead must not grow without end.
            caller.virtual = min(caller.virtual, max(caller.virtual - charge, self._virtual + _LONGEST_LEAD_SECONDS))
        self._count(caller, job, -1)
        if not flow.jobs:
            del caller.flows[job.errand.function]
        if not caller.flows:
            del self._callers[name]
            self._left_at[name] = caller.virtual
            if len(self._left_at) > _REMEMBERED_CALLERS:
                self._left_at.popitem(last=False)
            if not self._callers:
                # Nobody waits, so nobody is ahead of anybody.
                self._virtual = max(self._virtual, *self._left_at.values())
                self._left_at.clear()
        if job.like is not None:
            alike = self._like[job.like]
            del alike[id(job)]
            if not alike:
                del self._like[job.like]

    def _count(self, caller: _Caller[W], job: W, sign: int) -> None:
        caller.length += sign
        caller.seconds += sign * job.errand.seconds
        self._length += sign
        # Sums of many small numbers drift; an empty queue is known to hold nothing.
        self.seconds = self.seconds + sign * job.errand.seconds if self._length else 0.0


def _virtual(entry: _Caller[W] | _Flow[W]) -> float:
    return entry.virtual


def _in_turn(by_caller: dict[str, list[W]]) -> Iterator[W]:
    for round_of_jobs in itertools.zip_longest(*by_caller.values()):
        yield from (job for job in round_of_jobs if job is not None)
