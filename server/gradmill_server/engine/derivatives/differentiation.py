"""One graph for all that is wanted of a function, and what its outputs are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine.autodiff import NO_ADJOINT, adjoints_of, backward, pull_back, push_forward
from gradmill_server.engine.checkpoints import watched
from gradmill_server.engine.derivatives.compression import compressed_hessian, compressed_jacobian
from gradmill_server.engine.derivatives.joining import joined, seeds_of_rows, zeros
from gradmill_server.engine.derivatives.patterns import SparsePattern, check_elements, dependencies
from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output, Shape, size
from gradmill_server.engine.ops.arrays.loops import SCAN
from gradmill_server.engine.ops.arrays.movement import concatenated, filled, reshaped, taken, transposed
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.passes.rewrite import with_more_inputs
from gradmill_server.engine.wants import WITH_DIRECTIONS, Kind, Want

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradmill_server.engine.autodiff import Propagation
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.limits import Limits

FORWARD, REVERSE = "forward", "reverse"


class Part(NamedTuple):
    """The results of one want and one output, or of all its outputs where they act together.

    Attributes:
        want: the number of the want.
        kind: what is wanted.
        output: the output's name; empty where the outputs act together.
        inputs: names of the inputs whose elements are the last axis, in order, or whose arrays are the members.
        shapes: the shapes of these inputs.
        shape: the shape of the results at one point, inputs joined along the last axis (of a Hessian the last two).
        is_row: whether each input has an output of the graph by itself; else the part has one.
    """

    want: int
    kind: Kind
    output: str
    inputs: tuple[str, ...]
    shapes: tuple[Shape, ...]
    shape: Shape
    is_row: bool = False


class DirectionInput(NamedTuple):
    """Directions that an evaluation is given, which the graph has as an input after the function's own.

    Attributes:
        want: the number of the want that needs them.
        name: the output (of cotangents) or input (of tangents and vectors) that they extend over.
        shape: [directions, *shape of that output or input].
    """

    want: int
    name: str
    shape: Shape


@dataclass(slots=True)
class Differentiated:
    """A graph that computes all that is wanted.

    Attributes:
        graph: its outputs are those of the parts, in order; the inputs are the function's, then those of directions.
        parts: what the outputs are.
        directions: what the further inputs are.
        patterns: of sparse derivatives, by the want's number and the output's name.
        modes: "forward" or "reverse" for each Jacobian, likewise.
    """

    graph: Graph
    parts: list[Part]
    directions: list[DirectionInput]
    patterns: dict[tuple[int, str], SparsePattern] = field(default_factory=dict)
    modes: dict[tuple[int, str], str] = field(default_factory=dict)


def differentiate(
    graph: Graph, wants: Sequence[Want], propagation: Propagation, limits: Limits, checkpoint: Checkpoint
) -> Differentiated:
    """Return one graph that computes all that is wanted.

    Args:
        graph: the function, without composite operations.
        wants: what is wanted, resolved against it.
        propagation: how derivatives pass through partials.
        limits: bounds on the size of what arises.
        checkpoint: called every few milliseconds; may raise to stop.

    Raises:
        LimitExceeded: when function and derivatives together have too many values, or a value too many elements.
    """
    return _Differentiation(graph, wants, propagation, limits, checkpoint).run()


def _direction_inputs(graph: Graph, wants: Sequence[Want]) -> list[DirectionInput]:
    inputs = {entry.name: entry.shape for entry in graph.inputs}
    outputs = {entry.name: graph.nodes.shape(entry.node) for entry in graph.outputs}
    return [
        DirectionInput(number, name, (want.directions, *(outputs if want.kind is Kind.VJP else inputs)[name]))
        for number, want in enumerate(wants)
        if want.kind in WITH_DIRECTIONS
        for name in (want.outputs if want.kind is Kind.VJP else want.with_respect_to)
    ]


class _Differentiation:
    """One run: the graph that grows, and the parts so far."""

    def __init__(
        self, graph: Graph, wants: Sequence[Want], propagation: Propagation, limits: Limits, checkpoint: Checkpoint
    ) -> None:
        self._position = {entry.name: index for index, entry in enumerate(graph.inputs)}
        self._directions = _direction_inputs(graph, wants)
        element_type = graph.element_type
        more = [Input(f"{entry.name}'{entry.want}", entry.shape, element_type) for entry in self._directions]
        self._graph = with_more_inputs(graph, more)
        self._builder = GraphBuilder.extending(self._graph, checkpoint)
        self._wants = wants
        self._propagation = propagation
        self._limits = limits
        self._checkpoint = checkpoint
        self._results: list[int] = []
        self._entries = 0
        self._gradients: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        self._made = Differentiated(self._graph, [], self._directions)

    def run(self) -> Differentiated:
        for number, want in enumerate(self._wants):
            if want.kind is Kind.VJP:
                self._vjp(number, want)
                continue
            for name in want.outputs:
                self._one_output(number, want, name)
                self._check_size()
        self._check_elements()
        outputs = [Output("", node) for node in watched(self._results, self._checkpoint)]
        self._made.graph = self._builder.finish(outputs)
        return self._made

    def _one_output(self, number: int, want: Want, name: str) -> None:
        node = self._graph.output(name).node
        shape = self._builder.nodes.shape(node)
        if want.kind is Kind.VALUE:
            self._add(Part(number, want.kind, name, (), (), shape), [node])
            return
        varied = self._varied(want)
        shapes = self._shapes(varied)
        elements = sum(map(size, shapes))
        if want.kind is Kind.GRADIENT:
            part = Part(number, want.kind, name, want.with_respect_to, shapes, (elements,), is_row=True)
            self._add(part, self._whole(self._gradient(node, varied), (), shapes))
        elif want.kind is Kind.JVP:
            self._add(Part(number, want.kind, name, (), (), (want.directions, *shape)), [self._jvp(number, node)])
        else:
            self._matrix(number, want, name, varied)

    def _matrix(self, number: int, want: Want, name: str, varied: Sequence[int]) -> None:
        """Add a Jacobian, something of a Hessian, or products with one."""
        node = self._graph.output(name).node
        shape, shapes = self._builder.nodes.shape(node), self._shapes(varied)
        elements = sum(map(size, shapes))
        joined_shape, make = {
            Kind.JACOBIAN: ((*shape, elements), self._jacobian),
            Kind.HVP: ((want.directions, elements), self._hvp),
            Kind.HESSIAN: ((elements, elements), self._hessian),
            Kind.HESSIAN_DIAGONAL: ((elements,), self._hessian_diagonal),
            Kind.SPARSE_JACOBIAN: ((0,), self._sparse_jacobian),
            Kind.SPARSE_HESSIAN: ((0,), self._sparse_hessian),
        }[want.kind]
        if not elements:
            if want.kind in {Kind.SPARSE_JACOBIAN, Kind.SPARSE_HESSIAN}:
                rows = size(shape) if want.kind is Kind.SPARSE_JACOBIAN else 0
                nothing = np.zeros(0, dtype=np.int64)
                self._made.patterns[number, name] = SparsePattern(
                    (rows, 0), np.zeros(rows + 1, dtype=np.int64), nothing
                )
            self._made.modes[number, name] = FORWARD
            self._add(Part(number, want.kind, name, want.with_respect_to, shapes, joined_shape), [])
            return
        result = make(number, name, node, varied)
        if result is None:
            self._add(Part(number, want.kind, name, want.with_respect_to, shapes, (0,)), [])
            return
        self._add(Part(number, want.kind, name, want.with_respect_to, shapes, result.shape), [result.index])

    def _add(self, part: Part, nodes: Sequence[int]) -> None:
        self._made.parts.append(part)
        self._results += nodes

    def _varied(self, want: Want) -> list[int]:
        return [self._position[name] for name in want.with_respect_to]

    def _shapes(self, nodes: Sequence[int]) -> tuple[Shape, ...]:
        return tuple([self._builder.nodes.shape(node) for node in nodes])

    def _whole(self, nodes: Sequence[int], leading: Shape, shapes: Sequence[Shape]) -> list[int]:
        """Return the nodes, with zeros for those that are zero by structure."""
        return [
            zeros(self._builder, (*leading, *shape)).index if node == NO_ADJOINT else node
            for node, shape in zip(nodes, shapes, strict=True)
        ]

    def _given(self, number: int) -> Mapping[str, int]:
        """Return the inputs that hold a want's directions, by name."""
        first = len(self._position)
        return {entry.name: first + place for place, entry in enumerate(self._directions) if entry.want == number}

    def _given_seeds(self, number: int) -> Mapping[int, int]:
        """Return the inputs that hold a want's tangents or vectors, by the nodes that they are seeds of."""
        return {self._position[name]: seed for name, seed in self._given(number).items()}

    def _gradient(self, node: int, varied: Sequence[int]) -> list[int]:
        """Return the adjoints of a scalar output, one for each varied input; kept, as several kinds need them."""
        key = (node, tuple(varied))
        if key not in self._gradients:
            adjoints = backward(self._builder, node, varied, self._propagation, self._checkpoint)
            self._gradients[key] = adjoints_of(adjoints, varied)
        return self._gradients[key]

    def _joined_gradient(self, node: int, varied: Sequence[int]) -> Value:
        return joined(self._builder, self._gradient(node, varied), (), self._shapes(varied))

    def _push(self, nodes: Sequence[int], seeds: Mapping[int, int], directions: int) -> list[int]:
        return push_forward(self._builder, nodes, seeds, self._propagation, (directions,), self._checkpoint)

    def _pull(self, seeds: Mapping[int, int], varied: Sequence[int], directions: int) -> Value:
        leading = (directions,)
        adjoints = pull_back(self._builder, seeds, varied, self._propagation, leading, self._checkpoint)
        return joined(self._builder, adjoints_of(adjoints, varied), leading, self._shapes(varied))

    def _vjp(self, number: int, want: Want) -> None:
        varied = self._varied(want)
        shapes = self._shapes(varied)
        shape = (want.directions, sum(map(size, shapes)))
        part = Part(number, want.kind, "", want.with_respect_to, shapes, shape)
        given = self._given(number)
        seeds: dict[int, int] = {}
        for name in want.outputs:
            node = self._graph.output(name).node
            seed = given[name]
            if node in seeds:  # two outputs show one value: their cotangents add up
                seed = (Value(self._builder, seeds[node]) + Value(self._builder, seed)).index
            seeds[node] = seed
        self._add(part, [self._pull(seeds, varied, want.directions).index] if shape[-1] else [])

    def _jvp(self, number: int, node: int) -> int:
        directions = self._wants[number].directions
        shape = self._builder.nodes.shape(node)
        (tangent,) = self._push([node], self._given_seeds(number), directions)
        return self._whole([tangent], (directions,), [shape])[0]

    def _jacobian(self, number: int, name: str, node: int, varied: Sequence[int]) -> Value:
        """Compute a Jacobian in the mode that needs fewer directions."""
        shape, shapes = self._builder.nodes.shape(node), self._shapes(varied)
        rows, columns = size(shape), sum(map(size, shapes))
        self._check_product(rows, columns)
        if rows == 1 or rows < columns:
            self._made.modes[number, name] = REVERSE
            if not shape:
                return self._joined_gradient(node, varied)
            seeds = {node: self._builder.constant(np.eye(rows).reshape(rows, *shape))}
            return reshaped(self._pull(seeds, varied, rows), (*shape, columns))
        self._made.modes[number, name] = FORWARD
        seeds_by_row = seeds_of_rows(self._builder, varied, np.eye(columns))
        (tangent,) = self._whole(self._push([node], seeds_by_row, columns), (columns,), [shape])
        return transposed(Value(self._builder, tangent), (*range(1, len(shape) + 1), 0))

    def _hvp(self, number: int, _name: str, node: int, varied: Sequence[int]) -> Value:
        return self._of_gradient(node, varied, self._given_seeds(number), self._wants[number].directions)

    def _of_gradient(self, node: int, varied: Sequence[int], seeds: Mapping[int, int], directions: int) -> Value:
        """Return the tangents of a gradient, [directions, elements]: forward mode over reverse mode."""
        gradient = self._gradient(node, varied)
        known = [entry for entry in gradient if entry != NO_ADJOINT]
        tangents = iter(self._push(known, seeds, directions) if known else [])
        parts = [NO_ADJOINT if entry == NO_ADJOINT else next(tangents) for entry in gradient]
        return joined(self._builder, parts, (directions,), self._shapes(varied))

    def _hessian(self, _number: int, _name: str, node: int, varied: Sequence[int]) -> Value:
        """Compute the Jacobian of the gradient: a row for each of its elements."""
        elements = sum(map(size, self._shapes(varied)))
        self._check_product(elements, elements)
        seeds = seeds_of_rows(self._builder, varied, np.eye(elements))
        return transposed(self._of_gradient(node, varied, seeds, elements), (1, 0))

    def _entries_of_hessian(self, node: int, varied: Sequence[int]) -> tuple[Value | None, SparsePattern]:
        gradient = self._joined_gradient(node, varied)
        so_far = self._builder.build([])
        pattern = dependencies(so_far, gradient.index, varied, self._limits, self._checkpoint)
        self._count_entries(pattern)
        if not len(pattern.columns):
            return None, pattern
        return compressed_hessian(
            self._builder, gradient, varied, pattern, self._propagation, self._limits, self._checkpoint
        )

    def _sparse_hessian(self, number: int, name: str, node: int, varied: Sequence[int]) -> Value | None:
        entries, pattern = self._entries_of_hessian(node, varied)
        self._made.patterns[number, name] = pattern
        return entries

    def _hessian_diagonal(self, _number: int, _name: str, node: int, varied: Sequence[int]) -> Value:
        """Take the diagonal from the sparse Hessian, whose directions are fewer than elements wherever it is sparse."""
        elements = sum(map(size, self._shapes(varied)))
        entries, pattern = self._entries_of_hessian(node, varied)
        nothing = filled(Value(self._builder, node), 0.0, (1,))
        if entries is None:
            return filled(nothing, 0.0, (elements,))
        places = np.full(elements, len(pattern.columns))
        diagonal = np.flatnonzero(pattern.rows == pattern.columns)
        places[pattern.columns[diagonal]] = diagonal
        return taken(concatenated([entries, nothing], 0), places.tolist())

    def _sparse_jacobian(self, number: int, name: str, node: int, varied: Sequence[int]) -> Value | None:
        so_far = self._builder.build([])
        pattern = dependencies(so_far, node, varied, self._limits, self._checkpoint)
        self._count_entries(pattern)
        self._made.patterns[number, name] = pattern
        if not len(pattern.columns):
            self._made.modes[number, name] = FORWARD
            return None
        entries, forward = compressed_jacobian(
            self._builder, node, varied, pattern, self._propagation, self._limits, self._checkpoint
        )
        self._made.modes[number, name] = FORWARD if forward else REVERSE
        return entries

    def _count_entries(self, pattern: SparsePattern) -> None:
        """Let a pattern pass while those of all outputs together have no more entries than constants may have elements.

        Each entry is a number in a list of the program, as an element of a constant is.
        """
        self._entries += len(pattern.columns)
        if self._entries > self._limits.maximum_constant_elements:
            raise LimitExceeded.of(
                what="entries of all sparse derivatives",
                reason="PATTERN_TOO_LARGE",
                value=self._entries,
                limit=self._limits.maximum_constant_elements,
                knob="maximum_constant_elements",
            )

    def _check_product(self, rows: int, columns: int) -> None:
        check_elements(rows * columns, self._limits)

    def _check_size(self) -> None:
        total = len(self._builder) + len(self._results)
        if total > self._limits.maximum_program_nodes:
            raise LimitExceeded.of(
                what="number of values with derivatives, and of results",
                reason="PROGRAM_TOO_LARGE",
                value=total,
                limit=self._limits.maximum_program_nodes,
                knob="maximum_program_nodes",
            )

    def _check_elements(self) -> None:
        """Look at the arrays that derivatives in many directions need; of loops at the parts of their flat values."""
        nodes = self._builder.nodes
        sizes = [size(shape) for index, shape in nodes.shapes.items() if nodes.operations[index] != SCAN]
        check_elements(max(sizes, default=1), self._limits)
