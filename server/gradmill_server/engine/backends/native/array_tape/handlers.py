"""The handlers of the array tape, for each width of block a table of them by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from gradmill_server.engine.backends.native.array_tape.loops import ArrayHandlerText
from gradmill_server.engine.backends.native.array_tape.maps import gather_handler, map_handler, scatter_handler
from gradmill_server.engine.backends.native.array_tape.products import product_handler
from gradmill_server.engine.backends.native.array_tape.records import (
    END,
    GATHER,
    KINDS,
    LOAD,
    PAUSE,
    PRODUCT_SLOTS,
    PRODUCT_UNIFORM,
    SCATTER,
    STORE,
    SUM_PRODUCTS,
    SUM_VALUES,
)
from gradmill_server.engine.backends.native.array_tape.sums import sum_products_handler, sum_values_handler
from gradmill_server.engine.backends.native.array_tape.transfers import load_handler, store_handler
from gradmill_server.engine.backends.native.compiler import module_text
from gradmill_server.engine.backends.native.handler_text import HandlerText
from gradmill_server.engine.backends.native.handlers import end_handler, enter_function, pause_handler
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.llvm_text import LlvmFunctionText

_FIXED: Final[Mapping[int, Callable[[ArrayHandlerText], HandlerText]]] = MappingProxyType(
    {
        END: end_handler,
        PAUSE: pause_handler,
        LOAD: load_handler,
        STORE: store_handler,
        GATHER: gather_handler,
        SCATTER: scatter_handler,
        SUM_VALUES: sum_values_handler,
        SUM_PRODUCTS: sum_products_handler,
        PRODUCT_SLOTS: lambda text: product_handler(text, "s"),
        PRODUCT_UNIFORM: lambda text: product_handler(text, "u"),
    }
)


def array_table_symbol(lanes: int) -> str:
    """Return the symbol of the table of handlers for a width of block."""
    return f"array_handlers_{lanes}"


def array_library_text(level: Level) -> str:
    """Return the module of all handlers of a level, their tables, and the vector functions they call."""
    bodies: list[LlvmFunctionText] = []
    tables: list[str] = []
    for lanes in level.block_lanes:
        for place, kind in enumerate(KINDS):
            text = ArrayHandlerText(level, lanes, kind.name)
            bodies.append(_FIXED[place](text) if place in _FIXED else map_handler(text, kind))
        bodies.append(enter_function(LlvmFunctionText(level.width), lanes))
        pointers = ", ".join(f'ptr @"{lanes}.{kind.name}"' for kind in KINDS)
        tables.append(f"@{array_table_symbol(lanes)} = constant [{len(KINDS)} x ptr] [{pointers}]")
    return module_text(level, bodies, "\n".join(tables))
