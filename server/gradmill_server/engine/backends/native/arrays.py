"""Vector functions over whole arrays: for tests and for measuring, not on the road of a request."""

from __future__ import annotations

import ctypes

import numpy as np

from gradmill_server.engine.backends.native.compiler import LoadedObject, compile_object, module_text
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.llvm_text import LlvmFunctionText
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.lanes import Lanes, call_many
from gradmill_server.engine.vector_math import FUNCTIONS


class ArrayFunctions:
    """Vector functions, compiled together, each callable on arrays."""

    def __init__(self, names: list[str], level: Level) -> None:
        """Compile the functions of these names for the machine at hand."""
        self._width = level.width
        loops = [_loop(name, level.width) for name in names]
        self._object = LoadedObject(compile_object(module_text(level, loops), level))

    def __call__(self, name: str, *arguments: FloatArray) -> list[FloatArray]:
        """Return the function's results, arrays of the arguments' length [n]."""
        function = FUNCTIONS[name]
        count = len(arguments[0])
        padded = -count % self._width
        columns = [np.ascontiguousarray(np.pad(each, (0, padded), mode="edge")) for each in arguments]
        columns += [np.empty(count + padded) for _ in range(function.results)]
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * len(columns))
        native = prototype(self._object.address(f"loop_{name}"))
        native(count + padded, *(column.ctypes.data for column in columns))
        return [column[:count] for column in columns[function.arity :]]


def _loop(name: str, width: int) -> LlvmFunctionText:
    function = FUNCTIONS[name]
    text = LlvmFunctionText(width)
    total = function.arity + function.results
    parameters = ", ".join(f"ptr %p{place}" for place in range(total))
    text.lines.append(f"define void @loop_{name}(i64 %count, {parameters}) {{")
    text.open_block("entry")
    text.lines.append("  br label %body")
    text.open_block("body")
    text.lines.append("  %at = phi i64 [ 0, %entry ], [ %next, %end ]")
    kind = text.lanes_type
    pointers = [text.write(f"getelementptr double, ptr %p{place}, i64 %at") for place in range(total)]
    arguments = [
        Lanes(text, text.write(f"load {kind}, ptr {pointer}, align 8")) for pointer in pointers[: function.arity]
    ]
    for value, pointer in zip(call_many(name, *arguments), pointers[function.arity :], strict=True):
        text.lines.append(f"  store {kind} {value.name}, ptr {pointer}, align 8")
    text.lines += ["  br label %end", "end:", f"  %next = add i64 %at, {width}"]
    text.lines += ["  %more = icmp slt i64 %next, %count", "  br i1 %more, label %body, label %done"]
    text.lines += ["done:", "  ret void", "}"]
    return text
