"""SIGTERM and SIGINT: the first asks a process to stop, the second ends it at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CAUGHT = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_to_stop(on_first: Callable[[], None], on_second: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Catch both signals on the running event loop.

    Args:
        on_first: called at the first signal.
        on_second: called at each one after it.
    """
    loop = asyncio.get_running_loop()
    told = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal told
        if told:
            on_second(number)
        else:
            told = True
            on_first()

    for number in _CAUGHT:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in _CAUGHT:
            loop.remove_signal_handler(number)
