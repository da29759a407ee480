"""Which operator binds tighter: every pair of operators against forms with all parentheses written out."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from gradmill_server.engine.ir import Input
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.formula.reading import digest_of as digest_with
from tests.engine.formula.reading import read, refusal

LEVELS = [
    ["or"],
    ["and"],
    ["<", "<=", ">", ">=", "==", "!="],
    ["+", "-"],
    ["*", "/", "//", "%", "@"],
    ["**", "^"],
]
"""The infix operators of Python, loosest first; those of the last level group from the right."""

LEVEL = {operator: level for level, operators in enumerate(LEVELS) for operator in operators}
COMPARISON, POWER = LEVEL["<"], LEVEL["**"]
NOT_LEVEL, MINUS_LEVEL = LEVEL["and"] + 0.5, LEVEL["*"] + 0.5
OPERATORS = list(LEVEL)
MATRICES = [Input(name, (2, 2)) for name in "abcd"]
"""What every operator takes, the matrix product included."""


def digest_of(text: str) -> str:
    """Return the digest of a formula of matrices."""
    return digest_with(text, MATRICES)


@pytest.mark.parametrize("first", OPERATORS)
@pytest.mark.parametrize("second", OPERATORS)
def test_pair(first: str, second: str) -> None:
    """Two operators in a row group as in Python."""
    if LEVEL[first] == LEVEL[second] == COMPARISON:
        expected = f"(a {first} b) and (b {second} c)"
    elif LEVEL[first] < LEVEL[second] or LEVEL[first] == LEVEL[second] == POWER:
        expected = f"a {first} (b {second} c)"
    else:
        expected = f"(a {first} b) {second} c"
    assert digest_of(f"a {first} b {second} c") == digest_of(expected)


@pytest.mark.parametrize("operator", OPERATORS)
def test_minus_before(operator: str) -> None:
    """A minus sign before an operand binds tighter than all but the power."""
    expected = f"-(a {operator} b)" if LEVEL[operator] == POWER else f"(-a) {operator} b"
    assert digest_of(f"-a {operator} b") == digest_of(expected)


@pytest.mark.parametrize("operator", OPERATORS)
def test_minus_after(operator: str) -> None:
    """A minus sign may follow any operator, and belongs to the operand at its right."""
    assert digest_of(f"a {operator} -b") == digest_of(f"a {operator} (-b)")
    assert digest_of(f"a {operator} - + -b") == digest_of(f"a {operator} (-(-b))")


@pytest.mark.parametrize("operator", OPERATORS)
def test_not_before(operator: str) -> None:
    """The word not takes all that binds tighter than and."""
    expected = f"(not a) {operator} b" if LEVEL[operator] < COMPARISON else f"not (a {operator} b)"
    assert digest_of(f"not a {operator} b") == digest_of(expected)


@pytest.mark.parametrize("operator", [*OPERATORS, "+ +", "- -"])
def test_not_after(operator: str) -> None:
    """The word not follows and, or and not; after a tighter operator it wants parentheses, as in Python."""
    if operator in {"and", "or"}:
        assert digest_of(f"a {operator} not b") == digest_of(f"a {operator} (not b)")
        return
    error = refusal(f"a {operator} not b")
    assert (error.reason, error.metadata["column"]) == ("FORMULA_SYNTAX", str(len(operator) + 4))
    assert "needs parentheses" in error.message


@pytest.mark.parametrize("sign", ["-", "+"])
def test_not_after_a_sign(sign: str) -> None:
    """The word not cannot follow a sign."""
    assert refusal(f"{sign} not a").reason == "FORMULA_SYNTAX"


def test_both_powers_are_one() -> None:
    """The two ways to write a power mean the same."""
    assert digest_of("a ** b ^ c ** d") == digest_of("a ^ (b ** (c ^ d))")


class Piece(NamedTuple):
    """A piece of a random expression: loosely written, with all parentheses, and how tightly its operator binds."""

    loose: str
    full: str
    level: float


ATOM = 100.0
SCALAR_OPERATORS = [operator for operator in OPERATORS if operator != "@"]
BLANKS = st.sampled_from(["", " ", "  ", "\t"])


@st.composite
def joined(draw: st.DrawFn, children: st.SearchStrategy[Piece]) -> Piece:
    """Return two pieces with an operator between; comparison chains are left to their own tests."""
    operator, left, right = draw(st.sampled_from(SCALAR_OPERATORS)), draw(children), draw(children)
    level = LEVEL[operator]
    from_right, chain = level == POWER, level == COMPARISON
    left_text = wrapped(draw, left, level + (0.1 if from_right or chain else 0.0))
    right_text = wrapped(draw, right, MINUS_LEVEL if from_right else level + 0.1)
    word = f" {operator} " if operator.isalpha() else draw(BLANKS) + operator + draw(BLANKS)
    return Piece(f"{left_text}{word}{right_text}", f"(({left.full}) {operator} ({right.full}))", level)


@st.composite
def prefixed(draw: st.DrawFn, children: st.SearchStrategy[Piece]) -> Piece:
    """Return a piece behind a minus sign or the word not."""
    operand = draw(children)
    if draw(st.booleans()):
        return Piece(f"not {wrapped(draw, operand, NOT_LEVEL)}", f"(not ({operand.full}))", NOT_LEVEL)
    return Piece(f"-{draw(BLANKS)}{wrapped(draw, operand, MINUS_LEVEL)}", f"(-({operand.full}))", MINUS_LEVEL)


@st.composite
def called(draw: st.DrawFn, children: st.SearchStrategy[Piece]) -> Piece:
    """Return a call with pieces as its arguments."""
    name, count = draw(st.sampled_from([("exp", 1), ("hypot", 2), ("where", 3)]))
    arguments = [draw(children) for _ in range(count)]
    loose = draw(st.sampled_from([",", ", ", " ,\n"])).join(wrapped(draw, argument, 0) for argument in arguments)
    return Piece(f"{name}({loose})", f"{name}({', '.join(argument.full for argument in arguments)})", ATOM)


def wrapped(draw: st.DrawFn, piece: Piece, level: float) -> str:
    """Return a piece as an operand that must bind at least so tightly, sometimes in parentheses it does not need."""
    pairs = draw(st.sampled_from([0, 0, 0, 1, 2])) or int(piece.level < level)
    blank = draw(st.sampled_from(["", " ", "\n ", " # why\n"])) if pairs else ""
    return "(" * pairs + blank + piece.loose + blank + ")" * pairs


NAMES = st.sampled_from(["a", "b", "c"]).map(lambda name: Piece(name, name, ATOM))
NUMBERS = st.sampled_from(["2", "0.5", "1e-3"]).map(lambda number: Piece(number, number, ATOM))
EXPRESSIONS = st.recursive(
    NAMES | NUMBERS, lambda children: joined(children) | prefixed(children) | called(children), max_leaves=25
)


@given(EXPRESSIONS)
def test_parentheses_that_change_nothing(piece: Piece) -> None:
    """Parentheses and blanks that are not needed leave a function as it is."""
    assert digest_of(piece.loose) == digest_of(piece.full)


def test_long_operator_chains() -> None:
    """Chains of tens of thousands of operators are read: sums, powers, signs, comparisons."""
    for text in ("+".join(["x"] * 30_000), "x^" * 30_000 + "x", "-" * 60_000 + "x", "<".join(["x"] * 30_000)):
        assert len(read(text).nodes) > 1
    assert len(read("not " * 20_000 + "x").nodes) == 20_001
