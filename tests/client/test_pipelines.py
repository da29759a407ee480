"""Results of chunks in order, while the chunks behind them are under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import numpy as np
import pytest
from gradmill.async_client import AsyncClient
from gradmill.client import Client
from gradmill.errors import ClientClosedError, InvalidRequestError

from tests.client.fakes import AsyncFakeTransport, FakeService, FakeTransport

CHUNKS = [np.full((n + 1, 2), float(n)) for n in range(12)]
EXPECTED = [chunk @ [1.0, 10.0] for chunk in CHUNKS]


class Taken:
    """Chunks, and how many of them were taken."""

    def __init__(self) -> None:
        """Start with none taken."""
        self.count = 0

    def __iter__(self) -> Iterator[object]:
        """Yield each."""
        for chunk in CHUNKS:
            self.count += 1
            yield chunk

    async def __aiter__(self) -> AsyncIterator[object]:
        """Yield each when awaited."""
        for chunk in CHUNKS:
            self.count += 1
            yield chunk


def test_results_come_in_order_and_few_chunks_are_taken_ahead() -> None:
    """Each chunk gives one result, and chunks are taken only as there is room for them."""
    taken = Taken()
    with Client(FakeTransport(FakeService())) as client:
        for number, result in enumerate(client.stream("f", taken, want=["value", "gradient"], ahead=3)):
            assert np.array_equal(result.values, EXPECTED[number])
            assert result.gradient.shape == CHUNKS[number].shape
            assert taken.count == min(number + 4, len(CHUNKS))


def test_results_come_in_order_for_asyncio() -> None:
    """The same for asyncio, from chunks of either kind of iterator."""

    class OnlyAsync:
        """Chunks that must be awaited."""

        def __aiter__(self) -> AsyncIterator[object]:
            """Yield each."""
            return aiter(Taken())

    async def run() -> None:
        async with AsyncClient(AsyncFakeTransport(FakeService())) as client:
            for chunks in (CHUNKS, OnlyAsync()):
                found = [result.values async for result in client.stream("f", chunks, want="value")]
                for values, expected in zip(found, EXPECTED, strict=True):
                    assert np.array_equal(values, expected)

    asyncio.run(run())


def test_a_chunk_that_does_not_fit_is_told_in_its_turn() -> None:
    """The results before a bad chunk come, then its error."""
    with Client(FakeTransport(FakeService())) as client:
        stream = client.stream("f", [[1.0, 2.0], [1.0, 2.0], [1.0], [1.0, 2.0]], want="value", ahead=2)
        assert [next(stream).values, next(stream).values] == [21.0, 21.0]
        with pytest.raises(InvalidRequestError, match="takes"):
            next(stream)


def test_a_loop_that_is_left_gives_up_what_is_under_way() -> None:
    """Nothing is computed for a loop that has ended."""

    async def run() -> int:
        async with AsyncClient(AsyncFakeTransport(FakeService())) as client:
            async with aclosing(client.stream("f", CHUNKS, want="value", ahead=5)) as results:
                await anext(results)
            return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
    fake = FakeService()
    with Client(FakeTransport(fake)) as client:
        stream = client.stream("f", CHUNKS, want="value", ahead=2)
        next(stream)
        stream.close()
    assert len(fake.rows) <= 3


def test_a_stream_of_a_closed_client_ends() -> None:
    """A client that was closed says so."""
    client = Client(FakeTransport(FakeService()))
    client.close()
    with pytest.raises(ClientClosedError):
        next(client.stream("f", CHUNKS, want="value"))


def test_a_wrong_wish_is_told_at_once() -> None:
    """What cannot be wanted is refused before the first chunk is taken."""
    taken = Taken()
    with Client(FakeTransport(FakeService())) as client, pytest.raises(InvalidRequestError, match="no kind of result"):
        client.stream("f", taken, want="nonsense")
    assert taken.count == 0
