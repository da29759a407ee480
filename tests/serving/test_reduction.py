"""Sums and means over points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gradmill_server.engine.program import Evaluation, ResultArray
from gradmill_server.engine.wants import Kind
from gradmill_server.serving.reduction import block_points, evaluate_reduced, pairwise_sum
from gradmill_server.serving.wire.requests import Reduction


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 1000, 100_001])
def test_close_to_the_exact_sum(count: int) -> None:
    """The sum is that of exact arithmetic up to rounding, for any number of points."""
    column = np.random.default_rng(7).normal(size=count)
    scale = math.fsum(abs(column))
    assert abs(float(pairwise_sum(column)) - math.fsum(column)) <= 1e-15 * scale * max(1, math.log2(count + 1))


def test_order_is_that_of_neighbours_in_pairs() -> None:
    """Points are added in pairs of neighbours, the last one without a neighbour joining later: ((a+b)+(c+d))+e."""
    a, b, c, d, e = 1e16, 1.0, -1e16, 1.0, 3.0
    assert float(pairwise_sum(np.array([a, b, c, d, e]))) == ((a + b) + (c + d)) + e


def test_bits_do_not_depend_on_layout() -> None:
    """The same numbers give the same bits as a column of a matrix, transposed, strided, or alone."""
    rows = np.random.default_rng(1).lognormal(sigma=20, size=(12_345, 7))
    expected = pairwise_sum(rows).tobytes()
    assert pairwise_sum(np.asfortranarray(rows)).tobytes() == expected
    assert pairwise_sum(np.repeat(rows, 2, axis=0)[::2]).tobytes() == expected
    assert np.array([pairwise_sum(rows[:, column]) for column in range(7)]).tobytes() == expected


def test_points_dimension_goes_and_the_rest_stays() -> None:
    """A sum has the shape of one point's result, and no points sum to zero."""
    assert pairwise_sum(np.ones((5, 2, 3))).tolist() == [[5.0] * 3] * 2
    assert pairwise_sum(np.ones((0, 2))).tolist() == [0.0, 0.0]
    assert pairwise_sum(np.ones(4)).shape == ()


def test_not_finite_is_data() -> None:
    """Infinities and NaN sum as IEEE says, without a warning."""
    total = pairwise_sum(np.array([[np.inf, 1e308, np.nan], [-np.inf, 1e308, 1.0]]))
    assert np.isnan(total[0])
    assert total[1] == np.inf
    assert np.isnan(total[2])


def _evaluation(start: int, stop: int) -> Evaluation:
    """Return results of some shapes at points of which each has numbers of its own."""
    rows = np.random.default_rng(3).lognormal(sigma=20, size=(1000, 7))[start:stop]
    results = [
        [ResultArray(Kind.VALUE, "value", "", rows[:, 0])],
        [
            ResultArray(Kind.GRADIENT, "value", "x", rows[:, 1:3]),
            ResultArray(Kind.GRADIENT, "value", "w", rows[:, 3:].reshape(-1, 2, 2)),
        ],
    ]
    return Evaluation(results, np.arange(start, stop).astype(np.uint8))


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 1000])
@pytest.mark.parametrize("point_bytes", [1, 8 * 1024 * 1024 // 256, 8 * 1024 * 1024 // 3, 2**40])
def test_blocks_do_not_change_the_bits(count: int, point_bytes: int) -> None:
    """Whatever the size of the blocks, sums are those over all points at once, and points keep their own flags."""
    reduced = evaluate_reduced(_evaluation, count, point_bytes, Reduction.SUM)
    at_once = _evaluation(0, count)
    for found, expected in zip(reduced.arrays, at_once.arrays, strict=True):
        for one, other in zip(found, expected, strict=True):
            assert (one.kind, one.output, one.with_respect_to) == (other.kind, other.output, other.with_respect_to)
            assert one.array.shape == other.array.shape[1:]
            assert one.array.tobytes() == pairwise_sum(other.array).tobytes()
    assert np.array_equal(reduced.point_flags, at_once.point_flags)


@pytest.mark.parametrize(
    ("point_bytes", "points"), [(0, 65_536), (8, 65_536), (1024, 8_192), (1025, 4_096), (10**9, 1), (3 * 1024**2, 2)]
)
def test_blocks_are_a_power_of_two_that_fits(point_bytes: int, points: int) -> None:
    """A block's results stay within eight MiB, or are those of one point."""
    assert block_points(point_bytes) == points


def test_nothing_to_add_up() -> None:
    """Where a wish has no results, as the gradient of a function without inputs, their sum is no result either."""
    evaluation = Evaluation([[]], np.zeros(5, dtype=np.uint8))
    reduced = evaluate_reduced(lambda _start, _stop: evaluation, 5, 0, Reduction.SUM)
    assert reduced.arrays == [[]]
    assert len(reduced.point_flags) == 5


def test_mean() -> None:
    """The mean is the sum divided by the number of points; of no points it is NaN."""
    total = evaluate_reduced(_evaluation, 1000, 8, Reduction.SUM)
    mean = evaluate_reduced(_evaluation, 1000, 8, Reduction.MEAN)
    for sums, means in zip(total.arrays, mean.arrays, strict=True):
        for one, other in zip(sums, means, strict=True):
            assert (one.array / 1000).tobytes() == other.array.tobytes()
    assert np.isnan(evaluate_reduced(_evaluation, 0, 8, Reduction.MEAN).arrays[0][0].array)
