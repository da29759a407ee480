"""The cache: its budget, and what has to go."""

from __future__ import annotations

from gradmill_server.serving.cache import ByteBoundedCache, Shelf


def _filled(maximum_bytes: int, *sizes: int) -> tuple[ByteBoundedCache, Shelf[int]]:
    cache = ByteBoundedCache(maximum_bytes)
    shelf: Shelf[int] = Shelf(cache, "number")
    for number, size in enumerate(sizes):
        shelf.put(bytes([number]), number, size)
    return cache, shelf


def test_never_more_bytes_than_the_budget() -> None:
    """However many entries are kept, the bytes held stay within the budget."""
    cache, shelf = _filled(10_000)
    for number in range(1_000):
        shelf.put(number.to_bytes(2, "big"), number, 500)
        assert cache.byte_size <= 10_000
    assert len(cache) == 12
    assert cache.evictions == 988


def test_least_recently_used_goes_first() -> None:
    """What was used just now stays when room is needed, and what was not goes."""
    _, shelf = _filled(3_000, 500, 500, 500)
    assert shelf.get(b"\0") == 0
    shelf.put(b"new", 9, 1_000)
    assert [shelf.get(bytes([number])) for number in range(3)] == [0, None, 2]
    assert shelf.get(b"new") == 9


def test_too_large_for_the_budget_is_not_kept() -> None:
    """An entry larger than the whole budget drives nothing out."""
    cache, shelf = _filled(2_000, 500)
    shelf.put(b"huge", 1, 5_000)
    assert shelf.get(b"huge") is None
    assert shelf.get(b"\0") == 0
    assert cache.rejections == 1


def test_replacing_counts_once() -> None:
    """Keeping another value under the same key counts its bytes once."""
    cache, shelf = _filled(10_000, 500)
    before = cache.byte_size
    shelf.put(b"\0", 7, 500)
    assert (cache.byte_size, len(cache), shelf.get(b"\0")) == (before, 1, 7)


def test_shelves_share_the_budget_but_not_the_keys() -> None:
    """Two kinds of entries under one key are two entries, and either can make room for the other."""
    cache, numbers = _filled(2_000, 500)
    texts: Shelf[str] = Shelf(cache, "text")
    texts.put(b"\0", "zero", 500)
    assert (numbers.get(b"\0"), texts.get(b"\0")) == (0, "zero")
    texts.put(b"big", "big", 1_600)
    assert (numbers.get(b"\0"), texts.get(b"\0"), texts.get(b"big")) == (None, None, "big")
