"""Functions made by computing with named inputs: ordinary Python arithmetic, written down as it happens.

    x, y = gradmill.inputs("x", "y")
    f = gradmill.exp(x) * y

``f`` is a function of x and y, in that order, that every client accepts. Operands stay in the order in which they are
written, so that ``f`` and the formula ``exp(x) * y`` are one function with one digest. The one exception is Python's
own: it evaluates ``2 < x`` as ``x > 2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, TypeAlias, cast, overload

import numpy.typing as npt

from gradmill.array_methods import ArrayMethods
from gradmill.canonical import canonicalize, digest
from gradmill.element_types import as_element_type, element_type_of, in_float32
from gradmill.graph import FLOAT32, Graph, Input, Output, ParameterValue, Shape, as_parameters, as_shape, check_names
from gradmill.handles import common_trace, number_in
from gradmill.operators import Operators
from gradmill.places import refuse
from gradmill.traces import Real, Trace

Operand: TypeAlias = "Expression | Real"
"""What an operation can be applied to: a traced value, a real number, or an array of real numbers."""

_Names: TypeAlias = Mapping[str, int | Shape] | list[str] | tuple[str, ...]

DEFAULT_OUTPUT = "value"


class Expression(Operators, ArrayMethods):
    """A value computed from inputs, and the function of these inputs that has it as its output ``value``.

    Attributes:
        shape: the shape of one point's value; a scalar has the shape ().
        inputs: all the inputs declared together, in declared order, used here or not.
        digest: the 32 bytes that name the function.
    """

    __slots__ = ("_function",)

    def __init__(self, trace: Trace, number: int) -> None:
        """Point at one value of a trace."""
        self._trace = trace
        self._number = number
        self._function: TracedFunction | None = None

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

    # What has no meaning before the points are known.

    def __bool__(self) -> NoReturn:  # noqa: PLE0304 - it never returns
        """Refuse: the branch would be taken once, for all points.

        Raises:
            TracingError: always, with the file and the line.
        """
        refuse(
            "a traced value is neither true nor false until the points are known",
            "Write gradmill.where(condition, a, b) for a choice, & | ~ for and or not, (a < x) & (x < b) for a range.",
        )

    def __float__(self) -> NoReturn:
        """Refuse, as would Python's own ``math`` functions.

        Raises:
            TracingError: always, with the file and the line.
        """
        refuse(
            "a traced value is no number until the points are known",
            "Use gradmill's functions in place of the math module's: gradmill.exp(x), not math.exp(x).",
        )


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
        """Bring the outputs' values into canonical form and take their digest.

        Until here all numbers are float64, also in the bodies of loops and calls, which may not know the inputs before.

        Raises:
            TracingError: a number is beyond the largest float32, where that is the inputs' type.
        """
        self.inputs: tuple[Input, ...] = trace.inputs
        self.output_shapes: dict[str, Shape] = {name: trace.shape(number) for name, number in outputs.items()}
        graph = canonicalize(trace.graph(outputs))
        is_narrow = element_type_of(trace.inputs) == FLOAT32
        self.graph: Graph = canonicalize(in_float32(graph)) if is_narrow else graph
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
def inputs(name: str, /, *, shape: int | Shape = (), dtype: npt.DTypeLike = "float64") -> Expression: ...
@overload
def inputs(
    first: str, second: str, /, *names: str, shape: int | Shape = (), dtype: npt.DTypeLike = "float64"
) -> tuple[Expression, ...]: ...
@overload
def inputs(
    names: _Names, /, *, shape: int | Shape = (), dtype: npt.DTypeLike = "float64"
) -> tuple[Expression, ...]: ...
def inputs(
    *names: str | _Names, shape: int | Shape = (), dtype: npt.DTypeLike = "float64"
) -> Expression | tuple[Expression, ...]:
    """Declare the inputs of a function; their order is the order of the columns in a matrix of points.

    ``x = inputs("x")`` gives one expression; ``x, y = inputs("x", "y")`` a tuple of them, and so do a list of names and
    a mapping from name to shape, as in ``x, w = inputs({"x": (), "w": (3,)})``. What is computed from inputs of one
    call is a function of all inputs of that call; inputs of two calls do not mix.

    Args:
        names: the names, or one list of names, or one mapping from name to shape.
        shape: the shape that all of them have for one point; () is a scalar, 3 means (3,).
        dtype: "float64" or "float32", for all of them: in it everything is computed, constants are rounded to it, and
            results come in it.

    Raises:
        InvalidRequestError: a name is not an identifier or occurs twice, a shape is not made of whole numbers, or the
            dtype is another one.
    """
    only = names[0] if len(names) == 1 else names
    element_type = as_element_type(dtype)
    if isinstance(only, Mapping):
        shapes = map(as_shape, only.values())
        declared = [Input(*entry, element_type) for entry in zip(check_names("input", only), shapes, strict=True)]
    else:
        listed = (only,) if isinstance(only, str) else only
        declared = [Input(name, as_shape(shape), element_type) for name in check_names("input", listed)]
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
    trace = common_trace("outputs", values)
    return TracedFunction(trace, {name: number_in(trace, value) for name, value in zip(names, values, strict=True)})


def traced(name: str, operand: Operand) -> Expression:
    """Return the operand of an operation that needs a traced one.

    Raises:
        TypeError: it is not traced.
        TracingError: it comes from the body of a loop or of a call, and that is over.
    """
    common_trace(name, [operand])
    return cast("Expression", operand)  # or it would have been refused


def apply(name: str, /, *operands: Operand, **parameters: ParameterValue) -> Expression:
    """Trace an operation by its name in the table of operations; gradmill's functions are made of this.

    Raises:
        TypeError: no operand is traced, or one is neither traced nor a real number or array.
        TracingError: the operands come from different calls of :func:`inputs`, or their shapes or the parameters do
            not fit.
    """
    trace = common_trace(name, operands)
    numbers = tuple([number_in(trace, operand) for operand in operands])
    return Expression(trace, trace.operation(name, numbers, as_parameters(parameters) if parameters else ()))
