"""Functions made by computing with named inputs: ordinary Python arithmetic, written down as it happens.

    x, y = gradmill.inputs("x", "y")
    f = gradmill.exp(x) * y

``f`` is a function of x and y, in that order, that every client accepts. Operands stay in the order in which they are
written, so that ``f`` and the formula ``exp(x) * y`` are one function with one digest. The one exception is Python's
own: it evaluates ``2 < x`` as ``x > 2``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn, SupportsIndex, TypeAlias, overload

import numpy as np

from gradmill.canonical import canonicalize, digest
from gradmill.errors import Failure, TracingError
from gradmill.graph import Graph, Input, Output, Shape, as_shape, check_names
from gradmill.trace import Real, Trace

Operand: TypeAlias = "Expression | Real"
"""What an operation can be applied to: a traced value, a real number, or an array of real numbers."""

_Names: TypeAlias = Mapping[str, int | Shape] | list[str] | tuple[str, ...]

_PACKAGE_FOLDER = str(Path(__file__).parent)
_OPERAND_TYPES = (int, float, np.integer, np.floating, np.bool_, np.ndarray)
DEFAULT_OUTPUT = "value"


class Expression:
    """A value computed from inputs, and the function of these inputs that has it as its output ``value``.

    Attributes:
        shape: the shape of one point's value; a scalar has the shape ().
        inputs: all the inputs declared together, in declared order, used here or not.
        digest: the 32 bytes that name the function.
    """

    __slots__ = ("_function", "_number", "_trace")
    __array_ufunc__ = None  # NumPy's operators then leave the work to the reflected ones below

    def __init__(self, trace: Trace, number: int) -> None:
        """Point at one value of a trace."""
        self._trace = trace
        self._number = number
        self._function: TracedFunction | None = None

    @property
    def shape(self) -> Shape:
        """Return the shape of one point's value."""
        return self._trace.shape(self._number)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return all the inputs declared together, in declared order."""
        return self._trace.inputs

    @property
    def digest(self) -> bytes:
        """Return the 32 bytes that name the function."""
        return self.as_function().digest

    def as_function(self) -> TracedFunction:
        """Return the function whose only output is this value, named ``value``."""
        if self._function is None:
            self._function = TracedFunction(self._trace, {DEFAULT_OUTPUT: self._number})
        return self._function

    def __repr__(self) -> str:
        """Show what made the value, the inputs, and the shape when there is one."""
        shape = f", shape={self.shape}" if self.shape else ""
        names = ", ".join(entry.name for entry in self.inputs)
        return f"<Expression {self._trace.describe(self._number)} of ({names}){shape}>"

    # Arithmetic. An operand of a foreign type gives NotImplemented, so that Python reports it in its usual words.

    def __add__(self, other: Operand) -> Expression:
        """Trace ``self + other``."""
        return _binary("add", self, other)

    def __radd__(self, other: Operand) -> Expression:
        """Trace ``other + self``."""
        return _binary("add", other, self)

    def __sub__(self, other: Operand) -> Expression:
        """Trace ``self - other``."""
        return _binary("subtract", self, other)

    def __rsub__(self, other: Operand) -> Expression:
        """Trace ``other - self``."""
        return _binary("subtract", other, self)

    def __mul__(self, other: Operand) -> Expression:
        """Trace ``self * other``."""
        return _binary("multiply", self, other)

    def __rmul__(self, other: Operand) -> Expression:
        """Trace ``other * self``."""
        return _binary("multiply", other, self)

    def __truediv__(self, other: Operand) -> Expression:
        """Trace ``self / other``."""
        return _binary("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Expression:
        """Trace ``other / self``."""
        return _binary("divide", other, self)

    def __pow__(self, other: Operand) -> Expression:
        """Trace ``self ** other``."""
        return _binary("power", self, other)

    def __rpow__(self, other: Operand) -> Expression:
        """Trace ``other ** self``."""
        return _binary("power", other, self)

    def __mod__(self, other: Operand) -> Expression:
        """Trace ``self % other``, which has the sign of ``other``."""
        return _binary("mod", self, other)

    def __rmod__(self, other: Operand) -> Expression:
        """Trace ``other % self``, which has the sign of ``self``."""
        return _binary("mod", other, self)

    def __floordiv__(self, other: Operand) -> Expression:
        """Trace ``floor(self / other)``."""
        return _floor(_binary("divide", self, other))

    def __rfloordiv__(self, other: Operand) -> Expression:
        """Trace ``floor(other / self)``."""
        return _floor(_binary("divide", other, self))

    def __neg__(self) -> Expression:
        """Trace ``-self``."""
        return apply("negate", self)

    def __pos__(self) -> Expression:
        """Return the value itself."""
        return self

    def __abs__(self) -> Expression:
        """Trace ``abs(self)``."""
        return apply("abs", self)

    def __floor__(self) -> Expression:
        """Trace ``math.floor(self)``."""
        return apply("floor", self)

    def __ceil__(self) -> Expression:
        """Trace ``math.ceil(self)``."""
        return apply("ceil", self)

    def __round__(self, digits: SupportsIndex | None = None) -> Expression:
        """Trace ``round(self)``, halves to even.

        Raises:
            TracingError: digits are given.
        """
        if digits is not None:
            _refuse("round() of a traced value takes no digits", "Scale it: round(x * 100) / 100.")
        return apply("round", self)

    # Comparisons give 1.0 or 0.0. Equality is one of them, so expressions are told apart by identity.

    __hash__ = object.__hash__

    def __lt__(self, other: Operand) -> Expression:
        """Trace ``self < other``."""
        return _binary("less", self, other)

    def __le__(self, other: Operand) -> Expression:
        """Trace ``self <= other``."""
        return _binary("less_equal", self, other)

    def __gt__(self, other: Operand) -> Expression:
        """Trace ``self > other``."""
        return _binary("greater", self, other)

    def __ge__(self, other: Operand) -> Expression:
        """Trace ``self >= other``."""
        return _binary("greater_equal", self, other)

    def __eq__(self, other: Operand) -> Expression:  # type: ignore[override]  # a comparison is traced, as in NumPy
        """Trace ``self == other``."""
        return _binary("equal", self, other)

    def __ne__(self, other: Operand) -> Expression:  # type: ignore[override]  # a comparison is traced, as in NumPy
        """Trace ``self != other``."""
        return _binary("not_equal", self, other)

    def __and__(self, other: Operand) -> Expression:
        """Trace ``self & other``: 1.0 where both are non-zero."""
        return _binary("logical_and", self, other)

    def __rand__(self, other: Operand) -> Expression:
        """Trace ``other & self``: 1.0 where both are non-zero."""
        return _binary("logical_and", other, self)

    def __or__(self, other: Operand) -> Expression:
        """Trace ``self | other``: 1.0 where either is non-zero."""
        return _binary("logical_or", self, other)

    def __ror__(self, other: Operand) -> Expression:
        """Trace ``other | self``: 1.0 where either is non-zero."""
        return _binary("logical_or", other, self)

    def __invert__(self) -> Expression:
        """Trace ``~self``: 1.0 where it is zero."""
        return apply("logical_not", self)

    # What has no meaning before the points are known.

    def __bool__(self) -> NoReturn:  # noqa: PLE0304 - it never returns
        """Refuse: the branch would be taken once, for all points.

        Raises:
            TracingError: always, with the file and the line.
        """
        _refuse(
            "a traced value is neither true nor false until the points are known",
            "Write gradmill.where(condition, a, b) for a choice, & | ~ for and or not, (a < x) & (x < b) for a range.",
        )

    def __float__(self) -> NoReturn:
        """Refuse, as would Python's own ``math`` functions.

        Raises:
            TracingError: always, with the file and the line.
        """
        _refuse(
            "a traced value is no number until the points are known",
            "Use gradmill's functions in place of the math module's: gradmill.exp(x), not math.exp(x).",
        )

    def __iter__(self) -> Iterator[Expression]:
        """Refuse: elements of a traced array cannot be taken apart.

        Raises:
            TracingError: always, with the file and the line.
        """
        _refuse("a traced value cannot be iterated over", "Declare one input for each element that you need by itself.")


class TracedFunction:
    """A function with named outputs, traced over one set of inputs.

    Attributes:
        inputs: the inputs, in declared order.
        graph: the function in canonical form.
        digest: the 32 bytes that name the function.
        output_shapes: the shape of one point's value of each output.
    """

    __slots__ = ("digest", "graph", "inputs", "output_shapes")

    def __init__(self, trace: Trace, outputs: Mapping[str, int]) -> None:
        """Bring the outputs' values into canonical form and take their digest."""
        self.inputs: tuple[Input, ...] = trace.inputs
        self.output_shapes: dict[str, Shape] = {name: trace.shape(number) for name, number in outputs.items()}
        self.graph: Graph = canonicalize(trace.graph(outputs))
        self.digest: bytes = digest(self.graph)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Return the outputs, in declared order."""
        return self.graph.outputs

    def __repr__(self) -> str:
        """Show the names of inputs and outputs and the beginning of the digest."""
        names = ", ".join(entry.name for entry in self.inputs)
        return f"<TracedFunction ({names}) -> ({', '.join(self.output_shapes)}), digest {self.digest.hex()[:12]}...>"


@overload
def inputs(name: str, /, *, shape: int | Shape = ()) -> Expression: ...
@overload
def inputs(first: str, second: str, /, *names: str, shape: int | Shape = ()) -> tuple[Expression, ...]: ...
@overload
def inputs(names: _Names, /, *, shape: int | Shape = ()) -> tuple[Expression, ...]: ...
def inputs(*names: str | _Names, shape: int | Shape = ()) -> Expression | tuple[Expression, ...]:
    """Declare the inputs of a function; their order is the order of the columns in a matrix of points.

    ``x = inputs("x")`` gives one expression; ``x, y = inputs("x", "y")`` a tuple of them, and so do a list of names and
    a mapping from name to shape, as in ``x, w = inputs({"x": (), "w": (3,)})``. What is computed from inputs of one
    call is a function of all inputs of that call; inputs of two calls do not mix.

    Args:
        names: the names, or one list of names, or one mapping from name to shape.
        shape: the shape that all of them have for one point; () is a scalar, 3 means (3,).

    Raises:
        InvalidRequestError: a name is not an identifier or occurs twice, or a shape is not made of whole numbers.
    """
    only = names[0] if len(names) == 1 else names
    if isinstance(only, Mapping):
        declared = [
            Input(*entry) for entry in zip(check_names("input", only), map(as_shape, only.values()), strict=True)
        ]
    else:
        listed = (only,) if isinstance(only, str) else only
        declared = [Input(name, as_shape(shape)) for name in check_names("input", listed)]
    trace = Trace(declared)
    expressions = tuple(Expression(trace, number) for number in range(len(declared)))
    return expressions[0] if isinstance(only, str) else expressions


def outputs(named: Mapping[str, Operand] | None = None, /, **more: Operand) -> TracedFunction:
    """Return the function with several named outputs, as in ``outputs(price=p, vega=v)``.

    Args:
        named: outputs by name, for names made by a program.
        more: outputs by name.

    Raises:
        InvalidRequestError: a name is not an identifier, or occurs twice, or there is no output.
        TracingError: no output is traced, or they come from different calls of :func:`inputs`.
    """
    pairs = [*(named or {}).items(), *more.items()]
    names = check_names("output", [name for name, _ in pairs])
    values = [value for _, value in pairs]
    trace = _common_trace("outputs", values)
    return TracedFunction(trace, {name: _number(trace, value) for name, value in zip(names, values, strict=True)})


def apply(name: str, /, *operands: Operand) -> Expression:
    """Trace an operation by its name in the table of operations; gradmill's functions are made of this.

    Raises:
        TypeError: no operand is traced, or one is neither traced nor a real number or array.
        TracingError: the operands come from different calls of :func:`inputs`, or their shapes do not fit.
    """
    trace = _common_trace(name, operands)
    return Expression(trace, trace.operation(name, tuple([_number(trace, operand) for operand in operands])))


_TRACEABLE = (Expression, *_OPERAND_TYPES)


def _binary(name: str, left: object, right: object) -> Expression:
    if isinstance(left, _TRACEABLE) and isinstance(right, _TRACEABLE):
        return apply(name, left, right)
    return NotImplemented  # type: ignore[no-any-return]  # Python's sign to try the other operand


def _floor(quotient: Expression) -> Expression:
    return quotient if quotient is NotImplemented else apply("floor", quotient)


def _number(trace: Trace, operand: Operand) -> int:
    return operand._number if isinstance(operand, Expression) else trace.constant(operand)  # noqa: SLF001 - same module


def _common_trace(name: str, operands: Iterable[object]) -> Trace:
    trace: Trace | None = None
    for operand in operands:
        if isinstance(operand, Expression):
            if trace is not None and operand._trace is not trace:  # noqa: SLF001 - same module
                _refuse(
                    f"{name}: operands come from two different sets, {trace!r} and {operand._trace!r}",  # noqa: SLF001
                    "Declare all inputs of a function together, in one call of gradmill.inputs.",
                )
            trace = operand._trace  # noqa: SLF001 - same module
        elif not isinstance(operand, _OPERAND_TYPES):
            message = f"{name}: {type(operand).__name__} is neither a traced value nor a real number or array"
            raise TypeError(message)
    if trace is None:
        message = f"{name}: no operand is traced; use math or numpy for numbers, gradmill.inputs for a function"
        raise TypeError(message)
    return trace


def _refuse(problem: str, advice: str) -> NoReturn:
    """Raise a TracingError that names the line of the user's own code."""
    file, line = _place_of_caller()
    failure = Failure(reason="TRACING_INVALID", metadata={"file": file, "line": str(line)})
    message = f"{problem} ({file}, line {line})\n  {advice}"
    raise TracingError(message, failure)


def _place_of_caller() -> tuple[str, int]:
    frame = sys._getframe(1)  # noqa: SLF001 - the interpreter's way to find the caller without formatting a traceback
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE_FOLDER):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
