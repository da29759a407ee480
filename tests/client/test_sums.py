"""Sums over chunks: one order, whatever the order of arrival."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill.sums import OrderedSums
from gradmill.wire import FloatArray


def pairs(rows: FloatArray) -> float:
    """Return the sum as the contract has it: neighbours in pairs, a last one without a neighbour as it is."""
    parts = list(rows)
    while len(parts) > 1:
        rest = parts[len(parts) // 2 * 2 :]
        parts = [left + right for left, right in zip(parts[0::2], parts[1::2], strict=False)] + rest
    return float(parts[0])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 8, 13, 100])
def test_chunks_give_the_bits_of_one_sum(count: int) -> None:
    """Chunks of a power of two, in any order of arrival, sum to the bits of the sum over all rows."""
    rows = np.random.default_rng(count).lognormal(sigma=20, size=count) * (-1.0) ** np.arange(count)
    for size in (1, 2, 4, 8):
        chunks = [rows[start : start + size] for start in range(0, count, size)]
        sums = OrderedSums()
        for number in np.random.default_rng(1).permutation(len(chunks)).tolist():
            sums.add(number, [np.array(pairs(chunks[number])), np.array(1.0)])
        total, chunks_counted = sums.totals()
        assert float(total) == pairs(rows)
        assert float(chunks_counted) == len(chunks)


def test_sums_that_are_not_finite_are_data() -> None:
    """Infinities add up as IEEE says, without a warning."""
    sums = OrderedSums()
    sums.add(1, [np.array([-np.inf, 1e308])])
    sums.add(0, [np.array([np.inf, 1e308])])
    (total,) = sums.totals()
    assert np.isnan(total[0])
    assert total[1] == np.inf
