"""Writes lane arithmetic as LLVM IR text.

Text is some sixteen times cheaper to make than the objects of an IR library. No fast-math flag is ever written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine.element_types import ElementType, rounded
from gradmill_server.engine.lanes import Bits, Emitter, Handle, Lanes, Mask, call_many

if TYPE_CHECKING:
    from gradmill_server.engine.vector_math.definition import VectorFunction

_LANES, _BITS, _MASK = "lanes", "bits", "mask"
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
"""Instructions of two operands of one type: LLVM's name, and the sort of the operands."""


class _Element(NamedTuple):
    """What LLVM calls an element type, integers of as many bits, and the type in names of intrinsics."""

    lanes: str
    bits: str
    suffix: str


_ELEMENTS: Mapping[ElementType, _Element] = {
    ElementType.FLOAT64: _Element("double", "i64", "f64"),
    ElementType.FLOAT32: _Element("float", "i32", "f32"),
}

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


class _Place:
    """Where a function's text has got to."""

    __slots__ = ("block", "count")

    def __init__(self) -> None:
        self.count = 0
        self.block = "entry"


class LlvmFunctionText(Emitter):
    """Writes the body of one LLVM function, on vectors of a given width and element type.

    Attributes:
        width: lanes in a vector.
        element_type: that of lanes.
        lines: the instructions so far.
        declarations: intrinsics used, each by its declaration.
        called: names of the vector functions called.
    """

    def __init__(self, width: int, element_type: ElementType = ElementType.FLOAT64) -> None:
        """Start in the function's entry block, which the caller has opened."""
        self.width = width
        self.element_type = element_type
        self._element = _ELEMENTS[element_type]
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.called: set[str] = set()
        self._place = _Place()

    @property
    def block(self) -> str:
        """The basic block that instructions are written to."""
        return self._place.block

    @property
    def element(self) -> str:
        """The LLVM type of an element of Lanes."""
        return self._element.lanes

    @property
    def element_bytes(self) -> int:
        """The bytes of an element."""
        return self.element_type.size

    @property
    def lanes_type(self) -> str:
        """The LLVM type of Lanes."""
        return f"<{self.width} x {self._element.lanes}>"

    @property
    def bits_type(self) -> str:
        """The LLVM type of Bits."""
        return f"<{self.width} x {self._element.bits}>"

    @property
    def mask_type(self) -> str:
        """The LLVM type of Mask."""
        return f"<{self.width} x i1>"

    def fresh(self) -> str:
        """Return a name that nothing has yet."""
        self._place.count += 1
        return f"%v{self._place.count}"

    def write(self, text: str) -> str:
        """Write an instruction that gives a result; return the result's name."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def open_block(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self._place.block = label

    def branch(self, condition: str, if_true: str, if_false: str) -> None:
        """End a basic block: go to one of two others."""
        self.lines.append(f"  br i1 {condition}, label %{if_true}, label %{if_false}")

    def type_of(self, handle: Handle) -> str:
        """Return the LLVM type of a handle."""
        if isinstance(handle, Lanes):
            return self.lanes_type
        return self.bits_type if isinstance(handle, Bits) else self.mask_type

    def float_constant(self, bits: int) -> str:
        """Return a splat constant, written by its bits: LLVM writes a float as the double that it equals."""
        if self.element_type is not ElementType.FLOAT64:
            number = rounded(np.array([bits], dtype=np.uint64).view(np.float64), self.element_type)
            bits = int(number.view(np.uint64)[0])
        return f"splat ({self.element} 0x{bits:016X})"

    def integer_constant(self, value: int) -> str:
        """Return a splat constant."""
        bits = 8 * self.element_bytes
        wrapped = (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
        return f"splat ({self._element.bits} {wrapped})"

    def instruction(self, name: str, *operands: Handle) -> str:
        """Write one instruction of the abstract builder."""
        values = [operand.name for operand in operands]
        if name in _BINARY:
            opcode, sort = _BINARY[name]
            kinds = {_LANES: self.lanes_type, _BITS: self.bits_type, _MASK: self.mask_type}
            return self.write(f"{opcode} {kinds[sort]} {values[0]}, {values[1]}")
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
        symbol = f"@llvm.{name}.v{self.width}{self._element.suffix}"
        self.declarations.add(f"declare {kind} {symbol}({', '.join([kind] * len(values))})")
        return self.write(f"call {kind} {symbol}({', '.join(f'{kind} {value}' for value in values)})")

    def call(self, function: str, arguments: Sequence[Lanes]) -> list[str]:
        """Write a call of a vector function, which is one of float64; it is defined once in the module."""
        from gradmill_server.engine.vector_math import FUNCTIONS  # noqa: PLC0415 - the library calls itself

        results = FUNCTIONS[function].results
        if self.element_type is not ElementType.FLOAT64:
            return [value.name for value in self.computed_wide(lambda *wide: call_many(function, *wide), arguments)]
        self.called.add(function)
        kind = result_type(self.width, results)
        given = ", ".join(f"{self.lanes_type} {argument.name}" for argument in arguments)
        value = self.write(f"call fastcc {kind} {symbol_of(function, self.width)}({given})")
        if results == 1:
            return [value]
        return [self.write(f"extractvalue {kind} {value}, {place}") for place in range(results)]

    def computed_wide(self, compute: Callable[..., Sequence[Lanes]], operands: Sequence[Lanes]) -> list[Lanes]:
        """Write what computes in float64 for lanes of float32: each half of them by itself, the results rounded.

        Args:
            compute: writes it, given its operands as lanes of float64; may write for both halves.
            operands: its operands.
        """
        wide = LlvmFunctionText(self.width // 2)
        wide.lines, wide.declarations, wide.called, wide._place = (
            self.lines,
            self.declarations,
            self.called,
            self._place,
        )
        halves = []
        for first in (0, wide.width):
            picks = ", ".join(f"i32 {lane}" for lane in range(first, first + wide.width))
            halves.append(compute(*[self._widened(operand, picks, wide) for operand in operands]))
        return [self._joined(low, high, wide) for low, high in zip(*halves, strict=True)]

    def _widened(self, value: Lanes, picks: str, wide: LlvmFunctionText) -> Lanes:
        kind = self.lanes_type
        half = self.write(f"shufflevector {kind} {value.name}, {kind} poison, <{wide.width} x i32> <{picks}>")
        return Lanes(wide, self.write(f"fpext <{wide.width} x {self.element}> {half} to {wide.lanes_type}"))

    def _joined(self, low: Lanes, high: Lanes, wide: LlvmFunctionText) -> Lanes:
        part = f"<{wide.width} x {self.element}>"
        halves = [self.write(f"fptrunc {wide.lanes_type} {each.name} to {part}") for each in (low, high)]
        picks = ", ".join(f"i32 {lane}" for lane in range(self.width))
        operands = f"{part} {halves[0]}, {part} {halves[1]}, <{self.width} x i32> <{picks}>"
        return Lanes(self, self.write(f"shufflevector {operands}"))

    def rare(self, mask: Mask, usual: Lanes, unusual: Callable[[], Lanes]) -> str:
        """Write a branch round the unusual case."""
        label = self.fresh()[1:]
        packed = self.write(f"bitcast {self.mask_type} {mask.name} to i{self.width}")
        any_lane = self.write(f"icmp ne i{self.width} {packed}, 0")
        before = self._place.block
        self.lines.append(f"  br i1 {any_lane}, label %{label}.rare, label %{label}.join, !prof !0")
        self.open_block(f"{label}.rare")
        chosen = self.instruction("select", mask, unusual(), usual)
        after = self._place.block
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
