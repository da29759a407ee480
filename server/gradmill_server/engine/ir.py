"""The graph: immutable, hash-consed, topologically ordered, with a static shape on every value.

Grammar of what a graph holds::

    graph    ::= inputs nodes outputs
    input    ::= name shape type                          one type for all: that of every value of the graph
    node     ::= "input" position                             the first nodes are the inputs, in declared order
               | "constant" shape bytes                       equal only when their bits are equal
               | operation argument* parameter*               each argument is the index of an earlier node
    output   ::= name index
    parameter::= name value                               a value is a number, a text, numbers, or a function's body

A node's index is its identity. This module knows no operation, no derivative and no backend. Constants are kept as
float64 whatever the type, as which every float32 is exact.

Nodes are kept in columns, and a `Node` is made when somebody looks at one. An object for each would double the memory,
and Python's collector of cyclic garbage would walk all of them again and again, holding up every thread: for three
million it did so for three seconds. What the columns hold (texts, tuples of numbers) it leaves alone.
"""

from __future__ import annotations

import math
import operator
import struct
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from gradmill_server.engine.checkpoints import NODES_BETWEEN_CHECKPOINTS, Checkpoint, never, watched
from gradmill_server.engine.element_types import ElementType, rounded

Shape = tuple[int, ...]
Arguments = tuple[int, ...]
ParameterValue: TypeAlias = "int | float | str | bytes | tuple[int, ...] | Body"
Parameters: TypeAlias = tuple[tuple[str, ParameterValue], ...]
FloatArray: TypeAlias = "npt.NDArray[np.floating[Any]]"

INPUT = "input"
CONSTANT = "constant"
_VALUE = "value"
_POSITION = "position"


class Node(NamedTuple):
    """One value of a graph. Equal nodes are the same value, which is what hash-consing relies on."""

    operation: str
    arguments: Arguments
    shape: Shape
    parameters: Parameters = ()

    @property
    def is_input(self) -> bool:
        """Whether the node is an input."""
        return self.operation == INPUT

    @property
    def is_constant(self) -> bool:
        """Whether the node is a constant."""
        return self.operation == CONSTANT

    def constant_array(self) -> npt.NDArray[np.float64]:
        """Return a constant's elements, as float64, in the node's shape, read-only."""
        data = self.parameters[0][1] if self.parameters else None
        if not isinstance(data, bytes):
            message = f"node is {self.operation!r}, not a constant"
            raise TypeError(message)
        return np.frombuffer(data, dtype="<f8").reshape(self.shape)


class Nodes(Sequence[Node]):
    """The nodes of a graph or of a builder: a sequence of `Node`, kept in columns that passes read directly.

    Attributes:
        operations: each node's operation.
        arguments: each node's arguments.
        shapes: the shape of each node that is no scalar, by index.
        parameters: the parameters of each node that has any, by index.
    """

    __slots__ = ("arguments", "operations", "parameters", "shapes")

    def __init__(
        self,
        operations: list[str] | None = None,
        arguments: list[Arguments] | None = None,
        shapes: dict[int, Shape] | None = None,
        parameters: dict[int, Parameters] | None = None,
    ) -> None:
        """Take over the columns given; without any, start empty."""
        self.operations = [] if operations is None else operations
        self.arguments = [] if arguments is None else arguments
        self.shapes = {} if shapes is None else shapes
        self.parameters = {} if parameters is None else parameters

    def copy(self) -> Nodes:
        """Return the same nodes in columns of their own."""
        return Nodes(self.operations.copy(), self.arguments.copy(), self.shapes.copy(), self.parameters.copy())

    def shape(self, index: int) -> Shape:
        """Return a node's shape."""
        return self.shapes.get(index, ())

    def number(self, index: int) -> float | None:
        """Return the number that a scalar constant is; None for any other node."""
        if self.operations[index] != CONSTANT or index in self.shapes:
            return None
        return float(self[index].constant_array())

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.operations)

    @overload
    def __getitem__(self, index: int) -> Node: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Node, ...]: ...

    def __getitem__(self, index: int | slice) -> Node | tuple[Node, ...]:
        """Return a node, or a tuple of some."""
        if isinstance(index, slice):
            return tuple([self[place] for place in range(*index.indices(len(self)))])
        place = index if index >= 0 else range(len(self))[index]
        shape, parameters = self.shapes.get(place, ()), self.parameters.get(place, ())
        return _new_node(Node, (self.operations[place], self.arguments[place], shape, parameters))

    def __iter__(self) -> Iterator[Node]:
        """Iterate over the nodes."""
        shape_of, parameters_of = self.shapes.get, self.parameters.get
        for index, (operation, arguments) in enumerate(zip(self.operations, self.arguments, strict=True)):
            yield _new_node(Node, (operation, arguments, shape_of(index, ()), parameters_of(index, ())))

    def __eq__(self, other: object) -> bool:
        """Whether the other one is a sequence of equal nodes."""
        return tuple(self) == tuple(other) if isinstance(other, (Nodes, tuple)) else NotImplemented

    def __hash__(self) -> int:
        """Return a hash of all nodes."""
        return hash(tuple(self))


_new_node = tuple.__new__
"""Makes a `Node` of a tuple in half the time that calling the class takes."""


def renumbered(arguments: Sequence[int], number: Sequence[int]) -> Arguments:
    """Return arguments, each replaced by its entry in ``number``. Written out for two, which takes half the time."""
    if len(arguments) == 2:  # noqa: PLR2004 - most operations have two
        left, right = arguments
        return (number[left], number[right])
    return tuple([number[argument] for argument in arguments])


class Input(NamedTuple):
    """One input: its name, the shape of one point's value, and the type of its elements."""

    name: str
    shape: Shape = ()
    element_type: ElementType = ElementType.FLOAT64


class Output(NamedTuple):
    """One output: its name and the index of the node it shows."""

    name: str
    node: int


def element_type_of(inputs: Sequence[Input]) -> ElementType:
    """Return the type of every value of a graph with these inputs: theirs, and float64 where there are none."""
    return inputs[0].element_type if inputs else ElementType.FLOAT64


@dataclass(frozen=True, slots=True)
class Graph:
    """A function. The first ``len(inputs)`` nodes are the inputs; every argument has a lower index than its node.

    Attributes:
        inputs: the inputs in declared order.
        nodes: all values, inputs first.
        outputs: the outputs in declared order.
        labels: names that people gave to nodes, by index; no part of the function's meaning.
    """

    inputs: tuple[Input, ...]
    nodes: Nodes
    outputs: tuple[Output, ...]
    labels: Mapping[int, str]

    @property
    def element_type(self) -> ElementType:
        """The type of every value: that of the inputs, and float64 where there are none."""
        return element_type_of(self.inputs)

    @property
    def elements_per_point(self) -> int:
        """The number of input elements of one point: the columns of a matrix of points."""
        return sum(size(entry.shape) for entry in self.inputs)

    def output(self, name: str) -> Output:
        """Return the output of that name. Raises KeyError when there is none."""
        for entry in self.outputs:
            if entry.name == name:
                return entry
        raise KeyError(name)

    def renumbered(self, operations: list[str], arguments: list[Arguments], number: Sequence[int]) -> Graph:
        """Return the graph with other numbers for its nodes.

        Args:
            operations: those of the nodes that are kept, in their new order.
            arguments: theirs, by new numbers.
            number: each old node's new number, or -1 where it is not kept.
        """
        shapes = {number[index]: shape for index, shape in self.nodes.shapes.items() if number[index] >= 0}
        parameters = {number[index]: entry for index, entry in self.nodes.parameters.items() if number[index] >= 0}
        outputs = tuple([Output(entry.name, number[entry.node]) for entry in self.outputs])
        labels = {number[index]: label for index, label in self.labels.items() if number[index] >= 0}
        return Graph(self.inputs, Nodes(operations, arguments, shapes, parameters), outputs, labels)


@dataclass(frozen=True, slots=True)
class Body:
    """A function that an operation of another one applies, as its static parameter. Bodies of one digest are equal.

    Attributes:
        graph: the function, in canonical form; its own operations may have bodies.
        digest: the SHA-256 of its canonical form, 32 bytes.
    """

    graph: Graph = field(compare=False, repr=False)
    digest: bytes


def bodies_of(graph: Graph) -> list[Body]:
    """Return every body that a graph uses, itself or through another one: each once, after those that it uses."""
    ordered: dict[bytes, Body] = {}
    waiting = _own_bodies(graph)
    while waiting:
        body = waiting.pop()
        if body.digest in ordered:
            continue
        missing = [inner for inner in _own_bodies(body.graph) if inner.digest not in ordered]
        if missing:
            waiting += [body, *missing]
        else:
            ordered[body.digest] = body
    return list(ordered.values())


def _own_bodies(graph: Graph) -> list[Body]:
    """Return the bodies of a graph's own operations, each once, in order of first use."""
    values = [value for entry in graph.nodes.parameters.values() for _, value in entry if isinstance(value, Body)]
    return list(dict.fromkeys(values))


BYTES_PER_LISTED = 40
"""What a whole number in a list of a parameter occupies: a place in the tuple and the number itself."""


def listed_numbers(nodes: Nodes) -> int:
    """Return how many whole numbers stand in lists of parameters, such as indices."""
    values = [value for parameters in nodes.parameters.values() for _, value in parameters]
    return sum(len(value) for value in values if isinstance(value, tuple))


def size(shape: Shape) -> int:
    """Return the number of elements of an array of this shape."""
    return math.prod(shape)


class GraphBuilder:
    """Grows a graph; a node equal to an earlier one is that earlier one.

    Attributes:
        inputs: the inputs.
        element_type: theirs, in which constants are rounded.
        nodes: the nodes so far; only the builder adds to them.
    """

    __slots__ = ("_checkpoint", "_index_of", "_labels", "element_type", "inputs", "nodes")

    def __init__(self, inputs: Iterable[Input] = (), checkpoint: Checkpoint = never) -> None:
        """Start with these inputs, as nodes 0, 1, 2, ... The checkpoint is called at every thousandth node or so."""
        self._checkpoint = checkpoint
        self.inputs: tuple[Input, ...] = tuple(inputs)
        self.element_type = element_type_of(self.inputs)
        if any(entry.element_type is not self.element_type for entry in self.inputs):
            message = "the inputs of a graph have one element type"
            raise ValueError(message)
        self.nodes = Nodes()
        self._index_of: defaultdict[str, dict[Hashable, int]] = defaultdict(dict)
        """For each operation, the index of each of its nodes, by what tells it from the others."""
        self._labels: dict[int, str] = {}
        for position, entry in enumerate(self.inputs):
            self.put(INPUT, (), entry.shape, ((_POSITION, position),))

    @classmethod
    def extending(cls, graph: Graph, checkpoint: Checkpoint = never) -> GraphBuilder:
        """Start with all nodes of a graph, at the same indices. The checkpoint is called every few milliseconds."""
        builder = cls((), checkpoint)
        builder.inputs, builder.element_type = graph.inputs, graph.element_type
        builder.nodes = nodes = graph.nodes.copy()
        builder._labels = dict(graph.labels)
        index_of = builder._index_of
        for index, operation in enumerate(watched(nodes.operations, checkpoint)):
            arguments = nodes.arguments[index]
            identity: Hashable = arguments
            if index in nodes.shapes or index in nodes.parameters:
                identity = _identity(arguments, nodes.shape(index), nodes.parameters.get(index, ()))
            index_of[operation][identity] = index
        return builder

    def __len__(self) -> int:
        """Return the number of nodes so far."""
        return len(self.nodes.operations)

    def __iter__(self) -> Iterator[Node]:
        """Iterate over the nodes so far."""
        return iter(self.nodes)

    def __getitem__(self, index: int) -> Node:
        """Return a node."""
        return self.nodes[index]

    def add(self, node: Node) -> int:
        """Add a node whose arguments are already there; return its index, or that of its equal."""
        return self.put(*node)

    def put(self, operation: str, arguments: Arguments, shape: Shape = (), parameters: Parameters = ()) -> int:
        """Add a node given by its parts, like `add`."""
        identity = _identity(arguments, shape, parameters) if shape or parameters else arguments
        nodes = self.nodes
        new = len(nodes.operations)
        index = self._index_of[operation].setdefault(identity, new)
        if index == new:
            if not new % NODES_BETWEEN_CHECKPOINTS:  # what adds a node may add a million of them by one rule
                self._checkpoint()
            nodes.operations.append(operation)
            nodes.arguments.append(arguments)
            if shape:
                nodes.shapes[new] = shape
            if parameters:
                nodes.parameters[new] = parameters
        return index

    def include(self, graph: Graph, arguments: Sequence[int]) -> list[int]:
        """Add all operations and constants of a graph, applied to arguments instead of its inputs.

        Returns:
            For each output of the graph, its index here.
        """
        nodes = graph.nodes
        number = list(arguments)
        for index in range(len(number), len(nodes)):
            parameters = nodes.parameters.get(index, ())
            new = renumbered(nodes.arguments[index], number)
            number.append(self.put(nodes.operations[index], new, nodes.shape(index), parameters))
        return [number[output.node] for output in graph.outputs]

    def constant(self, value: float | npt.ArrayLike) -> int:
        """Add a constant, rounded to the element type and told from others by its bits: 0.0 and -0.0 are two."""
        if isinstance(value, float) and self.element_type is ElementType.FLOAT64:
            return self.put(CONSTANT, (), (), ((_VALUE, struct.pack("<d", value)),))
        array = rounded(np.asarray(value, dtype="<f8"), self.element_type)
        return self.put(CONSTANT, (), array.shape, ((_VALUE, array.tobytes()),))

    def label(self, index: int, name: str) -> None:
        """Give a node a name for people; the first name stays."""
        self._labels.setdefault(index, name)

    def build(self, outputs: Sequence[Output]) -> Graph:
        """Return the finished graph. Every node is kept, needed or not."""
        return Graph(self.inputs, self.nodes.copy(), tuple(outputs), dict(self._labels))

    def finish(self, outputs: Sequence[Output]) -> Graph:
        """Return the finished graph like `build`, made of the builder's own nodes; the builder is empty afterwards."""
        graph = Graph(self.inputs, self.nodes, tuple(outputs), self._labels)
        self.inputs, self.nodes, self._index_of, self._labels = (), Nodes(), defaultdict(dict), {}
        return graph


def _identity(arguments: Arguments, shape: Shape, parameters: Parameters) -> Hashable:
    """Return what tells a node from others of its operation.

    Parameters count by kind and bits, as 2 == 2.0 and 0.0 == -0.0 in Python. Scalar operations without parameters,
    nearly all there are, are told apart by their arguments alone.
    """
    if not parameters:
        return (arguments, shape) if shape else arguments
    if not arguments:
        return (arguments, shape, parameters)
    by_bits = [
        (name, type(value), struct.pack("<d", value) if isinstance(value, float) else value)
        for name, value in parameters
    ]
    return (arguments, shape, tuple(sorted(by_bits, key=operator.itemgetter(0))))
