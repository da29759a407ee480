"""Which slots hold which array, and when they are free again."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

_LOOKED_AT: Final = 64
"""Free runs of slots that are looked at before new ones are taken: a long search would cost more than some memory."""


class Storage:
    """Hands out runs of slots, the first that fits.

    Attributes:
        size: slots in use at most so far.
    """

    def __init__(self) -> None:
        """Start with no slots."""
        self.size = 0
        self._starts: list[int] = []
        self._length_of: dict[int, int] = {}

    def take(self, count: int) -> int:
        """Return the first of so many slots side by side."""
        for place, start in enumerate(self._starts[:_LOOKED_AT]):
            length = self._length_of[start]
            if length < count:
                continue
            del self._starts[place], self._length_of[start]
            if length > count:
                self._starts.insert(place, start + count)
                self._length_of[start + count] = length - count
            return start
        start = self.size
        self.size += count
        return start

    def give_back(self, start: int, count: int) -> None:
        """Let slots be used again; neighbouring free ones become one run."""
        place = bisect_left(self._starts, start)
        if place < len(self._starts) and self._starts[place] == start + count:
            count += self._length_of.pop(self._starts.pop(place))
        if place and self._starts[place - 1] + self._length_of[self._starts[place - 1]] == start:
            self._length_of[self._starts[place - 1]] += count
            return
        self._starts.insert(place, start)
        self._length_of[start] = count
