"""Texts that break the grammar: where, why, and what to write instead."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from gradmill_server.engine.formula import syntax

from tests.engine.formula.reading import digest_of, read, refusal

OPERAND = "expected a number, a name or '('"
END = "expected an operator or the end of the statement"

MISTAKES = [
    ("3*(x1 * * x2)", 1, 9, f"{OPERAND} after '*'"),
    ("3*", 1, 3, f"{OPERAND} after '*'"),
    ("a = x\nb = a +  # more\n  1", 2, 8, f"{OPERAND} after '+'; a line goes on only inside parentheses"),
    ("* x", 1, 1, f"{OPERAND} at the start of a statement"),
    ("x; / y", 1, 4, f"{OPERAND} at the start of a statement"),
    ("= 3", 1, 1, f"{OPERAND} at the start of a statement"),
    ("a =", 1, 4, f"{OPERAND} after '='"),
    ("()", 1, 2, f"{OPERAND} after '('"),
    ("clip(x,, y)", 1, 8, f"{OPERAND} after ','"),
    ("x == == y", 1, 6, f"{OPERAND} after '=='"),
    ("x not", 1, 3, f"{END} after 'x', found 'not'"),
    ("x and", 1, 6, f"{OPERAND} after 'and'"),
    ("2x", 1, 2, f"{END} after '2', found 'x'; to multiply, write '*'"),
    ("1e-3 x", 1, 6, f"{END} after '1e-3', found 'x'; to multiply, write '*'"),
    ("1.2.3", 1, 4, f"{END} after '1.2', found '.3'"),
    ("1__0", 1, 2, f"{END} after '1', found '__0'"),
    ("0x10", 1, 2, f"{END} after '0', found 'x10'"),
    ("(x) (y)", 1, 5, f"{END} after ')', found '('; to multiply, write '*'"),
    ("x, y", 1, 2, f"{END} after 'x', found ','"),
    ("exp(x y)", 1, 7, "expected an operator, ',' or ')' after 'x', found 'y'"),
    ("exp(x) and (x; y)", 1, 14, "expected an operator or ')' after 'x', found ';'"),
    ("(x, y)", 1, 3, "expected an operator or ')' after 'x', found ','"),
    ("exp(x + 1=0)", 1, 10, "found '='; '=' gives an argument its name, as in sum(x, axis=0); to compare, write '=='"),
    ("(x = 3)", 1, 4, "found '='; '=' gives an argument its name"),
    ("x[", 1, 2, "'[' is never closed"),
    ("x[0", 1, 2, "'[' is never closed"),
    ("x]", 1, 2, "']' closes no '['"),
    ("x[(0]", 1, 5, "']' closes no '[': '(' of line 1, column 3 is still open"),
    ("exp(x[0)]", 1, 8, "')' closes no '(': '[' of line 1, column 6 is still open"),
    ("x[]", 1, 3, "expected an index after '['"),
    ("exp(x)[]", 1, 8, "expected an index after '['"),
    ("[]", 1, 2, f"{OPERAND} after '['"),
    ("[x,, y]", 1, 4, f"{OPERAND} after ','"),
    ("[x y]", 1, 4, "expected an operator, ',' or ']' after 'x', found 'y'"),
    ("x[1 2]", 1, 5, "expected an operator, ',' or ']' after '1', found '2'"),
    ("x[1:2:3:4]", 1, 8, "expected an operator, ',' or ']' after '3', found ':'"),
    ("exp(x[1], y z)", 1, 13, "expected an operator, ',' or ')' after 'y', found 'z'"),
    ("x : y", 1, 3, f"{END} after 'x', found ':'"),
    ("...", 1, 1, f"{OPERAND} at the start of a statement"),
    ("x @ @ y", 1, 5, f"{OPERAND} after '@'"),
    ("sum(x, axis=)", 1, 13, f"{OPERAND} after '='"),
    ("'ij'", 1, 1, "a quoted text is nothing but the subscripts of einsum"),
    ("x + 'ij'", 1, 5, "a quoted text is nothing but the subscripts of einsum"),
    ('einsum("ij\n", x)', 1, 8, "'\"' begins a quoted text that does not end on its line"),
    ("3 = x", 1, 3, "found '='; '=' names an intermediate, as in 'name = expression'; to compare, write '=='"),
    ("a = b = x", 1, 7, "found '='; '=' names an intermediate"),
    ("a if c else b", 1, 3, "found 'if'; write where(condition, a, b)"),
    ("x is y", 1, 3, "found 'is'; write '=='"),
    ("lambda x: x", 1, 8, "found 'x'; a formula defines no functions; traced Python does"),
    ("def f(x): x", 1, 5, "a formula defines no functions"),
    ("for i in x: y", 1, 5, "a formula has no loops; graphs and traced Python have scan and map"),
    ("[x for x in y]", 1, 4, "expected an operator, ',' or ']' after 'x', found 'for'; a formula has no loops"),
    ("sum(x[i] for i in y)", 1, 10, "a formula has no loops; graphs and traced Python have scan and map"),
    ("x return y", 1, 3, f"{END} after 'x', found 'return'"),
    ("x & y", 1, 3, "unexpected character '&': write 'and'"),
    ("x | y", 1, 3, "unexpected character '|': write 'or'"),
    ("~x", 1, 1, "unexpected character '~': write 'not'"),
    ("!x", 1, 1, "unexpected character '!': write 'not'"),
    ("x.shape", 1, 2, "unexpected character '.': only prefixes such as np. and np.linalg. may stand before a dot"),
    ("x.sum()", 1, 2, "and only .T after a value; write sum(x)"),
    ("x.Tall", 1, 2, "unexpected character '.'"),
    ("x + \\\ny", 1, 5, "unexpected character '\\': a line goes on only inside parentheses"),
    ("x − y", 1, 3, "(U+2212 MINUS SIGN): write '-'"),  # noqa: RUF001
    ("2 × x", 1, 3, "(U+00D7 MULTIPLICATION SIGN): write '*'"),  # noqa: RUF001
    ("π*x", 1, 1, "unexpected character 'π' (U+03C0 GREEK SMALL LETTER PI): write 'pi'"),
    ("x²", 1, 2, "(U+00B2 SUPERSCRIPT TWO): write '**2'"),
    ("α*x", 1, 1, "(U+03B1 GREEK SMALL LETTER ALPHA): names are ASCII letters, digits and underscores"),  # noqa: RUF001
    ("andé", 1, 1, OPERAND),
    ("(x", 1, 1, "'(' is never closed"),
    ("exp(x\n+ (y", 2, 3, "'(' is never closed"),
    ("x)", 1, 2, "')' closes no '('"),
    ("a = x\r\n\r\n y )", 3, 4, "')' closes no '('"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), MISTAKES, ids=[ascii(text) for text, *_ in MISTAKES])
def test_mistake(text: str, line: int, column: int, message: str) -> None:
    """A text that breaks the grammar is refused with line, column, what was expected, and a caret below the place."""
    error = refusal(text)
    head, excerpt, caret = error.message.split("\n")
    assert error.reason == "FORMULA_SYNTAX"
    assert error.metadata == {"line": str(line), "column": str(column)}
    assert head.startswith(f"line {line}, column {column}: ")
    assert message in head
    assert excerpt == "  " + text.splitlines()[line - 1]
    assert caret == " " * (column + 1) + "^"
    assert [(each.field, each.description, each.reason) for each in error.violations] == [
        ("formula", head, "FORMULA_SYNTAX")
    ]


@pytest.mark.parametrize("text", ["", " ", "\n\t\r\n", ";;", "# nothing", "# a\n ; # b\n"])
def test_empty(text: str) -> None:
    """A formula that says nothing is refused as empty."""
    error = refusal(text)
    assert (error.reason, error.metadata) == ("FORMULA_EMPTY", {"line": "1", "column": "1"})


@pytest.mark.parametrize("name", ["android", "nothing", "order", "returned", "_", "x_1", "E", "iffy", "lambda", "np"])
def test_names_that_begin_like_words(name: str) -> None:
    """A name may begin like a word of the language, or be a word of Python's."""
    assert [entry.name for entry in read(f"{name} + 1").inputs] == [name]


def test_one_parser_serves_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that read formulas at the same time, the first time included, all get the right graphs."""
    monkeypatch.setattr(syntax, "_PARSER", syntax._Parser())  # noqa: SLF001 - a parser that is not built yet
    texts = [f"a{i} = x{i}*(y + {i}.5)**{i}\nexp(a{i}) < {i} < y" for i in range(8)]
    barrier = threading.Barrier(len(texts))

    def digests(text: str) -> set[str]:
        barrier.wait()
        return {digest_of(text) for _ in range(20)}

    with ThreadPoolExecutor(len(texts)) as pool:
        together = list(pool.map(digests, texts))
    assert together == [{digest_of(text)} for text in texts]
