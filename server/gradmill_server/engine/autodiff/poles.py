"""Which operations have a slope that is infinite somewhere.

After such an operation a tangent may be infinite and meet a partial that is zero, as in x*sqrt(x) at 0. In reverse mode
the zero comes first, as an adjoint, and is strong; so forward mode has to treat it as strong, too. Where no slope was
infinite there is nothing to treat.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.autodiff.propagation import local_partial
from gradmill_server.engine.ir import GraphBuilder, Input, bodies_of

if TYPE_CHECKING:
    from gradmill_server.engine.ir import FloatArray, Graph, Nodes

_CRITICAL: Final = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Where the operations of the table have their poles: at zero, and at the ends of what inverse functions take."""

_REMEMBERED: Final = 4096


def has_pole(nodes: Nodes, index: int) -> bool:
    """Whether an element-wise operation has an infinite slope somewhere, its constant operands being what they are."""
    numbers = tuple([nodes.number(argument) for argument in nodes.arguments[index]])
    return _has_pole(nodes.operations[index], numbers)


def bodies_have_pole(graph: Graph) -> bool:
    """Whether a graph, or a body that it uses, has an element-wise operation with an infinite slope somewhere."""
    graphs = [graph, *(body.graph for body in bodies_of(graph))]
    return any(
        each.nodes.operations[index] in ops.TABLE and has_pole(each.nodes, index)
        for each in graphs
        for index in range(len(each.nodes))
    )


@lru_cache(_REMEMBERED)
def _has_pole(operation: str, numbers: tuple[float | None, ...]) -> bool:
    """Evaluate all slopes of an operation at every combination of critical numbers."""
    varied = [place for place, number in enumerate(numbers) if number is None]
    builder = GraphBuilder([Input(f"x{place}") for place in varied])
    input_of = {place: index for index, place in enumerate(varied)}
    operands = [input_of[place] if number is None else builder.constant(number) for place, number in enumerate(numbers)]
    index = ops.emit(builder, operation, operands)
    partials = [local_partial(builder, index, place) for place in varied]
    points = np.array(list(itertools.product(_CRITICAL, repeat=len(varied)))).T
    values = _values(builder, list(points))
    return any(np.isinf(values[partial]).any() for partial in partials if partial is not None)


def _values(builder: GraphBuilder, inputs: list[FloatArray]) -> list[FloatArray]:
    """Return the value of every node, inputs first."""
    values = list(inputs)
    with np.errstate(all="ignore"):
        for node in itertools.islice(builder, len(inputs), None):
            if node.is_constant:
                values.append(node.constant_array())
            else:
                values.append(ops.TABLE[node.operation].value(*[values[argument] for argument in node.arguments]))
    return values
