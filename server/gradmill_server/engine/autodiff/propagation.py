"""What passes through a local partial, and where an operation stands for its rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.ir import CONSTANT, INPUT, Output
from gradmill_server.engine.ops.array_operation import BodyDerivative, DerivativeOfBody, Site
from gradmill_server.engine.ops.arrays.sums import broadcasted
from gradmill_server.engine.ops.value import Value, emit_elementwise

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from gradmill_server.engine.ir import Graph, GraphBuilder, Nodes, Shape
    from gradmill_server.engine.ops import Partial

NO_ADJOINT = -1
"""Stands for the adjoint of a value that the outputs do not depend on, or not differentiably; so for tangents."""


@dataclass(frozen=True, slots=True)
class Propagation:
    """How an adjoint or a tangent, here called the seed, passes through a local partial.

    Attributes:
        strong_zeros: whether a zero seed contributes exactly zero whatever the partial. Without it, plain IEEE
            arithmetic: 0 times inf is NaN.
        strong_partials: whether the zeros of partials are strong as well, for seeds that may be infinite.
        of_bodies: the derivatives of bodies so far, by all that they depend on. Loops stand in loops, and the same body
            in several; differentiated wherever it stands, it would double with every level.
    """

    strong_zeros: bool = True
    strong_partials: bool = False
    of_bodies: dict[Hashable, BodyDerivative] = field(default_factory=dict, compare=False, repr=False)

    def scale(self, builder: GraphBuilder, seed: int, partial: Partial) -> int | None:
        """Add seed times partial to the graph and return its index, or None when it is zero by structure."""
        match partial:
            case Value():
                return self._product(builder, seed, partial.index)
            case ops.Select():
                return self._choose(builder, seed, partial)
            case ops.Strong():
                return self._strong(builder, seed, partial.value.index)
            case _:
                return self._by_number(builder, seed, partial)

    def _by_number(self, builder: GraphBuilder, seed: int, partial: float) -> int | None:
        if partial == 0.0:
            return None
        if abs(partial) == 1.0:
            return seed if partial > 0.0 else emit_elementwise(builder, "negate", (seed,))
        number = builder.constant(partial)
        if np.isfinite(partial):
            return emit_elementwise(builder, "multiply", (seed, number))
        return self._product(builder, seed, number)

    def _product(self, builder: GraphBuilder, seed: int, partial: int) -> int:
        number = builder.nodes.number(seed)
        if number == 1.0:
            return partial
        if self.strong_partials and not _never_zero(builder.nodes, partial):
            return self._strong(builder, seed, partial)
        plain = number or not self.strong_zeros or _always_finite(builder.nodes, partial)
        return emit_elementwise(builder, "multiply" if plain else "strong_product", (seed, partial))

    def _strong(self, builder: GraphBuilder, seed: int, partial: int) -> int:
        """Return the product with a partial whose zeros are strong; it stands only in graphs with strong zeros."""
        if builder.nodes.number(seed) == 1.0:
            return partial
        return emit_elementwise(builder, "mutual_product", (seed, partial))

    def _choose(self, builder: GraphBuilder, seed: int, partial: ops.Select) -> int | None:
        if_true = self.scale(builder, seed, partial.if_true)
        if_false = self.scale(builder, seed, partial.if_false)
        if if_true is None and if_false is None:
            return None
        branches = [builder.constant(0.0) if branch is None else branch for branch in (if_true, if_false)]
        return emit_elementwise(builder, "where", (partial.condition.index, *branches))

    def of_body(self, key: Hashable, make: Callable[[], BodyDerivative]) -> BodyDerivative:
        """Return the derivative of a body, made once for all that it depends on."""
        whole = (self, key)  # a propagation that was made out of this one has the same derivatives at hand
        known = self.of_bodies.get(whole)
        if known is None:
            known = self.of_bodies[whole] = make()
        return known

    def site(
        self,
        builder: GraphBuilder,
        index: int,
        row: ops.ArrayOperation,
        leading: Shape,
        derivative_of: DerivativeOfBody | None = None,
    ) -> Site:
        """Return an occurrence of an array operation, for its rules; an expansion needs no derivatives of bodies."""

        def scale(seed: Value, partial: Partial) -> Value | None:
            product = self.scale(builder, seed.index, partial)
            return None if product is None else Value(builder, product)

        result, *operands = result_and_operands(builder, index)
        parameters = dict(builder.nodes.parameters.get(index, ()))
        of_body = derivative_of or _no_derivative
        return Site(
            row, result, tuple(operands), parameters, leading, scale, of_body, self.strong_zeros, self.strong_partials
        )


def _no_derivative(_body: Graph, _inputs: Sequence[int], _outputs: Sequence[int]) -> BodyDerivative:
    message = "an operation is written in others by what it computes, not by its derivatives"
    raise TypeError(message)


def _always_finite(nodes: Nodes, index: int) -> bool:
    operation = nodes.operations[index]
    if operation == CONSTANT:
        return bool(np.isfinite(nodes[index].constant_array()).all())
    row = ops.TABLE.get(operation)
    return operation != INPUT and row is not None and row.finite


def _never_zero(nodes: Nodes, index: int) -> bool:
    return nodes.operations[index] == CONSTANT and bool(np.all(nodes[index].constant_array()))


def local_partial(builder: GraphBuilder, index: int, operand: int) -> int | None:
    """Add the local partial of an element-wise node by one of its operands; return its index, or None where it is zero.

    None as well for an operation on arrays, whose partial is no array of the result's shape.
    """
    row = ops.TABLE.get(builder.nodes.operations[index])
    rule = None if row is None else row.partials[operand]
    if rule is None:
        return None
    partial = rule(*result_and_operands(builder, index)) if callable(rule) else rule
    return Propagation().scale(builder, builder.constant(1.0), partial)


def body_derivative(
    builder: GraphBuilder, outputs: Sequence[int], derivatives: Sequence[int], shapes: Sequence[Shape]
) -> BodyDerivative:
    """Return a finished derivative of a body: some outputs, and then derivatives of these shapes, or NO_ADJOINT."""
    nodes = [
        broadcasted(Value(builder, builder.constant(0.0)), shape).index if derivative == NO_ADJOINT else derivative
        for derivative, shape in zip(derivatives, shapes, strict=True)
    ]
    named = [Output(f"result{place}", node) for place, node in enumerate((*outputs, *nodes))]
    return BodyDerivative(builder.finish(named), [derivative != NO_ADJOINT for derivative in derivatives])


def result_and_operands(builder: GraphBuilder, index: int) -> list[Value]:
    """Return what a rule of a local partial is called with."""
    return [Value(builder, index), *[Value(builder, argument) for argument in builder.nodes.arguments[index]]]
