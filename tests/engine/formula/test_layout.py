"""What is blanked before the grammar reads a formula, and what is not."""

from __future__ import annotations

import pytest
from gradmill_server.engine.formula.layout import flatten
from gradmill_server.engine.formula.source import Source

from tests.engine.formula.reading import LIMITS


@pytest.mark.parametrize(
    ("text", "flat"),
    [
        ("x + y", "x + y"),
        ("x # (why\ny", "x       \ny"),
        ("(x\n+ y)\nz", "(x + y)\nz"),
        ("(x\r\n+ y)\r\nz", "(x  + y)\r\nz"),
        ("f(x, # first)\r  y)", "f(x,            y)"),
        ("[x,\n y][0]\nz", "[x,  y][0]\nz"),
        ("x[ # first\r\n0]", "x[          0]"),
        ("f('(#', \"[\", x)", "f('(#', \"[\", x)"),
        ("#", " "),
    ],
)
def test_blanks(text: str, flat: str) -> None:
    """Comments, and line ends inside parentheses and brackets, become blanks; everything else stays at its offset."""
    assert flatten(Source(text), LIMITS) == flat
    assert len(flat) == len(text)
