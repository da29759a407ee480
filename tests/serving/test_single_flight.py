"""One making per key, whoever comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from gradmill_server.serving.errors import ShuttingDown
from gradmill_server.serving.single_flight import Abandoned, SingleFlight

from tests.serving.support import until


class _Maker:
    """Makes a number when let go, and counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.let_go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, _: Callable[[], bool]) -> int:
        self.calls += 1
        await self.let_go.wait()
        if self.error:
            raise self.error
        return 42


def test_many_callers_one_making() -> None:
    """Sixty-four callers at once get the result of one making; one of them began it."""

    async def scenario() -> tuple[list[tuple[int, bool]], int]:
        flights: SingleFlight[int] = SingleFlight()
        maker = _Maker()
        callers = [asyncio.create_task(flights.run("key", maker)) for _ in range(64)]
        await until(lambda: maker.calls == 1)
        maker.let_go.set()
        return await asyncio.gather(*callers), maker.calls

    outcomes, calls = asyncio.run(scenario())
    assert calls == 1
    assert {value for value, _ in outcomes} == {42}
    assert [joined for _, joined in outcomes].count(False) == 1


def test_cancelled_first_caller_leaves_the_others_unharmed() -> None:
    """When the caller that began a making is cancelled, those who joined still get its result."""

    async def scenario() -> tuple[list[object], int]:
        flights: SingleFlight[int] = SingleFlight()
        maker = _Maker()
        callers = [asyncio.create_task(flights.run("key", maker)) for _ in range(3)]
        await until(lambda: maker.calls == 1)
        callers[0].cancel()
        await asyncio.sleep(0)
        maker.let_go.set()
        return list(await asyncio.gather(*callers, return_exceptions=True)), maker.calls

    outcomes, calls = asyncio.run(scenario())
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == [(42, True), (42, True)]
    assert calls == 1


def test_failure_reaches_all_and_is_not_kept() -> None:
    """A making that fails fails for all who wait, and the next caller tries anew."""

    async def scenario() -> tuple[list[object], tuple[int, bool]]:
        flights: SingleFlight[int] = SingleFlight()
        maker = _Maker()
        maker.error = ValueError("no")
        maker.let_go.set()
        failed: list[object] = list(
            await asyncio.gather(*(flights.run("key", maker) for _ in range(3)), return_exceptions=True)
        )
        assert len(flights) == 0
        maker.error = None
        return failed, await flights.run("key", maker)

    failed, retried = asyncio.run(scenario())
    assert all(isinstance(error, ValueError) for error in failed)
    assert retried == (42, False)


def test_abandoned_making_begins_again_for_a_late_caller() -> None:
    """A caller that joins a making which was just dropped for want of callers gets one of its own."""

    async def scenario() -> tuple[int, bool]:
        flights: SingleFlight[int] = SingleFlight()
        attempts = 0

        async def make(_: Callable[[], bool]) -> int:
            nonlocal attempts
            attempts += 1
            await asyncio.sleep(0)
            if attempts == 1:
                raise Abandoned
            return attempts

        return await flights.run("key", make)

    assert asyncio.run(scenario()) == (2, False)


def test_still_wanted_tells_whether_anyone_waits() -> None:
    """A making can learn that all who waited for it have left."""

    async def scenario() -> list[bool]:
        flights: SingleFlight[int] = SingleFlight()
        asked: list[Callable[[], bool]] = []
        forever = asyncio.Event()

        async def make(still_wanted: Callable[[], bool]) -> int:
            asked.append(still_wanted)
            await forever.wait()
            return 0

        caller = asyncio.create_task(flights.run("key", make))
        await until(lambda: bool(asked))
        seen = [asked[0]()]
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        seen.append(asked[0]())
        await flights.close()
        return seen

    assert asyncio.run(scenario()) == [True, False]


def test_closing_tells_those_who_wait() -> None:
    """Those who wait for a making when everything closes hear that the server is shutting down."""

    async def scenario() -> None:
        flights: SingleFlight[int] = SingleFlight()
        caller = asyncio.create_task(flights.run("key", _Maker()))
        await until(lambda: len(flights) == 1)
        await flights.close()
        await caller

    with pytest.raises(ShuttingDown):
        asyncio.run(scenario())
