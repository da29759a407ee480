"""Random graphs are repeatable, exactly as large as wanted, and tame."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.operations import NUMPY
from tests.benchmarks.random_graphs import INPUTS, random_graph

FUNCTIONS = {"sin", "cos", "tanh", "exp", "log"}


@pytest.mark.parametrize("operations", [100, 101, 256, 1000])
def test_a_graph_has_as_many_operations_as_wanted_and_needs_them_all(operations: int) -> None:
    """No operation is there for nothing, so that a compiler that drops dead code drops none."""
    graph = random_graph(operations)
    assert len(graph.records) == operations
    used = {position for record in graph.records for position in record.operands}
    assert used == set(range(INPUTS + operations - 1))


def test_a_tenth_of_the_operations_are_elementary_functions() -> None:
    """The mix is the one that was promised."""
    records = random_graph(1000).records
    assert sum(record.operation in FUNCTIONS for record in records) == pytest.approx(100, abs=20)
    assert {record.operation for record in records} >= FUNCTIONS


def test_a_seed_gives_one_graph() -> None:
    """The same seed gives the same graph in every process, and another seed another one."""
    assert random_graph(300, 5) == random_graph(300, 5)
    assert random_graph(300, 5) != random_graph(300, 6)


def test_values_stay_finite_far_from_the_sample_points() -> None:
    """No point of a normal distribution, however unlikely, gives an infinity."""
    points = 50.0 * np.random.default_rng(0).standard_normal((1000, INPUTS))
    assert np.isfinite(random_graph(1000).apply(NUMPY, list(points.T))).all()
