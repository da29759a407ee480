"""One budget of bytes for everything that is kept between calls, shared fairly between tenants.

What was used once goes before what was used again: entries begin in probation and are protected from their second use
on, up to four fifths of the budget (the segmented LRU of Karedla, Love and Wherry, "Caching strategies to improve disk
system performance", Computer 27, 1994). So a flood of functions that nobody asks for twice leaves the others alone. A
tenant that passes its own share makes room among its own entries.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar, cast

_ENTRY_OVERHEAD_BYTES = 300
"""What an entry costs besides its value: its key, its place in the tables, the objects around them."""

_PROTECTED_PART = 0.8

V = TypeVar("V")


class Key(NamedTuple):
    """What an entry is found by. Tenants cannot name one another's entries."""

    tenant: str
    kind: str
    name: bytes


@dataclass(slots=True)
class _Entry:
    value: object
    cost: int
    protected: bool = False


@dataclass(slots=True)
class _Holding:
    """A tenant's entries, least recently used first, and their bytes."""

    keys: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    byte_size: int = 0


class ByteBoundedCache:
    """Values by key, never more bytes than the budget. Used from the event loop only, so it needs no lock.

    Attributes:
        maximum_bytes: the budget.
        tenant_bytes: the most that one named tenant may hold of it; the nameless one may hold all.
        byte_size: bytes held now, by the sizes given.
        evictions: how many entries had to make room so far.
        rejections: how many were too large for their budget so far, and not kept.
    """

    def __init__(self, maximum_bytes: int, tenant_bytes: int | None = None) -> None:
        """Start empty."""
        self.maximum_bytes = maximum_bytes
        self.tenant_bytes = maximum_bytes if tenant_bytes is None else min(tenant_bytes, maximum_bytes)
        self.byte_size = 0
        self.evictions = 0
        self.rejections = 0
        self._protected_bytes = 0
        self._entries: dict[Key, _Entry] = {}
        # Both in order of use, least recent first; together they have every entry.
        self._probation: OrderedDict[Key, None] = OrderedDict()
        self._protected: OrderedDict[Key, None] = OrderedDict()
        self._holdings: dict[str, _Holding] = {}

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def get(self, key: Key) -> object | None:
        """Return a value and mark it as used just now; None when it is not here."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._holdings[key.tenant].keys.move_to_end(key)
        if entry.protected:
            self._protected.move_to_end(key)
        else:
            self._protect(key, entry)
        return entry.value

    def put(self, key: Key, value: object, byte_size: int) -> None:
        """Keep a value of that many bytes, evicting others for it; one larger than its budget is not kept."""
        cost = byte_size + _ENTRY_OVERHEAD_BYTES
        self._drop(key)
        budget = self.tenant_bytes if key.tenant else self.maximum_bytes
        if cost > budget:
            self.rejections += 1
            return
        while key.tenant and (holding := self._holdings.get(key.tenant)) and holding.byte_size + cost > budget:
            self._evict(next(iter(holding.keys)))
        self._make_room(self.maximum_bytes - cost)
        self._entries[key] = _Entry(value, cost)
        self._probation[key] = None
        holding = self._holdings.setdefault(key.tenant, _Holding())
        holding.keys[key] = None
        holding.byte_size += cost
        self.byte_size += cost

    def shrink(self, maximum_bytes: int) -> None:
        """Evict until no more bytes are held than that; the budget stays as it is."""
        self._make_room(maximum_bytes)

    def _make_room(self, maximum_bytes: int) -> None:
        while self._entries and self.byte_size > maximum_bytes:
            self._evict(next(iter(self._probation or self._protected)))

    def _protect(self, key: Key, entry: _Entry) -> None:
        del self._probation[key]
        self._protected[key] = None
        entry.protected = True
        self._protected_bytes += entry.cost
        while self._protected_bytes > _PROTECTED_PART * self.maximum_bytes:
            oldest, _ = self._protected.popitem(last=False)
            demoted = self._entries[oldest]
            demoted.protected = False
            self._protected_bytes -= demoted.cost
            self._probation[oldest] = None

    def _evict(self, key: Key) -> None:
        self._drop(key)
        self.evictions += 1

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self.byte_size -= entry.cost
        if entry.protected:
            del self._protected[key]
            self._protected_bytes -= entry.cost
        else:
            del self._probation[key]
        holding = self._holdings[key.tenant]
        del holding.keys[key]
        holding.byte_size -= entry.cost
        if not holding.keys:
            del self._holdings[key.tenant]


class Shelf(Generic[V]):
    """One kind of value in the cache, by tenant and a key of bytes. All shelves share one budget."""

    def __init__(self, cache: ByteBoundedCache, kind: str) -> None:
        """Take the part of the cache that is named by ``kind``."""
        self._cache = cache
        self._kind = kind

    def get(self, tenant: str, name: bytes) -> V | None:
        """Return a value and mark it as used just now; None when it is not here."""
        return cast("V | None", self._cache.get(Key(tenant, self._kind, name)))

    def put(self, tenant: str, name: bytes, value: V, byte_size: int) -> None:
        """Keep a value of that many bytes, if the budget allows."""
        self._cache.put(Key(tenant, self._kind, name), value, byte_size)
