"""The table of operations, one row each, read by everyone: parser, wire, derivatives, passes, backends, documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from gradmill_server.engine.ir import GraphBuilder, Parameters
from gradmill_server.engine.ops import activations, arithmetic, exponential, gamma, piecewise, special, trigonometric
from gradmill_server.engine.ops.array_operation import ArrayOperation, InvalidParameter
from gradmill_server.engine.ops.arrays import ARRAY_OPERATIONS
from gradmill_server.engine.ops.operation import Operation, Partial, Select, Strong
from gradmill_server.engine.ops.value import Value, emit_elementwise

__all__ = [
    "ARRAYS",
    "FUNCTION_NAMES",
    "ROWS",
    "TABLE",
    "ArrayOperation",
    "InvalidParameter",
    "Operation",
    "Partial",
    "Row",
    "Select",
    "Strong",
    "Value",
    "emit",
]

Row: TypeAlias = Operation | ArrayOperation
"""A row of the table."""


def _table() -> Mapping[str, Operation]:
    rows: dict[str, Operation] = {}
    for family in (arithmetic, exponential, trigonometric, special, gamma, activations, piecewise):
        for row in family.OPERATIONS:
            if row.name in rows or len(row.domain) != row.arity:
                message = f"operation {row.name!r} is in the table twice, or lacks a domain for an operand"
                raise ValueError(message)
            rows[row.name] = row
    return MappingProxyType(rows)


def _arrays() -> Mapping[str, ArrayOperation]:
    rows: dict[str, ArrayOperation] = {}
    for row in ARRAY_OPERATIONS:
        if row.name in rows or row.name in TABLE:
            message = f"operation {row.name!r} is in the table twice"
            raise ValueError(message)
        rows[row.name] = row
    return MappingProxyType(rows)


def _function_names(table: Mapping[str, Row]) -> Mapping[str, Row]:
    names: dict[str, Row] = {}
    for row in table.values():
        if row.internal or (isinstance(row, ArrayOperation) and row.has_body):
            continue
        for name in (row.name, *row.aliases):
            if names.setdefault(name, row) is not row:
                message = f"two operations are called {name!r}"
                raise ValueError(message)
    return MappingProxyType(names)


TABLE: Mapping[str, Operation] = _table()
"""Every element-wise operation by its name."""

ARRAYS: Mapping[str, ArrayOperation] = _arrays()
"""Every operation on whole arrays by its name."""

ROWS: Mapping[str, Row] = MappingProxyType({**TABLE, **ARRAYS})
"""Every operation by its name."""

FUNCTION_NAMES: Mapping[str, Row] = _function_names(ROWS)
"""Every name and alias a formula may call."""


def emit(builder: GraphBuilder, name: str, arguments: Sequence[int], parameters: Parameters = ()) -> int:
    """Add an operation to a graph, with the shape its arguments give it; return its index.

    Raises:
        ShapeMismatch: when the arguments' shapes do not fit.
        InvalidParameter: for parameters that the operation does not take.
    """
    row = ARRAYS.get(name)
    if row is not None:
        return row.emit(builder, arguments, parameters)
    return emit_elementwise(builder, name, arguments)
