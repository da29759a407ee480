"""What worker processes write to the log, line by line."""

from __future__ import annotations

import asyncio

import pytest
from gradmill_server.serving.supervision.whole_lines import whole_lines


async def _read(content: bytes, piece_bytes: int) -> tuple[list[str], int]:
    """Return the lines of what arrives in pieces, and how many were dropped."""
    stream = asyncio.StreamReader(limit=8)
    dropped: list[None] = []

    async def feed() -> None:
        for start in range(0, len(content), piece_bytes):
            stream.feed_data(content[start : start + piece_bytes])
            await asyncio.sleep(0)
        stream.feed_eof()

    feeding = asyncio.create_task(feed())
    lines = [line async for line in whole_lines(stream, lambda: dropped.append(None))]
    await feeding
    return lines, len(dropped)


@pytest.mark.parametrize("piece_bytes", [1, 5, 1_000])
def test_a_line_that_is_too_long_is_dropped_alone(piece_bytes: int) -> None:
    """A line beyond the limit is dropped as a whole and told of, and those around it arrive, however they are cut."""
    content = b"one\n" + b"x" * 40 + b"\ntwo\n" + b"y" * 9 + b"\n\nlast"
    assert asyncio.run(_read(content, piece_bytes)) == (["one\n", "two\n", "\n", "last"], 2)
    assert asyncio.run(_read(b"z" * 40, piece_bytes)) == ([], 1)
