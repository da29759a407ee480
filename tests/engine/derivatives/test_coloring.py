"""Colourings of random patterns: every entry can be read off."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.derivatives.coloring import (
    Coloring,
    color_columns,
    color_symmetric,
    symmetric_pattern,
    transposed_pattern,
)
from gradmill_server.engine.derivatives.patterns import SparsePattern, pattern_from_sets
from gradmill_server.engine.errors import DeadlineExceeded

from tests.engine.building import Countdown


def random_pattern(seed: int, rows: int, columns: int, density: float) -> SparsePattern:
    """Return a pattern with about so many of all places."""
    places = np.random.default_rng(seed).random((rows, columns)) < density
    return pattern_from_sets([np.flatnonzero(row) for row in places], columns)


def arrowhead(count: int) -> SparsePattern:
    """Return the pattern of a symmetric matrix with a first row, a first column and a diagonal."""
    return pattern_from_sets([np.arange(count), *(np.array([0, row]) for row in range(1, count))], count)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 1.0])
def test_columns_of_one_colour_meet_in_no_row(seed: int, density: float) -> None:
    """Each row has each colour at most once."""
    pattern = random_pattern(seed, 9, 13, density)
    coloring = color_columns(pattern)
    assert coloring is not None
    met = np.zeros((9, coloring.colors), dtype=int)
    np.add.at(met, (pattern.rows, coloring.color_of[pattern.columns]), 1)
    assert met.max(initial=0) <= 1


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("density", [0.05, 0.15, 0.4])
def test_each_entry_or_its_mirror_image_stands_alone(seed: int, density: float) -> None:
    """Symmetric matrices need fewer colours, and still nothing is mixed."""
    pattern = symmetric_pattern(random_pattern(seed, 14, 14, density))
    coloring = color_symmetric(pattern)
    assert coloring is not None
    met = np.zeros((14, coloring.colors), dtype=int)
    np.add.at(met, (pattern.rows, coloring.color_of[pattern.columns]), 1)
    direct = met[pattern.rows, coloring.color_of[pattern.columns]] == 1
    mirrored = met[pattern.columns, coloring.color_of[pattern.rows]] == 1
    assert (direct | mirrored).all()


def test_an_arrowhead_needs_two_colours() -> None:
    """Where every column meets every other one, symmetry saves all but two directions."""
    symmetric, by_column = color_symmetric(arrowhead(30)), color_columns(arrowhead(30))
    assert symmetric is not None
    assert by_column is not None
    assert (symmetric.colors, by_column.colors) == (2, 30)


def test_a_pattern_transposed_twice_is_itself() -> None:
    """Rows and columns change places, and back."""
    pattern = random_pattern(3, 6, 11, 0.3)
    again = transposed_pattern(transposed_pattern(pattern))
    assert again.shape == pattern.shape
    np.testing.assert_array_equal(again.row_starts, pattern.row_starts)
    np.testing.assert_array_equal(again.columns, pattern.columns)


@pytest.mark.parametrize("color", [color_columns, color_symmetric])
def test_a_full_matrix_is_coloured_in_a_second_and_can_be_stopped(
    color: Callable[[SparsePattern, int | None, Checkpoint], Coloring | None],
) -> None:
    """Work grows with the entries, not with what their rows have in common, and looks at the deadline on the way."""
    full = pattern_from_sets([np.arange(1_000)] * 1_000, 1_000)
    counted = Countdown(1_000_000)
    started = time.process_time()
    coloring = color(full, None, counted)
    assert time.process_time() - started < 5.0
    assert coloring is not None
    assert coloring.colors == 1_000
    assert 1_000_000 - counted.left > 100
    assert color(full, 999, never) is None
    with pytest.raises(DeadlineExceeded):
        color(full, None, Countdown(20))
