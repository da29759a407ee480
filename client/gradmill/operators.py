"""What Python's operators mean between traced values."""

from __future__ import annotations

from typing import Self, SupportsIndex, TypeAlias

from gradmill.handles import TRACEABLE, Handle, SomeHandle, derived
from gradmill.places import refuse
from gradmill.traces import Real

_Operand: TypeAlias = Handle | Real


class Operators(Handle):
    """A traced value with Python's arithmetic, matrix product and comparisons, operands in the order written."""

    __slots__ = ()
    __array_ufunc__ = None  # NumPy's operators then leave the work to the reflected ones below

    # Arithmetic. An operand of a foreign type gives NotImplemented, so that Python reports it in its usual words.

    def __add__(self, other: _Operand) -> Self:
        """Trace ``self + other``."""
        return _binary(self, "add", self, other)

    def __radd__(self, other: _Operand) -> Self:
        """Trace ``other + self``."""
        return _binary(self, "add", other, self)

    def __sub__(self, other: _Operand) -> Self:
        """Trace ``self - other``."""
        return _binary(self, "subtract", self, other)

    def __rsub__(self, other: _Operand) -> Self:
        """Trace ``other - self``."""
        return _binary(self, "subtract", other, self)

    def __mul__(self, other: _Operand) -> Self:
        """Trace ``self * other``."""
        return _binary(self, "multiply", self, other)

    def __rmul__(self, other: _Operand) -> Self:
        """Trace ``other * self``."""
        return _binary(self, "multiply", other, self)

    def __truediv__(self, other: _Operand) -> Self:
        """Trace ``self / other``."""
        return _binary(self, "divide", self, other)

    def __rtruediv__(self, other: _Operand) -> Self:
        """Trace ``other / self``."""
        return _binary(self, "divide", other, self)

    def __pow__(self, other: _Operand) -> Self:
        """Trace ``self ** other``."""
        return _binary(self, "power", self, other)

    def __rpow__(self, other: _Operand) -> Self:
        """Trace ``other ** self``."""
        return _binary(self, "power", other, self)

    def __mod__(self, other: _Operand) -> Self:
        """Trace ``self % other``, which has the sign of ``other``."""
        return _binary(self, "mod", self, other)

    def __rmod__(self, other: _Operand) -> Self:
        """Trace ``other % self``, which has the sign of ``self``."""
        return _binary(self, "mod", other, self)

    def __floordiv__(self, other: _Operand) -> Self:
        """Trace ``floor(self / other)``."""
        return _floor(_binary(self, "divide", self, other))

    def __rfloordiv__(self, other: _Operand) -> Self:
        """Trace ``floor(other / self)``."""
        return _floor(_binary(self, "divide", other, self))

    def __matmul__(self, other: _Operand) -> Self:
        """Trace ``self @ other``."""
        return _binary(self, "matmul", self, other)

    def __rmatmul__(self, other: _Operand) -> Self:
        """Trace ``other @ self``."""
        return _binary(self, "matmul", other, self)

    def __neg__(self) -> Self:
        """Trace ``-self``."""
        return derived(self, "negate", [self])

    def __pos__(self) -> Self:
        """Return the value itself."""
        return self

    def __abs__(self) -> Self:
        """Trace ``abs(self)``."""
        return derived(self, "abs", [self])

    def __floor__(self) -> Self:
        """Trace ``math.floor(self)``."""
        return derived(self, "floor", [self])

    def __ceil__(self) -> Self:
        """Trace ``math.ceil(self)``."""
        return derived(self, "ceil", [self])

    def __round__(self, digits: SupportsIndex | None = None) -> Self:
        """Trace ``round(self)``, halves to even.

        Raises:
            TracingError: digits are given.
        """
        if digits is not None:
            refuse("round() of a traced value takes no digits", "Scale it: round(x * 100) / 100.")
        return derived(self, "round", [self])

    # Comparisons give 1.0 or 0.0. Equality is one of them, so expressions are told apart by identity.

    __hash__ = object.__hash__

    def __lt__(self, other: _Operand) -> Self:
        """Trace ``self < other``."""
        return _binary(self, "less", self, other)

    def __le__(self, other: _Operand) -> Self:
        """Trace ``self <= other``."""
        return _binary(self, "less_equal", self, other)

    def __gt__(self, other: _Operand) -> Self:
        """Trace ``self > other``."""
        return _binary(self, "greater", self, other)

    def __ge__(self, other: _Operand) -> Self:
        """Trace ``self >= other``."""
        return _binary(self, "greater_equal", self, other)

    def __eq__(self, other: _Operand) -> Self:  # type: ignore[override]  # a comparison is traced, as in NumPy
        """Trace ``self == other``."""
        return _binary(self, "equal", self, other)

    def __ne__(self, other: _Operand) -> Self:  # type: ignore[override]  # a comparison is traced, as in NumPy
        """Trace ``self != other``."""
        return _binary(self, "not_equal", self, other)

    def __and__(self, other: _Operand) -> Self:
        """Trace ``self & other``: 1.0 where both are non-zero."""
        return _binary(self, "logical_and", self, other)

    def __rand__(self, other: _Operand) -> Self:
        """Trace ``other & self``: 1.0 where both are non-zero."""
        return _binary(self, "logical_and", other, self)

    def __or__(self, other: _Operand) -> Self:
        """Trace ``self | other``: 1.0 where either is non-zero."""
        return _binary(self, "logical_or", self, other)

    def __ror__(self, other: _Operand) -> Self:
        """Trace ``other | self``: 1.0 where either is non-zero."""
        return _binary(self, "logical_or", other, self)

    def __invert__(self) -> Self:
        """Trace ``~self``: 1.0 where it is zero."""
        return derived(self, "logical_not", [self])


def _binary(like: SomeHandle, name: str, left: object, right: object) -> SomeHandle:
    if isinstance(left, TRACEABLE) and isinstance(right, TRACEABLE):
        return derived(like, name, (left, right))
    return NotImplemented  # type: ignore[no-any-return]  # Python's sign to try the other operand


def _floor(quotient: SomeHandle) -> SomeHandle:
    return quotient if quotient is NotImplemented else derived(quotient, "floor", [quotient])
