"""The graph: immutable, hash-consed, topologically ordered, with a static shape on every value.

Grammar of what a graph holds::

    graph    ::= inputs nodes outputs
    input    ::= name shape                                   float64 throughout
    node     ::= "input" position                             the first nodes are the inputs, in declared order
               | "constant" shape bytes                       equal only when their bits are equal
               | operation argument* parameter*               each argument is the index of an earlier node
    output   ::= name index

A node's index is its identity. This module knows no operation, no derivative and no backend.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
ParameterValue = int | float | str | bytes | tuple[int, ...]
Parameters = tuple[tuple[str, ParameterValue], ...]
FloatArray = npt.NDArray[np.float64]

INPUT = "input"
CONSTANT = "constant"
_VALUE = "value"
_POSITION = "position"


class Node(NamedTuple):
    """One value of a graph. Equal nodes are the same value, which is what hash-consing relies on."""

    operation: str
    arguments: tuple[int, ...]
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

    def constant_array(self) -> FloatArray:
        """Return a constant's elements, float64, in the node's shape, read-only."""
        data = self.parameters[0][1] if self.parameters else None
        if not isinstance(data, bytes):
            message = f"node is {self.operation!r}, not a constant"
            raise TypeError(message)
        return np.frombuffer(data, dtype="<f8").reshape(self.shape)

    def renumbered(self, number: Sequence[int]) -> Node:
        """Return the node with each argument replaced by its entry in ``number``."""
        if not self.arguments:
            return self
        arguments = tuple([number[argument] for argument in self.arguments])
        return Node(self.operation, arguments, self.shape, self.parameters)


class Input(NamedTuple):
    """One input: its name and the shape of one point's value."""

    name: str
    shape: Shape = ()


class Output(NamedTuple):
    """One output: its name and the index of the node it shows."""

    name: str
    node: int


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
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    labels: Mapping[int, str]

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


def size(shape: Shape) -> int:
    """Return the number of elements of an array of this shape."""
    return math.prod(shape)


def _identity(node: Node) -> Hashable:
    """Return what makes two nodes equal: parameters count by kind and bits, as 2 == 2.0 and 0.0 == -0.0 in Python."""
    if not node.parameters or not node.arguments:
        return node
    parameters = [
        (name, type(value), struct.pack("<d", value) if isinstance(value, float) else value)
        for name, value in node.parameters
    ]
    return (*node[:3], tuple(sorted(parameters, key=operator.itemgetter(0))))


class GraphBuilder:
    """Grows a graph; a node equal to an earlier one is that earlier one."""

    __slots__ = ("_index_of", "_labels", "_nodes", "inputs")

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        """Start with these inputs, as nodes 0, 1, 2, ..."""
        self.inputs: tuple[Input, ...] = tuple(inputs)
        self._nodes: list[Node] = []
        self._index_of: dict[Hashable, int] = {}
        self._labels: dict[int, str] = {}
        for position, entry in enumerate(self.inputs):
            self.add(Node(INPUT, (), entry.shape, ((_POSITION, position),)))

    @classmethod
    def extending(cls, graph: Graph) -> GraphBuilder:
        """Start with all nodes of a graph, at the same indices."""
        builder = cls()
        builder.inputs = graph.inputs
        builder._nodes = list(graph.nodes)
        builder._index_of = {_identity(node): index for index, node in enumerate(graph.nodes)}
        builder._labels = dict(graph.labels)
        return builder

    def __len__(self) -> int:
        """Return the number of nodes so far."""
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        """Iterate over the nodes so far."""
        return iter(self._nodes)

    def __getitem__(self, index: int) -> Node:
        """Return a node."""
        return self._nodes[index]

    def add(self, node: Node) -> int:
        """Add a node whose arguments are already there; return its index, or that of its equal."""
        identity = _identity(node) if node.parameters else node
        index = self._index_of.setdefault(identity, len(self._nodes))
        if index == len(self._nodes):
            self._nodes.append(node)
        return index

    def constant(self, value: npt.ArrayLike) -> int:
        """Add a float64 constant, told from others by its bits: 0.0 and -0.0 are two constants."""
        array = np.asarray(value, dtype="<f8")
        return self.add(Node(CONSTANT, (), array.shape, ((_VALUE, array.tobytes()),)))

    def label(self, index: int, name: str) -> None:
        """Give a node a name for people; the first name stays."""
        self._labels.setdefault(index, name)

    def build(self, outputs: Sequence[Output]) -> Graph:
        """Return the finished graph. Every node is kept, needed or not."""
        return Graph(self.inputs, tuple(self._nodes), tuple(outputs), dict(self._labels))
