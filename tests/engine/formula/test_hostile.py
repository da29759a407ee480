"""Texts by people who mean harm, or whose program went wrong: each is refused, and nothing in them is ever run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gradmill_server.engine.errors import EngineError, InvalidFormula, LimitExceeded
from gradmill_server.engine.ir import Input
from gradmill_server.engine.limits import Limits
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.formula.reading import LIMITS, evaluate, read, refusal

TEXTS = [
    "__import__('os').system('true')",
    "__import__(os)",
    "().__class__.__bases__[0].__subclasses__()",
    "x.__class__",
    "eval(x)",
    "exec(x)",
    "getattr(x, y)",
    "open(x)",
    "import os",
    "lambda: 0",
    "[x for x in y]",
    "{x: y}",
    "{{7*7}}",
    "${jndi:ldap://example}",
    "%s%n%x",
    "'; DROP TABLE functions; --",
    "1 OR 1=1",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "x\x00y",
    "\x00",
    "x\x1b[2J",
    "\u202ex + y",
    "x\u200b + y",
    "\ufeffx",
    "x\u00a0+ y",
    "\uff11 + x",
    "\u0661 + x",
    "х + y\u0445 и",  # noqa: RUF001 - Cyrillic on purpose
    "e\u0301 + x",
    "\ud800",
    "print(x)",
    "x := 3",
    "x; del x",
    'f"{x}"',
    "x ? y : z",
    "@x",
    "`x`",
    "x\fy",
    "x\vy",
    "x\u2028y",
    "x[__import__('os')]",
    "x[().__class__]",
    "x[lambda: 0]",
    "[x for x in [1]]",
    "einsum('ij->j', x)(0)",
    "reshape(x, **{})",
    "sum(x, axis=print(0))",
    "sum(x, axis='0')",
    "zeros(__builtins__)",
    "x['a']",
    'x["a"]',
    "x[1:2",
    "x[[[[",
    "x]]",
    "[[1, 2), 3]",
    "x[0:1:2:3]",
    "x[b'']",
    "x.T.T.__init__",
    "'",
    '"\'"',
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_refused(text: str) -> None:
    """A text that is no formula is refused with a reason, a place, and a message a terminal can show."""
    error = refusal(text)
    assert error.reason.startswith("FORMULA_")
    assert int(error.metadata["line"]) >= 1
    assert int(error.metadata["column"]) >= 1
    assert all(character.isprintable() or character == "\n" for character in error.message)
    assert len(error.message) < 500


def test_names_with_double_underscores_are_only_names() -> None:
    """Python's special names mean nothing here: they are inputs like any other."""
    assert evaluate(read("__class__ + __builtins__"), {"__class__": 1, "__builtins__": 2}) == {"value": 3.0}


def test_towers_of_powers_are_not_computed_while_read() -> None:
    """A tower of powers is a small graph, not a huge number."""
    assert len(read("9^9^9^9*x").nodes) == 6
    assert evaluate(read("9^9^9^9*x"), {"x": 1.0})["value"] == float("inf")


def test_long_tokens_do_not_make_long_messages() -> None:
    """A mistake next to a very long name or number is reported in a short message."""
    for text in ("x " + "y" * 90_000, "y" * 90_000 + "(x)", "9" * 90_000, "x" * 100 + " " * 90_000 + "y", "." * 90_000):
        assert len(refusal(text).message) < 500


MANY = replace(LIMITS, maximum_formula_characters=10**8, maximum_formula_depth=10**7)
VECTOR = [Input("x", (3,)), Input("y", (3, 3))]


def refusal_of(text: str, limits: Limits = MANY) -> EngineError:
    """Return how a text is refused, in limits that let it be read."""
    with pytest.raises((InvalidFormula, LimitExceeded)) as caught:
        read(text, VECTOR, limits)
    return caught.value


DEEP = 15_000
HUGE = "9" * 90_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * DEEP + "1" + "]" * DEEP, "RANK_TOO_LARGE"),
        ("[" * DEEP + "x" + "]" * DEEP, "RANK_TOO_LARGE"),
        ("[" * DEEP + "x" + ", 1]" * DEEP, "FORMULA_SHAPE"),
        ("x[" + "[" * DEEP + "1" + "]" * DEEP + "]", "RANK_TOO_LARGE"),
        ("take(x, " + "[" * DEEP + "1" + "]" * DEEP + ")", "RANK_TOO_LARGE"),
        ("x[" + "x[" * DEEP + "0" + "]" * DEEP + "]", "FORMULA_INDEX"),
        ("x" + "[0]" * DEEP, "FORMULA_INDEX"),
        ("x" + "[None]" * DEEP, "RANK_TOO_LARGE"),
        ("x[" + "None, " * DEEP + "]", "RANK_TOO_LARGE"),
        ("x[" + "0, " * DEEP + "]", "FORMULA_INDEX"),
        ("reshape(x, (" + "1, " * DEEP + "3))", "RANK_TOO_LARGE"),
        ("reshape(x, (" + "5, " * DEEP + "))", "FORMULA_SHAPE"),
        ("tile(x, (" + "2, " * DEEP + "))", "RANK_TOO_LARGE"),
        ("sum(x, axis=(" + "0, " * DEEP + "))", "FORMULA_SHAPE"),
        (f"expand_dims(x, ({', '.join(map(str, range(DEEP)))}))", "RANK_TOO_LARGE"),
        ("; ".join(f"a{i} = y[[[{'0], [' * 999}0]], [{'0, ' * 999}{i % 3}]]" for i in range(5)), "CONSTANTS_TOO_LARGE"),
        ("n" * DEEP + "(x, axis=0)", "FORMULA_UNKNOWN_FUNCTION"),
        ("x[" * DEEP, "FORMULA_SYNTAX"),
        ("(" * DEEP + "[" + ")" * DEEP + "]", "FORMULA_SYNTAX"),
        ("]" * DEEP, "FORMULA_SYNTAX"),
        (f"x[{HUGE}]", "FORMULA_INDEX"),
        (f"x[-{HUGE}:]", "FORMULA_INDEX"),
        (f"x[{'-' * DEEP}9]", "FORMULA_INDEX"),
        (f"sum(x, axis={HUGE})", "FORMULA_ARGUMENT"),
        (f"zeros({HUGE})", "FORMULA_ARGUMENT"),
        ("zeros(999999999999)", "SHAPE_TOO_LARGE"),
        ("zeros((9999, 9999, 9999, 9999, 9999, 9999))", "SHAPE_TOO_LARGE"),
        ("eye(100000)", "SHAPE_TOO_LARGE"),
        ("arange(1e300)", "SHAPE_TOO_LARGE"),
        ("arange(0, 1, 1e-300)", "SHAPE_TOO_LARGE"),
        ("arange(1e308, -1e308, -1e-9)", "FORMULA_ARGUMENT"),
        ("linspace(0, 1, 99999999999)", "SHAPE_TOO_LARGE"),
        ("repeat(x, 999999999999)", "FORMULA_SHAPE"),
        ("repeat(x, 99999999)", "SHAPE_TOO_LARGE"),
        ("tile(x, (9999999, 9999999))", "SHAPE_TOO_LARGE"),
        ("broadcast_to(x, (1000000000, 1000000000, 3))", "SHAPE_TOO_LARGE"),
        ("outer(zeros(100000), x[[0]*1])", "FORMULA_INDEX"),
        ("outer(zeros(1000000), x)", "SHAPE_TOO_LARGE"),
        ("diff(x, 999999999999)", "FORMULA_ARGUMENT"),
        ("x[" + f"[{'[0], ' * 2_000}], [{'0, ' * 2_000}]]", "FORMULA_INDEX"),
        ("einsum('" + "i" * DEEP + "', x)", "FORMULA_SHAPE"),
        ("einsum('" + "i," * DEEP + "i', x)", "FORMULA_ARGUMENT"),
        ("einsum('" + "é" * DEEP + "', x)", "FORMULA_ARGUMENT"),
        ("concatenate([" + "x, " * DEEP + "1])", "FORMULA_SHAPE"),
        (
            "zeros(900000) + zeros((1, 900000)) + zeros((1, 1, 900000)) + zeros((1, 1, 1, 900000)) + ones(900000)",
            "CONSTANTS_TOO_LARGE",
        ),
    ],
    ids=lambda text: text[:40],
)
def test_too_much_of_arrays(text: str, reason: str) -> None:
    """Deep brackets, huge numbers and huge shapes are refused for what they are, in a short message."""
    error = refusal_of(text)
    assert error.reason == reason
    assert len(error.message) < 500
    assert "line" in error.metadata


def test_a_million_numbers() -> None:
    """A million numbers are by default too long a text, and refused before they are read."""
    assert refusal_of(f"sum([{'1, ' * 1_000_000}])", LIMITS).reason == "FORMULA_TOO_LONG"


def test_many_numbers() -> None:
    """An array of numbers, however many, is one constant; its elements are limited before it is made."""
    text = f"sum([{'1, ' * 20_000}])"
    graph = read(text, VECTOR, MANY)
    assert [node.operation for node in graph.nodes] == ["input", "input", "constant", "sum"]
    assert graph.nodes[2].shape == (20_000,)
    assert refusal_of(text, replace(MANY, maximum_elements_per_value=19_999)).reason == "SHAPE_TOO_LARGE"
    assert refusal_of(text, replace(MANY, maximum_constant_elements=19_999)).reason == "CONSTANTS_TOO_LARGE"


def test_many_indices() -> None:
    """A long list of indices is read in one go."""
    graph = read(f"x[[{'0, -1, ' * 10_000}]]", VECTOR, MANY)
    assert graph.nodes[2].shape == (20_000,)


def test_a_mistake_at_the_end_of_many_numbers() -> None:
    """A value among numbers, deep in brackets, does not make reading slow: every level is looked at once."""
    text = "[" * 2_000 + "[" + "1, " * 20_000 + "x[0]]" + ", 1]" * 2_000
    assert refusal_of(text).reason == "FORMULA_SHAPE"


def outcome(text: str, inputs: list[Input] | None = None) -> str:
    """Return how a text is met: read, or refused with a place."""
    try:
        graph = read(text, inputs)
    except (InvalidFormula, LimitExceeded) as error:
        return "refused" if {"line", "column"} <= set(error.metadata) else "refused without a place"
    return "read" if graph.outputs else "read without outputs"


@given(st.text(alphabet=st.sampled_from("xye1.+-*/^()<>=!,;#\n andortuif_\\[]&\x00é:@T'"), max_size=40))
def test_random_formulas(text: str) -> None:
    """Any text of the language's characters is either read or refused with a place."""
    assert outcome(text) in {"read", "refused"}


PIECES = [
    "x",
    "y",
    "sum(",
    "max(",
    "reshape(",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    "1",
    "-1",
    "2",
    "0",
    "...",
    "None",
    "+",
    "*",
    "@",
    ".T",
    "axis=",
    "keepdims=True",
    "'ij->j'",
    "einsum(",
    "stack(",
    " ",
    "\n",
    "take(",
]


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_random_arrays(text: str) -> None:
    """Any row of pieces of array notation is either read or refused with a place."""
    assert outcome(text, [Input("x", (2, 3)), Input("y", (3,))]) in {"read", "refused"}


@given(st.text(max_size=30))
def test_random_unicode(text: str) -> None:
    """Any Unicode text is either read or refused with a place."""
    assert outcome(text) in {"read", "refused"}
