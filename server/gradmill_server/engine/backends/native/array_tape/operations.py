"""Which graphs the array tape runs: element-wise operations, and those on whole arrays that are left once lowered.

Some only step through their operand in another way. What the others are made of is in the assembler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gradmill_server.engine.backends.native.array_tape.views import View, evenly_spaced, spread
from gradmill_server.engine.backends.native.records import NATIVE_OPERATIONS
from gradmill_server.engine.ir import CONSTANT, INPUT, size
from gradmill_server.engine.ops.array_operation import integers

if TYPE_CHECKING:
    from gradmill_server.engine.ir import Graph, Node

RESHAPE: Final = "reshape"
TRANSPOSE: Final = "transpose"
SLICE: Final = "slice"
BROADCAST: Final = "broadcast_to"
STEPPING: Final = frozenset({RESHAPE, TRANSPOSE, SLICE, BROADCAST})
"""The operations that only step through the elements of their operand."""

UNSLICE: Final = "unslice"
TAKE: Final = "take"
PUT: Final = "put"
CONCATENATE: Final = "concatenate"
PRODUCT: Final = "matrix_product"
RUNNING_SUM: Final = "cumsum"
FOLDS: Final = {"sum": "add", "amax": "maximum", "amin": "minimum"}
"""Reductions in halving order, each by the operation that joins two elements."""

_RUNNABLE: Final = (
    NATIVE_OPERATIONS | STEPPING | {UNSLICE, TAKE, PUT, CONCATENATE, PRODUCT, RUNNING_SUM, *FOLDS} | {INPUT, CONSTANT}
)


def arrays_run_natively(graph: Graph) -> bool:
    """Whether the array tape has records for every operation of a lowered graph."""
    return _RUNNABLE.issuperset(graph.nodes.operations)


def largest_value(graph: Graph) -> int:
    """Return the elements of the largest value that is computed."""
    return max(
        (size(node.shape) for node in graph.nodes if node.arguments and node.operation not in STEPPING), default=1
    )


def work(graph: Graph) -> tuple[int, int]:
    """Return how many elements a lowered graph computes, and products of matrices, by how many operations."""
    elements = operations = 0
    for node in graph.nodes:
        if not node.arguments or node.operation in STEPPING:
            continue
        operations += 1
        first = graph.nodes.shape(node.arguments[0])
        if node.operation == PRODUCT:
            elements += size(node.shape) * first[-1]
        else:
            elements += max(size(node.shape), size(first))
    return elements, operations


def stepped(node: Node, view: View) -> View | None:
    """Return the result of an operation that only steps through its operand.

    None where it cannot be: a reshape of elements that are not evenly spaced.
    """
    parameters = dict(node.parameters)
    match node.operation:
        case "reshape":
            return evenly_spaced(view, node.shape)
        case "transpose":
            axes = integers(parameters, "axes")
            return View(view.space, view.start, node.shape, tuple([view.steps[axis] for axis in axes]))
        case "slice":
            starts, steps = integers(parameters, "starts"), integers(parameters, "steps")
            first = sum(start * own for start, own in zip(starts, view.steps, strict=True))
            own = tuple([step * own for step, own in zip(steps, view.steps, strict=True)])
            return View(view.space, view.start + first, node.shape, own)
        case _:
            return spread(view, node.shape)
