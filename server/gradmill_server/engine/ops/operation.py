"""One row of the table of operations: everything anyone needs to know about an operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gradmill_server.engine.checkpoints import Checkpoint
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.lanes import Lanes
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.vector_math.on_numpy import OnNumpy


@dataclass(frozen=True, slots=True)
class Select:
    """A local partial that depends on a condition. Branches that are not taken contribute exactly zero."""

    condition: Value
    if_true: Partial
    if_false: Partial


@dataclass(frozen=True, slots=True)
class Strong:
    """A local partial whose zeros are strong, as those of seeds are: a zero contributes zero whatever the seed."""

    value: Value


Partial = Value | float | Select | Strong
"""A local partial: a value of the graph, a plain number, a choice between two partials, or one with strong zeros."""

PartialRule = Callable[..., Partial]
"""Called with the operation's result and its operands, all as values of the graph."""


LanesRule = Callable[..., Lanes]
"""Called with the operands, all as lanes; writes the operation's machine code and returns its result."""


class Interval(NamedTuple):
    """The range that tests draw one operand from; also shown to people as the operation's domain."""

    low: float
    high: float


REALS = Interval(-50.0, 50.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An element-wise operation.

    Attributes:
        name: what graphs and formulas call it.
        summary: one sentence.
        value: computes it on float64 arrays that broadcast; a NumPy function or one made of them. See also `value_in`.
        partials: for each operand, the rule of its local partial in the graph language, or the number that the partial
            is everywhere, or None where the derivative is zero everywhere by convention.
        lanes: writes it as machine code, given its operands as lanes; None when there is none yet.
        direct: whether `value` and `lanes` do for float32 as they are, rounding once at most; all others are computed
            in float64 and then rounded.
        aliases: other names that formulas accept.
        notation: how it is printed, with ``{0}``, ``{1}`` for operands; empty for ``name(...)``.
        convention: the derivative by convention where it does not exist; empty when nothing needs saying.
        commutative: whether operands can be exchanged without changing a bit.
        neutral: for each operand, the number (by its bits) that leaves the other one as it is; None where none does.
        finite: whether the value is finite whatever the operands.
        internal: whether only derivative rules may use it.
        cost: what its machine code costs at most, in additions, so that a run is left in time.
        domain: for each operand, where tests compare with an independent source.
        source: where formulas come from.
    """

    name: str
    summary: str
    value: Callable[..., Any]
    partials: tuple[PartialRule | float | None, ...]
    domain: tuple[Interval, ...]
    lanes: LanesRule | None = None
    direct: bool = False
    aliases: tuple[str, ...] = ()
    notation: str = ""
    convention: str = ""
    commutative: bool = False
    neutral: tuple[float | None, ...] = ()
    finite: bool = False
    internal: bool = False
    cost: int = 40
    source: str = ""

    @property
    def interruptible(self) -> bool:
        """Whether what computes it takes a checkpoint as well, by name, because it may take long."""
        return isinstance(self.value, OnNumpy)

    @property
    def arity(self) -> int:
        """The number of operands."""
        return len(self.partials)

    def value_in(self, element_type: ElementType) -> Callable[..., Any]:
        """Return what computes it on arrays of an element type, each result rounded once."""
        if element_type is ElementType.FLOAT64:
            return self.value
        return _rounding(self.value, element_type) if self.direct else _computed_wide(self.value, element_type)

    @property
    def least(self) -> int:
        """The fewest operands it takes."""
        return self.arity

    @property
    def most(self) -> int | None:
        """The most operands it takes."""
        return self.arity

    @property
    def signature(self) -> str:
        """How a formula writes it."""
        return self.expression(("x", "y", "z")[: self.arity])

    @property
    def result(self) -> str:
        """The shape of its result, in words."""
        return "that of x" if self.arity == 1 else "the one that those of the operands broadcast to"

    def parameter_kinds(self) -> list[tuple[str, str, bool]]:
        """Return nothing: an element-wise operation has no static parameters."""
        return []

    @property
    def takes(self) -> str:
        """How many operands it takes, for messages."""
        return str(self.arity)

    def accepts(self, count: int) -> bool:
        """Whether it takes so many operands."""
        return count == self.arity

    def expression(self, operands: Sequence[str]) -> str:
        """Return the operation written with its operands' names."""
        if self.notation:
            return self.notation.format(*operands)
        return f"{self.name}({', '.join(operands)})"


def _rounding(value: Callable[..., Any], element_type: ElementType) -> Callable[..., Any]:
    dtype = element_type.dtype

    def function(*operands: FloatArray) -> FloatArray:
        return np.asarray(value(*operands)).astype(dtype, copy=False)

    return function


def _computed_wide(value: Callable[..., Any], element_type: ElementType) -> Callable[..., Any]:
    dtype = element_type.dtype

    def function(*operands: FloatArray, **checkpoint: Checkpoint) -> FloatArray:
        wide = [np.asarray(operand, dtype=np.float64) for operand in operands]
        return np.asarray(value(*wide, **checkpoint)).astype(dtype)

    return function


def truth(condition: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return 1.0 where a NumPy condition holds and 0.0 elsewhere: truth values are numbers."""
    return np.asarray(condition).astype(np.float64)
