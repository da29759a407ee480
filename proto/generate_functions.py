"""Writes the client's operation functions from the server's table of operations, or verifies the committed file.

python proto/generate_functions.py            after every change of the table; commit the result
python proto/generate_functions.py --check    fails, showing the difference, when that was forgotten
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from gradmill_server.engine.ops import ROWS, Operation, Row

DESTINATION = Path(__file__).resolve().parent.parent / "client" / "gradmill" / "functions.py"
COMMAND = "python proto/generate_functions.py"

_LONGEST_TUPLE = 98
"""Characters between the parentheses of a tuple on one line."""

_OPERANDS_BY_ARITY = {1: ("x",), 2: ("x", "y")}
_OPERANDS = {
    "atan2": ("y", "x"),
    "clip": ("x", "low", "high"),
    "heaviside": ("x", "value_at_zero"),
    "huber": ("x", "delta"),
    "polygamma": ("n", "x"),
    "where": ("condition", "x", "y"),
}

_WRITTEN_BY_HAND = frozenset({"max", "min"})
"""Aliases that are no definitions here: ``gradmill.arrays`` has them, where one operand means all its elements."""

_HEAD = f'''"""One function for each operation of the table, and the catalogue of them.

Generated from the server's table by `{COMMAND}`.

Every function takes traced expressions, real numbers and arrays of real numbers, at least one of them traced, and
returns an :class:`~gradmill.tracing.Expression` in float64. It works element by element; the operands' shapes broadcast
by NumPy's rules. It raises TypeError when no operand is traced, and
:class:`~gradmill.errors.TracingError` when shapes do not fit or operands come from two calls of ``inputs``.
"""
# ruff: noqa: A001 - abs, round and pow are what these operations are called everywhere
# ruff: noqa: D402, D403 - summaries are formulas, such as "x*log(y), and 0 for x = 0."

from __future__ import annotations

from gradmill.descriptions import OperationInfo
from gradmill.tracing import Expression, Operand, apply
'''


def operand_names(operation: Operation) -> tuple[str, ...]:
    """Return what the function calls its operands."""
    return _OPERANDS.get(operation.name) or _OPERANDS_BY_ARITY[operation.arity]


def function_source(operation: Operation) -> str:
    """Return the definition of one operation's function, and of its aliases."""
    names = operand_names(operation)
    signature = ", ".join(f"{name}: Operand" for name in names)
    convention = f"    Derivative by convention: {operation.convention}.\n" if operation.convention else ""
    definition = (
        f"def {operation.name}({signature}, /) -> Expression:\n"
        f'    """{operation.summary}\n\n'
        f"    Shape: {_shape(names)}.\n"
        f'{convention}    """\n'
        f"    return apply({_text(operation.name)}, {', '.join(names)})\n"
    )
    aliases = "".join(f"{alias} = {operation.name}\n" for alias in operation.aliases if alias not in _WRITTEN_BY_HAND)
    return f"{definition}\n\n{aliases}" if aliases else definition


def _shape(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"that of {names[0]}"
    return f"the one that those of {', '.join(names[:-1])} and {names[-1]} broadcast to"


def _by_number(name: str) -> list[tuple[bool, int, str]]:
    """Return the key by which names are sorted with the numbers in them by size, as ruff sorts ``__all__``."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts if part]


def catalogue_row(operation: Row) -> str:
    """Return the catalogue's entry for one operation."""
    parameters = [
        f"{name}: {kind}{', optional' if optional else ''}" for name, kind, optional in operation.parameter_kinds()
    ]
    return (
        "    OperationInfo(\n"
        f"        name={_text(operation.name)},\n"
        f"        aliases={_tuple(operation.aliases)},\n"
        f"        arity={operation.least},\n"
        f"        summary={_text(operation.summary)},\n"
        f"        convention={_text(operation.convention)},\n"
        f"        maximum_arity={operation.most},\n"
        f"        signature={_text(operation.signature)},\n"
        f"        result_shape={_text(operation.result)},\n"
        f"        parameters={_tuple(parameters)},\n"
        "    ),\n"
    )


def _tuple(texts: Sequence[str]) -> str:
    """Return a tuple of texts, over several lines where one would be too long, as the formatter writes it."""
    inside = ", ".join(map(_text, texts))
    if len(inside) > _LONGEST_TUPLE:
        return "(\n" + "".join(f"            {_text(entry)},\n" for entry in texts) + "        )"
    return f"({inside},)" if len(texts) == 1 else f"({inside})"


def file_source(operations: Iterable[Row]) -> str:
    """Return the text of the whole file, for all operations that are not internal, sorted by name.

    The functions of element-wise operations are written here; those of whole arrays are in `gradmill/arrays.py`.
    """
    public = sorted((row for row in operations if not row.internal), key=lambda row: row.name)
    rows = [row for row in public if isinstance(row, Operation)]
    names = {name for row in rows for name in (row.name, *row.aliases)} - _WRITTEN_BY_HAND
    exported = "".join(f"    {_text(name)},\n" for name in sorted(names, key=_by_number))
    definitions = "\n\n".join(function_source(row) for row in rows)
    catalogue = "".join(catalogue_row(row) for row in public)
    return (
        f"{_HEAD}\n__all__ = [\n{exported}]\n\n\n{definitions}\n\n"
        f'CATALOGUE: tuple[OperationInfo, ...] = (\n{catalogue})\n"""Every operation, sorted by name."""\n'
    )


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def run(destination: Path, *, check: bool) -> int:
    """Write the file, or compare it; return the exit status and say what was found."""
    fresh = file_source(ROWS.values())
    committed = destination.read_text(encoding="utf-8") if destination.exists() else ""
    if fresh == committed:
        print("operation functions are up to date")
        return 0
    if check:
        before, after = committed.splitlines(keepends=True), fresh.splitlines(keepends=True)
        print("".join(difflib.unified_diff(before, after, "committed", "generated")), end="")
        print(f"operation functions are out of date: run `{COMMAND}` and commit the result")
        return 1
    destination.write_text(fresh, encoding="utf-8")
    print(f"operation functions renewed in {destination}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run; returns 0, or 1 when the file is out of date."""
    parser = argparse.ArgumentParser(
        prog="generate_functions.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when the file is out of date")
    parser.add_argument("--destination", type=Path, default=DESTINATION, help="the file to write (%(default)s)")
    options = parser.parse_args(arguments)
    return run(options.destination, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
