"""Runs of a tape for a few points again and again, in memory that stays: of a call in microseconds half is memory.

Points are copied to where they are read, results are written to the same arrays each time, and the frame is copied as a
whole. So a run belongs to one thread, and its results hold until the next one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gradmill_server.engine.backends.native.addresses import address_of
from gradmill_server.engine.backends.native.workspace import Workspace
from gradmill_server.engine.ir import FloatArray


class ResidentRun:
    """A tape for a fixed number of points.

    Attributes:
        arrays: the results of the last run, as the executable gives them.
        flags: uint8 [points], its flags.
    """

    def __init__(
        self,
        points: FloatArray,
        arrays: list[FloatArray],
        flags: npt.NDArray[np.uint8],
        workspace: Workspace,
        enter: Callable[[int, int], int],
        budget: int,
    ) -> None:
        """Take the arrays that a frame names, the workspace with that frame in it, and what runs it."""
        self.arrays = arrays
        self.flags = flags
        # The frame has the addresses of these very objects.
        self._kept = (points, *arrays, flags)
        self._points = _bytes_of(points)
        self._writable = _bytes_of(flags)
        self._no_flags = bytes(len(flags))
        self._workspace = workspace
        self._frame = workspace.frame
        self._template = bytes(workspace.frame)
        self._address = address_of(workspace.frame)
        self._enter = enter
        self._budget = budget

    def run(self, points: bytes) -> None:
        """Evaluate at points [points, inputs], row-major, in this machine's order of bytes."""
        self._points[:] = points
        self._writable[:] = self._no_flags
        self._frame[:] = self._template
        while self._enter(self._address, self._budget):
            pass


def _bytes_of(array: npt.NDArray[np.generic]) -> memoryview:
    return memoryview(array).cast("B")  # type: ignore[arg-type]  # NumPy's arrays are not typed buffers
