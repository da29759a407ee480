"""What the engine's tests build graphs with: functions from Python expressions, drafts, and random graphs.

Also the specification of a graph as a check, and an evaluator too plain to be wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from gradmill_server.engine import ops
from gradmill_server.engine.check import DraftConstant, DraftInput, DraftNode, DraftOutput, GraphDraft
from gradmill_server.engine.errors import DeadlineExceeded
from gradmill_server.engine.ir import FloatArray, Graph, GraphBuilder, Input, Node, Output, Shape
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops.operation import Interval
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Evaluation, Options, Program, compile_program
from gradmill_server.engine.shapes import broadcast
from gradmill_server.engine.wants import Kind, resolve_want

Entry = TypeVar("Entry")

LIMITS = Limits()
PUBLIC = tuple(row for row in ops.TABLE.values() if not row.internal)
"""The operations a caller may use."""

BROADCASTING_SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 1), (2, 3), (1,))
"""Shapes every two of which broadcast."""

SPECIAL_NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 7.25, 1e-310, 1e308, -1e308, np.inf, -np.inf, np.nan)


class Countdown:
    """A checkpoint that lets so many looks pass and stops the work at the next."""

    def __init__(self, allowed: int) -> None:
        """Allow so many checkpoints."""
        self.left = allowed

    def __call__(self) -> None:
        """Count, and stop."""
        self.left -= 1
        if self.left < 0:
            message = "time is up"
            raise DeadlineExceeded(message)


def no_checkpoint() -> None:
    """Do nothing: a caller without a deadline."""


def function(make: Callable[..., Value | Mapping[str, Value]], *inputs: str | Input) -> Graph:
    """Return the graph of a Python expression; its one output is "value" unless it gives a mapping."""
    declared = [Input(entry) if isinstance(entry, str) else entry for entry in inputs]
    builder = GraphBuilder(declared)
    made = make(*(Value(builder, position) for position in range(len(declared))))
    shown = {"value": made} if isinstance(made, Value) else made
    return builder.build([Output(name, value.index) for name, value in shown.items()])


def number(like: Value, value: npt.ArrayLike) -> Value:
    """Return a constant in the graph that another value belongs to."""
    return Value(like.builder, like.builder.constant(value))


def addition_chain(length: int) -> Graph:
    """Return x + x + y + x + y + ...: ``length`` additions one on top of the other."""
    builder = GraphBuilder([Input("x"), Input("y")])
    value = 0
    for position in range(length):
        value = ops.emit(builder, "add", (value, position % 2))
    return builder.build([Output("value", value)])


def wire_order(graph: Graph) -> list[int]:
    """Return each node's index in a draft, where constants come before operations."""
    inputs = len(graph.inputs)
    constants = [index for index, node in enumerate(graph.nodes) if node.is_constant]
    operations = [index for index, node in enumerate(graph.nodes) if node.arguments]
    sent = [0] * len(graph.nodes)
    for position, index in enumerate([*range(inputs), *constants, *operations]):
        sent[index] = position
    return sent


def draft_of(graph: Graph) -> GraphDraft:
    """Return the draft that a client would send for a graph."""
    sent = wire_order(graph)
    names = list(dict.fromkeys(node.operation for node in graph.nodes if node.arguments))
    return GraphDraft(
        inputs=[DraftInput(entry.name, entry.shape) for entry in graph.inputs],
        constants=[
            DraftConstant(node.shape, node.constant_array().ravel()) for node in graph.nodes if node.is_constant
        ],
        operation_names=names,
        nodes=[
            DraftNode(names.index(node.operation), [sent[argument] for argument in node.arguments])
            for node in graph.nodes
            if node.arguments
        ],
        outputs=[DraftOutput(entry.name, sent[entry.node]) for entry in graph.outputs],
    )


def specify(graph: Graph) -> None:
    """Check all that a graph promises: inputs first, arguments before their node, right shapes, no equal nodes."""
    count = len(graph.inputs)
    assert [node.is_input for node in graph.nodes] == [True] * count + [False] * (len(graph.nodes) - count)
    for position, entry in enumerate(graph.inputs):
        node = graph.nodes[position]
        assert (node.shape, node.arguments, node.parameters) == (entry.shape, (), (("position", position),))
    for index, node in enumerate(graph.nodes[count:], start=count):
        if node.is_constant:
            assert node.constant_array().shape == node.shape
            continue
        assert ops.ROWS[node.operation].accepts(len(node.arguments))
        assert all(0 <= argument < index for argument in node.arguments)
        assert node.shape == _shape_of(node, [graph.nodes[argument].shape for argument in node.arguments])
    assert len(set(graph.nodes)) == len(graph.nodes)
    assert all(0 <= entry.node < len(graph.nodes) for entry in graph.outputs)
    assert all(0 <= index < len(graph.nodes) for index in graph.labels)


def _shape_of(node: Node, shapes: Sequence[Shape]) -> Shape:
    """Return the shape that an operation gives arguments of these shapes."""
    row = ops.ARRAYS.get(node.operation)
    return broadcast(node.operation, shapes) if row is None else row.shape(dict(node.parameters), shapes)


def plain_values(graph: Graph, point: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    """Return every node's value at one point, one NumPy call after the other, each array in its own shape."""
    values: list[FloatArray] = []
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if node.is_input:
                values.append(np.asarray(point[len(values)], dtype=np.float64))
            elif node.is_constant:
                values.append(node.constant_array())
            else:
                operands = [values[argument] for argument in node.arguments]
                values.append(np.asarray(ops.TABLE[node.operation].value(*operands)))
    return values


def same_bits(left: npt.ArrayLike, right: npt.ArrayLike) -> bool:
    """Whether two arrays have the same bits; one NaN is as good as another."""
    first, second = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    equal = first.view(np.int64) == second.view(np.int64) if first.shape == second.shape else np.False_
    return bool(np.all(equal | (np.isnan(first) & np.isnan(second))))


def compiled(graph: Graph, *kinds: Kind, options: Options | None = None, limits: Limits = LIMITS) -> Program:
    """Return the program for all outputs, one want for each kind."""
    wants = tuple(resolve_want(graph, kind, (), ()) for kind in kinds)
    return compile_program(graph, wants, options or Options(), limits)


def at_matrix(graph: Graph, matrix: npt.ArrayLike, *kinds: Kind, options: Options | None = None) -> Evaluation:
    """Evaluate at a matrix of points."""
    points = PointBatch.from_matrix(graph.inputs, np.asarray(matrix, dtype=np.float64))
    return compiled(graph, *kinds, options=options).evaluate(points, LIMITS, no_checkpoint)


def value_and_gradient(
    graph: Graph, *point: float, options: Options | None = None
) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the value and the gradient of a function of scalars with one output, at one point."""
    values, gradients = at_matrix(graph, [point], Kind.VALUE, Kind.GRADIENT, options=options).arrays
    return float(values[0].array[0]), gradients[0].array[0]


def random_graph(seed: int, *, operations: int = 25, arrays: bool = False, outputs: int = 2) -> Graph:
    """Return any valid graph of all operations, with special numbers among its constants.

    Args:
        seed: which one.
        operations: how many operations to add; equal ones are one.
        arrays: whether values have shapes.
        outputs: how many outputs to show, among them the last operation.
    """
    rng = random.Random(seed)
    shapes = BROADCASTING_SHAPES if arrays else ((),)
    builder = GraphBuilder([Input(name, rng.choice(shapes)) for name in ("x", "y", "z")])
    pool = list(range(3))
    for _ in range(3):
        shape = rng.choice(shapes)
        elements = [rng.choice(SPECIAL_NUMBERS) for _ in range(int(np.prod(shape)))]
        pool.append(builder.constant(np.reshape(elements, shape)))
    for _ in range(operations):
        row = rng.choice(PUBLIC)
        pool.append(ops.emit(builder, row.name, [_recent(rng, pool) for _ in range(row.arity)]))
    chosen = [pool[-1], *(rng.choice(pool) for _ in range(outputs - 1))]
    return builder.build([Output(f"out_{position}", index) for position, index in enumerate(chosen)])


def smooth_graph(seed: int, *, operations: int = 8, outputs: int = 2) -> Graph:
    """Return a random graph of scalars whose every operand stays well inside its operation's domain.

    Operands are brought there by ``middle + half*sin(value)``, so that no slope dies out and none explodes.
    """
    rng = random.Random(seed)
    builder = GraphBuilder([Input(name) for name in ("x", "y", "z")])
    pool = [Value(builder, position) for position in range(3)]
    for _ in range(operations):
        row = rng.choice(PUBLIC)
        operands = [_inside(interval, _recent(rng, pool)) for interval in row.domain]
        pool.append(apply(row.name, *operands))
    shown = [pool[-1], *(rng.choice(pool[3:]) for _ in range(outputs - 1))]
    return builder.build([Output(f"out_{position}", value.index) for position, value in enumerate(shown)])


def _recent(rng: random.Random, pool: Sequence[Entry]) -> Entry:
    """Pick an entry, preferably a late one: graphs become deep as well as wide."""
    return pool[-rng.randint(1, min(5, len(pool)))] if rng.random() < 0.6 else rng.choice(pool)


def _inside(interval: Interval, value: Value) -> Value:
    low, high = max(interval.low, -3.0), min(interval.high, 3.0)
    if low >= high:
        low, high = interval
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    return middle + 0.85 * half * apply("sin", value)
