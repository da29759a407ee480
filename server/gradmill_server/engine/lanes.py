"""Arithmetic on vectors of lanes, as an abstract builder: machine code described without saying for which machine.

A lane is a point. Handles stand for values of code that is being written: `Lanes` are float64, or float32 where the
emitter writes code of that type, `Bits` are integers of the same bits, `Mask` are truth values. Operators on handles
write instructions through an `Emitter`. No instruction is ever reordered, contracted or assumed away: what is written
is what each lane computes, so a lane's bits depend on nothing but its own operands.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar


class Emitter(ABC):
    """Writes instructions for one kind of machine."""

    @abstractmethod
    def instruction(self, name: str, *operands: Handle) -> str:
        """Write an instruction; return what stands for its result.

        The names: ``fadd fsub fmul fdiv fneg fma sqrt fabs floor ceil rint trunc copysign`` on Lanes;
        ``lt le gt ge eq ne unordered`` from Lanes to Mask (false beside a NaN, save ``ne`` and ``unordered``);
        ``iadd isub imul iand ior ixor shl lshr ashr`` on Bits, a shift's second operand being a constant;
        ``ieq ine ilt ile igt ige`` from Bits to Mask, signed; ``mand mor mxor mnot`` on Masks;
        ``select`` of a Mask and two Lanes or two Bits; ``bits`` and ``lanes`` re-read the same 64 bits.
        """

    @abstractmethod
    def float_constant(self, bits: int) -> str:
        """Return what stands for a float64, given by its bits and rounded to the emitter's type, in every lane."""

    @abstractmethod
    def integer_constant(self, value: int) -> str:
        """Return what stands for an int64 in every lane."""

    @abstractmethod
    def call(self, function: str, arguments: Sequence[Lanes]) -> list[str]:
        """Write a call of a vector function by name; return what stands for its results."""

    @abstractmethod
    def rare(self, mask: Mask, usual: Lanes, unusual: Callable[[], Lanes]) -> str:
        """Write a branch, taken when the mask holds in any lane.

        In lanes where the mask holds the result is ``unusual()``, elsewhere ``usual``, whatever the neighbours do.
        """


class Handle:
    """Stands for a value of code that is being written."""

    __slots__ = ("emitter", "name")

    def __init__(self, emitter: Emitter, name: str) -> None:
        """Refer to a value by what the emitter calls it."""
        self.emitter = emitter
        self.name = name


class Mask(Handle):
    """A truth value in each lane."""

    __slots__ = ()

    def __and__(self, other: Mask) -> Mask:
        """Hold where both hold."""
        return Mask(self.emitter, self.emitter.instruction("mand", self, other))

    def __or__(self, other: Mask) -> Mask:
        """Hold where either holds."""
        return Mask(self.emitter, self.emitter.instruction("mor", self, other))

    def __xor__(self, other: Mask) -> Mask:
        """Hold where exactly one holds."""
        return Mask(self.emitter, self.emitter.instruction("mxor", self, other))

    def __invert__(self) -> Mask:
        """Hold where this does not."""
        return Mask(self.emitter, self.emitter.instruction("mnot", self))


class Bits(Handle):
    """An int64 in each lane. Arithmetic wraps round."""

    __slots__ = ()

    def _coerced(self, other: Bits | int) -> Bits:
        return other if isinstance(other, Bits) else Bits(self.emitter, self.emitter.integer_constant(other))

    def _with(self, instruction: str, other: Bits | int) -> Bits:
        return Bits(self.emitter, self.emitter.instruction(instruction, self, self._coerced(other)))

    def _compared(self, instruction: str, other: Bits | int) -> Mask:
        return Mask(self.emitter, self.emitter.instruction(instruction, self, self._coerced(other)))

    def __add__(self, other: Bits | int) -> Bits:
        """Add."""
        return self._with("iadd", other)

    def __sub__(self, other: Bits | int) -> Bits:
        """Subtract."""
        return self._with("isub", other)

    def __mul__(self, other: Bits | int) -> Bits:
        """Multiply, keeping the low 64 bits. Slow on most machines."""
        return self._with("imul", other)

    def __and__(self, other: Bits | int) -> Bits:
        """And bit by bit."""
        return self._with("iand", other)

    def __or__(self, other: Bits | int) -> Bits:
        """Or bit by bit."""
        return self._with("ior", other)

    def __xor__(self, other: Bits | int) -> Bits:
        """Exclusive-or bit by bit."""
        return self._with("ixor", other)

    def __lshift__(self, count: int) -> Bits:
        """Shift left by a constant."""
        return self._with("shl", count)

    def logical_right(self, count: int) -> Bits:
        """Shift right by a constant, zeros from the left."""
        return self._with("lshr", count)

    def arithmetic_right(self, count: int) -> Bits:
        """Shift right by a constant, copies of the sign from the left."""
        return self._with("ashr", count)

    def equals(self, other: Bits | int) -> Mask:
        """Compare: equal."""
        return self._compared("ieq", other)

    def less(self, other: Bits | int) -> Mask:
        """Compare: less, signed."""
        return self._compared("ilt", other)

    def greater(self, other: Bits | int) -> Mask:
        """Compare: greater, signed."""
        return self._compared("igt", other)

    def as_lanes(self) -> Lanes:
        """Re-read the same bits as float64."""
        return Lanes(self.emitter, self.emitter.instruction("lanes", self))


class Lanes(Handle):
    """A number in each lane."""

    __slots__ = ()

    def _coerced(self, other: Lanes | float) -> Lanes:
        return other if isinstance(other, Lanes) else constant(self.emitter, other)

    def _with(self, instruction: str, *others: Lanes | float) -> Lanes:
        operands = [self._coerced(other) for other in others]
        return Lanes(self.emitter, self.emitter.instruction(instruction, self, *operands))

    def _compared(self, instruction: str, other: Lanes | float) -> Mask:
        return Mask(self.emitter, self.emitter.instruction(instruction, self, self._coerced(other)))

    def __add__(self, other: Lanes | float) -> Lanes:
        """Add."""
        return self._with("fadd", other)

    def __radd__(self, other: float) -> Lanes:
        """Add to a number."""
        return self._coerced(other) + self

    def __sub__(self, other: Lanes | float) -> Lanes:
        """Subtract."""
        return self._with("fsub", other)

    def __rsub__(self, other: float) -> Lanes:
        """Subtract from a number."""
        return self._coerced(other) - self

    def __mul__(self, other: Lanes | float) -> Lanes:
        """Multiply."""
        return self._with("fmul", other)

    def __rmul__(self, other: float) -> Lanes:
        """Multiply a number."""
        return self._coerced(other) * self

    def __truediv__(self, other: Lanes | float) -> Lanes:
        """Divide."""
        return self._with("fdiv", other)

    def __rtruediv__(self, other: float) -> Lanes:
        """Divide a number."""
        return self._coerced(other) / self

    def __neg__(self) -> Lanes:
        """Negate."""
        return self._with("fneg")

    def __abs__(self) -> Lanes:
        """Drop the sign."""
        return self._with("fabs")

    def times_plus(self, factor: Lanes | float, addend: Lanes | float) -> Lanes:
        """Return self*factor + addend with a single rounding (IEEE 754 fusedMultiplyAdd)."""
        return self._with("fma", factor, addend)

    def sqrt(self) -> Lanes:
        """Return the correctly rounded square root."""
        return self._with("sqrt")

    def floor(self) -> Lanes:
        """Round down."""
        return self._with("floor")

    def ceil(self) -> Lanes:
        """Round up."""
        return self._with("ceil")

    def rint(self) -> Lanes:
        """Round to nearest, halves to even."""
        return self._with("rint")

    def trunc(self) -> Lanes:
        """Round towards zero."""
        return self._with("trunc")

    def with_sign_of(self, other: Lanes | float) -> Lanes:
        """Return the magnitude of self with the sign of another."""
        return self._with("copysign", other)

    def less(self, other: Lanes | float) -> Mask:
        """Compare: less."""
        return self._compared("lt", other)

    def less_equal(self, other: Lanes | float) -> Mask:
        """Compare: less or equal."""
        return self._compared("le", other)

    def greater(self, other: Lanes | float) -> Mask:
        """Compare: greater."""
        return self._compared("gt", other)

    def greater_equal(self, other: Lanes | float) -> Mask:
        """Compare: greater or equal."""
        return self._compared("ge", other)

    def equals(self, other: Lanes | float) -> Mask:
        """Compare: equal."""
        return self._compared("eq", other)

    def differs(self, other: Lanes | float) -> Mask:
        """Compare: not equal; true beside a NaN."""
        return self._compared("ne", other)

    def is_nan(self) -> Mask:
        """Hold where the value is NaN."""
        return self._compared("unordered", self)

    def as_bits(self) -> Bits:
        """Re-read the same bits as int64."""
        return Bits(self.emitter, self.emitter.instruction("bits", self))


Either = TypeVar("Either", Lanes, Bits)


def constant(emitter: Emitter, number: float) -> Lanes:
    """Return a float64 in every lane, told by its bits."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", number))
    return Lanes(emitter, emitter.float_constant(bits))


def select(mask: Mask, if_true: Either, if_false: Either) -> Either:
    """Return ``if_true`` where the mask holds, else ``if_false``; both are computed."""
    return type(if_true)(mask.emitter, mask.emitter.instruction("select", mask, if_true, if_false))


def choose(mask: Mask, if_true: Lanes | float, if_false: Lanes | float) -> Lanes:
    """Return like `select`, taking plain numbers as well."""
    first = if_true if isinstance(if_true, Lanes) else constant(mask.emitter, if_true)
    second = if_false if isinstance(if_false, Lanes) else constant(mask.emitter, if_false)
    return select(mask, first, second)


def rare(mask: Mask, usual: Lanes, unusual: Callable[[], Lanes]) -> Lanes:
    """Return ``unusual()`` where the mask holds, else ``usual``; the former costs only when some lane needs it."""
    return Lanes(mask.emitter, mask.emitter.rare(mask, usual, unusual))


def call(function: str, *arguments: Lanes) -> Lanes:
    """Call a vector function of one result by its name."""
    (result,) = call_many(function, *arguments)
    return result


def call_many(function: str, *arguments: Lanes) -> list[Lanes]:
    """Call a vector function of several results by its name."""
    emitter = arguments[0].emitter
    return [Lanes(emitter, name) for name in emitter.call(function, arguments)]


def vector_function(name: str) -> Callable[..., Lanes]:
    """Return what calls a vector function of one result, for use in the table of operations."""

    def function(*operands: Lanes) -> Lanes:
        return call(name, *operands)

    return function
