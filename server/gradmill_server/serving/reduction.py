"""Sums and means over points, in an order that depends on nothing but their number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gradmill_server.engine.ir import FloatArray, size
from gradmill_server.engine.program import Evaluation, ResultArray
from gradmill_server.serving.wire.requests import Reduction

_BLOCK_BYTES = 8 * 1024 * 1024
"""Results that are held at a time: as much as a processor's cache, so that adding them up costs little."""
_LARGEST_BLOCK_POINTS = 1 << 16


def block_points(point_bytes: int) -> int:
    """Return how many points to evaluate at a time: a power of two, so that blocks do not change the sum's bits."""
    fitting = max(1, min(_LARGEST_BLOCK_POINTS, _BLOCK_BYTES // max(1, point_bytes)))
    return 1 << fitting.bit_length() - 1


SUMMED_POINTS = 8192
"""Points that a program that sums them itself is given at a time."""


def evaluate_reduced(
    evaluate: Callable[[int, int], Evaluation],
    count: int,
    point_bytes: int,
    reduction: Reduction,
    sums: Callable[[int, int], Evaluation] | None = None,
) -> Evaluation:
    """Return sums or means over points, without the axis of points, and the flags of each point.

    Points are evaluated block by block; what is held at a time is a block's results and, for each binary digit of the
    number of blocks, a sum. The bits are those of `pairwise_sum` over all points at once; with a program that sums
    points itself those of its own order within blocks of 8,192 points, and of `pairwise_sum` over the blocks.

    Args:
        evaluate: gives the results at the points start..stop.
        count: the number of points.
        point_bytes: bytes of the results at one point.
        reduction: a sum or a mean.
        sums: gives the sums of results at the points start..stop, as those of one point, where the program makes them;
            it marks no points.
    """
    step = block_points(point_bytes)
    if sums and count <= SUMMED_POINTS:
        block = sums(0, count)
        if _all_finite(block):
            return _without_points(block, count if reduction is Reduction.MEAN else 1)
        sums = None  # the sums of all points are known not to be finite: each point is computed by itself
    block, total, flags = _added_up(sums or evaluate, count, SUMMED_POINTS if sums else step)
    if sums and not np.isfinite(total).all():
        # Some point may have a result that is not finite; which ones is seen only where each is computed by itself.
        block, total, flags = _added_up(evaluate, count, step)
    if reduction is Reduction.MEAN:
        with np.errstate(all="ignore"):
            total = np.asarray(total / np.float64(count)).astype(total.dtype, copy=False)
    return Evaluation(_taken_apart(total, block), flags)


def _all_finite(block: Evaluation) -> bool:
    return all(np.isfinite(result.array).all() for results in block.arrays for result in results)


def _without_points(block: Evaluation, divisor: int) -> Evaluation:
    """Return the one row of sums, divided, without its axis: most sums over points are of one block."""
    arrays = [
        [
            result._replace(array=np.asarray(result.array[0] if divisor == 1 else result.array[0] / divisor))
            for result in results
        ]
        for results in block.arrays
    ]
    return Evaluation(arrays, block.point_flags)


def _added_up(
    evaluate: Callable[[int, int], Evaluation], count: int, step: int
) -> tuple[Evaluation, FloatArray, npt.NDArray[np.uint8]]:
    """Return the last block's results, the sum of all blocks', and the flags of all points."""
    sums = _PairwiseSums()
    flags: list[npt.NDArray[np.uint8]] = []
    for start in range(0, max(1, count), step):
        block = evaluate(start, min(start + step, count))
        sums.append(pairwise_sum(_as_matrix(block)))
        flags.append(block.point_flags)
    return block, sums.total(), np.concatenate(flags)


def _as_matrix(block: Evaluation) -> FloatArray:
    """Return all results of a block side by side: [points, elements]."""
    flat = [
        result.array.reshape(len(result.array), size(result.array.shape[1:]))
        for results in block.arrays
        for result in results
    ]
    if not flat:  # gradients alone, of a function without inputs
        return np.zeros((len(block.point_flags), 0))
    return flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)


def _taken_apart(total: FloatArray, block: Evaluation) -> list[list[ResultArray]]:
    """Return the sums of all elements as the results of which a block had the shapes."""
    offset = 0
    named: list[list[ResultArray]] = []
    for results in block.arrays:
        named.append([])
        for result in results:
            shape = result.array.shape[1:]
            named[-1].append(result._replace(array=total[offset : offset + size(shape)].reshape(shape)))
            offset += size(shape)
    return named


class _PairwiseSums:
    """Adds up the sums of blocks in pairs of neighbours, then those in pairs, and so on, as they come."""

    def __init__(self) -> None:
        self._levels: list[int] = []
        self._sums: list[FloatArray] = []

    def append(self, addend: FloatArray) -> None:
        level = 0
        while self._levels and self._levels[-1] == level:
            self._levels.pop()
            addend = _added(self._sums.pop(), addend)
            level += 1
        self._levels.append(level)
        self._sums.append(addend)

    def total(self) -> FloatArray:
        total = self._sums[-1]
        for addend in reversed(self._sums[:-1]):
            total = _added(addend, total)
        return total


def _added(first: FloatArray, second: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        return np.asarray(first + second)


def pairwise_sum(array: FloatArray) -> FloatArray:
    """Return the sum over the first dimension: [points, ...] to [...], of its type. No points give 0.0.

    Neighbours are added in pairs, then the sums of neighbours, and so on; a last one without a neighbour goes to the
    next round as it is. The order depends on the number of points alone, never on memory layout, other dimensions or
    vector width, so equal points give equal bits. The error grows with the logarithm of the number of points (Higham,
    "The accuracy of floating point summation", SIAM J. Sci. Comput. 14, 1993, section 3).
    """
    rows = array
    if not len(rows):
        return np.zeros(array.shape[1:], array.dtype)
    with np.errstate(all="ignore"):
        while len(rows) > 1:
            paired = len(rows) // 2 * 2
            sums = rows[0:paired:2] + rows[1:paired:2]
            rows = sums if paired == len(rows) else np.concatenate((sums, rows[paired:]))
    return np.asarray(rows[0])
