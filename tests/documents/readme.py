"""The README's parts that are not written by hand: `python -m tests.documents.readme` writes its table of operations.

Blocks are found by the HTML comment on the line before them, such as `<!-- command: run -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from gradmill_server.engine.ops import ROWS, Operation, Row

README = Path(__file__).parents[2] / "README.md"
_TABLE = re.compile(r"(?<=<!-- generated: operations -->\n).*?(?=<!-- end of generated -->)", re.DOTALL)


def block(mark: str) -> str:
    """Return the text of the fenced block that follows a mark such as `output: run`."""
    pattern = re.compile(rf"^<!-- {re.escape(mark)} -->\n```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    match = pattern.search(README.read_text(encoding="utf-8"))
    if match is None:
        message = f"README.md has no block marked {mark!r}"
        raise LookupError(message)
    return match.group(1)


def operations_table() -> str:
    """Return the table of operations as Markdown, one row for each that callers may use."""
    rows = sorted((row for row in ROWS.values() if not row.internal), key=lambda row: row.name)
    lines = ["| operation | written | what it is | shape | derivative by convention |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *map(_line, rows)]) + "\n"


def _line(row: Row) -> str:
    names = ", ".join(f"`{name}`" for name in (row.name, *row.aliases))
    written = f"`{row.signature}`" if row.signature else "in graphs and traced Python"
    shape = "" if isinstance(row, Operation) else row.result
    return f"| {names} | {written} | {row.summary} | {shape} | {row.convention} |".replace("|  |", "| |")


def with_table(text: str) -> str:
    """Return a README with its table of operations brought up to date."""
    return _TABLE.sub(lambda _: operations_table(), text)


def main() -> int:
    """Write the table into README.md."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
