"""A bucket that fills at a steady rate: what may be had at once, and over time."""

from __future__ import annotations


class Bucket:
    """Holds what may still be had. Starts full, and may be overdrawn by the last taker.

    Overdrawing lets one large piece of work through a bucket that is smaller than it; what follows waits until the
    bucket has filled again, so that the rate holds over time.
    """

    __slots__ = ("_rate", "_room", "_seen", "level")

    def __init__(self, *, rate: float, room: float, now: float) -> None:
        """Start full.

        Args:
            rate: what flows in each second.
            room: what it holds at most.
            now: a time in seconds that never runs backwards.
        """
        self._rate = rate
        self._room = room
        self._seen = now
        self.level = room

    def take(self, amount: float, now: float) -> float:
        """Take an amount if there is anything like it; return 0.0, or the seconds until that would succeed."""
        self.level = min(self._room, self.level + (now - self._seen) * self._rate)
        self._seen = now
        needed = min(amount, self._room)
        if self.level >= needed:
            self.level -= amount
            return 0.0
        return (needed - self.level) / self._rate
