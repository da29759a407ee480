"""Colourings of random patterns: every entry can be read off."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine.derivatives.coloring import (
    color_columns,
    color_symmetric,
    symmetric_pattern,
    transposed_pattern,
)
from gradmill_server.engine.derivatives.patterns import SparsePattern, pattern_from_sets


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
    met = np.zeros((9, coloring.colors), dtype=int)
    np.add.at(met, (pattern.rows, coloring.color_of[pattern.columns]), 1)
    assert met.max(initial=0) <= 1


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("density", [0.05, 0.15, 0.4])
def test_each_entry_or_its_mirror_image_stands_alone(seed: int, density: float) -> None:
    """Symmetric matrices need fewer colours, and still nothing is mixed."""
    pattern = symmetric_pattern(random_pattern(seed, 14, 14, density))
    coloring = color_symmetric(pattern)
    met = np.zeros((14, coloring.colors), dtype=int)
    np.add.at(met, (pattern.rows, coloring.color_of[pattern.columns]), 1)
    direct = met[pattern.rows, coloring.color_of[pattern.columns]] == 1
    mirrored = met[pattern.columns, coloring.color_of[pattern.rows]] == 1
    assert (direct | mirrored).all()


def test_an_arrowhead_needs_two_colours() -> None:
    """Where every column meets every other one, symmetry saves all but two directions."""
    assert color_symmetric(arrowhead(30)).colors == 2
    assert color_columns(arrowhead(30)).colors == 30


def test_a_pattern_transposed_twice_is_itself() -> None:
    """Rows and columns change places, and back."""
    pattern = random_pattern(3, 6, 11, 0.3)
    again = transposed_pattern(transposed_pattern(pattern))
    assert again.shape == pattern.shape
    np.testing.assert_array_equal(again.row_starts, pattern.row_starts)
    np.testing.assert_array_equal(again.columns, pattern.columns)
