"""Sums and means over points, in an order that depends on nothing but their number."""

from __future__ import annotations

import numpy as np

from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.program import ResultArray
from gradmill_server.serving.wire.requests import Reduction


def reduce_results(results: list[ResultArray], reduction: Reduction) -> list[ResultArray]:
    """Return results as wished: as they are, or without their first dimension, summed or averaged over the points."""
    if reduction is Reduction.NONE:
        return results
    return [result._replace(array=_reduced(result.array, reduction)) for result in results]


def _reduced(array: FloatArray, reduction: Reduction) -> FloatArray:
    total = pairwise_sum(array)
    if reduction is Reduction.SUM:
        return total
    with np.errstate(all="ignore"):
        mean: FloatArray = np.asarray(total / np.float64(len(array)))
    return mean


def pairwise_sum(array: FloatArray) -> FloatArray:
    """Return the sum over the first dimension: [points, ...] to [...], float64. No points give 0.0.

    Neighbours are added in pairs, then the sums of neighbours, and so on; a last one without a neighbour goes to the
    next round as it is. The order depends on the number of points alone, never on memory layout, other dimensions or
    vector width, so equal points give equal bits. The error grows with the logarithm of the number of points (Higham,
    "The accuracy of floating point summation", SIAM J. Sci. Comput. 14, 1993, section 3).
    """
    rows = array
    if not len(rows):
        return np.zeros(array.shape[1:])
    with np.errstate(all="ignore"):
        while len(rows) > 1:
            paired = len(rows) // 2 * 2
            sums = rows[0:paired:2] + rows[1:paired:2]
            rows = sums if paired == len(rows) else np.concatenate((sums, rows[paired:]))
    return np.asarray(rows[0])
