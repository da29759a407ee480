"""Numbers as text for people: the shortest digits that give the same binary64 back, whole numbers without a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_LARGEST_PLAIN_INTEGER = 1e16
_MAXIMUM_SHOWN_ELEMENTS = 6


def format_number(value: float) -> str:
    """Return a number in its shortest form: 12.0 as "12", 0.1 as "0.1", infinities as "inf" and "-inf"."""
    text = repr(float(value))
    return text.removesuffix(".0") if abs(value) < _LARGEST_PLAIN_INTEGER else text


def format_tuple(values: npt.ArrayLike) -> str:
    """Return numbers in parentheses, as in "(12, 12, 9)"."""
    return f"({', '.join(format_number(value) for value in np.ravel(np.asarray(values)).tolist())})"


def format_value(value: float | npt.NDArray[np.floating[Any]]) -> str:
    """Return a number, or an array in square brackets with at most six of its elements and its shape."""
    array = np.asarray(value)
    if array.ndim == 0:
        return format_number(float(array))
    shown = [format_number(entry) for entry in array.ravel()[:_MAXIMUM_SHOWN_ELEMENTS].tolist()]
    if array.size > _MAXIMUM_SHOWN_ELEMENTS:
        shown.append("...")
    shape = f" shape {array.shape}" if array.ndim > 1 else ""
    return f"[{', '.join(shown)}]{shape}"


def align(rows: Sequence[tuple[str, ...]], indent: str = "  ", gap: str = "   ") -> list[str]:
    """Return rows of text as lines whose columns line up."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        (indent + gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip() for row in rows
    ]
