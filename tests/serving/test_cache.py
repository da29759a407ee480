"""The cache: its budget, and what has to go."""

from __future__ import annotations

from gradmill_server.serving.cache import ByteBoundedCache, Shelf


def _filled(maximum_bytes: int, *sizes: int) -> tuple[ByteBoundedCache, Shelf[int]]:
    cache = ByteBoundedCache(maximum_bytes)
    shelf: Shelf[int] = Shelf(cache, "number")
    for number, size in enumerate(sizes):
        shelf.put("", bytes([number]), number, size)
    return cache, shelf


def test_never_more_bytes_than_the_budget() -> None:
    """However many entries are kept, the bytes held stay within the budget."""
    cache, shelf = _filled(10_000)
    for number in range(1_000):
        shelf.put("", number.to_bytes(2, "big"), number, 500)
        assert cache.byte_size <= 10_000
    assert len(cache) == 12
    assert cache.evictions == 988


def test_least_recently_used_goes_first() -> None:
    """What was used just now stays when room is needed, and what was not goes."""
    _, shelf = _filled(3_000, 500, 500, 500)
    assert shelf.get("", b"\0") == 0
    shelf.put("", b"new", 9, 1_000)
    assert [shelf.get("", bytes([number])) for number in range(3)] == [0, None, 2]
    assert shelf.get("", b"new") == 9


def test_too_large_for_the_budget_is_not_kept() -> None:
    """An entry larger than the whole budget drives nothing out."""
    cache, shelf = _filled(2_000, 500)
    shelf.put("", b"huge", 1, 5_000)
    assert shelf.get("", b"huge") is None
    assert shelf.get("", b"\0") == 0
    assert cache.rejections == 1


def test_replacing_counts_once() -> None:
    """Keeping another value under the same key counts its bytes once."""
    cache, shelf = _filled(10_000, 500)
    before = cache.byte_size
    shelf.put("", b"\0", 7, 500)
    assert (cache.byte_size, len(cache), shelf.get("", b"\0")) == (before, 1, 7)


def test_shelves_share_the_budget_but_not_the_keys() -> None:
    """Two kinds of entries under one key are two entries, and either can make room for the other."""
    cache, numbers = _filled(2_000, 500)
    texts: Shelf[str] = Shelf(cache, "text")
    texts.put("", b"\0", "zero", 500)
    assert (numbers.get("", b"\0"), texts.get("", b"\0")) == (0, "zero")
    texts.put("", b"big", "big", 1_600)
    assert (numbers.get("", b"\0"), texts.get("", b"\0"), texts.get("", b"big")) == (None, None, "big")


def test_a_flood_of_entries_used_once_leaves_those_used_again() -> None:
    """Entries that were asked for once more survive any number of entries that nobody asks for."""
    _, shelf = _filled(10_000, 500, 500)
    assert [shelf.get("", bytes([number])) for number in range(2)] == [0, 1]
    for number in range(1_000):
        shelf.put("", b"flood" + number.to_bytes(2, "big"), number, 500)
    assert [shelf.get("", bytes([number])) for number in range(2)] == [0, 1]


def test_protection_is_bounded() -> None:
    """Entries that were all used again make room for one another, least recently used first."""
    cache, shelf = _filled(10_000)
    for number in range(40):
        shelf.put("", bytes([number]), number, 500)
        shelf.get("", bytes([number]))
    assert cache.byte_size <= 10_000
    assert shelf.get("", bytes([0])) is None
    assert shelf.get("", bytes([39])) == 39


def test_a_tenant_makes_room_among_its_own() -> None:
    """A tenant at its share loses its own oldest entries, and nobody else's."""
    cache = ByteBoundedCache(10_000, tenant_bytes=2_000)
    shelf: Shelf[int] = Shelf(cache, "number")
    shelf.put("quiet", b"kept", 7, 500)
    for number in range(100):
        shelf.put("greedy", bytes([number]), number, 500)
    assert shelf.get("quiet", b"kept") == 7
    assert [shelf.get("greedy", bytes([number])) for number in (97, 98, 99)] == [None, 98, 99]


def test_tenants_do_not_see_one_another() -> None:
    """What one tenant keeps under a name is not there for another."""
    _, shelf = _filled(10_000)
    shelf.put("one", b"name", 1, 10)
    assert shelf.get("two", b"name") is None
    assert shelf.get("", b"name") is None


def test_shrinking_evicts_and_keeps_the_budget() -> None:
    """When memory is short entries go at once, and later ones have the whole budget again."""
    cache, shelf = _filled(10_000, 500, 500, 500)
    cache.shrink(1_000)
    assert (len(cache), shelf.get("", bytes([2]))) == (1, 2)
    shelf.put("", b"large", 1, 9_000)
    assert shelf.get("", b"large") == 1
