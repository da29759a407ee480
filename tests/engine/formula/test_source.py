"""Excerpts of formulas in messages: short, on one line, and with the caret in its place."""

from __future__ import annotations

import pytest
from gradmill_server.engine.formula.source import Place, Source


@pytest.mark.parametrize(
    ("text", "position", "place"),
    [
        ("abc", 0, (1, 1)),
        ("abc", 3, (1, 4)),
        ("a\nbc", 1, (1, 2)),
        ("a\nbc", 2, (2, 1)),
        ("a\r\nbc", 4, (2, 2)),
        ("a\rb\n\nc", 5, (4, 1)),
    ],
)
def test_place(text: str, position: int, place: tuple[int, int]) -> None:
    """Lines and columns count from 1, and every system's line end is one."""
    assert Source(text).place(position) == Place(*place)


def test_long_line_is_cut() -> None:
    """Of a long line, a message shows some 60 characters round the caret."""
    text = "a" * 5_000 + "!" + "b" * 5_000
    excerpt, caret = Source(text).excerpt(5_000).split("\n")
    assert excerpt == "  ..." + "a" * 40 + "!" + "b" * 19 + "..."
    assert excerpt[caret.index("^")] == "!"


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\t", "\\t"),
        ("\x00", "\\x00"),
        ("\x1b", "\\x1b"),
        ("\u202e", "\\u202e"),
        ("\uff11", "\\uff11"),
        ("\u0301", "\\u0301"),
        ("\u05d0", "\\u05d0"),
        ("\U0001f600", "\\U0001f600"),
        ("\ud800", "\\ud800"),
        ("é", "é"),
    ],
)
def test_strange_characters_are_escaped(character: str, shown: str) -> None:
    """Characters that a terminal would act on, or not show in one column, are escaped; the caret stays in place."""
    excerpt, caret = Source(f"x{character}!y").excerpt(2).split("\n")
    assert excerpt == f"  x{shown}!y"
    assert excerpt[caret.index("^")] == "!"
