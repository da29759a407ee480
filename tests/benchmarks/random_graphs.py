"""Random graphs: the same from the same seed, of an exact number of operations, each of which the output needs.

About a tenth of the operations are elementary functions. Values stay finite at any finite point, because a product has
a bounded factor, a logarithm is taken of 1 + x*x, and an exponential of -x*x; and they stay of ordinary size with
ordinary slopes, because what is large at a few sample points is scaled down.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tests.benchmarks.operations import NUMPY, Number, Operations

INPUTS = 24

_RECIPES = (*["add"] * 9, *["subtract"] * 8, *["multiply"] * 19, *["sin", "cos", "tanh", "exp", "log"])
"""What is drawn from; a logarithm or an exponential comes with two operations that make it tame."""

_FIRST_BOUNDED = 8
_NEAR = 200
"""Among how many of the latest values a second operand is chosen."""
_MOST_OF_A_DRAW = 6
_SAMPLES = 32
_STEP = 1e-6
_LARGEST = 4.0
"""A value or a slope beyond this is scaled down."""


class Record(NamedTuple):
    """One operation: its name, its operands' positions, and the constant of a "scale" or a "shift"."""

    operation: str
    operands: tuple[int, ...]
    constant: float = 0.0


class RandomGraph(NamedTuple):
    """A function of ``INPUTS`` numbers: operations in order, the last of which gives the output."""

    records: tuple[Record, ...]

    def apply(self, ops: Operations, x: Sequence[Number]) -> Number:
        """Return the output, computed by any library."""
        values = list(x)
        for record in self.records:
            values.append(_value(ops, record, [values[position] for position in record.operands]))
        return values[-1]


def random_graph(operations: int, seed: int = 0) -> RandomGraph:
    """Return the graph of exactly so many operations that belongs to a seed; at least a hundred."""
    drawing = _Drawing(random.Random(seed))
    while len(drawing.records) + _MOST_OF_A_DRAW + len(drawing.unused) - 1 <= operations:
        drawing.draw()
    while len(drawing.records) + len(drawing.unused) - 1 < operations:
        drawing.unused.append(drawing.add("shift", drawing.take(), constant=0.5))
    while len(drawing.unused) > 1:
        drawing.unused.append(drawing.add("add", drawing.take(), drawing.take()))
    return RandomGraph(tuple(drawing.records))


def _value(ops: Operations, record: Record, operands: Sequence[Number]) -> Number:
    match record.operation:
        case "add":
            return operands[0] + operands[1]
        case "subtract":
            return operands[0] - operands[1]
        case "multiply":
            return operands[0] * operands[1]
        case "scale":
            return record.constant * operands[0]
        case "shift":
            return operands[0] + record.constant
        case name:
            return getattr(ops, name)(operands[0])


class _Drawing:
    """A graph that grows, together with its values at sample points and at points a small step further.

    Attributes:
        records: the operations so far.
        unused: positions of values that no operation has taken yet.
    """

    def __init__(self, rng: random.Random) -> None:
        """Start with the inputs, and a few values bounded by 1 for products to use."""
        points = np.random.default_rng(rng.getrandbits(32)).standard_normal((_SAMPLES, 2, INPUTS))
        points[:, 1] = points[:, 0] + _STEP * points[:, 1]
        self._rng = rng
        self._samples: list[Number] = [points[..., position] for position in range(INPUTS)]
        self.records: list[Record] = []
        self.unused = list(range(INPUTS))
        self._bounded = [self._put("tanh", position) for position in range(_FIRST_BOUNDED)]
        self.unused[:_FIRST_BOUNDED] = self._bounded

    def draw(self) -> None:
        """Add what one recipe makes of one unused value: at most six operations."""
        recipe, operand = self._rng.choice(_RECIPES), self.take()
        match recipe:
            case "add" | "subtract":
                result = self._put(recipe, operand, self._near())
            case "multiply":
                result = self._put(recipe, operand, self._rng.choice(self._bounded[-_NEAR:]))
            case "exp":
                square = self._put("multiply", operand, operand)
                result = self._put("exp", self._put("scale", square, constant=-1.0))
            case "log":
                square = self._put("multiply", operand, operand)
                result = self._put("log", self._put("shift", square, constant=1.0))
            case _:
                result = self._put(recipe, operand)
        if recipe in {"sin", "cos", "tanh", "exp"}:
            self._bounded.append(result)
        self.unused.append(result)

    def take(self) -> int:
        """Remove one of the unused values and return its position."""
        return self.unused.pop(self._rng.randrange(len(self.unused)))

    def add(self, operation: str, *operands: int, constant: float = 0.0) -> int:
        """Add an operation and return the position of its result."""
        record = Record(operation, operands, constant)
        self.records.append(record)
        self._samples.append(_value(NUMPY, record, [self._samples[position] for position in operands]))
        return len(self._samples) - 1

    def _near(self) -> int:
        return self._rng.randrange(max(0, len(self._samples) - _NEAR), len(self._samples))

    def _put(self, operation: str, *operands: int, constant: float = 0.0) -> int:
        """Add an operation, and scale its result down where it is large or steep; return the position to use."""
        position = self.add(operation, *operands, constant=constant)
        here, further = self._samples[position][:, 0], self._samples[position][:, 1]
        largest = max(np.max(np.abs(here)), np.max(np.abs(further - here)) / _STEP)
        return position if largest <= _LARGEST else self.add("scale", position, constant=round(1.0 / largest, 4))
