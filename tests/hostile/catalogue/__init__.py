"""Hostile requests by theme, each module with its own."""

from __future__ import annotations

from functools import cache

from tests.hostile.cases import Case
from tests.hostile.catalogue import formulas, graphs, limits, loops, messages, names, numbers, points, wishes

_THEMES = (graphs, formulas, numbers, messages, points, wishes, names, limits, loops)


@cache
def all_cases() -> tuple[Case, ...]:
    """Return every case of every theme."""
    return tuple(case for theme in _THEMES for case in theme.cases())
