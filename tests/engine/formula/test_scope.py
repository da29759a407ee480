"""What names mean: inputs, intermediates, constants, functions, outputs."""

from __future__ import annotations

import pytest
from gradmill_server.engine.ir import Input

from tests.engine.formula.reading import digest_of, evaluate, read, refusal


def test_free_names_are_inputs() -> None:
    """Free names become scalar inputs, in order of first appearance."""
    graph = read("t = z*exp(y) # a x in a comment is none\nt + pi*x + z")
    assert graph.inputs == (Input("z"), Input("y"), Input("x"))


def test_declared_inputs_keep_their_order() -> None:
    """Declared inputs keep their order and shapes, used or not."""
    declared = [Input("b", (2,)), Input("unused"), Input("a")]
    assert read("a + b", declared).inputs == tuple(declared)


def test_no_inputs_declared() -> None:
    """An empty list of inputs allows no free name."""
    assert evaluate(read("2*pi", []), {})["value"] == pytest.approx(6.283185307179586)
    assert "there are no inputs" in refusal("2*x", []).message


def test_outputs_of_return() -> None:
    """A closing return names the outputs: assigned values and inputs, in its order."""
    graph = read("a = x + y\nb = a*y\nreturn b, x, a")
    assert [output.name for output in graph.outputs] == ["b", "x", "a"]
    assert evaluate(graph, {"x": 2, "y": 3}) == {"b": 15.0, "x": 2.0, "a": 5.0}


def test_output_of_a_closing_expression() -> None:
    """Without return, the closing expression is the output, named value."""
    assert evaluate(read("a = x; a*a;"), {"x": 3}) == {"value": 9.0}


def test_output_of_a_closing_assignment() -> None:
    """Without return or closing expression, the last name assigned is the only output."""
    assert evaluate(read("a = x*x; price = 2*a\n\n"), {"x": 3}) == {"price": 18.0}


def test_labels() -> None:
    """The names of assigned values are the labels of their nodes; an input keeps its own name."""
    graph = read("a = x\nb = a*a\nc = b\nc + 1")
    assert dict(graph.labels) == {1: "b"}


def test_name_of_an_intermediate_is_no_part_of_the_function() -> None:
    """Names of intermediates do not change the digest."""
    assert digest_of("t = x*y; t + t") == digest_of("other = x*y; other + other") == digest_of("x*y + x*y")


def test_statements_on_one_line_or_more() -> None:
    """Semicolons and line ends of every system separate statements alike."""
    texts = ["a = x; a*a", "a = x\na*a", "a = x\r\na*a", "a = x\ra*a", "\n; a = x ;\t;\n a*a # end", "a = x # ;\na*a"]
    assert len({digest_of(text) for text in texts}) == 1


MISTAKES = [
    ("x*y + z1", "FORMULA_UNKNOWN_NAME", 7, "unknown name 'z1'; did you mean 'z'?"),
    ("x + rate_of_intrest", "FORMULA_UNKNOWN_NAME", 5, "did you mean 'rate_of_interest'?"),
    ("x + q9q9", "FORMULA_UNKNOWN_NAME", 5, "the inputs are 'x', 'y', 'z', 'rate_of_interest'"),
    ("np.x", "FORMULA_UNKNOWN_NAME", 1, "unknown name 'np.x'"),
    ("x + exp", "FORMULA_FUNCTION_NOT_CALLED", 5, "'exp' is a function: write exp(...)"),
    ("np.exp*x", "FORMULA_FUNCTION_NOT_CALLED", 1, "'np.exp' is a function: write np.exp(...)"),
    ("snh(x)", "FORMULA_UNKNOWN_FUNCTION", 1, "unknown function 'snh'; did you mean 'sinh'"),
    ("x*np.linalg(y)", "FORMULA_UNKNOWN_FUNCTION", 3, "unknown function 'linalg'"),
    ("x(y)", "FORMULA_UNKNOWN_FUNCTION", 1, "'x' is a value, not a function; to multiply, write '*'"),
    ("pi(y)", "FORMULA_UNKNOWN_FUNCTION", 1, "'pi' is a value, not a function"),
    ("strong_product(x, y)", "FORMULA_UNKNOWN_FUNCTION", 1, "unknown function 'strong_product'"),
    ("a = x; a = y", "FORMULA_REASSIGNED", 8, "'a' has its value already, from line 1, column 1"),
    ("x = y", "FORMULA_REASSIGNED", 1, "'x' is a declared input"),
    ("exp = y", "FORMULA_REASSIGNED", 1, "'exp' is the name of a function"),
    ("y; pi = y", "FORMULA_VALUE_UNUSED", 1, "only the last statement may be one without a name"),
    ("pi = y", "FORMULA_REASSIGNED", 1, "'pi' is the name of a constant"),
    ("np.pi = y", "FORMULA_REASSIGNED", 1, "'np.pi' is the name of a constant"),
    ("np.a = y", "FORMULA_REASSIGNED", 1, "'np.a' cannot be assigned to"),
    ("if = y", "FORMULA_REASSIGNED", 1, "'if' is the name of a reserved word"),
    ("b = a; a = x", "FORMULA_USED_BEFORE_ASSIGNED", 5, "'a' is used before it has a value, from line 1, column 8"),
    ("a = a + 1", "FORMULA_USED_BEFORE_ASSIGNED", 5, "'a' is used before it has a value"),
    ("x + if", "FORMULA_SYNTAX", 5, "'if' is a reserved word"),
    ("a = x; return", "FORMULA_NO_OUTPUT", 8, "'return' names no output"),
    ("a = x; return b", "FORMULA_UNKNOWN_NAME", 15, "unknown name 'b'; 'return' takes names of assigned values"),
    ("abc = x; return abd", "FORMULA_UNKNOWN_NAME", 17, "did you mean 'abc'?"),
    ("a = x; return a, a", "FORMULA_OUTPUT", 18, "output 'a' is returned twice"),
    ("return x + y", "FORMULA_OUTPUT", 8, "'return' takes names: assign the expression to a name first"),
    ("return x, (exp(y))", "FORMULA_OUTPUT", 12, "'return' takes names"),
    ("return 3", "FORMULA_OUTPUT", 8, "'return' takes names"),
    ("return pi", "FORMULA_OUTPUT", 8, "'pi' is a constant"),
    ("return x; y", "FORMULA_SYNTAX", 1, "'return' must be the last statement"),
    ("(exp(x) + 1)\n3*y", "FORMULA_VALUE_UNUSED", 2, "the value of this expression goes nowhere"),
]


@pytest.mark.parametrize(("text", "reason", "column", "message"), MISTAKES, ids=[text for text, *_ in MISTAKES])
def test_mistake(text: str, reason: str, column: int, message: str) -> None:
    """A name used wrongly is refused with its own reason, its place, a caret below it, and what to do."""
    error = refusal(text, [Input("x"), Input("y"), Input("z"), Input("rate_of_interest")])
    head, _, caret = error.message.split("\n")
    assert (error.reason, error.metadata["line"], error.metadata["column"]) == (reason, "1", str(column))
    assert head.startswith(f"line 1, column {column}: ")
    assert message in head
    assert caret == " " * (column + 1) + "^"


def test_use_before_assignment_with_free_names() -> None:
    """A free name that is assigned later is refused rather than made an input."""
    error = refusal("y = 2*rate\nrate = 0.5*x\ny*rate")
    assert (error.reason, error.metadata["column"]) == ("FORMULA_USED_BEFORE_ASSIGNED", "7")
    assert "line 2, column 1" in error.message


def test_misspelt_output_with_free_names() -> None:
    """A returned name that appears nowhere else is refused rather than made an input."""
    error = refusal("price = 2*x\nreturn pryce")
    assert (error.reason, error.metadata) == (
        "FORMULA_UNKNOWN_NAME",
        {"line": "2", "column": "8", "name": "pryce"},
    )
    assert "did you mean 'price'?" in error.message


@pytest.mark.parametrize(
    ("names", "position", "message"),
    [
        (["x", "exp"], 1, "input 'exp' has the name of a function"),
        (["e"], 0, "input 'e' has the name of a constant"),
        (["x", "y", "and"], 2, "input 'and' has the name of a reserved word"),
        (["x", "x"], 1, "input 'x' is declared twice"),
        (["2x"], 0, "input '2x' has a name that no formula can hold"),
        (["x\n"], 0, "input 'x\\n' has a name that no formula can hold"),
    ],
)
def test_declared_name(names: list[str], position: int, message: str) -> None:
    """A declared input whose name a formula cannot use is refused with its position in the list."""
    error = refusal("1", [Input(name) for name in names])
    field = f"formula.inputs[{position}].name"
    assert (error.reason, error.metadata, error.message) == ("FORMULA_INPUT", {"field": field}, f"{field}: {message}")
    assert [violation.field for violation in error.violations] == [field]
