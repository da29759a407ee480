"""The first look at a formula: parentheses and brackets pair up, and what has no meaning becomes blanks.

A linear scan, ahead of the grammar, so that a text of nothing but parentheses is refused at once, and so that the
grammar need not know where a line may go on.
"""

from __future__ import annotations

import re

from gradmill_server.engine.formula.bounds import Bound
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.limits import Limits

STRUCTURE = re.compile(r"[()\[\]]|\r\n?|\n|#[^\r\n]*|'[^'\r\n]*'|\"[^\"\r\n]*\"|['\"]")
"""Whatever matters to the layout, and quoted texts, inside which nothing does."""

PARTNER = {")": "(", "]": "["}


def flatten(source: Source, limits: Limits) -> str:
    """Return the text with comments, and line ends inside parentheses and brackets, replaced by as many blanks.

    Every other character keeps its offset.

    Raises:
        InvalidFormula: when a parenthesis, a bracket or a quote has no partner.
        LimitExceeded: when they are nested deeper than ``maximum_formula_depth``.
    """
    text = source.text
    opened: list[int] = []
    pieces: list[str] = []
    kept = 0
    for match in STRUCTURE.finditer(text):
        position = match.start()
        character = text[position]
        if character in "([":
            opened.append(position)
            Bound.DEPTH.check(source, position, len(opened), limits)
        elif character in PARTNER:
            _close(source, opened, position)
        elif match.group() in {"'", '"'}:
            message = f"'{character}' begins a quoted text that does not end on its line"
            raise source.mistake(position, Reason.SYNTAX, message)
        elif character == "#" or (opened and character in "\r\n"):
            pieces += text[kept:position], " " * len(match.group())
            kept = match.end()
    if opened:
        raise source.mistake(opened[-1], Reason.SYNTAX, f"'{text[opened[-1]]}' is never closed")
    return "".join((*pieces, text[kept:]))


def _close(source: Source, opened: list[int], position: int) -> None:
    """Take the partner of a closing character off those that are open."""
    closing = source.text[position]
    wanted = PARTNER[closing]
    if not opened:
        raise source.mistake(position, Reason.SYNTAX, f"'{closing}' closes no '{wanted}'")
    innermost = source.text[opened[-1]]
    if innermost != wanted:
        place = source.place(opened[-1])
        message = f"'{closing}' closes no '{wanted}': '{innermost}' of {place} is still open"
        raise source.mistake(position, Reason.SYNTAX, message)
    opened.pop()
