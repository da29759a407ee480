"""Values of a graph as Python objects, so that derivative rules read like mathematics.

Every operator adds an element-wise node to the graph that is being built. Plain numbers become constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradmill_server.engine.ir import GraphBuilder, Node, Shape
from gradmill_server.engine.shapes import broadcast


class Value:
    """One value of a graph that is being built."""

    __slots__ = ("builder", "index")

    def __init__(self, builder: GraphBuilder, index: int) -> None:
        """Refer to a node of the builder by its index."""
        self.builder = builder
        self.index = index

    @property
    def node(self) -> Node:
        """The node referred to."""
        return self.builder[self.index]

    @property
    def shape(self) -> Shape:
        """The shape of one point's value."""
        return self.builder.nodes.shape(self.index)

    @property
    def constant(self) -> float | None:
        """The number that this value is, when it is a scalar constant; else None."""
        return self.builder.nodes.number(self.index)

    def __add__(self, other: Value | float) -> Value:
        """Add."""
        return self._result("add", self.index, self._operand(other))

    def __sub__(self, other: Value | float) -> Value:
        """Subtract."""
        return self._result("subtract", self.index, self._operand(other))

    def __rsub__(self, other: float) -> Value:
        """Subtract from a number."""
        return self._result("subtract", self._operand(other), self.index)

    def __mul__(self, other: Value | float) -> Value:
        """Multiply."""
        return self._result("multiply", self.index, self._operand(other))

    def __rmul__(self, other: float) -> Value:
        """Multiply a number."""
        return self._result("multiply", self._operand(other), self.index)

    def __truediv__(self, other: Value | float) -> Value:
        """Divide."""
        return self._result("divide", self.index, self._operand(other))

    def __rtruediv__(self, other: float) -> Value:
        """Divide a number."""
        return self._result("divide", self._operand(other), self.index)

    def __neg__(self) -> Value:
        """Negate."""
        return self._result("negate", self.index)

    def __radd__(self, other: float) -> Value:
        """Add to a number."""
        return self._result("add", self._operand(other), self.index)

    def _operand(self, other: Value | float) -> int:
        return other.index if isinstance(other, Value) else self.builder.constant(other)

    def _result(self, operation: str, *arguments: int) -> Value:
        return Value(self.builder, emit_elementwise(self.builder, operation, arguments))


def emit_elementwise(builder: GraphBuilder, name: str, arguments: Sequence[int]) -> int:
    """Add an element-wise operation to a graph, with the shape its arguments give it; return its index.

    Raises:
        ShapeMismatch: when the arguments' shapes do not broadcast.
    """
    nodes = builder.nodes
    shape = broadcast(name, [nodes.shape(argument) for argument in arguments]) if nodes.shapes else ()
    return builder.put(name, tuple(arguments), shape)


def apply(operation: str, *operands: Value | float) -> Value:
    """Add an element-wise operation to the graph that the operands belong to.

    Raises:
        ShapeMismatch: when the operands' shapes do not broadcast.
    """
    builder = next(operand.builder for operand in operands if isinstance(operand, Value))
    arguments = [operand.index if isinstance(operand, Value) else builder.constant(operand) for operand in operands]
    return Value(builder, emit_elementwise(builder, operation, arguments))


def elementwise(operation: str) -> Callable[..., Value]:
    """Return a function that applies an operation, for use in rules."""

    def function(*operands: Value | float) -> Value:
        return apply(operation, *operands)

    return function
