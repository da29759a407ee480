"""The specification of graphs, executable: what a caller's graph must be before anything else looks at it.

A draft is a graph as it came: indices unchecked, operations by number, shapes on inputs and constants only. `check`
returns the graph it means, or one violation for each mistake found (at most 20), each with its own reason and the
node at fault. A node that uses a faulty one is not reported again.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.checkpoints import NODES_BETWEEN_CHECKPOINTS, Checkpoint, never
from gradmill_server.engine.errors import (
    MAXIMUM_REPORTED_VIOLATIONS,
    InvalidGraph,
    LimitExceeded,
    UnsupportedWish,
    Violation,
    quote,
)
from gradmill_server.engine.ir import (
    Arguments,
    FloatArray,
    Graph,
    GraphBuilder,
    Input,
    Output,
    Parameters,
    Shape,
    renumbered,
    size,
)
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.shapes import ShapeMismatch

FLOAT64 = 1
_UNSPECIFIED = 0
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACE = re.compile(r"[A-Za-z0-9_]{1,60}")
_BROKEN = -1
"""Stands for the index of a node that was refused."""


class DraftInput(NamedTuple):
    """An input as sent."""

    name: str
    shape: Sequence[int]
    element_type: int = FLOAT64


class DraftConstant(NamedTuple):
    """A constant as sent: its elements flat, float64, row-major."""

    shape: Sequence[int]
    values: FloatArray


class DraftNode(NamedTuple):
    """An operation as sent; ``operation`` is an index into the draft's names."""

    operation: int
    arguments: Sequence[int]
    parameters: Parameters = ()
    name: str = ""


class DraftOutput(NamedTuple):
    """An output as sent."""

    name: str
    value: int


class GraphDraft(NamedTuple):
    """A graph as sent. Values are counted inputs first, then constants, then nodes."""

    inputs: Sequence[DraftInput]
    constants: Sequence[DraftConstant]
    operation_names: Sequence[str]
    nodes: Sequence[DraftNode]
    outputs: Sequence[DraftOutput]


def check(draft: GraphDraft, limits: Limits, *, field: str = "graph", checkpoint: Checkpoint = never) -> Graph:
    """Return the graph that a draft means.

    Args:
        draft: the graph as sent.
        limits: what is too large.
        field: path of the graph in the caller's message, for violations.
        checkpoint: called every few milliseconds; may raise to stop.

    Raises:
        InvalidGraph: with one violation for each mistake.
        LimitExceeded: when something is larger than its limit; checked before anything is built.
        UnsupportedWish: for an element type other than float64.
    """
    return _Checker(draft, limits, field, checkpoint).run()


def check_inputs(inputs: Sequence[DraftInput], limits: Limits, *, field: str) -> tuple[Input, ...]:
    """Return declared inputs, checked like those of a graph. Raises like `check`."""
    checker = _Checker(GraphDraft(inputs, (), (), (), ()), limits, field)
    checked = checker.inputs()
    checker.finish()
    return checked


def _place(value: object) -> str:
    """Return a number or a name for metadata: a name as it is, if it is one, so that programs can compare it."""
    text = str(value)
    return text if _PLACE.fullmatch(text) else quote(text)


class _Checker:
    """One run of the check: the graph that grows, and the mistakes found so far."""

    def __init__(self, draft: GraphDraft, limits: Limits, field: str, checkpoint: Checkpoint = never) -> None:
        self.checkpoint = checkpoint
        self.draft = draft
        self.limits = limits
        self.field = field
        self.violations: list[Violation] = []
        self.builder = GraphBuilder()
        self.index_of: list[int] = []
        self.operations: list[ops.Row | None] = []

    def run(self) -> Graph:
        self.counts()
        inputs = self.inputs()
        self.builder = GraphBuilder(inputs)
        self.index_of = list(range(len(inputs)))
        self.constants()
        self.operation_names()
        self.nodes()
        outputs = self.outputs()
        self.finish()
        return self.builder.finish(outputs)

    def finish(self) -> None:
        if self.violations:
            raise InvalidGraph.from_violations(self.violations)

    def mistake(self, path: str, reason: str, description: str, **metadata: object) -> None:
        places = {key: _place(value) for key, value in metadata.items() if value != ""}
        self.violations.append(Violation(f"{self.field}.{path}", description, reason, places))
        if len(self.violations) >= MAXIMUM_REPORTED_VIOLATIONS:
            self.finish()

    def counts(self) -> None:
        draft, limits = self.draft, self.limits
        total = len(draft.inputs) + len(draft.constants) + len(draft.nodes)
        elements = sum(len(constant.values) for constant in draft.constants)
        bounds = (
            (total, limits.maximum_nodes, "number of values", "GRAPH_TOO_LARGE", "maximum_nodes"),
            (len(draft.inputs), limits.maximum_inputs, "number of inputs", "TOO_MANY_INPUTS", "maximum_inputs"),
            (len(draft.outputs), limits.maximum_outputs, "number of outputs", "TOO_MANY_OUTPUTS", "maximum_outputs"),
            (
                elements,
                limits.maximum_constant_elements,
                "number of constant elements",
                "CONSTANTS_TOO_LARGE",
                "maximum_constant_elements",
            ),
        )
        for value, limit, what, reason, knob in bounds:
            if value > limit:
                raise LimitExceeded.of(what, reason=reason, value=value, limit=limit, knob=knob, field=self.field)

    def name(self, path: str, name: str, taken: dict[str, int], position: int) -> None:
        if not name:
            self.mistake(path, "NAME_MISSING", "has no name")
        elif len(name) > self.limits.maximum_name_characters:
            limit = self.limits.maximum_name_characters
            description = f"name {quote(name)} has {len(name)} characters, limit {limit}; knob: maximum_name_characters"
            self.mistake(path, "NAME_TOO_LONG", description, limit=limit, value=len(name))
        elif not _NAME.fullmatch(name):
            description = f"name {quote(name)} is not a letter or underscore, then letters, digits and underscores"
            self.mistake(path, "NAME_INVALID", description, name=name)
        elif taken.setdefault(name, position) != position:
            self.mistake(path, "NAME_DUPLICATE", f"name {quote(name)} is taken by entry {taken[name]}", name=name)

    def shape(self, path: str, extents: Sequence[int], **metadata: object) -> Shape | None:
        shape = tuple(int(extent) for extent in extents)
        limits = self.limits
        if len(shape) > limits.maximum_rank:
            description = f"shape has {len(shape)} dimensions, limit {limits.maximum_rank}; knob: maximum_rank"
            self.mistake(path, "RANK_TOO_LARGE", description, limit=limits.maximum_rank, value=len(shape), **metadata)
        elif any(extent < 1 for extent in shape):
            self.mistake(path, "SHAPE_INVALID", f"shape {quote(shape)} has an extent below 1", **metadata)
        elif size(shape) > limits.maximum_elements_per_value:
            self.too_large(path, shape, **metadata)
        else:
            return shape
        return None

    def too_large(self, path: str, shape: Shape, **metadata: object) -> None:
        limit = self.limits.maximum_elements_per_value
        description = (
            f"shape {quote(shape)} has {size(shape)} elements, limit {limit}; knob: maximum_elements_per_value"
        )
        self.mistake(path, "SHAPE_TOO_LARGE", description, limit=limit, value=size(shape), **metadata)

    def inputs(self) -> tuple[Input, ...]:
        taken: dict[str, int] = {}
        checked = []
        for position, entry in enumerate(self.draft.inputs):
            path = f"inputs[{position}]"
            self.name(f"{path}.name", entry.name, taken, position)
            self.element_type(f"{path}.element_type", entry.element_type)
            shape = self.shape(f"{path}.shape", entry.shape, name=entry.name)
            checked.append(Input(entry.name, shape if shape is not None else ()))
        return tuple(checked)

    def element_type(self, path: str, element_type: int) -> None:
        if element_type not in {_UNSPECIFIED, FLOAT64}:
            field = f"{self.field}.{path}"
            message = f"{field}: element type {element_type} is not available; use ELEMENT_TYPE_FLOAT64"
            raise UnsupportedWish(message, reason="ELEMENT_TYPE_UNSUPPORTED", metadata={"field": field})

    def constants(self) -> None:
        for position, entry in enumerate(self.draft.constants):
            path = f"constants[{position}]"
            shape = self.shape(f"{path}.shape", entry.shape)
            if shape is not None and size(shape) != len(entry.values):
                description = f"shape {quote(shape)} needs {size(shape)} elements, {len(entry.values)} were sent"
                self.mistake(path, "CONSTANT_SIZE", description)
                shape = None
            self.index_of.append(_BROKEN if shape is None else self.builder.constant(np.reshape(entry.values, shape)))

    def operation_names(self) -> None:
        public = [name for name, row in ops.ROWS.items() if not row.internal]
        seen: set[str] = set()
        for position, name in enumerate(self.draft.operation_names):
            if name in seen:
                description = f"operation {quote(name)} is named twice"
                self.mistake(f"operation_names[{position}]", "OPERATION_DUPLICATE", description, name=name)
            seen.add(name)
            row = ops.ROWS.get(name)
            if row is None or row.internal:
                near = difflib.get_close_matches(name[: self.limits.maximum_name_characters], public, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                description = f"operation {quote(name)} is unknown to this server{hint}"
                self.mistake(f"operation_names[{position}]", "OPERATION_UNKNOWN", description, name=name)
                row = None
            self.operations.append(row)

    def nodes(self) -> None:
        first = len(self.index_of)
        for position, node in enumerate(self.draft.nodes):
            if position % NODES_BETWEEN_CHECKPOINTS == 0:
                self.checkpoint()
            self.index_of.append(self.node(position, node, first + position))

    def node(self, position: int, node: DraftNode, index: int) -> int:
        """Add one node to the graph; return its index there, or _BROKEN."""
        row = self.row(position, node)
        if row is None:
            return _BROKEN
        for place, argument in enumerate(node.arguments):
            if not 0 <= argument < index:
                self.misplaced(position, place, argument, index)
                return _BROKEN
        arguments = renumbered(node.arguments, self.index_of)
        return _BROKEN if _BROKEN in arguments else self.added(position, node, row, arguments)

    def row(self, position: int, node: DraftNode) -> ops.Row | None:
        """Return a node's operation, or None when there is none that fits."""
        if not 0 <= node.operation < len(self.operations):
            description = f"operation {node.operation} is not an index into {len(self.operations)} operation names"
            self.node_mistake(position, "operation", "OPERATION_INDEX", description)
            return None
        row = self.operations[node.operation]
        if row is None:
            return None
        if not row.accepts(len(node.arguments)):
            description = f"{row.name} takes {row.takes} arguments, {len(node.arguments)} were given"
            self.node_mistake(position, "arguments", "ARITY", description)
            return None
        if node.parameters and isinstance(row, ops.Operation):
            description = f"{row.name} has no parameter {quote(node.parameters[0][0])}"
            self.node_mistake(position, "parameters[0]", "PARAMETER_UNKNOWN", description)
            return None
        return row

    def added(self, position: int, node: DraftNode, row: ops.Row, arguments: Arguments) -> int:
        try:
            index = ops.emit(self.builder, row.name, arguments, node.parameters)
        except ShapeMismatch as mismatch:
            self.node_mistake(position, "arguments", mismatch.reason, mismatch.message)
            return _BROKEN
        except ops.InvalidParameter as invalid:
            self.node_mistake(position, "parameters", invalid.reason, invalid.message)
            return _BROKEN
        shape = self.builder.nodes.shape(index)
        if shape and size(shape) > self.limits.maximum_elements_per_value:
            self.too_large(f"nodes[{position}]", shape, node=position, name=node.name)
            return _BROKEN
        if node.name:
            self.builder.label(index, node.name[: self.limits.maximum_name_characters])
        return index

    def misplaced(self, position: int, place: int, argument: int, index: int) -> None:
        total = index - position + len(self.draft.nodes)
        path = f"arguments[{place}]"
        if argument == index:
            self.node_mistake(position, path, "CYCLE", f"value {argument} is the node itself")
        elif not 0 <= argument < total:
            description = f"value {argument} does not exist; there are {total} values"
            self.node_mistake(position, path, "ARGUMENT_OUT_OF_RANGE", description)
        elif self.reaches(argument - (index - position), position, index - position):
            self.node_mistake(position, path, "CYCLE", f"value {argument} depends on this node, value {index}")
        else:
            description = f"value {argument} comes after this node, value {index}; nodes must be in topological order"
            self.node_mistake(position, path, "FORWARD_REFERENCE", description)

    def reaches(self, start: int, goal: int, first: int) -> bool:
        """Whether node ``start`` depends on node ``goal``, following arguments as sent."""
        seen = {start}
        waiting = [start]
        while waiting:
            if len(seen) % NODES_BETWEEN_CHECKPOINTS == 0:
                self.checkpoint()
            for argument in self.draft.nodes[waiting.pop()].arguments:
                position = argument - first
                if position == goal:
                    return True
                if 0 <= position < len(self.draft.nodes) and position not in seen:
                    seen.add(position)
                    waiting.append(position)
        return False

    def node_mistake(self, position: int, path: str, reason: str, description: str) -> None:
        name = self.draft.nodes[position].name
        named = f"node {position} ({quote(name)})" if name else f"node {position}"
        self.mistake(f"nodes[{position}].{path}", reason, f"{named}: {description}", node=position, name=name)

    def outputs(self) -> list[Output]:
        taken: dict[str, int] = {}
        checked = []
        if not self.draft.outputs:
            self.mistake("outputs", "OUTPUT_MISSING", "a function has at least one output")
        for position, entry in enumerate(self.draft.outputs):
            path = f"outputs[{position}]"
            self.name(f"{path}.name", entry.name, taken, position)
            if not 0 <= entry.value < len(self.index_of):
                description = f"value {entry.value} does not exist; there are {len(self.index_of)} values"
                self.mistake(f"{path}.value", "OUTPUT_OUT_OF_RANGE", description, name=entry.name)
                continue
            checked.append(Output(entry.name, self.index_of[entry.value]))
        return checked
