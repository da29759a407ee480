"""Sums of parts that arrive in any order, added up in one order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradmill.wire import FloatArray

Parts = Sequence[FloatArray]


class OrderedSums:
    """Adds up parts in pairs of neighbours, then the sums of neighbours, and so on.

    It is the order in which a server adds up points. So with parts of 2**n points each, only the last one smaller, the
    bits are those of one message with all points. It holds as many sums as the number of parts has binary digits, and
    the parts that came before their turn.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._early: dict[int, Parts] = {}
        self._next = 0
        self._sums: list[tuple[int, Parts]] = []

    def add(self, number: int, parts: Parts) -> None:
        """Take part ``number`` of every sum; each number once, in any order."""
        self._early[number] = parts
        while self._next in self._early:
            self._append(self._early.pop(self._next))
            self._next += 1

    def _append(self, parts: Parts) -> None:
        level = 0
        while self._sums and self._sums[-1][0] == level:
            parts = _added(self._sums.pop()[1], parts)
            level += 1
        self._sums.append((level, parts))

    def totals(self) -> Parts:
        """Return the sums, once every part was taken."""
        _, total = self._sums[-1]
        for _, parts in reversed(self._sums[:-1]):
            total = _added(parts, total)
        return total


def _added(first: Parts, second: Parts) -> Parts:
    with np.errstate(all="ignore"):
        return [np.asarray(left + right) for left, right in zip(first, second, strict=True)]
