"""Writes lane arithmetic as LLVM IR text.

Text is some sixteen times cheaper to make than the objects of an IR library. No fast-math flag is ever written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gradmill_server.engine.lanes import Bits, Emitter, Handle, Lanes, Mask

if TYPE_CHECKING:
    from gradmill_server.engine.vector_math.definition import VectorFunction

_LANES, _BITS, _MASK = "double", "i64", "i1"
_BINARY: dict[str, tuple[str, str]] = {
    **{name: (name, _LANES) for name in ("fadd", "fsub", "fmul", "fdiv")},
    "lt": ("fcmp olt", _LANES),
    "le": ("fcmp ole", _LANES),
    "gt": ("fcmp ogt", _LANES),
    "ge": ("fcmp oge", _LANES),
    "eq": ("fcmp oeq", _LANES),
    "ne": ("fcmp une", _LANES),
    "unordered": ("fcmp uno", _LANES),
    "iadd": ("add", _BITS),
    "isub": ("sub", _BITS),
    "imul": ("mul", _BITS),
    "iand": ("and", _BITS),
    "ior": ("or", _BITS),
    "ixor": ("xor", _BITS),
    **{name: (name, _BITS) for name in ("shl", "lshr", "ashr")},
    "ieq": ("icmp eq", _BITS),
    "ine": ("icmp ne", _BITS),
    "ilt": ("icmp slt", _BITS),
    "ile": ("icmp sle", _BITS),
    "igt": ("icmp sgt", _BITS),
    "ige": ("icmp sge", _BITS),
    "mand": ("and", _MASK),
    "mor": ("or", _MASK),
    "mxor": ("xor", _MASK),
}
"""Instructions of two operands of one type: LLVM's name, and the element type of the operands."""

_INTRINSICS = {
    "sqrt": "sqrt",
    "fabs": "fabs",
    "floor": "floor",
    "ceil": "ceil",
    "rint": "rint",
    "trunc": "trunc",
    "copysign": "copysign",
    "fma": "fma",
}


class LlvmFunctionText(Emitter):
    """Writes the body of one LLVM function, on vectors of a given width.

    Attributes:
        width: lanes in a vector.
        lines: the instructions so far.
        declarations: intrinsics used, each by its declaration.
        called: names of the vector functions called.
    """

    def __init__(self, width: int) -> None:
        """Start in the function's entry block, which the caller has opened."""
        self.width = width
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.called: set[str] = set()
        self._count = 0
        self._block = "entry"

    @property
    def block(self) -> str:
        """The basic block that instructions are written to."""
        return self._block

    @property
    def lanes_type(self) -> str:
        """The LLVM type of Lanes."""
        return f"<{self.width} x double>"

    @property
    def bits_type(self) -> str:
        """The LLVM type of Bits."""
        return f"<{self.width} x i64>"

    @property
    def mask_type(self) -> str:
        """The LLVM type of Mask."""
        return f"<{self.width} x i1>"

    def fresh(self) -> str:
        """Return a name that nothing has yet."""
        self._count += 1
        return f"%v{self._count}"

    def write(self, text: str) -> str:
        """Write an instruction that gives a result; return the result's name."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def open_block(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self._block = label

    def branch(self, condition: str, if_true: str, if_false: str) -> None:
        """End a basic block: go to one of two others."""
        self.lines.append(f"  br i1 {condition}, label %{if_true}, label %{if_false}")

    def type_of(self, handle: Handle) -> str:
        """Return the LLVM type of a handle."""
        if isinstance(handle, Lanes):
            return self.lanes_type
        return self.bits_type if isinstance(handle, Bits) else self.mask_type

    def float_constant(self, bits: int) -> str:
        """Return a splat constant, written by its bits so that nothing is rounded on the way."""
        return f"splat (double 0x{bits:016X})"

    def integer_constant(self, value: int) -> str:
        """Return a splat constant."""
        wrapped = (value + (1 << 63)) % (1 << 64) - (1 << 63)
        return f"splat (i64 {wrapped})"

    def instruction(self, name: str, *operands: Handle) -> str:
        """Write one instruction of the abstract builder."""
        values = [operand.name for operand in operands]
        if name in _BINARY:
            opcode, element = _BINARY[name]
            return self.write(f"{opcode} <{self.width} x {element}> {values[0]}, {values[1]}")
        if name in _INTRINSICS:
            return self._intrinsic(_INTRINSICS[name], values)
        return self._other(name, operands, values)

    def _other(self, name: str, operands: Sequence[Handle], values: list[str]) -> str:
        match name:
            case "fneg":
                return self.write(f"fneg {self.lanes_type} {values[0]}")
            case "mnot":
                return self.write(f"xor {self.mask_type} {values[0]}, splat (i1 true)")
            case "select":
                kind = self.type_of(operands[1])
                return self.write(f"select {self.mask_type} {values[0]}, {kind} {values[1]}, {kind} {values[2]}")
            case "bits":
                return self.write(f"bitcast {self.lanes_type} {values[0]} to {self.bits_type}")
            case "lanes":
                return self.write(f"bitcast {self.bits_type} {values[0]} to {self.lanes_type}")
            case _:
                message = f"there is no instruction {name!r}"
                raise ValueError(message)

    def _intrinsic(self, name: str, values: list[str]) -> str:
        kind = self.lanes_type
        symbol = f"@llvm.{name}.v{self.width}f64"
        self.declarations.add(f"declare {kind} {symbol}({', '.join([kind] * len(values))})")
        return self.write(f"call {kind} {symbol}({', '.join(f'{kind} {value}' for value in values)})")

    def call(self, function: str, arguments: Sequence[Lanes]) -> list[str]:
        """Write a call of a vector function; it is defined once in the module."""
        from gradmill_server.engine.vector_math import FUNCTIONS  # noqa: PLC0415 - the library calls itself

        results = FUNCTIONS[function].results
        self.called.add(function)
        kind = result_type(self.width, results)
        given = ", ".join(f"{self.lanes_type} {argument.name}" for argument in arguments)
        value = self.write(f"call fastcc {kind} {symbol_of(function, self.width)}({given})")
        if results == 1:
            return [value]
        return [self.write(f"extractvalue {kind} {value}, {place}") for place in range(results)]

    def rare(self, mask: Mask, usual: Lanes, unusual: Callable[[], Lanes]) -> str:
        """Write a branch round the unusual case."""
        label = self.fresh()[1:]
        packed = self.write(f"bitcast {self.mask_type} {mask.name} to i{self.width}")
        any_lane = self.write(f"icmp ne i{self.width} {packed}, 0")
        before = self._block
        self.lines.append(f"  br i1 {any_lane}, label %{label}.rare, label %{label}.join, !prof !0")
        self.open_block(f"{label}.rare")
        chosen = self.instruction("select", mask, unusual(), usual)
        after = self._block
        self.lines.append(f"  br label %{label}.join")
        self.open_block(f"{label}.join")
        return self.write(f"phi {self.lanes_type} [ {usual.name}, %{before} ], [ {chosen}, %{after} ]")


def symbol_of(function: str, width: int) -> str:
    """Return the LLVM symbol of a vector function."""
    return f"@gradmill_{function}_x{width}"


def result_type(width: int, results: int) -> str:
    """Return the LLVM type of a vector function's result."""
    kind = f"<{width} x double>"
    return kind if results == 1 else "{ " + ", ".join([kind] * results) + " }"


def function_text(function: VectorFunction, width: int) -> LlvmFunctionText:
    """Write a vector function; the text's lines are the whole definition."""
    text = LlvmFunctionText(width)
    parameters = [f"%a{place}" for place in range(function.arity)]
    kind = result_type(width, function.results)
    declared = ", ".join(f"{text.lanes_type} {name}" for name in parameters)
    text.lines.append(f"define internal fastcc {kind} {symbol_of(function.name, width)}({declared}) noinline {{")
    text.open_block("entry")
    outcome = function.body(*(Lanes(text, name) for name in parameters))
    values = [outcome] if isinstance(outcome, Lanes) else list(outcome)
    result = values[0].name
    if function.results > 1:
        result = "poison"
        for place, value in enumerate(values):
            result = text.write(f"insertvalue {kind} {result}, {text.lanes_type} {value.name}, {place}")
    text.lines += [f"  ret {kind} {result}", "}"]
    return text
