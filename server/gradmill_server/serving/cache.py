"""One budget of bytes for everything that is kept between calls; what was used least recently goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar, cast

_ENTRY_OVERHEAD_BYTES = 300
"""What an entry costs besides its value: its key, its place in the table, the objects around them."""

V = TypeVar("V")
Key = tuple[str, bytes]


class ByteBoundedCache:
    """Values by key, never more bytes than the budget. Used from the event loop only, so it needs no lock.

    Attributes:
        maximum_bytes: the budget.
        byte_size: bytes held now, by the sizes given.
        evictions: how many entries had to make room so far.
        rejections: how many were too large for the whole budget so far, and not kept.
    """

    def __init__(self, maximum_bytes: int) -> None:
        """Start empty."""
        self.maximum_bytes = maximum_bytes
        self.byte_size = 0
        self.evictions = 0
        self.rejections = 0
        self._entries: OrderedDict[Key, tuple[object, int]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def get(self, key: Key) -> object | None:
        """Return a value and mark it as used just now; None when it is not here."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: Key, value: object, byte_size: int) -> None:
        """Keep a value of that many bytes, evicting others for it; one larger than the budget is not kept."""
        cost = byte_size + _ENTRY_OVERHEAD_BYTES
        self._drop(key)
        if cost > self.maximum_bytes:
            self.rejections += 1
            return
        while self.byte_size + cost > self.maximum_bytes:
            self._drop(next(iter(self._entries)))
            self.evictions += 1
        self._entries[key] = (value, cost)
        self.byte_size += cost

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.byte_size -= entry[1]


class Shelf(Generic[V]):
    """One kind of value in the cache, by a key of bytes. All shelves share one budget and one order of use."""

    def __init__(self, cache: ByteBoundedCache, kind: str) -> None:
        """Take the part of the cache that is named by ``kind``."""
        self._cache = cache
        self._kind = kind

    def get(self, key: bytes) -> V | None:
        """Return a value and mark it as used just now; None when it is not here."""
        return cast("V | None", self._cache.get((self._kind, key)))

    def put(self, key: bytes, value: V, byte_size: int) -> None:
        """Keep a value of that many bytes, if the budget allows."""
        self._cache.put((self._kind, key), value, byte_size)
