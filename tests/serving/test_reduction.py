"""Sums and means over points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gradmill_server.engine.program import ResultArray
from gradmill_server.engine.wants import Kind
from gradmill_server.serving.reduction import pairwise_sum, reduce_results
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


def test_mean() -> None:
    """The mean is the sum divided by the number of points; of no points it is NaN."""
    result = ResultArray(Kind.VALUE, "value", "", np.array([1.0, 2.0, 6.0]))
    (reduced,) = reduce_results([result], Reduction.MEAN)
    assert float(reduced.array) == 3.0
    (empty,) = reduce_results([result._replace(array=np.empty(0))], Reduction.MEAN)
    assert np.isnan(empty.array)
    assert reduce_results([result], Reduction.NONE) == [result]
