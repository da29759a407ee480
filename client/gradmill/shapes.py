"""The shape of each operation's result, by its parameters and its operands' shapes.

The server has rules of its own, which decide; those here let a mistake be found in the line that makes it, without a
server. A test compares the two. An operation without a rule is element-wise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from gradmill.errors import TracingError
from gradmill.graph import Constant, Graph, Parameter, Shape
from gradmill.places import refusal
from gradmill.shape_rules import RULES, Mistake, broadcast, check_range


def result_shape(name: str, parameters: Sequence[Parameter], shapes: Sequence[Shape]) -> Shape:
    """Return the shape of an operation's result.

    Raises:
        TracingError: the operands' shapes or the parameters do not fit; it names the operation, the shapes, and the
            user's file and line.
    """
    rule = RULES.get(name)
    if rule is None:
        first = shapes[0]
        if shapes.count(first) == len(shapes):
            return first  # nearly all operations
        rule = broadcast
    try:
        check_range(parameters)
        return rule({entry.name: entry.value for entry in parameters}, shapes)
    except Mistake as mistake:
        raise shape_refusal(name, str(mistake), shapes) from None


def refuse_shapes(name: str, problem: str, shapes: Sequence[Shape]) -> NoReturn:
    """Raise the error that :func:`shape_refusal` returns.

    Raises:
        TracingError: always.
    """
    raise shape_refusal(name, problem, shapes)


def shape_refusal(name: str, problem: str, shapes: Sequence[Shape]) -> TracingError:
    """Return the error for shapes that do not fit; ``problem`` ends a sentence that begins with them."""
    listed = f"shape {shapes[0]}" if len(shapes) == 1 else "shapes " + " and ".join(map(str, shapes))
    return refusal(f"{name}: {listed} {problem}", reason="SHAPE_MISMATCH", operation=name)


def output_shapes(graph: Graph) -> list[Shape]:
    """Return the shape of each output of a graph.

    Raises:
        TracingError: shapes in it do not fit.
    """
    shapes = [entry.shape for entry in graph.inputs]
    for value in graph.values:
        if isinstance(value, Constant):
            shapes.append(value.shape)
        else:
            shapes.append(result_shape(value.name, value.parameters, [shapes[number] for number in value.arguments]))
    return [shapes[output.value] for output in graph.outputs]
