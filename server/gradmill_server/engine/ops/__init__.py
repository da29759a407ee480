"""The table of operations, one row each, read by everyone: parser, wire, derivatives, passes, backends, documents."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gradmill_server.engine.ops import arithmetic, exponential, piecewise, special, trigonometric
from gradmill_server.engine.ops.operation import Operation, Partial, Select
from gradmill_server.engine.ops.value import Value, emit

__all__ = ["FUNCTION_NAMES", "TABLE", "Operation", "Partial", "Select", "Value", "emit"]


def _table() -> Mapping[str, Operation]:
    rows: dict[str, Operation] = {}
    for family in (arithmetic, exponential, trigonometric, special, piecewise):
        for row in family.OPERATIONS:
            if row.name in rows or len(row.domain) != row.arity:
                message = f"operation {row.name!r} is in the table twice, or lacks a domain for an operand"
                raise ValueError(message)
            rows[row.name] = row
    return MappingProxyType(rows)


def _function_names(table: Mapping[str, Operation]) -> Mapping[str, Operation]:
    names: dict[str, Operation] = {}
    for row in table.values():
        if row.internal:
            continue
        for name in (row.name, *row.aliases):
            if names.setdefault(name, row) is not row:
                message = f"two operations are called {name!r}"
                raise ValueError(message)
    return MappingProxyType(names)


TABLE: Mapping[str, Operation] = _table()
"""Every operation by its name."""

FUNCTION_NAMES: Mapping[str, Operation] = _function_names(TABLE)
"""Every name and alias a formula may call."""
