"""Stable forms: spellings that lose digits or overflow, replaced by the function that does not.

These change values, for the better, where the naive spelling cancels or overflows; so they are listed in replies and
can be switched off one by one or altogether. They run before differentiation, so that slopes are stable as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.ops import Value
from gradmill_server.engine.ops.value import apply
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.rewrite import rebuild

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import Graph, GraphBuilder, Node

    Form = Callable[[list[Value]], Value | None]
    """Given the operands, returns the stable form, or None when the pattern is not there."""


def use_stable_forms(
    graph: Graph, disabled: Collection[str] = (), checkpoint: Checkpoint = never
) -> tuple[Graph, tuple[str, ...]]:
    """Return the graph in stable form, and the names of the forms applied, sorted.

    Args:
        graph: any graph.
        disabled: names of forms to leave alone.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    applied: set[str] = set()

    def rule(builder: GraphBuilder, node: Node) -> int | None:
        for name, _, form in _FORMS.get(node.operation, ()):
            if name in disabled:
                continue
            stable = form([Value(builder, argument) for argument in node.arguments])
            if stable is not None and stable.node.shape == node.shape:
                applied.add(name)
                return stable.index
        return None

    return rebuild(graph, rule, checkpoint, _TRIGGERS), tuple(sorted(applied))


def with_stable_forms(
    graph: Graph, disabled: Collection[str] = (), checkpoint: Checkpoint = never
) -> tuple[Graph, tuple[str, ...]]:
    """Return a graph and all its bodies in stable form, and the names of the forms applied, sorted.

    Args as of `use_stable_forms`.
    """
    applied: set[str] = set()

    def change(each: Graph) -> Graph:
        stable, names = use_stable_forms(each, disabled, checkpoint)
        applied.update(names)
        return stable

    return through_bodies(graph, change, checkpoint), tuple(sorted(applied))


def _operands(value: Value, operation: str) -> list[Value] | None:
    nodes = value.builder.nodes
    if nodes.operations[value.index] != operation:
        return None
    return [Value(value.builder, argument) for argument in nodes.arguments[value.index]]


def _operand(value: Value, operation: str) -> Value | None:
    operands = _operands(value, operation)
    return None if operands is None else operands[0]


def _one_plus(value: Value) -> Value | None:
    """Return u when the value is 1 + u or u + 1."""
    operands = _operands(value, "add")
    if operands is None:
        return None
    left, right = operands
    if left.constant == 1.0:
        return right
    return left if right.constant == 1.0 else None


def _squared(value: Value) -> Value | None:
    """Return u when the value is u*u, square(u) or u**2."""
    product = _operands(value, "multiply")
    if product is not None:
        return product[0] if product[0].index == product[1].index else None
    square = _operand(value, "square")
    if square is not None:
        return square
    power = _operands(value, "power")
    return power[0] if power is not None and power[1].constant == 2.0 else None  # noqa: PLR2004 - a square


def _softplus(operands: list[Value]) -> Value | None:
    inner = _one_plus(operands[0])
    exponent = None if inner is None else _operand(inner, "exp")
    return None if exponent is None else apply("softplus", exponent)


def _softplus_of_log1p(operands: list[Value]) -> Value | None:
    exponent = _operand(operands[0], "exp")
    return None if exponent is None else apply("softplus", exponent)


def _logaddexp(operands: list[Value]) -> Value | None:
    terms = _operands(operands[0], "add")
    if terms is None:
        return None
    left, right = _operand(terms[0], "exp"), _operand(terms[1], "exp")
    return None if left is None or right is None else apply("logaddexp", left, right)


def _log_sigmoid(operands: list[Value]) -> Value | None:
    argument = _operand(operands[0], "sigmoid")
    return None if argument is None else -apply("softplus", -argument)


def _log1p(operands: list[Value]) -> Value | None:
    inner = _one_plus(operands[0])
    return None if inner is None or inner.node.is_constant else apply("log1p", inner)


def _log1p_of_negative(operands: list[Value]) -> Value | None:
    difference = _operands(operands[0], "subtract")
    if difference is None or difference[0].constant != 1.0 or difference[1].node.is_constant:
        return None
    return apply("log1p", -difference[1])


def _expm1(operands: list[Value]) -> Value | None:
    """Match exp(u) - 1, and 1 - exp(u) for its negative."""
    left, right = operands
    exponent = _operand(left, "exp")
    if exponent is not None and right.constant == 1.0:
        return apply("expm1", exponent)
    exponent = _operand(right, "exp")
    return -apply("expm1", exponent) if exponent is not None and left.constant == 1.0 else None


def _expm1_of_sum(operands: list[Value]) -> Value | None:
    """Match exp(u) + -1 and -1 + exp(u)."""
    for term, one in (operands, reversed(operands)):
        exponent = _operand(term, "exp")
        if exponent is not None and one.constant == -1.0:
            return apply("expm1", exponent)
    return None


def _sigmoid(operands: list[Value]) -> Value | None:
    numerator, denominator = operands
    return _sigmoid_of_reciprocal([denominator]) if numerator.constant == 1.0 else None


def _sigmoid_of_reciprocal(operands: list[Value]) -> Value | None:
    inner = _one_plus(operands[0])
    exponent = None if inner is None else _operand(inner, "exp")
    if exponent is None:
        return None
    negated = _operand(exponent, "negate")
    return apply("sigmoid", -exponent if negated is None else negated)


def _abs(operands: list[Value]) -> Value | None:
    base = _squared(operands[0])
    return None if base is None else apply("abs", base)


def _hypot(operands: list[Value]) -> Value | None:
    terms = _operands(operands[0], "add")
    if terms is None:
        return None
    left, right = _squared(terms[0]), _squared(terms[1])
    return None if left is None or right is None else apply("hypot", left, right)


def _xlogx(operands: list[Value]) -> Value | None:
    for factor, logarithm in (operands, reversed(operands)):
        argument = _operand(logarithm, "log")
        if argument is not None and argument.index == factor.index:
            return apply("xlogx", factor)
    return None


def _xlogy(operands: list[Value]) -> Value | None:
    """Match x*log(y) for different x and y."""
    for factor, logarithm in (operands, reversed(operands)):
        argument = _operand(logarithm, "log")
        if argument is not None and argument.index != factor.index and not factor.node.is_constant:
            return apply("xlogy", factor, argument)
    return None


_FORMS: dict[str, tuple[tuple[str, tuple[str, ...], Form], ...]] = {
    "log": (
        ("softplus", ("add",), _softplus),
        ("log_sigmoid", ("sigmoid",), _log_sigmoid),
        ("logaddexp", ("add",), _logaddexp),
        ("log1p", ("add",), _log1p),
        ("log1p", ("subtract",), _log1p_of_negative),
    ),
    "log1p": (("softplus", ("exp",), _softplus_of_log1p),),
    "subtract": (("expm1", ("exp",), _expm1),),
    "add": (("expm1", ("exp",), _expm1_of_sum),),
    "divide": (("sigmoid", ("add",), _sigmoid),),
    "reciprocal": (("sigmoid", ("add",), _sigmoid_of_reciprocal),),
    "sqrt": (("abs", ("multiply", "square", "power"), _abs), ("hypot", ("add",), _hypot)),
    "multiply": (("xlogx", ("log",), _xlogx), ("xlogy", ("log",), _xlogy)),
}
"""For each operation the forms it may take: a form's name, the operands it looks for first, and what matches it."""

_TRIGGERS = {
    operation: frozenset(operand for _, operands, _ in forms for operand in operands)
    for operation, forms in _FORMS.items()
}

STABLE_FORM_NAMES: frozenset[str] = frozenset(name for forms in _FORMS.values() for name, _, _ in forms)
"""Every stable form there is."""
