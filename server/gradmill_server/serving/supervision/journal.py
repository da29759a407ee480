"""What a worker process works on, in memory that outlives it: shared with the supervisor, which reads it after a death.

The memory is a row of slots of 64 bytes. A slot begins with a byte that is 0 while nothing is noted there, else the
number of the work; then come its deadline and the function's digest.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from gradmill_server.serving.guard import Work

_SLOT_BYTES = 64
_SLOT = struct.Struct("<B7xd32s")
_KNOWN_WORK = frozenset(Work)


class Note(NamedTuple):
    """One piece of work under way.

    Attributes:
        work: what is done.
        deadline: when it will be of no use any more, in seconds of `time.monotonic`, which all processes share.
        digest: the function it is done for.
    """

    work: Work
    deadline: float
    digest: bytes


class Journal:
    """The slots, on either side.

    Attributes:
        slots: how many there are.
    """

    def __init__(self, descriptor: int, slots: int) -> None:
        """Map the file behind a descriptor, which stays the caller's."""
        self.slots = slots
        self._memory = mmap.mmap(descriptor, slots * _SLOT_BYTES)

    def write(self, slot: int, digest: bytes, work: Work, deadline: float) -> None:
        """Note work in a slot."""
        _SLOT.pack_into(self._memory, slot * _SLOT_BYTES, work, deadline, digest)

    def wipe(self, slot: int) -> None:
        """Empty a slot."""
        self._memory[slot * _SLOT_BYTES] = 0

    def notes(self) -> Iterator[Note]:
        """Yield what is noted now."""
        for slot in range(self.slots):
            work, deadline, digest = _SLOT.unpack_from(self._memory, slot * _SLOT_BYTES)
            if work in _KNOWN_WORK:
                yield Note(Work(work), deadline, digest)

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()


def new_journal_file(slots: int) -> int:
    """Return a descriptor of an empty file for that many slots. It has no name, so nothing is left of it in the end."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("gradmill-journal", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, slots * _SLOT_BYTES)
        return descriptor
    with tempfile.TemporaryFile() as file:
        # Written in full: memory behind a hole in a file would end the process when the disk is full.
        file.write(bytes(slots * _SLOT_BYTES))
        file.flush()
        return os.dup(file.fileno())
