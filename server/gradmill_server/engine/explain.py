"""The forward and the backward pass at one point, node by node, as the textbooks print them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward, local_partial
from gradmill_server.engine.backends.choice import loops_run_natively
from gradmill_server.engine.backends.native.levels import host_level
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.backends.results import scratch_too_large
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.errors import InvalidPoints, InvalidWant, LimitExceeded, quote
from gradmill_server.engine.ir import Graph, GraphBuilder, Output, size
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.inline import inline_calls
from gradmill_server.engine.passes.stable_forms import with_stable_forms

if TYPE_CHECKING:
    from gradmill_server.engine.ir import FloatArray, Node
    from gradmill_server.engine.points import PointBatch

MAXIMUM_EXPLAINED_NODES = 1_000
MAXIMUM_EXPLAINED_ELEMENTS = 100_000
_DEFAULT_LIMITS = Limits()
_LONGEST_SHOWN_ARRAY = 6


class LocalPartial(NamedTuple):
    """The derivative of a value by one of its arguments, at the point."""

    argument: str
    partial: FloatArray


class ExplainedNode(NamedTuple):
    """One value of the pass.

    Attributes:
        label: short name, such as "x4"; an input's own name.
        operation: name of the operation, or "input".
        expression: the operation written with its arguments' labels.
        value: the value at the point.
        adjoint: the derivative of the output by this value.
        local_partials: one for each argument that the value depends on differentiably and that is no constant.
    """

    label: str
    operation: str
    expression: str
    value: FloatArray
    adjoint: FloatArray
    local_partials: list[LocalPartial]


class Explanation(NamedTuple):
    """The passes for one output.

    Attributes:
        output: the output's name.
        nodes: inputs first, then operations in the order of the forward pass.
        stable_forms: names of the stable forms applied.
    """

    output: str
    nodes: list[ExplainedNode]
    stable_forms: tuple[str, ...]


def explain(
    graph: Graph,
    point: PointBatch,
    output: str = "",
    limits: Limits = _DEFAULT_LIMITS,
    checkpoint: Checkpoint = never,
) -> Explanation:
    """Return every value, local partial and adjoint of one scalar output at one point.

    Calls are written out, and the graph is brought to stable form, so that the explanation agrees with an evaluation;
    it is not simplified further. A loop is one value.

    Args:
        graph: the function; labels given by people are used.
        point: exactly one point.
        output: name of the output; may be empty when there is but one.
        limits: of values with calls written out, and of scratch.
        checkpoint: called every few milliseconds; may raise to stop.

    Raises:
        InvalidPoints: when there is not exactly one point.
        InvalidWant: when the output is unknown, ambiguous, or not a scalar.
        LimitExceeded: for a graph of more than 1,000 values or 100,000 elements, which nobody would read, and for one
            that needs too much scratch.
    """
    if point.count != 1:
        message = f"points: an explanation needs exactly one point, {point.count} were given"
        raise InvalidPoints(message, reason="POINTS_COUNT", metadata={"field": "points"})
    written_out = inline_calls(_only(graph, output), limits, checkpoint)
    stable, stable_forms = with_stable_forms(written_out, (), checkpoint)
    shown = canonicalize(through_bodies(stable, lambda each: expand(each, checkpoint), checkpoint), checkpoint)
    _check_size("values", len(shown.nodes), MAXIMUM_EXPLAINED_NODES)
    elements = len(shown.nodes) + sum(map(size, shown.nodes.shapes.values()))
    _check_size("elements", elements, MAXIMUM_EXPLAINED_ELEMENTS)
    return Explanation(shown.outputs[0].name, _explained(shown, point, limits, checkpoint), stable_forms)


def _check_size(what: str, value: int, limit: int) -> None:
    if value > limit:
        counted = f"number of {what} to explain"
        raise LimitExceeded.of(counted, reason="EXPLANATION_TOO_LARGE", value=value, limit=limit)


def _only(graph: Graph, name: str) -> Graph:
    """Return the graph with but the output to explain."""
    names = [entry.name for entry in graph.outputs]
    if not name and len(names) > 1:
        message = f"output: the function has {len(names)} outputs, name one of {quote(names)}"
        raise InvalidWant(message, reason="OUTPUT_AMBIGUOUS", metadata={"field": "output"})
    chosen = name or names[0]
    if chosen not in names:
        message = f"output: the function has no output {quote(chosen)}"
        raise InvalidWant(message, reason="OUTPUT_UNKNOWN", metadata={"field": "output", "name": quote(chosen)})
    entry = graph.output(chosen)
    if graph.nodes[entry.node].shape:
        message = f"output {quote(chosen)} has shape {graph.nodes[entry.node].shape}; only a scalar can be explained"
        raise InvalidWant(message, reason="OUTPUT_NOT_SCALAR", metadata={"field": "output", "name": chosen})
    return Graph(graph.inputs, graph.nodes, (entry,), graph.labels)


def _explained(graph: Graph, point: PointBatch, limits: Limits, checkpoint: Checkpoint) -> list[ExplainedNode]:
    builder = GraphBuilder.extending(graph)
    everything = range(len(graph.nodes))
    varied = [index for index in everything if not graph.nodes[index].is_constant]
    adjoints = backward(builder, graph.outputs[0].node, varied, Propagation(), checkpoint)
    wanted = list(everything)
    partial_of: dict[tuple[int, int], int] = {}
    for index in everything:
        for operand, argument in enumerate(graph.nodes[index].arguments):
            partial = None if graph.nodes[argument].is_constant else local_partial(builder, index, operand)
            if partial is not None:
                partial_of[index, operand] = partial
    wanted += [adjoint for adjoint in adjoints if adjoint != NO_ADJOINT]
    wanted += partial_of.values()
    value_of = _evaluated(builder, sorted(set(wanted)), point, limits, checkpoint)
    labels = _labels(graph)
    return [
        ExplainedNode(
            label=labels[index],
            operation=node.operation,
            expression=labels[index] if node.is_input else _expression(node, labels),
            value=value_of[index],
            adjoint=value_of[adjoints[index]]
            if _has_adjoint(adjoints, index)
            else np.zeros(node.shape, graph.element_type.dtype),
            local_partials=[
                LocalPartial(labels[argument], value_of[partial_of[index, operand]])
                for operand, argument in enumerate(node.arguments)
                if (index, operand) in partial_of
            ],
        )
        for index, node in enumerate(graph.nodes)
        if not node.is_constant
    ]


def _has_adjoint(adjoints: list[int], index: int) -> bool:
    return index < len(adjoints) and adjoints[index] != NO_ADJOINT


def _evaluated(
    builder: GraphBuilder, wanted: list[int], point: PointBatch, limits: Limits, checkpoint: Checkpoint
) -> dict[int, FloatArray]:
    graph = builder.build([Output(f"value_{index}", index) for index in wanted])
    level = host_level() if loops_run_natively(graph, checkpoint) else None
    executable = NumpyExecutable(graph, level=level, checkpoint=checkpoint)
    if executable.scratch_bytes_per_point > limits.maximum_scratch_bytes:
        raise scratch_too_large(limits, executable.scratch_bytes_per_point)
    arrays = executable.run(point.block(0, 1), 1, checkpoint)
    return {index: array[0] for index, array in zip(wanted, arrays, strict=True)}


def _expression(node: Node, labels: list[str]) -> str:
    return ops.ROWS[node.operation].expression([labels[argument] for argument in node.arguments])


def _labels(graph: Graph) -> list[str]:
    """Return a label for each node: people's own names, or x4, x5, ... after inputs x1, x2, x3, or else v1, v2, ..."""
    names = [entry.name for entry in graph.inputs]
    taken = set(names) | set(graph.labels.values())
    continues = names == [f"x{number}" for number in range(1, len(names) + 1)]
    prefix, number = ("x", len(names)) if continues else ("v", 0)
    labels: list[str] = []
    for index, node in enumerate(graph.nodes):
        if node.is_input:
            labels.append(names[index])
            continue
        if node.is_constant:
            labels.append(_number(node))
            continue
        number += 1
        while f"{prefix}{number}" in taken and f"{prefix}{number}" != graph.labels.get(index):
            number += 1
        labels.append(graph.labels.get(index, f"{prefix}{number}"))
    return labels


def _number(node: Node) -> str:
    array = node.constant_array()
    if array.shape:
        return np.array2string(array, threshold=_LONGEST_SHOWN_ARRAY, separator=", ")
    return re.sub(r"\.0$", "", repr(float(array)))
