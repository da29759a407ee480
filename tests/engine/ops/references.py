"""What every operation is worth, from a source that shares nothing with the engine: mpmath at 60 digits.

One row for each operation of the table: the value by an mpmath function, and first and second derivatives written out
by hand (`test_references.py` compares them with mpmath's own numerical differentiation). Operands are the exact
numbers that float64 operands stand for, so that what is measured is the error of the operation alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath

MP = mpmath.mp.clone()
"""A context of its own, so that nobody else's precision changes."""
MP.dps = 60

Number = Any
"""A number of `MP`; mpmath has no types."""

_LARGE_EXPONENT = 1000
_FAR = MP.mpf(10) ** 100


def _smooth(*_operands: Number) -> bool:
    return True


def _zeros(arity: int) -> Callable[..., tuple[Number, ...]]:
    """Return the second derivatives of a function that has none: one zero for each pair of operands."""
    return lambda *_operands: (0,) * (arity * (arity + 1) // 2)


@dataclass(frozen=True)
class Reference:
    """The exact function.

    Attributes:
        value: of the operands.
        slopes: of the operands, the derivative by each.
        curvatures: of the operands, the second derivatives by each pair (i, j) with i <= j, in the order of pairs.
        smooth: of the operands, whether the derivatives exist there; conventions elsewhere are those of
            `tests/engine/semantics_table.py`.
        cancelling: of the operands, for each curvature the size of the terms whose difference it is.
            A curvature that crosses zero by their cancelling is good to so many digits of them, not of itself.
    """

    value: Callable[..., Number]
    slopes: Callable[..., tuple[Number, ...]]
    curvatures: Callable[..., tuple[Number, ...]]
    smooth: Callable[..., bool] = _smooth
    cancelling: Callable[..., tuple[Number, ...]] | None = None


def _linear(value: Callable[..., Number], *slopes: int) -> Reference:
    return Reference(value, lambda *_operands: slopes, _zeros(len(slopes)))


def _indicator(holds: Callable[..., bool]) -> Reference:
    """Return a function that is 1 where a condition holds and 0 elsewhere, and nowhere slopes."""
    arity = holds.__code__.co_argcount
    return Reference(lambda *operands: int(holds(*operands)), lambda *_operands: (0,) * arity, _zeros(arity))


def _step(value: Callable[[Number], Number]) -> Reference:
    return Reference(value, lambda _x: (0,), _zeros(1))


def _choice(value: Callable[..., Number], smooth: Callable[..., bool] = lambda x, y: x != y) -> Reference:
    """Return a function that gives one of its two operands."""

    def slopes(x: Number, y: Number) -> tuple[Number, ...]:
        return (1, 0) if value(x, y) == x else (0, 1)

    return Reference(value, slopes, _zeros(2), smooth=smooth)


def _remainder(quotient: Callable[[Number], Number]) -> Reference:
    return Reference(
        lambda x, y: x - y * quotient(x / y),
        lambda x, y: (1, -quotient(x / y)),
        _zeros(2),
        smooth=lambda x, y: not MP.isint(x / y),
    )


def _logistic(x: Number) -> Number:
    return 1 / (1 + MP.exp(-x))


def _logistic_slope(x: Number) -> Number:
    return _logistic(x) * _logistic(-x)


def _logistic_curvature(x: Number) -> Number:
    return -_logistic_slope(x) * MP.tanh(x / 2)


def _gaussian(x: Number) -> Number:
    return MP.exp(-x * x / 2) / MP.sqrt(2 * MP.pi)


def _bell(x: Number) -> Number:
    return MP.exp(-x * x)


def _radius(x: Number, y: Number) -> Number:
    return MP.sqrt(x * x + y * y)


def _off_origin(x: Number, y: Number) -> bool:
    return bool(x != 0 or y != 0)


def _log_sum(x: Number, y: Number) -> Number:
    low, high = sorted((x, y))
    return high + MP.log1p(MP.exp(low - high))


def _power(x: Number, y: Number) -> Number:
    """Return x**y; mpmath would multiply out a whole exponent however large it is."""
    return MP.exp(y * MP.log(x)) if x > 0 and abs(y) > _LARGE_EXPONENT else x**y


def _erfc(x: Number) -> Number:
    """Return erfc(x), and its limits where mpmath refuses the square of x."""
    return MP.erfc(x) if abs(x) < _FAR else MP.mpf(0 if x > 0 else 2)


def _clip(x: Number, low: Number, high: Number) -> Number:
    return min(max(x, low), high)


def _log_base(x: Number) -> Number:
    """Return log(x), and any number at 0, where a power's slope has no use for it."""
    return MP.log(x) if x > 0 else MP.mpf(0)


ARITHMETIC = {
    "add": _linear(lambda x, y: x + y, 1, 1),
    "subtract": _linear(lambda x, y: x - y, 1, -1),
    "multiply": Reference(lambda x, y: x * y, lambda x, y: (y, x), lambda _x, _y: (0, 1, 0)),
    "strong_product": Reference(lambda x, y: x * y, lambda x, y: (y, x), lambda _x, _y: (0, 1, 0)),
    "divide": Reference(lambda x, y: x / y, lambda x, y: (1 / y, -x / y**2), lambda x, y: (0, -1 / y**2, 2 * x / y**3)),
    "negate": _linear(lambda x: -x, -1),
    "power": Reference(
        _power,
        lambda x, y: (y * x ** (y - 1), x**y * MP.log(x)),
        lambda x, y: (
            y * (y - 1) * x ** (y - 2),
            x ** (y - 1) * (1 + y * MP.log(x)),
            x**y * MP.log(x) ** 2,
        ),
        cancelling=lambda x, y: (0, x ** (y - 1), 0),
    ),
    "mod": _remainder(MP.floor),
    "fmod": _remainder(lambda q: MP.floor(q) if q >= 0 else MP.ceil(q)),
}

EXPONENTIAL = {
    "exp": Reference(MP.exp, lambda x: (MP.exp(x),), lambda x: (MP.exp(x),)),
    "expm1": Reference(MP.expm1, lambda x: (MP.exp(x),), lambda x: (MP.exp(x),)),
    "log": Reference(MP.log, lambda x: (1 / x,), lambda x: (-1 / x**2,)),
    "log1p": Reference(MP.log1p, lambda x: (1 / (1 + x),), lambda x: (-1 / (1 + x) ** 2,)),
    "sqrt": Reference(MP.sqrt, lambda x: (1 / (2 * MP.sqrt(x)),), lambda x: (-1 / (4 * x * MP.sqrt(x)),)),
    "cbrt": Reference(
        lambda x: MP.sign(x) * MP.cbrt(abs(x)),
        lambda x: (1 / (3 * MP.cbrt(abs(x)) ** 2),),
        lambda x: (-2 / (9 * x * MP.cbrt(abs(x)) ** 2),),
        smooth=lambda x: bool(x != 0),
    ),
    "sigmoid": Reference(
        _logistic,
        lambda x: (_logistic_slope(x),),
        lambda x: (_logistic_curvature(x),),
        cancelling=lambda x: (_logistic_slope(x),),
    ),
    "softplus": Reference(lambda x: MP.log1p(MP.exp(x)), lambda x: (_logistic(x),), lambda x: (_logistic_slope(x),)),
    "logaddexp": Reference(
        _log_sum,
        lambda x, y: (_logistic(x - y), _logistic(y - x)),
        lambda x, y: (_logistic_slope(x - y), -_logistic_slope(x - y), _logistic_slope(x - y)),
    ),
    "xlogy": Reference(lambda x, y: x * MP.log(y), lambda x, y: (MP.log(y), x / y), lambda x, y: (0, 1 / y, -x / y**2)),
}

TRIGONOMETRIC = {
    "sin": Reference(MP.sin, lambda x: (MP.cos(x),), lambda x: (-MP.sin(x),)),
    "cos": Reference(MP.cos, lambda x: (-MP.sin(x),), lambda x: (-MP.cos(x),)),
    "tan": Reference(MP.tan, lambda x: (MP.sec(x) ** 2,), lambda x: (2 * MP.tan(x) * MP.sec(x) ** 2,)),
    "asin": Reference(
        MP.asin,
        lambda x: (1 / MP.sqrt(1 - x * x),),
        lambda x: (x / MP.sqrt(1 - x * x) ** 3,),
        smooth=lambda x: bool(abs(x) < 1),
        cancelling=lambda x: (1 / MP.sqrt(1 - x * x),),
    ),
    "acos": Reference(
        MP.acos,
        lambda x: (-1 / MP.sqrt(1 - x * x),),
        lambda x: (-x / MP.sqrt(1 - x * x) ** 3,),
        smooth=lambda x: bool(abs(x) < 1),
        cancelling=lambda x: (1 / MP.sqrt(1 - x * x),),
    ),
    "atan": Reference(MP.atan, lambda x: (1 / (1 + x * x),), lambda x: (-2 * x / (1 + x * x) ** 2,)),
    "atan2": Reference(
        MP.atan2,
        lambda y, x: (x / (x * x + y * y), -y / (x * x + y * y)),
        lambda y, x: (
            -2 * x * y / (x * x + y * y) ** 2,
            (y * y - x * x) / (x * x + y * y) ** 2,
            2 * x * y / (x * x + y * y) ** 2,
        ),
        smooth=_off_origin,
        cancelling=lambda y, x: (0, 1 / (x * x + y * y), 0),
    ),
    "sinh": Reference(MP.sinh, lambda x: (MP.cosh(x),), lambda x: (MP.sinh(x),)),
    "cosh": Reference(MP.cosh, lambda x: (MP.sinh(x),), lambda x: (MP.cosh(x),)),
    "sech": Reference(
        MP.sech,
        lambda x: (-MP.sech(x) * MP.tanh(x),),
        lambda x: (MP.sech(x) * (2 * MP.tanh(x) ** 2 - 1),),
        cancelling=lambda x: (MP.sech(x),),
    ),
    "tanh": Reference(MP.tanh, lambda x: (MP.sech(x) ** 2,), lambda x: (-2 * MP.tanh(x) * MP.sech(x) ** 2,)),
    "hypot": Reference(
        _radius,
        lambda x, y: (x / _radius(x, y), y / _radius(x, y)),
        lambda x, y: (y * y / _radius(x, y) ** 3, -x * y / _radius(x, y) ** 3, x * x / _radius(x, y) ** 3),
        smooth=_off_origin,
        cancelling=lambda x, y: (1 / _radius(x, y), 0, 1 / _radius(x, y)),
    ),
}

SPECIAL = {
    "erf": Reference(
        MP.erf,
        lambda x: (2 / MP.sqrt(MP.pi) * _bell(x),),
        lambda x: (-4 / MP.sqrt(MP.pi) * x * _bell(x),),
    ),
    "erfc": Reference(
        _erfc,
        lambda x: (-2 / MP.sqrt(MP.pi) * _bell(x),),
        lambda x: (4 / MP.sqrt(MP.pi) * x * _bell(x),),
    ),
    "normal_cdf": Reference(
        lambda x: _erfc(-x / MP.sqrt(2)) / 2, lambda x: (_gaussian(x),), lambda x: (-x * _gaussian(x),)
    ),
    "normal_pdf": Reference(
        _gaussian,
        lambda x: (-x * _gaussian(x),),
        lambda x: ((x * x - 1) * _gaussian(x),),
        cancelling=lambda x: (_gaussian(x),),
    ),
    "exp_minus_square": Reference(
        _bell,
        lambda x: (-2 * x * _bell(x),),
        lambda x: ((4 * x * x - 2) * _bell(x),),
        cancelling=lambda x: (_bell(x),),
    ),
}

PIECEWISE = {
    "abs": Reference(abs, lambda x: (MP.sign(x),), _zeros(1), smooth=lambda x: bool(x != 0)),
    "relu": Reference(lambda x: max(x, 0), lambda x: (int(x > 0),), _zeros(1), smooth=lambda x: bool(x != 0)),
    "maximum": _choice(max),
    "minimum": _choice(min),
    "fmax": _choice(max),
    "fmin": _choice(min),
    "clip": Reference(
        _clip,
        lambda x, low, high: (int(low < x < high), int(x < low), int(x > high)),
        _zeros(3),
        smooth=lambda x, low, high: x not in (low, high),
    ),
    "where": Reference(
        lambda condition, x, y: x if condition != 0 else y,
        lambda condition, _x, _y: (0, 1, 0) if condition != 0 else (0, 0, 1),
        _zeros(3),
    ),
    "sign": _step(MP.sign),
    "floor": _step(MP.floor),
    "ceil": _step(MP.ceil),
    "round": _step(MP.nint),
    "less": _indicator(lambda x, y: x < y),
    "less_equal": _indicator(lambda x, y: x <= y),
    "greater": _indicator(lambda x, y: x > y),
    "greater_equal": _indicator(lambda x, y: x >= y),
    "equal": _indicator(lambda x, y: x == y),
    "not_equal": _indicator(lambda x, y: x != y),
    "logical_and": _indicator(lambda x, y: bool(x) and bool(y)),
    "logical_or": _indicator(lambda x, y: bool(x) or bool(y)),
    "logical_not": _indicator(lambda x: not x),
}

REFERENCES: dict[str, Reference] = ARITHMETIC | EXPONENTIAL | TRIGONOMETRIC | SPECIAL | PIECEWISE
"""Every operation's reference by the operation's name."""
