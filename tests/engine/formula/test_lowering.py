"""What formulas compute, against Python's own evaluation of the same expression."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from gradmill_server.engine.ir import Input

from tests.engine.formula.reading import digest_of, evaluate, read, refusal

VALUES: list[tuple[str, Callable[[float, float, float], float]]] = [
    ("x + y - z", lambda x, y, z: x + y - z),
    ("x - (y - z)", lambda x, y, z: x - (y - z)),
    ("x - -y", lambda x, y, _z: x - -y),
    ("- - x", lambda x, _y, _z: x),
    ("+x - +y", lambda x, y, _z: x - y),
    ("x*y/z", lambda x, y, z: x * y / z),
    ("x/y*z", lambda x, y, z: x / y * z),
    ("-x**2", lambda x, _y, _z: -(x**2)),
    ("-x^2", lambda x, _y, _z: -(x**2)),
    ("-2**2*x", lambda x, _y, _z: -(2**2) * x),
    ("2**-x", lambda x, _y, _z: 2**-x),
    ("2**-x*3", lambda x, _y, _z: (2**-x) * 3),
    ("2**-x**2", lambda x, _y, _z: 2 ** (-(x**2))),
    ("2**3**x", lambda x, _y, _z: 2 ** (3**x)),
    ("(2**3)**x", lambda x, _y, _z: (2**3) ** x),
    ("x**-2", lambda x, _y, _z: x**-2),
    ("y // x", lambda x, y, _z: y // x),
    ("-y // x", lambda x, y, _z: -y // x),
    ("y % x", lambda x, y, _z: y % x),
    ("-y % x", lambda x, y, _z: -y % x),
    ("x < y", lambda x, y, _z: float(x < y)),
    ("x <= x", lambda _x, _y, _z: 1.0),
    ("x > y", lambda x, y, _z: float(x > y)),
    ("x >= y", lambda x, y, _z: float(x >= y)),
    ("x == y", lambda x, y, _z: float(x == y)),
    ("x != y", lambda x, y, _z: float(x != y)),
    ("x < y < z", lambda x, y, z: float(x < y < z)),
    ("x < y > z", lambda x, y, z: float(x < y > z)),
    ("x < y == y < z != x", lambda x, y, z: float(x < y == y < z != x)),  # noqa: PLR0124 - a chain on purpose
    ("(x < y) < z", lambda x, y, z: float((x < y) < z)),
    ("x < (y < z)", lambda x, y, z: float(x < (y < z))),
    ("x + 1 < y * 2", lambda x, y, _z: float(x + 1 < y * 2)),
    ("x < y and y < z", lambda x, y, z: float(x < y < z)),
    ("x > y or y < z and z < x", lambda x, y, z: float(x > y or (y < z < x))),
    ("not x > y", lambda x, y, _z: float(not x > y)),
    ("not not x", lambda x, _y, _z: float(bool(x))),
    ("not x > y and not y > z", lambda x, y, z: float(x <= y <= z)),
    ("where(x < y, y, z)", lambda x, y, z: y if x < y else z),
    ("clip(z, x, y)", lambda x, y, z: min(max(z, x), y)),
    ("max(x, max(y, z)) - min(x, min(y, z))", lambda x, y, z: max(x, y, z) - min(x, y, z)),
    ("exp(x)*sin(y)", lambda x, y, _z: math.exp(x) * math.sin(y)),
    ("np.exp(x) + numpy.cos(y) + math.sqrt(z)", lambda x, y, z: math.exp(x) + math.cos(y) + math.sqrt(z)),
    ("arctan2(x, y)", lambda x, y, _z: math.atan2(x, y)),
    ("pow(x, y)", lambda x, y, _z: x**y),
    ("pi*x + e*y + tau*z", lambda x, y, z: math.pi * x + math.e * y + math.tau * z),
    ("np.pi*x + math.e*y", lambda x, y, _z: math.pi * x + math.e * y),
    ("inf*x", lambda x, _y, _z: math.inf * x),
    ("where(nan == nan, x, y)", lambda _x, y, _z: y),
    ("1. + .5 + 1e-3 + 1E+2 + 1_000.5 + 007 + x", lambda x, _y, _z: 1.0 + 0.5 + 1e-3 + 1e2 + 1000.5 + 7 + x),
    ("max(x, y,)", lambda x, y, _z: max(x, y)),
    ("(\n x\n + y  # sum\n) * z", lambda x, y, z: (x + y) * z),
]
"""Formulas of x, y and z, each with Python's expression of the same."""

POINTS = [(0.75, 2.5, 1.25), (1.5, 0.5, 3.0), (2.0, 2.0, 2.0)]


@pytest.mark.parametrize(("text", "expected"), VALUES, ids=[text for text, _ in VALUES])
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_value(text: str, expected: Callable[[float, float, float], float], point: tuple[float, float, float]) -> None:
    """A formula computes what Python computes for the same expression."""
    inputs = [Input("x"), Input("y"), Input("z")]
    value = evaluate(read(text, inputs), dict(zip("xyz", point, strict=True)))["value"]
    np.testing.assert_allclose(value, expected(*point), rtol=1e-14)


def test_worked_example() -> None:
    """The introductory example has the value 48 at (2, 3, 4)."""
    assert evaluate(read("3*(x1**2 + x2*x3)"), {"x1": 2, "x2": 3, "x3": 4}) == {"value": 48.0}


@pytest.mark.parametrize("text", ["-2*x", "-2.0*x", "(-2)*x", "-(2)*x", "+-2*x", "-2_0e-1*x"])
def test_negative_literal_is_a_constant(text: str) -> None:
    """A minus sign before a number makes a negative constant, as in Python, so the graphs are the same."""
    graph = read(text)
    assert [node.operation for node in graph.nodes] == ["input", "constant", "multiply"]
    assert graph.nodes[1].constant_array() == -2.0


def test_negated_power_of_a_literal() -> None:
    """In -2**x the minus sign negates the power, not the base."""
    assert [node.operation for node in read("-2**x").nodes] == ["input", "constant", "power", "negate"]


def test_nothing_else_is_folded() -> None:
    """Arithmetic of constants stays in the graph."""
    assert [node.operation for node in read("2*3*x").nodes] == ["input", "constant", "constant", "multiply", "multiply"]


def test_middle_of_a_chain_is_one_value() -> None:
    """The middle of a comparison chain is computed once."""
    operations = [node.operation for node in read("a < exp(b) < c").nodes if node.arguments]
    assert operations == ["exp", "less", "less", "logical_and"]


def test_chain_is_its_comparisons_joined() -> None:
    """A comparison chain is the same function as its comparisons joined by and."""
    assert digest_of("a < b <= c != d") == digest_of("((a < b) and (b <= c)) and (c != d)")


def test_arguments_from_left_to_right() -> None:
    """Operands are lowered from left to right, so constants come in the order of the text."""
    constants = [float(node.constant_array()) for node in read("f = x*3 + 5**x\nf - 7").nodes if node.is_constant]
    assert constants == [3.0, 5.0, 7.0]


def test_shapes_broadcast() -> None:
    """Declared shapes broadcast as in NumPy."""
    graph = read("a*b + 1", [Input("a", (3, 1)), Input("b", (4,))])
    assert graph.nodes[graph.outputs[0].node].shape == (3, 4)


def test_shape_mismatch_is_located() -> None:
    """Operands whose shapes do not fit are refused with operation, both shapes, line, column and caret."""
    error = refusal("s = a + 1\ns * b", [Input("a", (3,)), Input("b", (4,))])
    assert error.reason == "FORMULA_SHAPE"
    assert error.metadata == {"line": "2", "column": "3", "operation": "multiply", "shapes": "(3,) and (4,)"}
    assert "multiply cannot broadcast shapes (3,) and (4,)" in error.message
    assert error.message.endswith("\n  s * b\n    ^")


def test_shape_mismatch_in_a_call() -> None:
    """A call whose arguments' shapes do not fit is refused at the function's name."""
    error = refusal("1 + hypot(a, b)", [Input("a", (3,)), Input("b", (4,))])
    assert (error.reason, error.metadata["column"]) == ("FORMULA_SHAPE", "5")


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("x + clip(x)", 5, "clip takes 3 arguments, 1 given"),
        ("exp()", 1, "exp takes 1 argument, 0 given"),
        ("max(a, b, c)", 1, "max takes 2 arguments, 3 given; nest them: max(a, max(b, c))"),
        ("np.minimum(a, b, c, d)", 1, "nest them: np.minimum(a, np.minimum(b, c))"),
        ("minimum(a)", 1, "minimum takes 2 arguments, 1 given"),
        ("min()", 1, "min takes 2 arguments, 0 given"),
    ],
)
def test_wrong_number_of_arguments(text: str, column: int, message: str) -> None:
    """A call with the wrong number of arguments says how many the function takes and how many were given."""
    error = refusal(text)
    assert (error.reason, error.metadata["line"], error.metadata["column"]) == ("FORMULA_ARITY", "1", str(column))
    assert message in error.message


@pytest.mark.parametrize("literal", ["1e999", "1e309", "1" * 400, "-1e999"])
def test_literal_beyond_float64(literal: str) -> None:
    """A number too large for a float64 is refused with its place, rather than read as infinity."""
    error = refusal(f"x + {literal}")
    assert error.reason == "FORMULA_LITERAL"
    assert error.metadata["column"] == str(5 + literal.startswith("-"))
    assert "write inf" in error.message


def test_smallest_literals() -> None:
    """A number too small for a float64 is zero, as in Python; a negative zero keeps its sign."""
    assert evaluate(read("x + 1e-999"), {"x": 0.0})["value"] == 0.0
    assert np.signbit(evaluate(read("-0.0 * x"), {"x": 1.0})["value"])
