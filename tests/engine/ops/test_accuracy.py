"""Every operation of the table against mpmath: values, slopes, and slopes of slopes."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import Propagation

from tests.engine.building import same_bits
from tests.engine.ops.accuracy import BARS, CURVATURE, SLOPE, VALUE, Comparison, comparisons, worst_errors
from tests.engine.ops.derivatives import differentiate
from tests.engine.ops.references import REFERENCES


def failures(name: str, level: str) -> list[Comparison]:
    """Return the numbers of one level that miss their bar, the worst first."""
    missed = [entry for entry in comparisons(name) if entry.level == level and not entry.error <= entry.allowed]
    return sorted(missed, key=lambda entry: entry.error, reverse=True)[:5]


@pytest.mark.parametrize("name", ops.TABLE)
def test_an_operation_has_an_independent_source(name: str) -> None:
    """No operation is offered whose numbers nothing has checked."""
    assert name in REFERENCES


def test_references_and_bars_are_for_operations_that_exist() -> None:
    """What is said about accuracy is said about operations that can be called."""
    assert set(REFERENCES) == set(ops.TABLE)
    assert set(BARS) <= set(ops.TABLE)


@pytest.mark.parametrize("name", ops.TABLE)
def test_values_are_those_of_the_reference(name: str) -> None:
    """An operation's value is right to a few units in the last place all over its domain."""
    assert failures(name, VALUE) == []


@pytest.mark.parametrize("name", ops.TABLE)
def test_slopes_are_those_of_the_reference(name: str) -> None:
    """An operation's derivative by each operand is right to a few units in the last place all over its domain."""
    assert failures(name, SLOPE) == []


@pytest.mark.parametrize("name", ops.TABLE)
def test_curvatures_are_those_of_the_reference(name: str) -> None:
    """Second derivatives, in either order of differentiation, are right to the last few digits."""
    assert failures(name, CURVATURE) == []


@pytest.mark.parametrize("name", ops.TABLE)
def test_plain_propagation_gives_the_same_derivatives_at_ordinary_points(name: str) -> None:
    """Parity mode changes nothing, to second order, where no derivative is zero or infinite by accident."""
    row = ops.TABLE[name]
    generator = np.random.default_rng(11)
    columns = [generator.uniform(*interval, 100) for interval in row.domain]
    strong = differentiate(row, columns, Propagation())
    plain = differentiate(row, columns, Propagation(strong_zeros=False))
    assert same_bits(strong.slopes, plain.slopes)
    assert np.array_equal(list(strong.curvatures.values()), list(plain.curvatures.values()))


@pytest.mark.parametrize("name", ops.TABLE)
def test_enough_points_are_compared(name: str) -> None:
    """An operation's accuracy is known from hundreds of points, not from a handful."""
    values = sum(entry.level == VALUE for entry in comparisons(name))
    slopes = sum(entry.level == SLOPE for entry in comparisons(name))
    assert values >= 150
    assert slopes >= 150 * ops.TABLE[name].arity


def test_the_summary_names_every_operation() -> None:
    """The table of worst errors leaves no operation out, and shows no error that is not a number of units."""
    summary = worst_errors()
    assert list(summary) == list(ops.TABLE)
    assert all(0.0 <= error < 100.0 for errors in summary.values() for error in errors.values())
