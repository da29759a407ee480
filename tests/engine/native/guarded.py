"""Memory with a page before and after it that nobody may touch: whoever reads or writes beyond it ends the process."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import numpy.typing as npt
from gradmill_server.engine.backends.native.addresses import address_of
from gradmill_server.engine.backends.native.frame import CACHE_LINE_BYTES
from gradmill_server.engine.backends.native.workspace import Workspace
from gradmill_server.engine.ir import Shape, size

Array = npt.NDArray[np.float64]

_FORBIDDEN = 0
_PROTECT = ctypes.CDLL(None, use_errno=True).mprotect
_PROTECT.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def guarded_bytes(count: int) -> npt.NDArray[np.uint8]:
    """Return so many bytes; whatever comes after the last one is forbidden, and so is the page before them."""
    pages = -(-max(count, 1) // mmap.PAGESIZE)
    whole = np.frombuffer(mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE), dtype=np.uint8)
    for page in (0, pages + 1):
        if _PROTECT(address_of(whole) + page * mmap.PAGESIZE, mmap.PAGESIZE, _FORBIDDEN):
            message = "the system does not protect memory"
            raise OSError(ctypes.get_errno(), message)
    stop = (pages + 1) * mmap.PAGESIZE
    return whole[stop - count : stop]


def guarded(shape: Shape | int) -> Array:
    """Return numbers that end where forbidden memory begins."""
    extents = (shape,) if isinstance(shape, int) else shape
    return guarded_bytes(8 * size(extents)).view(np.float64).reshape(extents)


def guarded_copy(values: Array) -> Array:
    """Return the same numbers where forbidden memory follows."""
    copy = guarded(values.shape)
    copy[...] = values
    return copy


class GuardedWorkspace(Workspace):
    """A workspace whose scratch ends where forbidden memory begins."""

    def __init__(self, scratch_bytes: int, frame_bytes: int) -> None:
        """Take as much memory as is asked for, rounded up to whole lines of cache."""
        super().__init__(0, frame_bytes)
        rounded = -(-scratch_bytes // CACHE_LINE_BYTES) * CACHE_LINE_BYTES
        self._memory = guarded_bytes(rounded)
        self._memory[:] = 0xFF  # every number a NaN
        self.scratch = address_of(self._memory)
        self.scratch_bytes = scratch_bytes
