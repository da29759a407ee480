"""Graphs of arrays for the array tape: random ones of exact operations, and a network with its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward
from gradmill_server.engine.backends.results import ResultGroup
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output, ParameterValue, Shape, size
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.passes.expand import expand, lower
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.shapes import ShapeMismatch

Array = npt.NDArray[np.float64]

ELEMENT_WISE = ("add", "subtract", "multiply", "negate", "maximum", "minimum", "where", "abs", "less", "clip")
"""Element-wise operations whose results at whole numbers are whole numbers."""

_LARGEST = 3

Move = tuple[str, dict[str, ParameterValue]]
"""An operation of one operand, and its parameters."""


def put(builder: GraphBuilder, name: str, *arguments: int, **parameters: ParameterValue) -> int:
    """Add an operation on arrays or an element-wise one."""
    return ops.emit(builder, name, arguments, tuple(sorted(parameters.items())))


def apply(name: str, *operands: Value, **parameters: ParameterValue) -> Value:
    """Apply an operation on arrays or an element-wise one to values of a graph."""
    builder = operands[0].builder
    return Value(builder, put(builder, name, *[operand.index for operand in operands], **parameters))


def _reshaped(_random: np.random.Generator, shape: Shape, _axis: int) -> Move:
    return "reshape", {"shape": (size(shape),) if len(shape) % 2 else (1, *shape[::-1])}


def _transposed(random: np.random.Generator, shape: Shape, _axis: int) -> Move:
    return "transpose", {"axes": tuple(random.permutation(len(shape)).tolist())}


def _sliced(random: np.random.Generator, shape: Shape, _axis: int) -> Move:
    counts = [int(random.integers(1, extent + 1)) for extent in shape]
    fitting = [count * 2 <= extent for count, extent in zip(counts, shape, strict=True)]
    steps = [int(random.choice([1, -1, 2])) if fits else 1 for fits in fitting]
    starts = [extent - 1 if step < 0 else 0 for step, extent in zip(steps, shape, strict=True)]
    return "slice", {"starts": tuple(starts), "counts": tuple(counts), "steps": tuple(steps)}


def _unsliced(_random: np.random.Generator, shape: Shape, _axis: int) -> Move:
    spread = tuple([2 * extent + 1 for extent in shape])
    return "unslice", {"starts": (1,) * len(shape), "steps": (2,) * len(shape), "shape": spread}


def _taken(random: np.random.Generator, shape: Shape, axis: int) -> Move:
    indices = tuple(random.integers(shape[axis], size=4).tolist())
    return "take", {"indices": indices, "index_shape": (2, 2), "axis": axis}


def _put(random: np.random.Generator, shape: Shape, axis: int) -> Move:
    indices = tuple(random.integers(5, size=shape[axis]).tolist())
    return "put", {"indices": indices, "index_shape": (shape[axis],), "axis": axis, "extent": 5}


def _repeated(_random: np.random.Generator, shape: Shape, _axis: int) -> Move:
    return "broadcast_to", {"shape": (2, *shape)}


def _running(_random: np.random.Generator, _shape: Shape, axis: int) -> Move:
    return "cumsum", {"axis": axis}


_OF_ANY_RANK = (_reshaped, _repeated)
_OF_ARRAYS = (*_OF_ANY_RANK, _transposed, _sliced, _unsliced, _taken, _put, _running)


def _moved(random: np.random.Generator, builder: GraphBuilder, node: int) -> int:
    """Add an operation that steps through a value, moves its elements, or adds them up on the way."""
    shape = builder.nodes.shape(node)
    makers = _OF_ARRAYS if shape else _OF_ANY_RANK
    axis = int(random.integers(len(shape))) if shape else 0
    if shape and random.random() < 0.1:
        return put(builder, "concatenate", node, node, axis=axis)
    name, parameters = makers[int(random.integers(len(makers)))](random, shape, axis)
    return put(builder, name, node, **parameters)


def _reduced(random: np.random.Generator, builder: GraphBuilder, node: int) -> int:
    """Add a reduction."""
    rank = len(builder.nodes.shape(node))
    axes = tuple(sorted(random.permutation(rank)[: int(random.integers(rank + 1))].tolist()))
    kept: dict[str, ParameterValue] = {"keepdims": 1} if random.random() < 0.5 else {}
    return put(builder, str(random.choice(["sum", "sum", "amax", "amin"])), node, axes=axes, **kept)


def _multiplied(builder: GraphBuilder, left: int, right: int) -> int:
    """Add a product of two values, each made a matrix first."""
    first, second = builder.nodes.shape(left), builder.nodes.shape(right)
    inner = first[-1] if first and second and second[-1] == first[-1] else 1
    one = put(builder, "reshape", left, shape=(size(first) // inner, inner))
    other = put(builder, "reshape", right, shape=(inner, size(second) // inner))
    return put(builder, "matrix_product", one, other)


def _bounded(builder: GraphBuilder, node: int) -> int:
    """Keep numbers small, so that every sum and product of them is exact."""
    limits = [builder.constant(-float(_LARGEST)), builder.constant(float(_LARGEST))]
    return put(builder, "clip", node, *limits)


def random_array_graph(seed: int, operations: int = 40, largest: int = 400) -> Graph:
    """Return a random graph whose every value at whole numbers is a whole number, hence exact in any order."""
    random = np.random.default_rng(seed)
    shapes: list[Shape] = [(), (3,), (2, 3), (3, 1), (1, 4), (2, 3, 4)]
    inputs = [Input(f"x{place}", shapes[int(random.integers(len(shapes)))]) for place in range(4)]
    builder = GraphBuilder(inputs)
    pool = list(range(len(inputs)))
    limits = (-_LARGEST, _LARGEST + 1)
    constants: list[Shape] = [(), (3,), (2, 3)]
    pool += [builder.constant(random.integers(*limits, size=shape).astype(float)) for shape in constants]
    for _ in range(operations):
        node = pool[-1 - int(random.integers(min(8, len(pool))))]
        kind = random.random()
        if kind < 0.4:
            node = _moved(random, builder, node)
        elif kind < 0.55:
            node = _reduced(random, builder, node)
        elif kind < 0.65:
            node = _multiplied(builder, node, int(random.choice(pool)))
        else:
            name = str(random.choice(ELEMENT_WISE))
            others = [int(random.choice(pool)) for _each in range(ops.TABLE[name].arity - 1)]
            try:
                node = put(builder, name, node, *others)
            except ShapeMismatch:
                continue
        if size(builder.nodes.shape(node)) <= largest:
            pool.append(_bounded(builder, node))
    shown = [pool[-1], 0, *[int(random.choice(pool)) for _ in range(3)]]
    return builder.build([Output(f"r{place}", node) for place, node in enumerate(shown)])


def whole_points(seed: int, graph: Graph, rows: int) -> list[Array]:
    """Return points of small whole numbers, an array for each input."""
    random = np.random.default_rng(seed)
    limits = (-_LARGEST, _LARGEST + 1)
    return [random.integers(*limits, size=(rows, *entry.shape)).astype(float) for entry in graph.inputs]


def network(sizes: Sequence[int], *, by_weights: bool) -> Graph:
    """Return a network of tanh layers with the gradient of a scalar, lowered as a program would have it.

    Inputs are x [sizes[0]], then the weights [from, to] and the bias [to] of each layer. By weights it is the square of
    the network's output by all of them, else the output by x.
    """
    inputs = [Input("x", (sizes[0],))]
    for layer, (come, go) in enumerate(pairwise(sizes)):
        inputs += [Input(f"w{layer}", (come, go)), Input(f"b{layer}", (go,))]
    builder = GraphBuilder(inputs)
    values = [Value(builder, index) for index in range(len(inputs))]
    held = values[0]
    for weights, bias in zip(values[1::2], values[2::2], strict=True):
        flat = apply("matmul", held, weights) + bias
        held = apply("tanh", flat)
    value = apply("reshape", flat, shape=())
    if by_weights:
        value = value * value
    wanted = range(1, len(inputs)) if by_weights else range(1)
    return differentiated(builder.build([Output("value", value.index)]), wanted)


def differentiated(graph: Graph, wanted: Sequence[int]) -> Graph:
    """Return a graph with the gradient of its first output as further outputs, expanded, simplified and lowered."""
    simple = simplify(expand(graph))
    builder = GraphBuilder.extending(simple)
    adjoints = backward(builder, simple.outputs[0].node, wanted, Propagation())
    found = [
        adjoints[index]
        if index < len(adjoints) and adjoints[index] != NO_ADJOINT
        else builder.constant(np.zeros(simple.inputs[index].shape))
        for index in wanted
    ]
    nodes = [*[output.node for output in simple.outputs], *found]
    return simplify(lower(simplify(builder.build([Output(f"r{place}", node) for place, node in enumerate(nodes)]))))


def groups_of(graph: Graph) -> list[ResultGroup]:
    """Return a group for each output."""
    return [ResultGroup(1, (graph.nodes.shape(output.node),), is_row=False) for output in graph.outputs]
