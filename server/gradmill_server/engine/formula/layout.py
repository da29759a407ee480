"""The first look at a formula: parentheses pair up, and what has no meaning becomes blanks.

A linear scan, ahead of the grammar, so that a text of nothing but parentheses is refused at once, and so that the
grammar need not know where a line may go on.
"""

from __future__ import annotations

import re

from gradmill_server.engine.formula.bounds import Bound
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.limits import Limits

_STRUCTURE = re.compile(r"[()]|\r\n?|\n|#[^\r\n]*")


def flatten(source: Source, limits: Limits) -> str:
    """Return the text with comments, and line ends inside parentheses, replaced by as many blanks.

    Every other character keeps its offset.

    Raises:
        InvalidFormula: when a parenthesis has no partner.
        LimitExceeded: when parentheses are nested deeper than ``maximum_formula_depth``.
    """
    text = source.text
    opened: list[int] = []
    pieces: list[str] = []
    kept = 0
    for match in _STRUCTURE.finditer(text):
        position = match.start()
        character = text[position]
        if character == "(":
            opened.append(position)
            Bound.DEPTH.check(source, position, len(opened), limits)
        elif character == ")":
            if not opened:
                raise source.mistake(position, Reason.SYNTAX, "')' closes no '('")
            opened.pop()
        elif character == "#" or opened:
            pieces += text[kept:position], " " * len(match.group())
            kept = match.end()
    if opened:
        raise source.mistake(opened[-1], Reason.SYNTAX, "'(' is never closed")
    return "".join((*pieces, text[kept:]))
