"""A process and its descendants, as the kernel shows them under /proc: who they are and what they hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What processes hold together.

    Attributes:
        resident_bytes: memory that is in use.
        descriptors: open files and sockets.
        threads: threads.
        processes: the processes themselves.
    """

    resident_bytes: int = 0
    descriptors: int = 0
    threads: int = 0
    processes: int = 0

    def __add__(self, other: Holdings) -> Holdings:
        """Return what both hold."""
        return Holdings(
            self.resident_bytes + other.resident_bytes,
            self.descriptors + other.descriptors,
            self.threads + other.threads,
            self.processes + other.processes,
        )


def children(pid: int) -> list[int]:
    """Return the ids of a process's children; none when it is gone."""
    found: list[int] = []
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    except OSError:
        return found
    return found


def descendants(pid: int) -> list[int]:
    """Return the ids of all that a process has started, directly or not."""
    found: list[int] = []
    waiting = children(pid)
    while waiting:
        child = waiting.pop()
        found.append(child)
        waiting += children(child)
    return found


def holdings(pid: int) -> Holdings:
    """Return what a process and its descendants hold; what is gone holds nothing."""
    total = Holdings()
    for each in (pid, *descendants(pid)):
        total += _own_holdings(each)
    return total


def _own_holdings(pid: int) -> Holdings:
    folder = _PROC / str(pid)
    try:
        pages = int((folder / "statm").read_text().split()[1])
        descriptors = sum(1 for _ in (folder / "fd").iterdir())
        threads = sum(1 for _ in (folder / "task").iterdir())
    except OSError:
        return Holdings()
    return Holdings(pages * _PAGE_BYTES, descriptors, threads, 1)


def command_of(pid: int) -> str:
    """Return the command line of a process; empty when it is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
