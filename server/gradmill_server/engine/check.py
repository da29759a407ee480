"""The specification of graphs, executable: what a caller's graph must be before anything else looks at it.

A draft is a graph as it came: indices unchecked, operations by number, shapes on inputs and constants only. Each of its
functions is checked like a graph, and may use only those before it, so that none uses itself. `check`
returns the graph it means, or one violation for each mistake found (at most 20), each with its own reason and the
node at fault. A node that uses a faulty one is not reported again.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np

from gradmill_server.engine import ops
from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.checkpoints import NODES_BETWEEN_CHECKPOINTS, Checkpoint, never, watched
from gradmill_server.engine.drafts import (
    DraftConstant,
    DraftFunction,
    DraftInput,
    DraftNode,
    DraftOutput,
    GraphDraft,
    check_constants,
    check_ends,
    functions_of,
)
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import (
    MAXIMUM_REPORTED_VIOLATIONS,
    InvalidGraph,
    UnsupportedWish,
    Violation,
    quote,
)
from gradmill_server.engine.ir import (
    Arguments,
    Body,
    Graph,
    GraphBuilder,
    Input,
    Output,
    Parameters,
    ParameterValue,
    Shape,
    renumbered,
    size,
)
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.shapes import ShapeMismatch

__all__ = [
    "DraftConstant",
    "DraftFunction",
    "DraftInput",
    "DraftNode",
    "DraftOutput",
    "GraphDraft",
    "check",
    "check_inputs",
]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACE = re.compile(r"[A-Za-z0-9_]{1,60}")
_BROKEN = -1
"""Stands for the index of a node that was refused."""


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
        UnsupportedWish: for an element type other than float64 and float32.
    """
    functions, elements = functions_of(draft, limits, field, checkpoint)
    bodies = _Bodies(len(functions), elements)
    for position, function in enumerate(functions):
        checker = _Checker(function, limits, f"{field}.functions[{position}]", checkpoint, bodies)
        bodies.checked.append(checker.body())
    return _Checker(draft, limits, field, checkpoint, bodies).run()


def check_inputs(
    inputs: Sequence[DraftInput], limits: Limits, *, field: str, checkpoint: Checkpoint = never
) -> tuple[Input, ...]:
    """Return declared inputs, checked like those of a graph. Raises like `check`."""
    draft = GraphDraft(inputs, (), (), (), ())
    check_ends(draft, limits, field)
    checker = _Checker(draft, limits, field, checkpoint)
    checked = checker.inputs()
    checker.finish()
    return checked


def _place(value: object) -> str:
    """Return a number or a name for metadata: a name as it is, if it is one, so that programs can compare it."""
    text = str(value)
    return text if _PLACE.fullmatch(text) else quote(text)


class _Bodies:
    """The bodies checked so far, and the mistakes found in all graphs of a draft.

    Attributes:
        total: how many bodies the draft has.
        checked: those checked so far; None for one with mistakes.
        depth_of: how many loops stand in one another in each, by its digest.
        elements: how many elements constants have, and lists of whole numbers, in all graphs of the draft so far.
        violations: the mistakes.
    """

    def __init__(self, total: int, elements: int = 0) -> None:
        self.total = total
        self.elements = elements
        self.checked: list[Body | None] = []
        self.depth_of: dict[bytes, int] = {}
        self.violations: list[Violation] = []


class _Checker:
    """One run of the check: the graph that grows, and the mistakes found so far."""

    def __init__(
        self,
        draft: GraphDraft,
        limits: Limits,
        field: str,
        checkpoint: Checkpoint = never,
        bodies: _Bodies | None = None,
    ) -> None:
        self.bodies = bodies or _Bodies(0)
        self.depth = 0
        self.checkpoint = checkpoint
        self.draft = draft
        self.limits = limits
        self.field = field
        self.violations = self.bodies.violations
        self.builder = GraphBuilder()
        self.index_of: list[int] = []
        self.operations: list[ops.Row | None] = []

    def run(self) -> Graph:
        graph = self.graph()
        self.finish()
        return graph

    def body(self) -> Body | None:
        """Return the graph as a body, or None when it has mistakes."""
        found = len(self.violations)
        if self.draft.functions:
            description = "a function has none of its own; all stand in the list of the graph that is sent"
            self.mistake("functions", "FUNCTIONS_NESTED", description)
        graph = self.graph()
        if len(self.violations) > found:
            return None
        body = body_of(graph, self.checkpoint)
        self.bodies.depth_of[body.digest] = self.depth
        return body

    def graph(self) -> Graph:
        check_ends(self.draft, self.limits, self.field)
        inputs = self.inputs()
        self.builder = GraphBuilder(inputs)
        self.index_of = list(range(len(inputs)))
        self.constants()
        self.operation_names()
        self.nodes()
        return self.builder.finish(self.outputs())

    def finish(self) -> None:
        if self.violations:
            raise InvalidGraph.from_violations(self.violations)

    def mistake(self, path: str, reason: str, description: str, **metadata: object) -> None:
        places = {key: _place(value) for key, value in metadata.items() if value != ""}
        self.violations.append(Violation(f"{self.field}.{path}", description, reason, places))
        if len(self.violations) >= MAXIMUM_REPORTED_VIOLATIONS:
            self.finish()

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
        if any(extent < 1 for extent in shape[: self.limits.maximum_rank]):
            self.mistake(path, "SHAPE_INVALID", f"shape {quote(shape)} has an extent below 1", **metadata)
            return None
        return shape if self.is_small(path, shape, **metadata) else None

    def is_small(self, path: str, shape: Shape, **metadata: object) -> bool:
        """Whether a value may have so many dimensions and elements."""
        rank, limit = len(shape), self.limits.maximum_rank
        if rank > limit:
            description = f"shape has {rank} dimensions, limit {limit}; knob: maximum_rank"
            self.mistake(path, "RANK_TOO_LARGE", description, limit=limit, value=rank, **metadata)
            return False
        elements, limit = size(shape), self.limits.maximum_elements_per_value
        if elements > limit:
            description = (
                f"shape {quote(shape)} has {elements} elements, limit {limit}; knob: maximum_elements_per_value"
            )
            self.mistake(path, "SHAPE_TOO_LARGE", description, limit=limit, value=elements, **metadata)
            return False
        return True

    def inputs(self) -> tuple[Input, ...]:
        taken: dict[str, int] = {}
        checked: list[Input] = []
        for position, entry in enumerate(watched(self.draft.inputs, self.checkpoint)):
            path = f"inputs[{position}]"
            self.name(f"{path}.name", entry.name, taken, position)
            element_type = self.element_type(f"{path}.element_type", entry.element_type)
            first = checked[0] if checked else None
            if first is not None and element_type is not first.element_type:
                description = (
                    f"input {quote(entry.name)} is {element_type.label}, but input {quote(first.name)} is "
                    f"{first.element_type.label}; all inputs of a function have one element type"
                )
                self.mistake(f"{path}.element_type", "ELEMENT_TYPE_MIXED", description, name=entry.name)
                element_type = first.element_type
            shape = self.shape(f"{path}.shape", entry.shape, name=entry.name)
            checked.append(Input(entry.name, shape if shape is not None else (), element_type))
        return tuple(checked)

    def element_type(self, path: str, element_type: int) -> ElementType:
        try:
            return ElementType(element_type or ElementType.FLOAT64)
        except ValueError:
            field = f"{self.field}.{path}"
            available = ", ".join(each.contract_name for each in ElementType)
            message = f"{field}: element type {element_type} is not available; use one of {available}"
            raise UnsupportedWish(message, reason="ELEMENT_TYPE_UNSUPPORTED", metadata={"field": field}) from None

    def constants(self) -> None:
        for position, entry in enumerate(watched(self.draft.constants, self.checkpoint)):
            path = f"constants[{position}]"
            shape = self.shape(f"{path}.shape", entry.shape)
            if shape is not None and size(shape) != len(entry.values):
                description = f"shape {quote(shape)} needs {size(shape)} elements, {len(entry.values)} were sent"
                self.mistake(path, "CONSTANT_SIZE", description)
                shape = None
            element_type = self.element_type(f"{path}.element_type", entry.element_type)
            if element_type is not self.builder.element_type:
                description = f"the constant is {element_type.label}, but {self.own_type()}"
                self.mistake(f"{path}.element_type", "ELEMENT_TYPE_MIXED", description)
            self.index_of.append(_BROKEN if shape is None else self.builder.constant(np.reshape(entry.values, shape)))

    def own_type(self) -> str:
        """Say which element type the function has, and why."""
        label = self.builder.element_type.label
        inputs = self.builder.inputs
        return f"input {quote(inputs[0].name)} is {label}" if inputs else f"a function without inputs is {label}"

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
        parameters = self.parameters(position, node)
        if parameters is None or _BROKEN in arguments:
            return _BROKEN
        return self.added(position, row, arguments, parameters)

    def parameters(self, position: int, node: DraftNode) -> Parameters | None:
        """Return a node's parameters with bodies instead of their places, or None when there is a mistake."""
        resolved: dict[str, ParameterValue] = {}
        for place, (name, value) in enumerate(node.parameters):
            if name in resolved:
                description = f"parameter {quote(name)} is given twice"
                self.node_mistake(position, f"parameters[{place}]", "PARAMETER_DUPLICATE", description)
                return None
            if isinstance(value, tuple):
                self.bodies.elements += len(value)
                check_constants(self.bodies.elements, self.limits, self.field)
            body = self.named_body(position, place, value.place) if isinstance(value, DraftFunction) else value
            if body is None:
                return None
            if isinstance(body, Body) and body.graph.element_type is not self.builder.element_type:
                description = f"the function is {body.graph.element_type.label}, but {self.own_type()}"
                self.node_mistake(position, f"parameters[{place}]", "ELEMENT_TYPE_MIXED", description)
                return None
            resolved[name] = body
        return tuple(resolved.items())

    def named_body(self, position: int, place: int, index: int) -> Body | None:
        """Return a body by its place, or None when it is not there, or has mistakes of its own."""
        known, total = len(self.bodies.checked), self.bodies.total
        if 0 <= index < known:
            return self.bodies.checked[index]
        if not 0 <= index < total:
            reason, description = "FUNCTION_OUT_OF_RANGE", f"does not exist; there are {total} functions"
        elif index == known:
            reason, description = "CYCLE", "is the one that this node is part of"
        else:
            reason, description = "FORWARD_REFERENCE", f"comes after function {known}, which this node is part of"
        self.node_mistake(position, f"parameters[{place}]", reason, f"function {index} {description}")
        return None

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

    def added(self, position: int, row: ops.Row, arguments: Arguments, parameters: Parameters) -> int:
        node = self.draft.nodes[position]
        try:
            index = ops.emit(self.builder, row.name, arguments, parameters)
        except ShapeMismatch as mismatch:
            self.node_mistake(position, "arguments", mismatch.reason, mismatch.message)
            return _BROKEN
        except ops.InvalidParameter as invalid:
            self.node_mistake(position, "parameters", invalid.reason, invalid.message)
            return _BROKEN
        shape = self.builder.nodes.shape(index)
        if shape and not self.is_small(f"nodes[{position}]", shape, node=position, name=node.name):
            return _BROKEN
        if not self.is_shallow(position, row, parameters):
            return _BROKEN
        if node.name:
            self.builder.label(index, node.name[: self.limits.maximum_name_characters])
        return index

    def is_shallow(self, position: int, row: ops.Row, parameters: Parameters) -> bool:
        """Whether not too many loops stand in one another; counts those of a node that has a body."""
        limit = self.limits.maximum_loop_depth
        for _, value in parameters:
            if isinstance(value, Body):
                repeats = isinstance(row, ops.ArrayOperation) and row.repeats
                self.depth = max(self.depth, self.bodies.depth_of[value.digest] + repeats)
        if self.depth <= limit:
            return True
        description = f"{self.depth} loops stand in one another, limit {limit}; knob: maximum_loop_depth"
        self.node_mistake(position, "parameters", "LOOP_TOO_DEEP", description, limit=limit, value=self.depth)
        self.depth = limit
        return False

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

    def node_mistake(self, position: int, path: str, reason: str, description: str, **metadata: object) -> None:
        name = self.draft.nodes[position].name
        named = f"node {position} ({quote(name)})" if name else f"node {position}"
        self.mistake(
            f"nodes[{position}].{path}", reason, f"{named}: {description}", node=position, name=name, **metadata
        )

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
