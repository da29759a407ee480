"""A progress bar for long batches, on standard error, when a person is watching."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm

Report = Callable[[int, int], object]
"""Told the points done and the points in all."""

Progress = bool | Report | None
"""None: a bar on a terminal once a batch takes more than a second. True: a bar. False: none. Or a function to tell."""

_DELAY_SECONDS = 1.0


@contextlib.contextmanager
def reporting(progress: Progress) -> Iterator[Report | None]:
    """Yield the function to tell of progress, or None when nobody is to be told."""
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield None
        return
    if callable(progress):
        yield progress
        return
    bar = Bar(delay_seconds=0.0 if progress else _DELAY_SECONDS)
    try:
        yield bar.report
    finally:
        bar.close()


class Bar:
    """A tqdm bar that appears with the first report: a batch of one message never loads tqdm in time to show it."""

    def __init__(self, delay_seconds: float) -> None:
        """Wait for the first report."""
        self._delay_seconds = delay_seconds
        self._bar: tqdm[NoReturn] | None = None

    def report(self, done: int, total: int | None) -> None:
        """Show how far the batch is; a batch that its first message completes shows nothing."""
        if self._bar is None:
            if done == total and self._delay_seconds > 0:
                return
            self._bar = self._new(total)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the line as it is, complete or not."""
        if self._bar is not None:
            self._bar.close()

    def _new(self, total: int | None) -> tqdm[NoReturn]:
        from tqdm import tqdm  # noqa: PLC0415 - most batches never show a bar

        return tqdm(total=total, unit=" points", unit_scale=True, delay=self._delay_seconds, file=sys.stderr)
