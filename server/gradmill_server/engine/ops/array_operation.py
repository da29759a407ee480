"""A row of the table for operations on whole arrays: reductions, rearrangements, products and factorisations.

Shapes here are those of one point. Values carry one axis of points in front, and tangents and cotangents may carry one
axis of directions in front of their value's shape: a rule that respects it differentiates in many directions at once,
with a graph whose size does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gradmill_server.engine.checkpoints import Checkpoint
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import InvalidGraph
from gradmill_server.engine.ir import Body, FloatArray, Graph, GraphBuilder, Parameters, ParameterValue, Shape
from gradmill_server.engine.ops.operation import Partial
from gradmill_server.engine.ops.value import Value

ParameterMap = Mapping[str, ParameterValue]


class InvalidParameter(InvalidGraph):
    """A static parameter that is missing, unknown, of another kind, or out of range."""

    default_reason = "PARAMETER_INVALID"
    advice = "Correct the parameter named; the list of operations shows what each one takes."


class Parameter(NamedTuple):
    """A static parameter that an operation takes: its name, its kind of value, and whether it may be left out."""

    name: str
    kind: type
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """One occurrence of an operation, as rules of derivatives see it.

    Attributes:
        row: the operation.
        result: its value.
        operands: what it is applied to.
        parameters: its static parameters.
        leading: the shape in front of tangents and cotangents: () or (directions,).
        scale: multiplies a tangent or cotangent by a local partial, as the propagation in force says; None for zero.
        derivative_of: differentiates a body, backwards in a pullback and forwards in a pushforward.
        strong_zeros: whether a zero tangent or cotangent contributes exactly zero whatever it is multiplied by.
        strong_partials: whether zeros of what it is multiplied by do so, too.
    """

    row: ArrayOperation
    result: Value
    operands: tuple[Value, ...]
    parameters: ParameterMap
    leading: Shape
    scale: Callable[[Value, Partial], Value | None]
    derivative_of: DerivativeOfBody
    strong_zeros: bool
    strong_partials: bool = False


class BodyDerivative(NamedTuple):
    """The derivative of a body as a function.

    Attributes:
        graph: its inputs are those of the body, and then, backwards, the cotangents of outputs, or forwards, the
            tangents of inputs; its outputs are, backwards, the cotangents of inputs, or forwards, the outputs of the
            body and then tangents of outputs.
        present: for each cotangent or tangent among its outputs, whether it is there at all; zeros stand for others.
    """

    graph: Graph
    present: list[bool]


DerivativeOfBody = Callable[[Graph, Sequence[int], Sequence[int]], BodyDerivative]
"""Given a body, some inputs of it and some outputs, returns the derivative of these by those."""

ShapeRule = Callable[[ParameterMap, Sequence[Shape]], Shape]
"""Returns the shape of the result. Raises ShapeMismatch or InvalidParameter."""

ArrayFunction = Callable[..., Any]
"""Called with the parameters and then the operands, each [points or 1, *shape]; returns [points or 1, *shape]."""

Emit = Callable[..., Any]
"""Given an element-wise operation's name and arrays of scalars of a graph, applies it to each; see `unrolling`."""

Unrolling = Callable[[Emit], ArrayFunction]
"""Given how element-wise operations are applied, returns the operation on arrays of numbers of a graph's scalars."""

Expansion = Callable[[Site], Value]
"""Writes the operation in other operations."""

Pullback = Callable[[Site, Value, Sequence[bool]], list[Value | None]]
"""Given the cotangent of the result and which operands are wanted, returns the cotangent of each; None for zero."""

Pushforward = Callable[[Site, Sequence[Value | None]], Value | None]
"""Given the tangent of each operand, None for zero, returns that of the result; None for zero."""


def pulling(rule: Callable[[Site, Value], Value | None]) -> Pullback:
    """Return the rule for reverse mode of an operation of one operand, given what its cotangent is."""
    return lambda site, cotangent, _wanted: [rule(site, cotangent)]


def pushing(rule: Callable[[Site, Value], Value | None]) -> Pushforward:
    """Return the rule for forward mode of an operation of one operand, given what the result's tangent is."""

    def pushforward(site: Site, tangents: Sequence[Value | None]) -> Value | None:
        (tangent,) = tangents
        return None if tangent is None else rule(site, tangent)

    return pushforward


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayOperation:
    """An operation on whole arrays.

    Attributes:
        name: what graphs and formulas call it.
        summary: one sentence.
        signature: how a formula calls it; empty where none can.
        result: the shape of its result, in words.
        shape: its rule of shapes.
        least: the fewest operands it takes.
        most: the most operands it takes; None for any number.
        parameters: the static parameters it takes.
        expansion: writes it in other operations before anything is differentiated; None where it has rules of its own.
        value: computes it in NumPy; None where it is always expanded.
        pullback: its rule for reverse mode; None where its derivative is zero by convention.
        pushforward: its rule for forward mode; None where its derivative is zero by convention.
        lowering: writes it in primitives, after differentiation, for native code; None for primitives, and where only
            NumPy can run it.
        unrolling: writes it in scalars, on arrays that hold a scalar's number in each place, 0 for a zero by structure,
            and have one point; None where that cannot be, as places depend on values.
        aliases: other names that formulas accept.
        convention: the derivative by convention where it does not exist; empty when nothing needs saying.
        interruptible: whether its value takes a checkpoint as well, by name, because it may take long.
        repeats: whether it runs its body again and again; backends do that themselves, so it has no value.
        internal: whether only derivative rules and passes may use it.
        source: where formulas come from.
    """

    name: str
    summary: str
    signature: str
    shape: ShapeRule
    result: str = ""
    least: int = 1
    most: int | None = 1
    parameters: tuple[Parameter, ...] = ()
    expansion: Expansion | None = None
    value: ArrayFunction | None = None
    pullback: Pullback | None = None
    pushforward: Pushforward | None = None
    lowering: Expansion | None = None
    unrolling: Unrolling | None = None
    aliases: tuple[str, ...] = ()
    convention: str = ""
    interruptible: bool = False
    repeats: bool = False
    internal: bool = False
    source: str = ""

    def emit(self, builder: GraphBuilder, arguments: Sequence[int], parameters: Parameters = ()) -> int:
        """Add the operation to a graph; return its index.

        Raises:
            InvalidParameter: for parameters that the operation does not take.
            ShapeMismatch: when the operands' shapes do not fit.
        """
        given = dict(parameters)
        self.check_parameters(given)
        shape = self.shape(given, [builder.nodes.shape(argument) for argument in arguments])
        return builder.put(self.name, tuple(arguments), shape, parameters)

    def apply(self, *operands: Value, **parameters: ParameterValue) -> Value:
        """Add the operation to the graph that the operands belong to. Raises like `emit`."""
        builder = operands[0].builder
        arguments = [operand.index for operand in operands]
        return Value(builder, self.emit(builder, arguments, tuple(sorted(parameters.items()))))

    def value_in(self, element_type: ElementType) -> ArrayFunction | None:
        """Return what computes it on arrays of an element type; None where it is always expanded."""
        value = self.value
        if value is None or element_type is ElementType.FLOAT64:
            return value

        def function(parameters: ParameterMap, *operands: FloatArray, **checkpoint: Checkpoint) -> FloatArray:
            return np.asarray(value(parameters, *operands, **checkpoint)).astype(element_type.dtype, copy=False)

        return function

    @property
    def takes(self) -> str:
        """How many operands it takes, for messages."""
        if self.most is None:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"

    @property
    def has_body(self) -> bool:
        """Whether it applies a function that the graph brings along; formulas cannot."""
        return any(entry.kind is Body for entry in self.parameters)

    def accepts(self, count: int) -> bool:
        """Whether it takes so many operands."""
        return self.least <= count and (self.most is None or count <= self.most)

    def check_parameters(self, given: ParameterMap) -> None:
        """Let parameters pass that the operation takes.

        Raises:
            InvalidParameter: for one that is missing, unknown, or of another kind.
        """
        known = {entry.name: entry for entry in self.parameters}
        for name, value in given.items():
            entry = known.get(name)
            if entry is None:
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                message = f"{self.name} has no parameter {name!r}; {takes}"
                raise InvalidParameter(message, reason="PARAMETER_UNKNOWN", metadata={"parameter": name[:60]})
            if type(value) is not entry.kind:
                wanted = _KIND_NAMES[entry.kind]
                message = f"{self.name}: parameter {name!r} must be {wanted}"
                raise InvalidParameter(message, metadata={"parameter": name})
        for entry in self.parameters:
            if not entry.optional and entry.name not in given:
                message = f"{self.name}: parameter {entry.name!r}, {_KIND_NAMES[entry.kind]}, is missing"
                raise InvalidParameter(message, reason="PARAMETER_MISSING", metadata={"parameter": entry.name})

    def expression(self, operands: Sequence[str]) -> str:
        """Return the operation written with its operands' names."""
        return f"{self.name}({', '.join(operands)})"

    def parameter_kinds(self) -> list[tuple[str, str, bool]]:
        """Return the name of each static parameter, its kind in words, and whether it may be left out."""
        return [(entry.name, _KIND_NAMES[entry.kind], entry.optional) for entry in self.parameters]


_KIND_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list of whole numbers",
    Body: "a function",
}
"""What each kind of parameter is called in messages."""


def integer(parameters: ParameterMap, name: str, default: int = 0) -> int:
    """Return a parameter that is a whole number, or its default."""
    value = parameters.get(name, default)
    if not isinstance(value, int):
        raise _of_another_kind(name)
    return value


def integers(parameters: ParameterMap, name: str) -> tuple[int, ...]:
    """Return a parameter that is a list of whole numbers."""
    value = parameters[name]
    if not isinstance(value, tuple):
        raise _of_another_kind(name)
    return value


def text(parameters: ParameterMap, name: str) -> str:
    """Return a parameter that is a text."""
    value = parameters[name]
    if not isinstance(value, str):
        raise _of_another_kind(name)
    return value


def _of_another_kind(name: str) -> InvalidParameter:
    message = f"parameter {name!r} is of another kind"
    return InvalidParameter(message, metadata={"parameter": name})
