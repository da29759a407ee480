"""Watches the memory of this process, and reacts by degrees: what is kept goes first, then what is large, then all.

The degrees are those of Envoy's overload manager, whose actions begin at shares of a limit. The limit is the setting
`memory_bytes`; without it, the share of one process in what the control group or the machine has.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from gradmill_server.serving import logs
from gradmill_server.serving.cache import ByteBoundedCache
from gradmill_server.serving.errors import MemoryScarce
from gradmill_server.serving.processors import control_groups

_LOOK_SECONDS = 0.25
_SMALL_REQUEST_BYTES = 64 * 1024
_KEPT_PART = 0.5
"""Of the cache, each time that memory is found to be tight and growing."""

_GROWTH = 1.02


class Degree(IntEnum):
    """How scarce memory is."""

    EASY = 0
    TIGHT = 1
    SCARCE = 2
    CRITICAL = 3


_BEGINS = ((Degree.CRITICAL, 0.95), (Degree.SCARCE, 0.90), (Degree.TIGHT, 0.80))


class MemoryGauge:
    """What is known of this process's memory. Used on the event loop.

    Attributes:
        maximum_bytes: what the process may use; 0 for as much as it likes.
        used_bytes: what it used at the last look.
        degree: how scarce memory was then.
    """

    def __init__(self, maximum_bytes: int = 0) -> None:
        """Start with nothing used."""
        self.maximum_bytes = maximum_bytes
        self.used_bytes = 0
        self.degree = Degree.EASY

    def look(self, used_bytes: int) -> Degree:
        """Take in what is used now, and return how scarce memory is."""
        self.used_bytes = used_bytes
        share = used_bytes / self.maximum_bytes if self.maximum_bytes else 0.0
        self.degree = next((degree for degree, begin in _BEGINS if share >= begin), Degree.EASY)
        return self.degree

    def admit(self, request_bytes: int) -> None:
        """Let in a request that will wait. Raises MemoryScarce: for a large one while memory is scarce, else for any.

        Small calls that are answered where they arrive hold nothing, and are let in always.
        """
        if self.degree < Degree.SCARCE:
            return
        if self.degree is Degree.CRITICAL or request_bytes > _SMALL_REQUEST_BYTES:
            raise MemoryScarce.beyond(self.used_bytes, self.maximum_bytes, retry_seconds=4 * _LOOK_SECONDS)


class MemoryWatch:
    """Looks at the memory in use again and again, and lets the cache shrink when it is tight."""

    def __init__(
        self,
        gauge: MemoryGauge,
        cache: ByteBoundedCache,
        read: Callable[[], int] | None = None,
        *,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        """Start with nothing looked at.

        Args:
            gauge: is told what is used.
            cache: gives memory back.
            read: tells what is used: by default, the resident memory of this process.
            forget: gives back what is kept beside the cache.
        """
        self._gauge = gauge
        self._cache = cache
        self._read = read or resident_bytes
        self._forget = forget
        self._shrunk_at_bytes = 0

    def look(self) -> None:
        """Look once."""
        before = self._gauge.degree
        degree = self._gauge.look(self._read())
        if degree > before:
            logs.record(
                logging.WARNING,
                "memory",
                degree=degree.name.lower(),
                used_bytes=self._gauge.used_bytes,
                maximum_bytes=self._gauge.maximum_bytes,
            )
        if degree < Degree.TIGHT:
            self._shrunk_at_bytes = 0
        elif self._cache.byte_size and self._gauge.used_bytes > _GROWTH * self._shrunk_at_bytes:
            # Once more only when memory grew: what something else occupies does not come back by forgetting programs.
            self._shrunk_at_bytes = self._gauge.used_bytes
            self._cache.shrink(int(_KEPT_PART * self._cache.byte_size))
            self._forget()
            return_free_memory()

    async def run(self) -> None:
        """Look until cancelled; return at once when nothing is bounded."""
        while self._gauge.maximum_bytes:
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)


def resident_bytes() -> int:
    """Return the bytes of memory that this process occupies; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def allowed_bytes() -> int:
    """Return the bytes of memory that this process and its siblings may use: of the control group, or the machine."""
    bounds = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in control_groups():
        with contextlib.suppress(OSError, ValueError):
            bounds.append(int((folder / "memory.max").read_text()))
    return min(bounds)


def return_free_memory() -> None:
    """Give memory that was freed back to the system, where the C library keeps it and can be asked to."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
