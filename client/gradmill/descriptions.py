"""What a server, or this package, tells about functions and operations."""

from __future__ import annotations

from dataclasses import dataclass

from gradmill.element_types import element_type_of
from gradmill.graph import Input, Shape, size


@dataclass(frozen=True, slots=True)
class OperationInfo:
    """One operation that graphs and formulas may use.

    Attributes:
        name: the name used in graphs, in formulas and in this package.
        aliases: other names that formulas and this package accept.
        arity: the number of operands; the fewest, where it takes more or fewer.
        summary: what it computes, in one sentence.
        convention: its derivative by convention where none exists; empty when nothing needs saying.
        maximum_arity: the most operands it takes; None for any number.
        signature: how a formula writes it; empty for an operation that only graphs and traced Python have.
        result_shape: the shape of its result, in words.
        parameters: the static parameters of its nodes in a graph, as in "axis: a whole number, optional".
    """

    name: str
    aliases: tuple[str, ...]
    arity: int
    summary: str
    convention: str
    maximum_arity: int | None = None
    signature: str = ""
    result_shape: str = ""
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputInfo:
    """One output: its name and the shape of one point's value."""

    name: str
    shape: Shape = ()


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """What is known of a function.

    Attributes:
        digest: the 32 bytes that name it, on every server.
        inputs: its inputs, in the order in which a matrix of points holds them.
        outputs: its outputs, in declared order.
        value_count: the number of values in canonical form, inputs included.
    """

    digest: bytes
    inputs: tuple[Input, ...]
    outputs: tuple[OutputInfo, ...]
    value_count: int

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(entry.name for entry in self.inputs)

    @property
    def element_type(self) -> int:
        """The type of its values' elements, by its number in the contract."""
        return element_type_of(self.inputs)

    @property
    def elements_per_point(self) -> int:
        """The number of input elements of one point: the columns of a matrix of points."""
        return sum(size(entry.shape) for entry in self.inputs)

    @property
    def values_per_point(self) -> int:
        """The number of output elements of one point."""
        return sum(size(entry.shape) for entry in self.outputs)
