"""How far vector functions are from the exact value, in units in the last place, over their whole ranges.

The exact value is that of `tests/engine/ops/references.py`, by mpmath, with as many digits as the point asks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.vector_math import PAIRS

from tests.engine.ops.accuracy import unit
from tests.engine.ops.gamma_references import polygamma_terms, reflected_factor
from tests.engine.ops.references import MP, REFERENCES, Number
from tests.engine.ops.special_references import sinc_terms
from tests.engine.vector_math.compiled import results_of
from tests.engine.vector_math.ranges import points

_BITS = 200
_OVERFLOW_EXPONENT, _LEAST_EXPONENT, _DIGITS = 1024, -1074, 53


@dataclass(frozen=True)
class Accuracy:
    """What was measured of a function.

    Attributes:
        arguments: arrays [points].
        results: arrays [points].
        errors: in units in the last place of the exact value, [points]; infinite where a result is NaN.
    """

    arguments: Sequence[FloatArray]
    results: Sequence[FloatArray]
    errors: FloatArray

    @property
    def count(self) -> int:
        """The number of points."""
        return len(self.errors)

    @property
    def worst(self) -> float:
        """The largest error."""
        return float(self.errors.max())

    @property
    def mean(self) -> float:
        """The mean error."""
        return float(self.errors.mean())

    @property
    def where(self) -> str:
        """The arguments at which the largest error was found."""
        place = int(np.argmax(self.errors))
        return ", ".join(repr(float(each[place])) for each in self.arguments)


def units_off(result: float, exact: Number, size: Number = 0) -> float:
    """Return an error in units in the last place of the exact value; an infinity counts as 2^1024, where it begins.

    Args:
        result: the computed value.
        exact: the exact value.
        size: if it is larger than the exact value, the last place is that of this number.
    """
    if math.isnan(result):
        return math.inf
    magnitude = max(MP.mag(exact) if exact else _LEAST_EXPONENT, MP.mag(size) if size else _LEAST_EXPONENT)
    if magnitude > _OVERFLOW_EXPONENT:
        exact = MP.ldexp(MP.sign(exact), _OVERFLOW_EXPONENT)
    computed = MP.ldexp(math.copysign(1.0, result), _OVERFLOW_EXPONENT) if math.isinf(result) else MP.mpf(result)
    last_place = max(min(magnitude, _OVERFLOW_EXPONENT) - _DIGITS, _LEAST_EXPONENT)
    return abs(float(MP.ldexp(computed - exact, -last_place)))


def _nothing(*_point: float) -> Number:
    return 0


_CANCELLING: dict[str, Callable[..., Number]] = {
    # Where both exponentials make 1 but for their last digits, there are pairs whose logarithm is as near to 0 as one
    # likes; the sum is taken with the digits of two float64.
    "logaddexp": lambda x, y: MP.ldexp(max(x, y), -50),
    "sinc_slope": sinc_terms,
    "lgamma": lambda x: max(abs(reflected_factor(MP.mpf(x))), 1) if x < 0 else 0,
    "digamma": lambda x: polygamma_terms(0, MP.mpf(x)),
    "polygamma": lambda n, x: polygamma_terms(n, MP.mpf(x)),
}
"""Of results that cross zero by cancelling, the size below which they keep no more digits, as the docstring says."""


def _against_reference(name: str) -> Callable[..., float]:
    value = REFERENCES[name].value
    size = _CANCELLING.get(name, _nothing)

    def error(point: Sequence[float], results: Sequence[float]) -> float:
        return units_off(results[0], value(*map(MP.mpf, point)), size(*point))

    return error


def _against_both(first: str, second: str) -> Callable[..., float]:
    errors = _against_reference(first), _against_reference(second)

    def larger_error(point: Sequence[float], results: Sequence[float]) -> float:
        return max(error(point, [result]) for error, result in zip(errors, results, strict=True))

    return larger_error


def _of_reduction(point: Sequence[float], results: Sequence[float]) -> float:
    """Return the error of an angle reduced to a quadrant's middle, beside the last place of its high part."""
    high, low, quadrant = results
    (x,) = map(MP.mpf, point)
    turns = MP.nint(x * 2 / MP.pi)
    if (int(np.float64(quadrant).view(np.int64)) - int(turns)) % 4:
        return math.inf
    exact = x - turns * MP.pi / 2
    return float(abs(MP.mpf(high) + MP.mpf(low) - exact) / unit(exact))


def _of_magnitude(point: Sequence[float], results: Sequence[float]) -> float:
    return units_off(results[0], abs(REFERENCES["polygamma"].value(*map(MP.mpf, point))))


_ERRORS: dict[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    **{name: _against_both(*operations) for operations, name in PAIRS.items()},
    "reduction_of_huge": _of_reduction,
    "polygamma_magnitude": _of_magnitude,
}
"""How the error is told of what is no row of the table of operations."""

# A reduction cancels all bits before the point; a remainder needs its whole quotient exact.
_PERIODIC = frozenset({"sin", "cos", "sincos", "tan", "reduction_of_huge"})
_REMAINDERS = frozenset({"fmod", "mod"})


def has_reference(name: str) -> bool:
    """Tell whether the exact value of a function is known."""
    return name in _ERRORS or name in REFERENCES


def _bits_needed(name: str, point: Sequence[float]) -> int:
    exponents = [math.frexp(number)[1] for number in point]
    if name in _PERIODIC:
        return _BITS + max(0, exponents[0])
    if name in _REMAINDERS:
        return _BITS + max(0, exponents[0] - exponents[1])
    return _BITS


def measure(name: str, arguments: Sequence[FloatArray], results: Sequence[FloatArray]) -> Accuracy:
    """Compare results, arrays [points], with a function's exact values."""
    error = _ERRORS[name] if name in _ERRORS else _against_reference(name)
    rows = zip(zip(*(each.tolist() for each in arguments), strict=True), zip(*results, strict=True), strict=True)
    errors = []
    for point, result in rows:
        with MP.workprec(_bits_needed(name, point)):
            errors.append(error(point, result))
    return Accuracy(arguments, results, np.array(errors))


@cache
def measured(name: str) -> Accuracy:
    """Return what a function does on the best level of this machine, over its whole range."""
    return measure(name, points(name), results_of(name, *points(name)))
