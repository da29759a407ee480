"""Where each vector function is measured: its whole range, and most densely where its digits are at risk.

Every function has a row; `test_accuracy.py` sees to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import mpmath
import numpy as np
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.vector_math import PAIRS

from tests.engine.vector_math import planes
from tests.engine.vector_math.numbers import (
    EXTREMES,
    LARGEST,
    LEAST_NORMAL,
    around,
    every_binade,
    generator,
)

_EVENLY, _ROUND_SEAMS = 6000, 2000


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where a function of one argument is measured.

    Attributes:
        spans: intervals to be covered evenly.
        seams: numbers, the same negated, round which something changes: zeros, poles, the ends of reductions and
            polynomials, the places where results overflow, turn subnormal, or settle at a limit.
        low: the least argument; points below are left out.
        high: the largest.
    """

    spans: tuple[tuple[float, float], ...]
    seams: tuple[float, ...]
    low: float = -LARGEST
    high: float = LARGEST

    def points(self) -> tuple[FloatArray]:
        """Return numbers over the whole range: even, of every binade and either sign, round the seams, extremes."""
        random = generator()
        even = [random.uniform(*span, _EVENLY // len(self.spans)) for span in self.spans]
        either_sign = np.concatenate([every_binade(), around(self.seams, _ROUND_SEAMS), EXTREMES])
        numbers = np.concatenate([*even, either_sign, -either_sign])
        return (numbers[(numbers >= self.low) & (numbers <= self.high)],)


def _multiples(step: float, count: int) -> tuple[float, ...]:
    """Return 1/2, 3/2, ... of a step: where a reduction to the nearest multiple turns."""
    return tuple((place + 0.5) * step for place in range(count))


_LN_2 = 0.6931471805599453
_ROOT_HALF = 0.7071067811865476
_REDUCTION = (*_multiples(_LN_2, 64), *(place * _LN_2 for place in (199.5, 500.5, 1000.5, 1021.5, 1022.5, 1073.5)))
# Arguments at which exp is last finite, last normal, last above zero; where its rare case begins; where it is cut off.
_EXPONENTIAL_ENDS = (709.782712893384, 708.3964185322641, 745.1332191019412, 744.4400719213812, 708.0, 800.0)
_HALVED_ENDS = (710.4758600739439, 745.8263662825011)
# Where 1 + exp(-x), or exp(x) - 1, stops to feel the smaller term.
_SETTLING = (36.7, 37.4, 41.5, 22.0, 20.0, 19.06)
_POWERS = tuple(float(base) ** place for base in (2, 10) for place in range(-20, 21))
_DOWNWARD = tuple(2.0**-place for place in range(1, 1074, 2))
_DOUBLINGS = tuple(2.0**place for place in range(1, 1024, 2))
_BINARY_STEPS = tuple(_ROOT_HALF * 2.0**place for place in range(-40, 41))


def _eighths() -> tuple[float, ...]:
    """Return multiples of an eighth of the circle, near ones and far ones."""
    random = generator()
    turns = [*range(1, 100), *(int(turn) for turn in 10.0 ** random.uniform(2.0, 15.0, 300))]
    with mpmath.workprec(200):
        return tuple(float(turn * mpmath.pi / 4) for turn in turns)


NEAREST_TO_A_QUADRANT = float(np.ldexp(6381956970095103.0, 797))
"""The float64 that comes nearest to a multiple of pi/2 (Muller, Elementary Functions, 3rd edition, chapter 11)."""

BELOW_ONE = float(np.nextafter(1.0, 0.0))
LEAST_HUGE = 2.0**40
_EXPONENTIAL = Range(
    spans=((-2.0, 2.0), (-746.0, 711.0)), seams=(*_REDUCTION, *_EXPONENTIAL_ENDS, *_HALVED_ENDS, *_SETTLING)
)
_ANGLE = Range(
    spans=((-10.0, 10.0), (-1e4, 1e4)), seams=(*_eighths(), 1.0, 11.0, 355.0, 1e22, LEAST_HUGE, NEAREST_TO_A_QUADRANT)
)
_SINE = Range(spans=((-1.0, 1.0),), seams=(0.25, 0.5, _ROOT_HALF, 1.0, 2.0**-27), low=-1.0, high=1.0)


def _huge_angles() -> tuple[FloatArray]:
    sizes = every_binade(40, each=11)
    near = around([2.0**exponent * np.pi for exponent in range(39, 1021)], 1500)
    named = np.array([1e22, NEAREST_TO_A_QUADRANT, LEAST_HUGE, LARGEST])
    return (np.concatenate([sizes[0::2], -sizes[1::2], near[near >= LEAST_HUGE], named, -named]),)


class _OffPoles(Range):
    """A range less the poles at 0 and at negative whole numbers."""

    def points(self) -> tuple[FloatArray]:
        """Return the range's points but for poles."""
        (numbers,) = super().points()
        return (numbers[(numbers > 0.0) | (numbers != np.rint(numbers))],)


_GAMMA = _OffPoles(
    spans=((0.0, 4.0), (-8.0, 0.0), (-200.0, 200.0)),
    seams=(*map(float, range(1, 21)), 0.5, 1.4616321449683622, 1.5, 2.5, 170.6, 2.0**-60, 2.0**60, 1e300, LEAST_NORMAL),
)

_ONE_ARGUMENT: dict[str, Range] = {
    **dict.fromkeys(("exp", "expm1", "sigmoid", "softplus", "sinh", "cosh", "tanh", "sech"), _EXPONENTIAL),
    "exp2": Range(
        spans=((-2.0, 2.0), (-1076.0, 1025.0)),
        seams=(*_multiples(1.0, 64), 1020.0, 1022.0, 1024.0, 1074.0, 1075.0, 1080.0, 2.0**52),
    ),
    "log": Range(spans=((0.4, 2.0), (0.0, 1000.0)), seams=(*_BINARY_STEPS, 1.0, LEAST_NORMAL), low=5e-324),
    "log2": Range(spans=((0.4, 2.0), (0.0, 1000.0)), seams=(*_BINARY_STEPS, *_POWERS, 1.0, LEAST_NORMAL), low=5e-324),
    "log10": Range(spans=((0.4, 2.0), (0.0, 1000.0)), seams=(*_BINARY_STEPS, *_POWERS, 1.0, LEAST_NORMAL), low=5e-324),
    "log1p": Range(
        spans=((-1.0, 3.0), (-0.5, 0.5)),
        seams=(*(step - 1.0 for step in _BINARY_STEPS), 1.0, 2.0**53, 2.0**1000, LEAST_NORMAL),
        low=float(np.nextafter(-1.0, 0.0)),
    ),
    "sqrt": Range(spans=((0.0, 4.0),), seams=(1.0, 2.0, LEAST_NORMAL), low=0.0),
    "cbrt": Range(spans=((-8.0, 8.0),), seams=(*_BINARY_STEPS, 1.0, 8.0, 27.0, LEAST_NORMAL)),
    **dict.fromkeys(("sin", "cos", "tan"), _ANGLE),
    **dict.fromkeys(("asin", "acos"), _SINE),
    "asinh": Range(spans=((-3.0, 3.0), (-100.0, 100.0)), seams=(0.35, 1.0, 2.0**27, 2.0**54, 2.0**500)),
    "acosh": Range(spans=((1.0, 1.1), (1.0, 10.0), (1.0, 1000.0)), seams=(1.0, 1.25, *_DOUBLINGS), low=1.0),
    "atanh": Range(spans=((-1.0, 1.0), (-0.5, 0.5)), seams=(1.0, 1 / 3, 0.17), low=-BELOW_ONE, high=BELOW_ONE),
    "atan": Range(spans=((-3.0, 3.0), (-100.0, 100.0)), seams=(1.0, 0.5, 2.0, 2.0**60, 2.0**53, 2.0**-27)),
    "erf": Range(spans=((-6.1, 6.1), (-1.5, 1.5)), seams=(7 / 8, 1.0, 6.0)),
    "erfc": Range(spans=((-6.1, 27.3), (-2.5, 2.5)), seams=(2.0**-30, 3.625, 7.0, 26.5432, 27.2262, 28.0, 5.8, 6.0)),
    "normal_cdf": Range(
        spans=((-38.6, 8.5), (-2.5, 2.5)), seams=(2.0**-30, 2.75, 10.0, 37.5194, 38.4855, 39.5, 8.2, 8.3)
    ),
    "exp_minus_square": Range(
        spans=((-27.4, 27.4), (-2.5, 2.5)), seams=(0.83, 1.4, 5.0, 26.6152, 26.6416, 27.2973, 28.0)
    ),
    **dict.fromkeys(
        ("erfinv", "erfinv_slope"),
        Range(spans=((-1.0, 1.0), (-0.6, 0.6)), seams=(0.5, 1.0, 1.0 - 5.4e-7), low=-BELOW_ONE, high=BELOW_ONE),
    ),
    **dict.fromkeys(
        ("normal_ppf", "normal_ppf_slope"),
        Range(
            spans=((0.0, 1.0), (0.2, 0.8)),
            seams=(0.25, 0.5, 0.75, 1.0, 2.7e-7, 7.6e-24, LEAST_NORMAL, *_DOWNWARD),
            low=5e-324,
            high=BELOW_ONE,
        ),
    ),
    **dict.fromkeys(("lgamma", "digamma", "trigamma"), _GAMMA),
    **dict.fromkeys(
        ("sinc", "sinc_slope"),
        Range(spans=((-5.0, 5.0), (-1e3, 1e3)), seams=(0.5, 1.0, 1.4303, 1.5, 2.0, 2.5, 3.0, 100.0, 2.0**52, 2.0**53)),
    ),
    "silu": Range(spans=((-750.0, 50.0), (-3.0, 3.0)), seams=(*_EXPONENTIAL_ENDS, *_SETTLING, 700.0, 1.2785)),
    "gelu": Range(spans=((-38.8, 8.5), (-2.5, 2.5)), seams=(2.0**-30, 2.75, 10.0, 37.0, 37.5194, 38.4855, 39.5, 8.3)),
    "normal_pdf": Range(spans=((-38.7, 38.7), (-2.5, 2.5)), seams=(0.83, 1.4, 5.0, 37.6, 38.5678, 38.5856, 39.5)),
}


def _of_pair(first: str, second: str) -> tuple[FloatArray]:
    """Return the points of both functions, each once."""
    return (np.unique(np.concatenate([*_ONE_ARGUMENT[first].points(), *_ONE_ARGUMENT[second].points()])),)


RANGES: dict[str, Callable[[], tuple[FloatArray, ...]]] = {
    **{name: row.points for name, row in _ONE_ARGUMENT.items()},
    **{name: partial(_of_pair, *operations) for operations, name in PAIRS.items()},
    **planes.PLANES,
    "reduction_of_huge": _huge_angles,
}
"""For each function, its arguments: arrays [points]."""


@cache
def points(name: str) -> tuple[FloatArray, ...]:
    """Return the arguments at which a function is measured, arrays [points]."""
    return RANGES[name]()
