"""Operations into the graph, each within the limits, each mistake with its place in the formula."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from gradmill_server.engine import ops
from gradmill_server.engine.checkpoints import NODES_BETWEEN_CHECKPOINTS, Checkpoint, never
from gradmill_server.engine.element_types import ElementType, narrowed
from gradmill_server.engine.errors import InvalidFormula, InvalidGraph, quote
from gradmill_server.engine.formula.bounds import Bound
from gradmill_server.engine.formula.source import Reason, Source
from gradmill_server.engine.ir import GraphBuilder, Input, Parameters, Shape, size
from gradmill_server.engine.limits import Limits

_LONGEST_MESSAGE = 200
_LISTED = 8
"""How many of an operation's shapes a mistake names."""


class Emitter:
    """Grows the graph of one formula.

    Attributes:
        source: the formula.
        builder: the graph so far.
    """

    def __init__(self, source: Source, inputs: Iterable[Input], limits: Limits, checkpoint: Checkpoint = never) -> None:
        """Start with the inputs."""
        self.source = source
        self.builder = GraphBuilder(inputs)
        self._limits = limits
        self._constants = 0
        self._checkpoint = checkpoint
        self._emitted = 0

    def constant(self, position: int, value: float | npt.ArrayLike) -> int:
        """Add a constant; return its index.

        Raises:
            InvalidFormula: for a number too large for a float32, where that is the inputs' type.
            LimitExceeded: when constants or values become too many.
        """
        before = len(self.builder)
        if self.builder.element_type is ElementType.FLOAT32:
            self._check_float32(position, np.asarray(value, dtype=np.float64))
        index = self.builder.constant(value)
        if len(self.builder) > before:
            self.count(position, size(self.builder.nodes.shape(index)))
        Bound.VALUES.check(self.source, position, len(self.builder), self._limits)
        return index

    def _check_float32(self, position: int, array: npt.NDArray[np.float64]) -> None:
        lost = np.isinf(narrowed(array)) & np.isfinite(array)
        if lost.any():
            number = float(array[lost][0])
            message = f"the number {number!r} is beyond the largest float32, about 3.4e38; write inf"
            raise self.source.mistake(position, Reason.LITERAL, message)

    def reserve(self, position: int, shape: Shape) -> None:
        """Make sure, before a constant array is made, that it may be.

        Raises:
            LimitExceeded: when it has too many dimensions or elements.
        """
        self.check(position, shape)
        Bound.CONSTANTS.check(self.source, position, self._constants + size(shape), self._limits)

    def count(self, position: int, elements: int) -> None:
        """Count what a node holds besides its operands, as indices, like elements of constants.

        Raises:
            LimitExceeded: when they are too many.
        """
        self._constants += elements
        Bound.CONSTANTS.check(self.source, position, self._constants, self._limits)

    def emit(self, position: int, operation: str, arguments: Sequence[int], parameters: Parameters = ()) -> int:
        """Add an operation; return its index.

        Raises:
            InvalidFormula: when the shapes do not fit.
            LimitExceeded: when the value, or the graph, grows too large.
        """
        self._emitted += 1
        if not self._emitted % NODES_BETWEEN_CHECKPOINTS:  # also of nodes that are there already
            self._checkpoint()
        try:
            index = ops.emit(self.builder, operation, arguments, parameters)
        except InvalidGraph as mismatch:
            shapes = _listed([self.builder.nodes.shape(argument) for argument in arguments])
            message = mismatch.message
            if len(message) > _LONGEST_MESSAGE:
                message = f"{message[:_LONGEST_MESSAGE]}..."
            details = {"operation": operation, "shapes": shapes}
            raise self.source.mistake(position, Reason.SHAPE, message, **details) from mismatch
        shape = self.builder.nodes.shape(index)
        if shape:
            self.check(position, shape)
        Bound.VALUES.check(self.source, position, len(self.builder), self._limits)
        return index

    def check(self, position: int, shape: Shape) -> None:
        """Make sure that a value may have this shape.

        Raises:
            LimitExceeded: when it has too many dimensions or elements.
        """
        Bound.RANK.check(self.source, position, len(shape), self._limits)
        Bound.ELEMENTS.check(self.source, position, size(shape), self._limits)


class Site:
    """One place of a formula where operations are added: a call, an index, an operator.

    Attributes:
        name: what stands there, for messages.
        position: its offset in the text.
    """

    def __init__(
        self, emitter: Emitter, name: str, position: int, arguments: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Keep the place; ``arguments`` holds the offsets of a call's arguments by their names."""
        self.name = name
        self.position = position
        self._emitter = emitter
        self._arguments = arguments

    def given(self, argument: str) -> bool:
        """Whether a call's argument of that name is given."""
        return argument in self._arguments

    def shape(self, index: int) -> Shape:
        """Return the shape of a value."""
        return self._emitter.builder.nodes.shape(index)

    def emit(self, operation: str, *arguments: int, **parameters: int | str | tuple[int, ...] | None) -> int:
        """Add an operation with the parameters that are not None; raises like `Emitter.emit`."""
        given = tuple([(name, value) for name, value in sorted(parameters.items()) if value is not None])
        return self._emitter.emit(self.position, operation, arguments, given)

    def constant(self, array: npt.NDArray[np.float64]) -> int:
        """Add a constant array; raises like `Emitter.constant`."""
        return self._emitter.constant(self.position, array)

    def reserve(self, shape: Shape) -> None:
        """Make sure that a constant of this shape may be made; raises like `Emitter.reserve`."""
        self._emitter.reserve(self.position, shape)

    def check(self, shape: Shape) -> None:
        """Make sure that a value may have this shape; raises like `Emitter.check`."""
        self._emitter.check(self.position, shape)

    def count(self, elements: int) -> None:
        """Count numbers that a node holds; raises like `Emitter.count`."""
        self._emitter.count(self.position, elements)

    def mistake(self, message: str, argument: str = "", reason: Reason = Reason.ARGUMENT) -> InvalidFormula:
        """Return the refusal of what stands here, or of the argument of that name."""
        return self._emitter.source.mistake(self._arguments.get(argument, self.position), reason, message)

    def misshapen(self, message: str, *shapes: Shape) -> InvalidFormula:
        """Return the refusal of shapes that do not fit."""
        details = {"operation": self.name, "shapes": _listed(shapes)}
        return self._emitter.source.mistake(self.position, Reason.SHAPE, f"{self.name} {message}", **details)


def _listed(shapes: Sequence[Shape]) -> str:
    """Return shapes for a mistake."""
    listed = " and ".join(map(quote, shapes[:_LISTED]))
    return listed if len(shapes) <= _LISTED else f"{listed} and ..."
