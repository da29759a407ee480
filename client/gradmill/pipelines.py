"""Work on pieces that come one after the other: the next are under way while the caller looks at a result."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Generator, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

from gradmill.driving import CallbackDriver, Later, Submit
from gradmill.errors import GradmillError
from gradmill.flows import Flow

Chunks = Iterable[object]
"""Points for one result each."""

AsyncChunks = Iterable[object] | AsyncIterable[object]
"""The same for asyncio, where they may be awaited."""

P = TypeVar("P")
T = TypeVar("T")


def in_order(
    pieces: Iterable[P], flow_of: Callable[[P], Flow[T]], ahead: int, submit: Submit, later: Later
) -> Generator[T, None, None]:
    """Yield what the flow of each piece returns, in order, and keep so many more under way; for threads.

    Raises:
        GradmillError: what a flow raised, in its turn; those behind it are given up.
    """
    under_way: deque[tuple[CallbackDriver[T], Future[T]]] = deque()
    try:
        for piece in pieces:
            under_way.append(_started(flow_of(piece), submit, later))
            if len(under_way) > ahead:
                yield under_way.popleft()[1].result()
        while under_way:
            yield under_way.popleft()[1].result()
    finally:
        for driver, _ in under_way:
            driver.cancel()


def _started(flow: Flow[T], submit: Submit, later: Later) -> tuple[CallbackDriver[T], Future[T]]:
    future: Future[T] = Future()

    def done(outcome: T | GradmillError) -> None:
        if isinstance(outcome, GradmillError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return CallbackDriver(flow, submit, later, done), future


async def in_order_async(
    pieces: Iterable[P] | AsyncIterable[P], run: Callable[[P], Coroutine[Any, Any, T]], ahead: int
) -> AsyncGenerator[T, None]:
    """Yield what each piece's coroutine returns, in order, and keep so many more under way; for asyncio.

    Raises:
        GradmillError: what a coroutine raised, in its turn; those behind it are given up.
    """
    under_way: deque[asyncio.Task[T]] = deque()
    try:
        async for piece in _each(pieces):
            under_way.append(asyncio.create_task(run(piece)))
            if len(under_way) > ahead:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _each(pieces: Iterable[P] | AsyncIterable[P]) -> AsyncGenerator[P, None]:
    if isinstance(pieces, AsyncIterable):
        async for piece in pieces:
            yield piece
    else:
        for piece in pieces:
            yield piece
