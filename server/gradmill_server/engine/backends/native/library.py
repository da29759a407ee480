"""The handlers of a processor level in executable memory, compiled on a machine's first start, then kept on disk."""

from __future__ import annotations

import ctypes
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from gradmill_server.engine.backends.native.compiler import LoadedObject
from gradmill_server.engine.backends.native.frame import Layout
from gradmill_server.engine.backends.native.handlers import enter_symbol, library_text, table_symbol
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.object_cache import cached_object
from gradmill_server.engine.backends.native.repeating import repeat_symbol

_ENGINE = Path(__file__).parents[2]
_SOURCES = ("backends/native", "ops", "vector_math")
"""Folders of the engine whose code decides what the handlers are, besides lanes.py and element_types.py."""

ENTER: Final = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
"""Runs a frame from Python, without the interpreter lock."""

_ENTER_BRIEFLY: Final = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
"""The same with the interpreter lock. Getting the lock back may take longer than a small frame runs, when other threads
are busy in Python."""

_REPEAT: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


class HandlerSet(NamedTuple):
    """The handlers for one width of block.

    Attributes:
        lanes: points in a block.
        enter: runs a frame, given its address and a budget, until all is done or the budget is spent; returns whether
            there is more to do. Without the interpreter lock.
        enter_briefly: the same with the interpreter lock, for what takes some microseconds.
        tables: the address of the table of handlers, for each layout of the caller's arrays.
        repeat: runs some steps of a loop, given its address and their number. Without the interpreter lock.
    """

    lanes: int
    enter: ctypes._CFunctionType
    enter_briefly: ctypes._CFunctionType
    tables: dict[Layout, int]
    repeat: ctypes._CFunctionType


class HandlerLibrary:
    """The handlers of one processor level, in memory for as long as this lives.

    Attributes:
        sets: one for each width of block, the narrowest first.
    """

    def __init__(self, level: Level) -> None:
        """Load the handlers."""
        self._object = LoadedObject(cached_object(origin_of(level), lambda: library_text(level), level))
        self.sets = tuple(self._set(lanes) for lanes in level.block_lanes)

    def _set(self, lanes: int) -> HandlerSet:
        tables = {layout: self._object.address(table_symbol(lanes, layout)) for layout in Layout}
        enter = self._object.address(enter_symbol(lanes))
        repeat = self._object.address(repeat_symbol(lanes))
        return HandlerSet(lanes, ENTER(enter), _ENTER_BRIEFLY(enter), tables, _REPEAT(repeat))


def _origin() -> str:
    """Return a digest of the sources that write the handlers; empty where they cannot be read."""
    digest = hashlib.sha256()
    paths = sorted(path for place in _SOURCES for path in (_ENGINE / place).rglob("*.py"))
    try:
        for path in [_ENGINE / "lanes.py", _ENGINE / "element_types.py", *paths]:
            digest.update(path.relative_to(_ENGINE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    except OSError:
        return ""
    return digest.hexdigest()


_LOADED_ORIGIN: Final = _origin()
"""The digest of the sources as they were when this process read them."""

_LOADED: dict[Level, HandlerLibrary] = {}
_LOADING: Final[dict[Level, threading.Lock]] = {}
"""For each level the lock under which its library is made: two would be twice the work, and memory for both.

Making one for an element type that is met for the first time keeps nobody waiting who needs another one.
"""

_GUARD: Final = threading.Lock()
"""Guards `_LOADING`."""


def origin_of(level: Level, text: Callable[[Level], str] | None = None) -> str:
    """Return what a level's handlers are a function of; the text is what writes them, if they are others than these.

    That is the digest of the sources, as writing the handlers takes a hundred times longer than reading what writes
    them; but where the files are other ones by now than this process runs, or cannot be read, it is the handlers.
    """
    unchanged = _LOADED_ORIGIN and _origin() == _LOADED_ORIGIN
    return _LOADED_ORIGIN if unchanged else (text or library_text)(level)


def library(level: Level) -> HandlerLibrary:
    """Return the handlers of a level; the same ones for the whole process."""
    found = _LOADED.get(level)
    if found is not None:
        return found
    with _GUARD:
        lock = _LOADING.setdefault(level, threading.Lock())
    with lock:
        if level not in _LOADED:
            _LOADED[level] = HandlerLibrary(level)
        return _LOADED[level]
