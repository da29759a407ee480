"""Limits on formulas: each refuses by its name, value and knob, at once, and works up to its very value."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gradmill_server.engine.errors import DeadlineExceeded, LimitExceeded
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import Input
from gradmill_server.engine.limits import Limits

from tests.engine.building import Countdown
from tests.engine.formula.reading import LIMITS, read


def exceeded(text: str, limits: Limits, inputs: list[Input] | None = None) -> LimitExceeded:
    """Return the refusal of a formula that passes a limit."""
    with pytest.raises(LimitExceeded) as caught:
        read(text, inputs, limits)
    return caught.value


CASES = [
    ("maximum_formula_characters", 5, "x + y", "x +  y", "FORMULA_TOO_LONG", 6, 1, 6),
    ("maximum_formula_depth", 2, "((x)) + (y)", "x\n+ ((y\n + (x)))", "FORMULA_TOO_DEEP", 3, 3, 4),
    ("maximum_formula_depth", 2, "max([x])", "max([(x)])", "FORMULA_TOO_DEEP", 3, 1, 6),
    ("maximum_name_characters", 3, "abc + x", "x + abcd", "NAME_TOO_LONG", 4, 1, 5),
    ("maximum_name_characters", 3, "abc = x", "abcd = x", "NAME_TOO_LONG", 4, 1, 1),
    ("maximum_inputs", 2, "x + y + x", "x + y + z", "TOO_MANY_INPUTS", 3, 1, 9),
    ("maximum_outputs", 1, "a = x; return a", "a = x; return a, x", "TOO_MANY_OUTPUTS", 2, 1, 18),
    ("maximum_nodes", 3, "x + y", "x + y - x", "GRAPH_TOO_LARGE", 4, 1, 7),
    ("maximum_nodes", 2, "x + x", "x*x + 1", "GRAPH_TOO_LARGE", 3, 1, 7),
    ("maximum_constant_elements", 2, "x + 1 + 2 + 1", "x + 1 + 2 + 3", "CONSTANTS_TOO_LARGE", 3, 1, 13),
]


@pytest.mark.parametrize(("knob", "limit", "within", "beyond", "reason", "value", "line", "column"), CASES)
def test_limit(
    knob: str, limit: int, within: str, beyond: str, reason: str, value: int, line: int, column: int
) -> None:
    """A formula at a limit is read; one beyond it is refused with value, limit, knob, line and column."""
    limits = replace(LIMITS, **{knob: limit})
    read(within, limits=limits)
    error = exceeded(beyond, limits)
    assert error.reason == reason
    assert error.metadata == {
        "value": str(value),
        "limit": str(limit),
        "knob": knob,
        "field": "formula",
        "line": str(line),
        "column": str(column),
    }
    assert f"line {line}, column {column}" in error.message


def test_broadcast_beyond_the_limit() -> None:
    """Inputs that broadcast to a value with too many elements are refused at the operator."""
    limits = replace(LIMITS, maximum_elements_per_value=12)
    inputs = [Input("a", (3, 1)), Input("b", (4,)), Input("c", (5, 1, 1))]
    read("a + b", inputs, limits)
    error = exceeded("1 + (a + b)*c", limits, inputs)
    assert (error.reason, error.metadata["value"], error.metadata["column"]) == ("SHAPE_TOO_LARGE", "60", "12")


def test_nesting_at_the_default_limit() -> None:
    """Ten thousand nested parentheses, calls and sums are read; one more is refused."""
    for opening, nodes in (("(", 1), ("sin(", 10_001), ("1+(", 10_002), ("-(", 10_001), ("x^(", 10_001)):
        assert len(read(opening * 10_000 + "x" + ")" * 10_000).nodes) == nodes
    error = exceeded("(" * 10_001 + "x" + ")" * 10_001, LIMITS)
    assert (error.reason, error.metadata["value"]) == ("FORMULA_TOO_DEEP", "10001")


def test_a_million_parentheses() -> None:
    """A million parentheses are refused by their number, or else by their depth, before they are read."""
    text = "(" * 1_000_000
    assert exceeded(text, LIMITS).reason == "FORMULA_TOO_LONG"
    error = exceeded(text, replace(LIMITS, maximum_formula_characters=len(text)))
    assert (error.reason, error.metadata["column"]) == ("FORMULA_TOO_DEEP", "10001")


def test_nesting_beyond_the_default_limit() -> None:
    """With the limits raised, nesting far deeper than the interpreter's stack is read and freed."""
    limits = replace(LIMITS, maximum_formula_characters=10**7, maximum_formula_depth=10**6)
    assert len(read("1+(" * 60_000 + "x" + ")" * 60_000, limits=limits).nodes) == 60_002


def test_a_hundred_thousand_terms() -> None:
    """A sum of 100,000 terms is refused by the default limit, and read when that is raised."""
    text = " + ".join(["x"] * 100_000)
    assert exceeded(text, LIMITS).reason == "FORMULA_TOO_LONG"
    limits = replace(LIMITS, maximum_formula_characters=len(text))
    assert len(read(text, limits=limits).nodes) == 100_000


def test_reading_a_long_formula_stops_at_a_checkpoint() -> None:
    """A few characters may mean a hundred operations; whoever waits for them may give up."""
    text, inputs = "+".join(["diff(x, n=100)[0]"] * 200), [Input("x", (1_000,))]
    watching = Countdown(1_000)
    parse_formula(text, inputs, LIMITS, watching)
    assert 1_000 - watching.left > 20
    with pytest.raises(DeadlineExceeded):
        parse_formula(text, inputs, LIMITS, Countdown(15))
