"""Texts by people who mean harm, or whose program went wrong: each is refused, and nothing in them is ever run."""

from __future__ import annotations

import pytest
from gradmill_server.engine.errors import InvalidFormula, LimitExceeded
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.formula.reading import evaluate, read, refusal

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


def outcome(text: str) -> str:
    """Return how a text is met: read, or refused with a place."""
    try:
        graph = read(text)
    except (InvalidFormula, LimitExceeded) as error:
        return "refused" if {"line", "column"} <= set(error.metadata) else "refused without a place"
    return "read" if graph.outputs else "read without outputs"


@given(st.text(alphabet=st.sampled_from("xye1.+-*/^()<>=!,;#\n andortuif_\\[]&\x00é"), max_size=40))
def test_random_formulas(text: str) -> None:
    """Any text of the language's characters is either read or refused with a place."""
    assert outcome(text) in {"read", "refused"}


@given(st.text(max_size=30))
def test_random_unicode(text: str) -> None:
    """Any Unicode text is either read or refused with a place."""
    assert outcome(text) in {"read", "refused"}
