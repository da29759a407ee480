"""How far operations may be from exact, and how far they are."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import Propagation

from tests.engine.ops.derivatives import differentiate
from tests.engine.ops.references import MP, REFERENCES, Number
from tests.engine.ops.samples import operands

VALUE, SLOPE, CURVATURE = "value", "slope", "curvature"
LEVELS = (VALUE, SLOPE, CURVATURE)


@dataclass(frozen=True, kw_only=True)
class Bars:
    """The largest errors allowed, in units in the last place of the exact result.

    Attributes:
        value: of the value.
        slope: of first derivatives.
        curvature: of second derivatives; 8 units are 1.8e-15.
        per_step: how many more for each unit by which the exact result changes when every operand moves to the next
            float64. It is for slopes that begin with a rounded difference of operands: no formula in float64 can
            know that difference better.
    """

    value: float = 2.0
    slope: float = 4.0
    curvature: float = 8.0
    per_step: float = 0.0


_EXACT = Bars(value=0.5, slope=0.5, curvature=0.5)
_ROUNDED_ONCE = Bars(value=0.5)

BARS: dict[str, Bars] = {
    # IEEE 754 arithmetic is correctly rounded, and so is choosing, comparing and rounding to integers.
    **dict.fromkeys(
        ("add", "subtract", "multiply", "negate", "strong_product", "mutual_product", "live_partial", "mod", "fmod"),
        _EXACT,
    ),
    **dict.fromkeys(("abs", "relu", "maximum", "minimum", "fmax", "fmin", "clip", "where"), _EXACT),
    **dict.fromkeys(("sign", "floor", "ceil", "round"), _EXACT),
    **dict.fromkeys(("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"), _EXACT),
    **dict.fromkeys(("logical_and", "logical_or", "logical_not"), _EXACT),
    **dict.fromkeys(("divide", "sqrt"), _ROUNDED_ONCE),
    # y - 1 and y - 2 are rounded before they become exponents.
    "power": Bars(per_step=1.0),
    # x - y is rounded before it is exponentiated, in the value as in the slopes.
    "logaddexp": Bars(per_step=1.0),
    # The C library promises no better than 4 units for the cube root, and the slope squares it.
    "cbrt": Bars(value=4.0, slope=8.0, curvature=16.0),
    # A product of two exponentials and a rounded constant.
    "normal_pdf": Bars(value=3.0),
    # The slope is the square of a rounded quotient, and near 1 from below, where units are half as long.
    "tanh": Bars(slope=6.0),
    # The C library promises no better than 5 units for erfc.
    "erfc": Bars(value=5.0),
    "normal_cdf": Bars(value=5.0),
}
"""The exceptions from `Bars()`, each with its reason."""


class Comparison(NamedTuple):
    """One number of the engine beside the exact one.

    Attributes:
        level: VALUE, SLOPE or CURVATURE.
        entry: which derivative, by the positions of operands: () or (0,) or (0, 1).
        operands: the float64 operands.
        computed: the engine's number.
        exact: the exact number, as near as a float64 comes.
        error: in units in the last place of the exact number; infinite where the engine's is not finite.
        allowed: the bar at this point, in the same units.
    """

    level: str
    entry: tuple[int, ...]
    operands: tuple[float, ...]
    computed: float
    exact: float
    error: float
    allowed: float


def unit(exact: Number) -> Number:
    """Return the unit in the last place of a float64 near an exact number."""
    return MP.ldexp(1, max(MP.mag(exact) - 53, -1074) if exact else -1074)


def bars(name: str) -> Bars:
    """Return the bars of an operation."""
    return BARS.get(name, Bars())


@functools.cache
def comparisons(name: str) -> tuple[Comparison, ...]:
    """Compare an operation with its reference: values everywhere, derivatives where they exist."""
    row, reference = ops.TABLE[name], REFERENCES[name]
    columns = operands(row)
    computed = differentiate(row, columns, Propagation())
    pairs = list(itertools.combinations_with_replacement(range(row.arity), 2))
    found: list[Comparison] = []
    for index in range(len(columns[0])):
        point = tuple(float(column[index]) for column in columns)
        exact = [MP.mpf(operand) for operand in point]
        compare = functools.partial(_compare, name, point)
        found.append(compare(VALUE, (), computed.value[index], lambda *x: (reference.value(*x),), 0))
        if not reference.smooth(*exact):
            continue
        steep = reference.slopes_cancelling(*exact) if reference.slopes_cancelling else (0,) * row.arity
        found += [
            compare(SLOPE, (i,), computed.slopes[i][index], reference.slopes, i, steep[i]) for i in range(row.arity)
        ]
        sizes = reference.cancelling(*exact) if reference.cancelling else (0,) * len(pairs)
        for which, (i, j) in enumerate(pairs):
            for entry in {(i, j), (j, i)}:
                number = computed.curvatures[entry][index]
                found.append(compare(CURVATURE, entry, number, reference.curvatures, which, sizes[which]))
    return tuple(found)


def _compare(
    name: str,
    point: tuple[float, ...],
    level: str,
    entry: tuple[int, ...],
    computed: np.float64,
    reference: Callable[..., tuple[Number, ...]],
    which: int,
    size: Number = 0,
) -> Comparison:
    exact = MP.mpf(reference(*map(MP.mpf, point))[which])
    one = max(unit(exact), unit(size))
    error = float(abs(MP.mpf(float(computed)) - exact) / one) if np.isfinite(computed) else math.inf
    allowed = float(getattr(bars(name), level))
    if error > allowed and bars(name).per_step:
        allowed += bars(name).per_step * sum(
            float(abs(reference(*map(MP.mpf, moved))[which] - exact) / one) for moved in _neighbours(point)
        )
    return Comparison(level, entry, point, float(computed), float(exact), error, allowed)


def _neighbours(point: tuple[float, ...]) -> Iterator[tuple[float, ...]]:
    """Yield the points that differ in one operand, by one unit in its last place."""
    for position, operand in enumerate(point):
        yield (*point[:position], math.nextafter(operand, math.inf), *point[position + 1 :])


def worst_errors() -> dict[str, dict[str, float]]:
    """Return for each operation and level the largest error measured, in units in the last place."""
    return {
        name: {
            level: max((entry.error for entry in comparisons(name) if entry.level == level), default=0.0)
            for level in LEVELS
        }
        for name in ops.TABLE
    }
