"""One making per key at a time, however many callers ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from gradmill_server.serving.errors import ShuttingDown

V = TypeVar("V")
StillWanted = Callable[[], bool]


class Abandoned(Exception):
    """The making was dropped before it began, because nobody waited for it any more."""


class _Flight(Generic[V]):
    """One making and how many wait for it."""

    __slots__ = ("task", "waiters")

    def __init__(self, make: Callable[[StillWanted], Awaitable[V]]) -> None:
        self.waiters = 0
        self.task: asyncio.Future[V] = asyncio.ensure_future(make(self.still_wanted))

    def still_wanted(self) -> bool:
        return self.waiters > 0


class SingleFlight(Generic[V]):
    """Runs at most one making per key. Used from the event loop only, so it needs no lock.

    The making is a task of its own: a caller that is cancelled leaves, the making goes on for the others. A making
    that fails fails for all who waited for it, and leaves nothing behind.
    """

    def __init__(self) -> None:
        """Start with nothing being made."""
        self._flights: dict[Hashable, _Flight[V]] = {}

    async def run(self, key: Hashable, make: Callable[[StillWanted], Awaitable[V]]) -> tuple[V, bool]:
        """Return what ``make`` returns, and whether another caller's making of it was joined.

        ``make`` is told how to ask, from any thread, whether anyone waits still; it may raise Abandoned when nobody
        does. Whatever else it raises is raised here, and ShuttingDown once closed.
        """
        while True:
            flight = self._flights.get(key)
            joined = flight is not None
            if flight is None:
                flight = self._start(key, make)
            flight.waiters += 1
            try:
                # Not `await flight.task`: that would cancel the making along with this caller.
                await asyncio.wait((flight.task,))
                return _result(flight.task), joined
            except Abandoned:
                continue
            finally:
                flight.waiters -= 1

    def _start(self, key: Hashable, make: Callable[[StillWanted], Awaitable[V]]) -> _Flight[V]:
        flight = _Flight(make)
        self._flights[key] = flight

        def landed(task: asyncio.Future[V]) -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]
            if not task.cancelled():
                # Marks a failure as seen, for the case that every waiter left before it.
                task.exception()

        flight.task.add_done_callback(landed)
        return flight

    def __len__(self) -> int:
        """Return the number of makings under way."""
        return len(self._flights)

    @property
    def waiters(self) -> int:
        """The number of callers that wait, for all makings together."""
        return sum(flight.waiters for flight in self._flights.values())

    async def close(self) -> None:
        """Cancel all makings under way and wait until they have ended."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _result(task: asyncio.Future[V]) -> V:
    if task.cancelled():
        message = "server is shutting down"
        raise ShuttingDown(message)
    return task.result()
