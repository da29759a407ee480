"""From LLVM IR text to machine code, and into memory."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from llvmlite import binding

from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.llvm_text import LlvmFunctionText, function_text
from gradmill_server.engine.vector_math import FUNCTIONS

# A branch round a rare case: weighed so that the usual case falls through.
_BRANCH_WEIGHTS: Final = '!0 = !{!"branch_weights", i32 1, i32 1000000}'


def module_text(level: Level, bodies: Iterable[LlvmFunctionText], definitions: str = "") -> str:
    """Return a module: the bodies, every vector function they call, and definitions of other kinds.

    Args:
        level: what it will be compiled for.
        bodies: functions already written.
        definitions: further definitions, as text.
    """
    written = list(bodies)
    waiting = sorted({name for body in written for name in body.called})
    known = set(waiting)
    while waiting:
        text = function_text(FUNCTIONS[waiting.pop()], level.function_width)
        written.append(text)
        new = sorted(text.called - known)
        known.update(new)
        waiting += new
    declarations = sorted({declaration for body in written for declaration in body.declarations})
    parts = [f'target triple = "{level.triple}"', *declarations, definitions]
    parts += ["\n".join(body.lines) for body in written]
    return "\n".join([*parts, _BRANCH_WEIGHTS, ""])


def compile_object(text: str, level: Level) -> bytes:
    """Return the object file of a module: code generation at level O2, no mid-level passes, no fast-math.

    Raises:
        RuntimeError: from LLVM, for a module that is not well-formed.
    """
    _initialize()
    context = binding.create_context()
    module = binding.parse_assembly(text, context)
    module.verify()
    return bytes(_target_machine(level).emit_object(module))


@cache
def _initialize() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()


def _target_machine(level: Level) -> binding.TargetMachine:
    target = binding.Target.from_triple(level.triple)
    return target.create_target_machine(cpu=level.cpu, features="", opt=2, reloc="pic", codemodel="small")


class LoadedObject:
    """An object file in executable memory, for as long as this lives."""

    def __init__(self, content: bytes) -> None:
        """Load an object for this machine. Raises RuntimeError when it cannot be."""
        _initialize()
        module = binding.parse_assembly("", binding.create_context())
        machine = binding.Target.from_default_triple().create_target_machine()
        self._engine = binding.create_mcjit_compiler(module, machine)
        self._engine.add_object_file(binding.ObjectFileRef.from_data(content))
        self._engine.finalize_object()

    def address(self, symbol: str) -> int:
        """Return a symbol's address.

        Raises:
            LookupError: when the object has no such symbol; LLVM itself would answer 0, and a call would crash.
        """
        address: int = self._engine.get_function_address(symbol)
        if address == 0:
            message = f"the object has no symbol {symbol!r}"
            raise LookupError(message)
        return address
