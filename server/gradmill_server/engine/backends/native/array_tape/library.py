"""The array tape's handlers of a processor level in executable memory: an object of their own, made when first needed.

So a machine that runs functions of scalars only never waits for them.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Final, NamedTuple

from gradmill_server.engine.backends.native.array_tape.handlers import array_library_text, array_table_symbol
from gradmill_server.engine.backends.native.compiler import LoadedObject
from gradmill_server.engine.backends.native.handlers import enter_symbol
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.library import ENTER, origin_of
from gradmill_server.engine.backends.native.object_cache import cached_object


class ArrayHandlerSet(NamedTuple):
    """The handlers for one width of block.

    Attributes:
        lanes: points in a block.
        enter: runs a frame, given its address and a budget, until all is done or the budget is spent; returns whether
            there is more to do. Without the interpreter lock.
        table: the address of the table of handlers.
    """

    lanes: int
    enter: ctypes._CFunctionType
    table: int


class ArrayHandlerLibrary:
    """The handlers of one processor level, in memory for as long as this lives.

    Attributes:
        sets: one for each width of block, the narrowest first.
    """

    def __init__(self, level: Level) -> None:
        """Load the handlers."""
        origin = f"arrays {origin_of(level, array_library_text)}"
        self._object = LoadedObject(cached_object(origin, lambda: array_library_text(level), level))
        self.sets = tuple(self._set(lanes) for lanes in level.block_lanes)

    def _set(self, lanes: int) -> ArrayHandlerSet:
        enter = ENTER(self._object.address(enter_symbol(lanes)))
        return ArrayHandlerSet(lanes, enter, self._object.address(array_table_symbol(lanes)))


_LOADED: dict[Level, ArrayHandlerLibrary] = {}
_LOADING: Final = threading.Lock()
"""Guards `_LOADED`: two libraries of one level would be twice the work, and memory for both."""


def array_library(level: Level) -> ArrayHandlerLibrary:
    """Return the array tape's handlers of a level; the same ones for the whole process."""
    with _LOADING:
        if level not in _LOADED:
            _LOADED[level] = ArrayHandlerLibrary(level)
        return _LOADED[level]
