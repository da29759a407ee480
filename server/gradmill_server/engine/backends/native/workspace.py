"""What a run writes to besides its results. All programs of a thread share one workspace: of those no cache counts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from gradmill_server.engine.backends.native.addresses import address_of
from gradmill_server.engine.backends.native.frame import BYTES_PER_LANE, CACHE_LINE_BYTES

if TYPE_CHECKING:
    from gradmill_server.engine.ir import FloatArray

_KEPT_BYTES: Final = 32 * 1024 * 1024
"""Scratch that a thread keeps for its next run; more is given back to the system."""


class Workspace:
    """Scratch and a frame.

    Attributes:
        scratch: the address of the scratch, aligned to a line of cache.
        scratch_bytes: its size from there.
        frame: the frame.
        frame_address: where it lies.
    """

    __slots__ = ("_memory", "frame", "frame_address", "scratch", "scratch_bytes")

    def __init__(self, scratch_bytes: int, frame_bytes: int) -> None:
        """Take memory, as it is: what scratch holds is never read before it is written, and clearing takes time."""
        self._memory = np.empty(scratch_bytes + CACHE_LINE_BYTES, dtype=np.uint8)
        self.scratch = -(-address_of(self._memory) // CACHE_LINE_BYTES) * CACHE_LINE_BYTES
        self.scratch_bytes = scratch_bytes
        self.frame = bytearray(frame_bytes)
        self.frame_address = address_of(self.frame)

    def floats(self, first_byte: int, count: int) -> FloatArray:
        """Return numbers that lie so many bytes into the scratch, a multiple of eight, as an array on that memory."""
        skipped = self.scratch - address_of(self._memory) + first_byte
        return self._memory[skipped : skipped + count * BYTES_PER_LANE].view(np.float64)


class _Thread(threading.local):
    """One thread's workspace, while no run has it."""

    workspace: Workspace | None = None


_THREAD: Final = _Thread()


def take_workspace(scratch_bytes: int, frame_bytes: int) -> Workspace:
    """Take the thread's workspace, or a new one where it is too small or a run has it already.

    A run that a checkpoint ends does not give it back: the next one begins with a new one.
    """
    workspace = _THREAD.workspace
    _THREAD.workspace = None
    if workspace is None:
        return Workspace(scratch_bytes, frame_bytes)
    if workspace.scratch_bytes < scratch_bytes or len(workspace.frame) < frame_bytes:
        # As large as either run needs, so that two kinds of run that take turns do not both find it too small.
        return Workspace(max(scratch_bytes, workspace.scratch_bytes), max(frame_bytes, len(workspace.frame)))
    return workspace


def give_back(workspace: Workspace) -> None:
    """Let the thread's next run have it."""
    if workspace.scratch_bytes <= _KEPT_BYTES:
        _THREAD.workspace = workspace
