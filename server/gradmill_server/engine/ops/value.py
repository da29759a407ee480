"""Values of a graph as Python objects, so that derivative rules read like mathematics.

Every operator adds an element-wise node to the graph that is being built. Plain numbers become constants.
"""

from __future__ import annotations

from collections.abc import Callable

from gradmill_server.engine.ir import GraphBuilder, Node
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
    def constant(self) -> float | None:
        """The number that this value is, when it is a scalar constant; else None."""
        node = self.node
        if not node.is_constant or node.shape:
            return None
        return float(node.constant_array())

    def __add__(self, other: Value | float) -> Value:
        """Add."""
        return apply("add", self, other)

    def __sub__(self, other: Value | float) -> Value:
        """Subtract."""
        return apply("subtract", self, other)

    def __rsub__(self, other: float) -> Value:
        """Subtract from a number."""
        return apply("subtract", other, self)

    def __mul__(self, other: Value | float) -> Value:
        """Multiply."""
        return apply("multiply", self, other)

    def __rmul__(self, other: float) -> Value:
        """Multiply a number."""
        return apply("multiply", other, self)

    def __truediv__(self, other: Value | float) -> Value:
        """Divide."""
        return apply("divide", self, other)

    def __rtruediv__(self, other: float) -> Value:
        """Divide a number."""
        return apply("divide", other, self)

    def __neg__(self) -> Value:
        """Negate."""
        return apply("negate", self)

    def __radd__(self, other: float) -> Value:
        """Add to a number."""
        return apply("add", other, self)


def apply(operation: str, *operands: Value | float) -> Value:
    """Add an element-wise operation to the graph that the operands belong to.

    Raises:
        ShapeMismatch: when the operands' shapes do not broadcast.
    """
    builder = next(operand.builder for operand in operands if isinstance(operand, Value))
    arguments = tuple(
        operand.index if isinstance(operand, Value) else builder.constant(operand) for operand in operands
    )
    shape = broadcast(operation, [builder[argument].shape for argument in arguments])
    return Value(builder, builder.add(Node(operation, arguments, shape)))


def elementwise(operation: str) -> Callable[..., Value]:
    """Return a function that applies an operation, for use in rules."""

    def function(*operands: Value | float) -> Value:
        return apply(operation, *operands)

    return function
