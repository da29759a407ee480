"""The lines of a stream one by one, without those that are too long to be kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable


async def whole_lines(stream: asyncio.StreamReader, on_dropped: Callable[[], object]) -> AsyncIterator[str]:
    """Yield each line with its end, until the stream's end; drop those beyond the stream's limit, and tell of each."""
    too_long = False
    while True:
        try:
            line = await stream.readuntil()
        except asyncio.IncompleteReadError as last:
            line = last.partial
        except asyncio.LimitOverrunError as overrun:
            await stream.readexactly(overrun.consumed)
            too_long = True
            continue
        if too_long:
            on_dropped()
        elif line:
            yield line.decode("utf-8", "replace")
        if not line.endswith(b"\n"):
            return
        too_long = False
