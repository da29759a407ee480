"""Stable forms: each is found, listed, switched off by name, and better than what it replaces."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from gradmill_server.engine.ir import Graph, Input
from gradmill_server.engine.ops.value import Value, apply, elementwise
from gradmill_server.engine.passes.stable_forms import STABLE_FORM_NAMES, use_stable_forms
from gradmill_server.engine.program import Options
from gradmill_server.engine.wants import Kind

from tests.engine.building import compiled, function, number, random_graph, specify, value_and_gradient

Make = Callable[..., Value]
exp, log, log1p, sqrt, sigmoid = (elementwise(name) for name in ("exp", "log", "log1p", "sqrt", "sigmoid"))


def square(x: Value) -> Value:
    """Write a square as a power."""
    return apply("power", x, 2.0)


FORMS: list[tuple[str, str, Make, list[str]]] = [
    ("log(1 + exp(x))", "softplus", lambda x, _y: log(1.0 + exp(x)), ["softplus"]),
    ("log(exp(x) + 1)", "softplus", lambda x, _y: log(exp(x) + 1.0), ["softplus"]),
    ("log1p(exp(x))", "softplus", lambda x, _y: log1p(exp(x)), ["softplus"]),
    ("log(sigmoid(x))", "log_sigmoid", lambda x, _y: log(sigmoid(x)), ["negate", "softplus", "negate"]),
    ("log(1 + x)", "log1p", lambda x, _y: log(1.0 + x), ["log1p"]),
    ("log(x + 1)", "log1p", lambda x, _y: log(x + 1.0), ["log1p"]),
    ("exp(x) - 1", "expm1", lambda x, _y: exp(x) - 1.0, ["expm1"]),
    ("1/(1 + exp(-x))", "sigmoid", lambda x, _y: 1.0 / (1.0 + exp(-x)), ["sigmoid"]),
    ("1/(exp(-x) + 1)", "sigmoid", lambda x, _y: 1.0 / (exp(-x) + 1.0), ["sigmoid"]),
    ("1/(1 + exp(x))", "sigmoid", lambda x, _y: 1.0 / (1.0 + exp(x)), ["negate", "sigmoid"]),
    ("sqrt(x*x)", "abs", lambda x, _y: sqrt(x * x), ["abs"]),
    ("sqrt(x**2)", "abs", lambda x, _y: sqrt(square(x)), ["abs"]),
    ("sqrt(x*x + y*y)", "hypot", lambda x, y: sqrt(x * x + y * y), ["hypot"]),
    ("sqrt(x**2 + y*y)", "hypot", lambda x, y: sqrt(square(x) + y * y), ["hypot"]),
    ("reciprocal(1 + exp(-x))", "sigmoid", lambda x, _y: apply("reciprocal", 1.0 + exp(-x)), ["sigmoid"]),
    ("sqrt(square(x))", "abs", lambda x, _y: sqrt(apply("square", x)), ["abs"]),
    ("sqrt(square(x) + y*y)", "hypot", lambda x, y: sqrt(apply("square", x) + y * y), ["hypot"]),
    ("log(exp(x) + exp(y))", "logaddexp", lambda x, y: log(exp(x) + exp(y)), ["logaddexp"]),
    ("x*log(x)", "xlogx", lambda x, _y: x * log(x), ["xlogx"]),
    ("log(x)*x", "xlogx", lambda x, _y: log(x) * x, ["xlogx"]),
    ("x*log(y)", "xlogy", lambda x, y: x * log(y), ["xlogy"]),
    ("log(y)*x", "xlogy", lambda x, y: log(y) * x, ["xlogy"]),
]
IDS = [row[0] for row in FORMS]


def operations_of(graph: Graph) -> list[str]:
    """Return the names of the operations."""
    return [node.operation for node in graph.nodes if node.arguments]


@pytest.mark.parametrize(("name", "make", "operations"), [row[1:] for row in FORMS], ids=IDS)
def test_a_form_is_found_and_named(name: str, make: Make, operations: list[str]) -> None:
    """Each unstable spelling is replaced, and the reply says by which form."""
    stable, applied = use_stable_forms(function(make, "x", "y"))
    specify(stable)
    assert applied == (name,)
    assert operations_of(stable) == operations
    assert compiled(function(make, "x", "y"), Kind.VALUE).stable_forms == (name,)


@pytest.mark.parametrize(("name", "make"), [row[1:3] for row in FORMS], ids=IDS)
def test_a_form_can_be_switched_off_by_name(name: str, make: Make) -> None:
    """A caller who wants the spelling as written gets it, by that form's name, by all names, or by parity."""
    graph = function(make, "x", "y")
    assert name not in use_stable_forms(graph, {name})[1]
    unchanged, applied = use_stable_forms(graph, STABLE_FORM_NAMES)
    assert applied == ()
    assert operations_of(unchanged) == operations_of(graph)
    assert compiled(graph, Kind.VALUE, options=Options(parity=True)).stable_forms == ()
    others = Options(disabled_stable_forms=STABLE_FORM_NAMES - {name})
    assert compiled(graph, Kind.VALUE, options=others).stable_forms == (name,)


def test_every_form_is_tested_here() -> None:
    """A new form needs a row in the table above."""
    assert {row[1] for row in FORMS} == STABLE_FORM_NAMES


LOOKALIKES: list[tuple[str, Make]] = [
    ("log(2 + exp(x))", lambda x, _y: log(2.0 + exp(x))),
    ("log(1 + 1)", lambda x, _y: x + log(number(x, 1.0) + 1.0)),
    ("log(exp(x) - exp(y))", lambda x, y: log(exp(x) - exp(y))),
    ("log(exp(x) + y)", lambda x, y: log(exp(x) + y)),
    ("exp(x) - y", lambda x, y: exp(x) - y),
    ("2/(1 + exp(-x))", lambda x, _y: 2.0 / (1.0 + exp(-x))),
    ("1/(2 + exp(-x))", lambda x, _y: 1.0 / (2.0 + exp(-x))),
    ("sqrt(x*y)", lambda x, y: sqrt(x * y)),
    ("sqrt(x**3)", lambda x, _y: sqrt(apply("power", x, 3.0))),
    ("sqrt(x*x - y*y)", lambda x, y: sqrt(x * x - y * y)),
    ("sqrt(x*x + y)", lambda x, y: sqrt(x * x + y)),
    ("3*log(x)", lambda x, _y: 3.0 * log(x)),
    ("sqrt(x)*sqrt(x)", lambda x, _y: sqrt(x) * sqrt(x)),
]


@pytest.mark.parametrize("make", [row[1] for row in LOOKALIKES], ids=[row[0] for row in LOOKALIKES])
def test_a_lookalike_is_left_alone(make: Make) -> None:
    """What only resembles an unstable spelling is computed as written."""
    graph = function(make, "x", "y")
    assert use_stable_forms(graph)[1] == ()


def test_nested_forms_are_all_found() -> None:
    """log(1/(1 + exp(-x))) is a logarithm of a sigmoid, and both are found."""
    stable, applied = use_stable_forms(function(lambda x: log(1.0 / (1.0 + exp(-x))), "x"))
    assert applied == ("log_sigmoid", "sigmoid")
    assert operations_of(stable) == ["negate", "softplus", "negate"]


def test_a_form_that_would_lose_a_shape_is_not_used() -> None:
    """A vector of ones in a pattern keeps the result a vector."""
    graph = function(lambda x: exp(x) - number(x, [1.0, 1.0]), "x")
    stable, applied = use_stable_forms(graph)
    assert applied == ()
    specify(stable)
    array = function(lambda x: log(1.0 + exp(x)), Input("x", (2, 3)))
    assert use_stable_forms(array)[0].nodes[-1].shape == (2, 3)


EXTREME: list[tuple[str, Make, float, Callable[..., object]]] = [
    ("softplus", lambda x: log(1.0 + exp(x)), 1000.0, lambda x: mpmath.log(1 + mpmath.exp(x))),
    ("softplus", lambda x: log(1.0 + exp(x)), -40.0, lambda x: mpmath.log(1 + mpmath.exp(x))),
    ("log_sigmoid", lambda x: log(sigmoid(x)), -800.0, lambda x: -mpmath.log(1 + mpmath.exp(-x))),
    ("log1p", lambda x: log(1.0 + x), 1e-17, lambda x: mpmath.log(1 + x)),
    ("expm1", lambda x: exp(x) - 1.0, 1e-17, mpmath.expm1),
    ("sigmoid", lambda x: 1.0 / (1.0 + exp(-x)), -700.0, lambda x: 1 / (1 + mpmath.exp(-x))),
    ("abs", lambda x: sqrt(x * x), -1e200, abs),
    ("logaddexp", lambda x: log(exp(x) + exp(-x)), 800.0, lambda x: mpmath.log(mpmath.exp(x) + mpmath.exp(-x))),
    ("logaddexp", lambda x: log(exp(x) + exp(x + x)), -800.0, lambda x: mpmath.log(mpmath.exp(x) + mpmath.exp(2 * x))),
    ("hypot", lambda x: sqrt(x * x + (2.0 * x) * (2.0 * x)), 1e-200, lambda x: mpmath.sqrt(5 * x * x)),
]


@pytest.mark.parametrize(("name", "make", "point", "truth"), EXTREME)
def test_a_form_keeps_value_and_slope_where_the_spelling_loses_them(
    name: str, make: Make, point: float, truth: Callable[..., object]
) -> None:
    """At extreme points the value and the derivative are right to the last digits; as written they are not."""
    graph = function(make, "x")
    with mpmath.workdps(900):
        exact = mpmath.mpf(point)
        step = abs(exact) * mpmath.mpf(10) ** -40
        expected = float(truth(exact))  # type: ignore[arg-type]
        slope = float((truth(exact + step) - truth(exact - step)) / (2 * step))  # type: ignore[operator]
    value, gradient = value_and_gradient(graph, point)
    assert [value, gradient[0]] == pytest.approx([expected, slope], rel=1e-14, abs=0.0)
    assert compiled(graph, Kind.VALUE).stable_forms == (name,)
    for options in (Options(disabled_stable_forms=STABLE_FORM_NAMES), Options(parity=True)):
        written, written_slope = value_and_gradient(graph, point, options=options)
        assert not np.allclose([written, written_slope[0]], [expected, slope], rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("seed", range(20))
def test_stable_forms_leave_a_graph_a_graph(seed: int) -> None:
    """Whatever is rewritten, the result keeps all that a graph promises."""
    stable, applied = use_stable_forms(random_graph(seed, operations=60, arrays=True))
    specify(stable)
    assert list(applied) == sorted(set(applied))
