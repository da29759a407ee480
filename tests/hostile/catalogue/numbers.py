"""Numbers at the ends of what there is, powers that nobody can write out, and functions that are nearly the same."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tests.hostile.building import (
    GRADIENT,
    TWO_INPUTS,
    VALUE,
    evaluate,
    formula_request,
    graph_request,
)
from tests.hostile.cases import Case
from tests.hostile.threats import Threat

INFINITY, NAN = math.inf, math.nan
_BOTH = f"{VALUE} {GRADIENT}"


def cases() -> Iterator[Case]:
    """Return the cases of this theme."""
    yield from _literals()
    yield from _powers()
    yield from _lookalikes()
    yield from _not_finite_points()
    yield from _not_finite_constants()


def _at(*numbers: float | str) -> str:
    listed = ", ".join(str(number).replace("Infinity", "inf") for number in numbers)
    return f"points {{matrix {{shape: [1, {len(numbers)}] values: [{listed}]}}}}"


def _literals() -> Iterator[Case]:
    table = (
        ("x + 1e-999", 2.0),
        ("x + 4.9e-324", 2.0),
        ("x*1e308*10", INFINITY),
        (f"x + {'9' * 300}", float("9" * 300)),
        (f"x + 0.{'0' * 90_000}1", 2.0),
        (f"x + {'0' * 90_000}1", 3.0),
        (f"x + 1e-{'9' * 5_000}", 2.0),
        ("x + 1_000", 1_002.0),
    )
    for text, answer in table:
        name = f"the number in {text[:30]}, {len(text)} characters"
        yield Case(name=name, threat=Threat.HUGE_CONSTANT, body=formula_request(text), answer=(answer,))
    refused = (
        ("x + 0x10", "FORMULA_SYNTAX"),
        ("x + 1e999", "FORMULA_LITERAL"),
        ("x^-1e999", "FORMULA_LITERAL"),
        (f"x + {'9' * 90_000}", "FORMULA_LITERAL"),
        (f"x + 1e{'9' * 5_000}", "FORMULA_LITERAL"),
        ("x + 1e", "FORMULA_SYNTAX"),
        ("x + 1.2.3", "FORMULA_SYNTAX"),
        ("x + 1j", "FORMULA_SYNTAX"),
        ("x + 1,5", "FORMULA_SYNTAX"),
        ("." * 90_000, "FORMULA_SYNTAX"),
    )
    for text, reason in refused:
        name = f"the number refused in {text[:30]}, {len(text)} characters"
        body = formula_request(text)
        yield Case(name=name, threat=Threat.HUGE_CONSTANT, body=body, reason=reason, place="line 1, column")
    yield Case(
        name="a number of a million digits",
        threat=Threat.HUGE_CONSTANT,
        body=formula_request("9" * 1_000_000),
        reason="FORMULA_TOO_LONG",
        code="RESOURCE_EXHAUSTED",
        knob="maximum_formula_characters",
    )
    float32 = 'inputs {name: "x" element_type: ELEMENT_TYPE_FLOAT32}'
    points = "points {matrix {element_type: ELEMENT_TYPE_FLOAT32 shape: [1, 1] values: 2}}"
    yield Case(
        name="a number beyond float32",
        threat=Threat.HUGE_CONSTANT,
        body=evaluate(f'function {{formula {{text: "x + 1e39" {float32}}}}}', VALUE, points),
        reason="FORMULA_LITERAL",
        place="line 1, column 5",
    )


def _powers() -> Iterator[Case]:
    table = (
        ("x^1e9", (INFINITY, INFINITY)),
        ("x^-1e9", (0.0, -0.0)),
        ("(x + 1)^1e6", (INFINITY, INFINITY)),
        ("9^9^9^9*x", (INFINITY, INFINITY)),
        ("x^x^x^x^x^x", (INFINITY, INFINITY)),
        ("1^1e308*x", (2.0, 1.0)),
        ("(x - 2)^1e9", (0.0, 0.0)),
        ("(x - 1)^1e308", (1.0, 1e308)),
        ("exp(exp(exp(exp(x))))", (INFINITY, INFINITY)),
        ("x^0^0^0", (1.0, 0.0)),
    )
    for text, answer in table:
        body = formula_request(text, _BOTH, _at(2))
        yield Case(name=f"the power {text}", threat=Threat.HUGE_EXPONENT, body=body, answer=answer)


def _lookalikes() -> Iterator[Case]:
    """Return functions that a key made carelessly would take for one another; each must get its own answer."""

    def constant(name: str, number: str, answer: float) -> Case:
        graph = (
            f'{TWO_INPUTS} constants {{values: {number}}} operation_names: ["divide", "multiply"]'
            " nodes {operation: 1 arguments: [0, 2]} nodes {operation: 0 arguments: [1, 3]}"
            ' outputs {name: "value" value: 4}'
        )
        return Case(name=name, threat=Threat.LOOKALIKES, body=graph_request(graph), answer=(answer,))

    yield constant("y/(x*0.0)", "0.0", INFINITY)
    yield constant("y/(x*-0.0)", "-0.0", -INFINITY)
    yield constant("y/(x*1)", "1", 1.5)
    yield constant("y/(x*-1)", "-1", -1.5)
    yield constant("y/(x*1.0000000000000002)", "1.0000000000000002", 3 / 2.0000000000000004)
    for operation, arguments, answer in (
        ("subtract", "[0, 1]", -1.0),
        ("subtract", "[1, 0]", 1.0),
        ("divide", "[0, 1]", 2 / 3),
        ("divide", "[1, 0]", 1.5),
        ("power", "[0, 1]", 8.0),
        ("power", "[1, 0]", 9.0),
        ("less", "[0, 1]", 1.0),
        ("less_equal", "[1, 0]", 0.0),
    ):
        graph = (
            f'{TWO_INPUTS} operation_names: "{operation}" nodes {{arguments: {arguments}}}'
            ' outputs {name: "value" value: 2}'
        )
        name = f"{operation} of values {arguments}"
        yield Case(name=name, threat=Threat.LOOKALIKES, body=graph_request(graph), answer=(answer,))
    for names, answer in (("xy", -1.0), ("yx", 1.0)):
        inputs = " ".join(f'inputs {{name: "{name}"}}' for name in names)
        body = evaluate(f'function {{formula {{text: "x - y" {inputs}}}}}', VALUE, _at(2, 3))
        yield Case(name=f"x - y of inputs {names}", threat=Threat.LOOKALIKES, body=body, answer=(answer,))
    yield from _confusing_keys()


def _confusing_keys() -> Iterator[Case]:
    """Return pairs of functions whose names run together alike when nothing stands between them."""
    for first, second in (("ab", "c"), ("a", "bc")):
        inputs = f'inputs {{name: "{first}"}} inputs {{name: "{second}"}}'
        body = evaluate(f'function {{formula {{text: "{first} - 2*{second}" {inputs}}}}}', VALUE, _at(2, 3))
        yield Case(name=f"inputs {first} and {second}", threat=Threat.LOOKALIKES, body=body, answer=(-4.0,))
    for want, answer in (("VALUE", 8.0), ("GRADIENT", 12.0), ("HESSIAN", 12.0)):
        body = formula_request("x**3", f"wants {{derivative: DERIVATIVE_{want}}}", _at(2))
        yield Case(name=f"the {want.lower()} of x**3", threat=Threat.LOOKALIKES, body=body, answer=(answer,))
    for parity, answer in (("false", 1.0), ("true", NAN)):
        body = formula_request("where(x > 50, sqrt(x - 9), x)", f"{GRADIENT} options {{parity: {parity}}}", _at(9.0))
        name = f"an infinite slope that is not taken, with parity {parity}"
        yield Case(name=name, threat=Threat.LOOKALIKES, body=body, answer=(answer,))


def _not_finite_points() -> Iterator[Case]:
    points = "inf, -inf, nan, 5e-324, -5e-324, 2.2250738585072014e-308, -0.0, 1.7976931348623157e308, 1"
    answer = (INFINITY, -INFINITY, NAN, 5e-324, -5e-324, 2.2250738585072014e-308, -0.0, 1.7976931348623157e308, 1.0)
    body = formula_request("x", VALUE, f"points {{matrix {{shape: [9, 1] values: [{points}]}}}}")
    yield Case(name="infinities, NaN and denormals as points", threat=Threat.NOT_FINITE, body=body, answer=answer)
    body = formula_request("2*x", VALUE, f"points {{matrix {{shape: [9, 1] values: [{points}]}}}}")
    yield Case(
        name="infinities, NaN and denormals doubled",
        threat=Threat.NOT_FINITE,
        body=body,
        answer=tuple(2 * number for number in answer),
    )
    for name in ("-inf", "nan", "inf"):
        body = formula_request("0*x + 1", VALUE, _at(name))
        yield Case(name=f"zero times {name}", threat=Threat.NOT_FINITE, body=body, answer=(NAN,))
    for text, number, answer_of in (
        ("log(x)", "0", -INFINITY),
        ("log(x)", "-1", NAN),
        ("sqrt(x)", "-1", NAN),
        ("1/x", "0", INFINITY),
        ("1/x", "-0.0", -INFINITY),
        ("exp(x)", "1e308", INFINITY),
        ("lgamma(x)", "-3", INFINITY),
        ("sin(x)", "inf", NAN),
        ("maximum(x, 1)", "nan", NAN),
        ("x*x", "1e-200", 0.0),
    ):
        body = formula_request(text, VALUE, _at(number))
        yield Case(name=f"{text} at {number}", threat=Threat.NOT_FINITE, body=body, answer=(answer_of,))


def _not_finite_constants() -> Iterator[Case]:
    for number, answer in (("inf", INFINITY), ("-inf", -INFINITY), ("nan", NAN), ("5e-324", 2.0), ("-0.0", 2.0)):
        graph = (
            f'{TWO_INPUTS} constants {{values: {number}}} operation_names: "add" nodes {{arguments: [0, 2]}}'
            ' outputs {name: "value" value: 3}'
        )
        name = f"the constant {number}"
        yield Case(name=name, threat=Threat.NOT_FINITE, body=graph_request(graph), answer=(answer,))
