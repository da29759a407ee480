"""Every vector function against mpmath, over its whole range; the report has a table of what was found."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from gradmill_server.engine.backends.native.llvm_text import LlvmFunctionText
from gradmill_server.engine.lanes import Lanes
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.vector_math import FUNCTIONS, VectorFunction

from tests.engine.ops.references import MP
from tests.engine.vector_math.accuracy import Accuracy, has_reference, measure, measured, units_off
from tests.engine.vector_math.compiled import define
from tests.engine.vector_math.numbers import LARGEST, LEAST, LEAST_NORMAL
from tests.engine.vector_math.ranges import RANGES, points

FEWEST_POINTS = 10_000

WITHIN_ONE = {"exp", "expm1", "log", "log1p", "sin", "cos", "erf"}
"""Functions promised to be within one unit in the last place; all others are within two."""

ONE_INSTRUCTION = {"sqrt": VectorFunction("sqrt", 1, Lanes.sqrt, bound=0.5)}
"""Operations whose machine code is one instruction that IEEE 754 defines, measured all the same."""

Recorder = Callable[[str, object], None]


def record(record_property: Recorder, name: str, accuracy: Accuracy, bound: float) -> None:
    """Put what was measured into the report; `conftest.py` shows it as a table."""
    record_property("function", name)
    record_property("points", accuracy.count)
    record_property("worst_ulp", f"{accuracy.worst:.3f}")
    record_property("mean_ulp", f"{accuracy.mean:.3f}")
    record_property("bound_ulp", f"{bound:g}")
    record_property("at", accuracy.where)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_range_and_a_reference(name: str) -> None:
    """No function is offered that nothing measures."""
    assert name in RANGES
    assert has_reference(name)


@pytest.mark.parametrize(
    ("result", "exact", "units"),
    [
        (1.0, 1, 0.0),
        (1.0 + 2.0**-51, 1, 2.0),
        (-2.0, -2 + 2.0**-52, 1.0),
        (0.0, LEAST, 1.0),
        (3.0 * LEAST, LEAST, 2.0),
        (math.inf, 10**400, 0.0),
        (LARGEST, 10**400, 1.0),
        (-math.inf, -LARGEST, 1.0),
        (math.inf, -LARGEST, 2.0**54 - 1.0),
        (math.nan, 1, math.inf),
    ],
)
def test_errors_are_told_in_units_of_the_exact_value(result: float, exact: float, units: float) -> None:
    """A unit is the distance of neighbours beside the exact value; infinity counts as what follows the largest."""
    assert units_off(result, MP.mpf(exact)) == units


def test_what_is_measured_exists() -> None:
    """What is said about ranges is said about functions that can be called."""
    assert set(RANGES) == {*FUNCTIONS, *ONE_INSTRUCTION}


@pytest.mark.parametrize("name", RANGES)
def test_the_whole_range_is_covered(name: str) -> None:
    """A function is measured at ten thousand points or more, from its smallest arguments to its largest."""
    arguments = points(name)
    assert len(arguments[0]) >= FEWEST_POINTS
    for each in arguments:
        assert np.isfinite(each).all()
        exponents = np.unique(np.frexp(np.abs(each[each != 0.0]))[1])
        # Without a gap, from the least to the greatest that the range has.
        assert (np.diff(exponents) == 1).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_stay_within_the_functions_own_bound(name: str, record_property: Recorder) -> None:
    """Over its whole range, the extremes included, a function errs by no more than it says."""
    accuracy = measured(name)
    record(record_property, name, accuracy, FUNCTIONS[name].bound)
    assert accuracy.worst <= FUNCTIONS[name].bound, accuracy.where


@pytest.mark.parametrize("name", ONE_INSTRUCTION)
def test_single_instructions_are_correctly_rounded(
    name: str, record_property: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operation that IEEE 754 defines is off by half a unit in the last place at most."""
    function = ONE_INSTRUCTION[name]
    accuracy = measure(name, points(name), define(monkeypatch, function)(name, *points(name)))
    record(record_property, name, accuracy, function.bound)
    assert accuracy.worst <= function.bound, accuracy.where


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_promises_no_less_than_the_project(function: VectorFunction) -> None:
    """A function's own bound is one unit in the last place where the project promises that, else two at most."""
    assert function.bound <= (1.0 if function.name in WITHIN_ONE else 2.0)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_says_its_bound_and_its_source(function: VectorFunction) -> None:
    """Who reads a function's code learns how far it may be off, and where its method comes from."""
    described = " ".join((function.body.__doc__ or "").split())
    assert f"ithin {function.bound:g} ulp" in described
    assert "Source: " in described


@pytest.mark.parametrize("name", TABLE)
def test_an_operation_rounds_once_or_is_a_function_that_is_measured(name: str) -> None:
    """No operation's machine code is made of several roundings that no table here shows."""
    text = LlvmFunctionText(1)
    row = TABLE[name]
    assert row.lanes is not None
    row.lanes(*(Lanes(text, f"%a{place}") for place in range(row.arity)))
    roundings = [line for line in text.lines if any(word in line for word in (" fadd ", " fmul ", "fdiv", "fsub"))]
    assert text.called <= set(FUNCTIONS)
    assert len(roundings) + len(text.called) <= 1


def test_powers_that_are_normal_are_nearly_correctly_rounded() -> None:
    """Only where a power is subnormal, and rounded twice, is its error above 0.65 of a unit in the last place."""
    accuracy = measured("power")
    (result,) = accuracy.results
    normal = np.isfinite(result) & (np.abs(result) >= LEAST_NORMAL)
    assert np.count_nonzero(normal) >= FEWEST_POINTS
    assert np.count_nonzero(~normal & (result != 0.0)) >= 50
    assert accuracy.errors[normal].max() <= 0.65
