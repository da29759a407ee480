"""What every operation is worth, from a source that shares nothing with the engine: mpmath at 60 digits.

One row for each operation of the table: the value by an mpmath function, and first and second derivatives written out
by hand (`test_references.py` compares them with mpmath's own numerical differentiation). Operands are the exact
numbers that float64 operands stand for, so that what is measured is the error of the operation alone.
"""

from __future__ import annotations

from tests.engine.ops.exact import (
    MP,
    Number,
    Reference,
    choice,
    indicator,
    linear,
    logistic,
    logistic_curvature,
    logistic_slope,
    remainder,
    step,
    zeros,
)
from tests.engine.ops.gamma_references import GAMMA
from tests.engine.ops.special_references import ACTIVATIONS, SPECIAL

__all__ = ["MP", "REFERENCES", "Number", "Reference"]

_LARGE_EXPONENT = 1000


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


def _clip(x: Number, low: Number, high: Number) -> Number:
    return min(max(x, low), high)


def _log_base(x: Number) -> Number:
    """Return log(x), and any number at 0, where a power's slope has no use for it."""
    return MP.log(x) if x > 0 else MP.mpf(0)


ARITHMETIC = {
    "add": linear(lambda x, y: x + y, 1, 1),
    "subtract": linear(lambda x, y: x - y, 1, -1),
    "multiply": Reference(lambda x, y: x * y, lambda x, y: (y, x), lambda _x, _y: (0, 1, 0)),
    "strong_product": Reference(lambda x, y: x * y, lambda x, y: (y, x), lambda _x, _y: (0, 1, 0)),
    "mutual_product": Reference(lambda x, y: x * y, lambda x, y: (y, x), lambda _x, _y: (0, 1, 0)),
    "live_partial": Reference(lambda _x, y: y, lambda _x, _y: (0, 1), lambda _x, _y: (0, 0, 0)),
    "divide": Reference(lambda x, y: x / y, lambda x, y: (1 / y, -x / y**2), lambda x, y: (0, -1 / y**2, 2 * x / y**3)),
    "square": Reference(lambda x: x * x, lambda x: (2 * x,), lambda _x: (2,)),
    "reciprocal": Reference(lambda x: 1 / x, lambda x: (-1 / x**2,), lambda x: (2 / x**3,)),
    "negate": linear(lambda x: -x, -1),
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
    "mod": remainder(MP.floor),
    "fmod": remainder(lambda q: MP.floor(q) if q >= 0 else MP.ceil(q)),
}

EXPONENTIAL = {
    "exp": Reference(MP.exp, lambda x: (MP.exp(x),), lambda x: (MP.exp(x),)),
    "expm1": Reference(MP.expm1, lambda x: (MP.exp(x),), lambda x: (MP.exp(x),)),
    "log": Reference(MP.log, lambda x: (1 / x,), lambda x: (-1 / x**2,)),
    "exp2": Reference(
        lambda x: MP.mpf(2) ** x, lambda x: (MP.mpf(2) ** x * MP.ln2,), lambda x: (MP.mpf(2) ** x * MP.ln2**2,)
    ),
    "log2": Reference(lambda x: MP.log(x) / MP.ln2, lambda x: (1 / (x * MP.ln2),), lambda x: (-1 / (x * x * MP.ln2),)),
    "log10": Reference(
        lambda x: MP.log(x) / MP.ln10, lambda x: (1 / (x * MP.ln10),), lambda x: (-1 / (x * x * MP.ln10),)
    ),
    "log1p": Reference(MP.log1p, lambda x: (1 / (1 + x),), lambda x: (-1 / (1 + x) ** 2,)),
    "sqrt": Reference(MP.sqrt, lambda x: (1 / (2 * MP.sqrt(x)),), lambda x: (-1 / (4 * x * MP.sqrt(x)),)),
    "cbrt": Reference(
        lambda x: MP.sign(x) * MP.cbrt(abs(x)),
        lambda x: (1 / (3 * MP.cbrt(abs(x)) ** 2),),
        lambda x: (-2 / (9 * x * MP.cbrt(abs(x)) ** 2),),
        smooth=lambda x: bool(x != 0),
    ),
    "sigmoid": Reference(
        logistic,
        lambda x: (logistic_slope(x),),
        lambda x: (logistic_curvature(x),),
        cancelling=lambda x: (logistic_slope(x),),
    ),
    "softplus": Reference(lambda x: MP.log1p(MP.exp(x)), lambda x: (logistic(x),), lambda x: (logistic_slope(x),)),
    "logaddexp": Reference(
        _log_sum,
        lambda x, y: (logistic(x - y), logistic(y - x)),
        lambda x, y: (logistic_slope(x - y), -logistic_slope(x - y), logistic_slope(x - y)),
    ),
    "xlogy": Reference(lambda x, y: x * MP.log(y), lambda x, y: (MP.log(y), x / y), lambda x, y: (0, 1 / y, -x / y**2)),
    "xlogx": Reference(
        lambda x: x * MP.log(x),
        lambda x: (MP.log(x) + 1,),
        lambda x: (1 / x,),
        slopes_cancelling=lambda _x: (1,),
    ),
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
    "asinh": Reference(MP.asinh, lambda x: (1 / _radius(x, MP.mpf(1)),), lambda x: (-x / _radius(x, MP.mpf(1)) ** 3,)),
    "acosh": Reference(
        MP.acosh,
        lambda x: (1 / MP.sqrt(x * x - 1),),
        lambda x: (-x / MP.sqrt(x * x - 1) ** 3,),
        smooth=lambda x: bool(x > 1),
    ),
    "atanh": Reference(
        MP.atanh,
        lambda x: (1 / (1 - x * x),),
        lambda x: (2 * x / (1 - x * x) ** 2,),
        cancelling=lambda x: (1 / (1 - x * x),),
    ),
    "deg2rad": Reference(lambda x: x * MP.pi / 180, lambda _x: (MP.pi / 180,), zeros(1)),
    "rad2deg": Reference(lambda x: x * 180 / MP.pi, lambda _x: (180 / MP.pi,), zeros(1)),
    "hypot": Reference(
        _radius,
        lambda x, y: (x / _radius(x, y), y / _radius(x, y)),
        lambda x, y: (y * y / _radius(x, y) ** 3, -x * y / _radius(x, y) ** 3, x * x / _radius(x, y) ** 3),
        smooth=_off_origin,
        cancelling=lambda x, y: (1 / _radius(x, y), 0, 1 / _radius(x, y)),
    ),
}

PIECEWISE = {
    "abs": Reference(abs, lambda x: (MP.sign(x),), zeros(1), smooth=lambda x: bool(x != 0)),
    "relu": Reference(lambda x: max(x, 0), lambda x: (int(x > 0),), zeros(1), smooth=lambda x: bool(x != 0)),
    "maximum": choice(max),
    "minimum": choice(min),
    "fmax": choice(max),
    "fmin": choice(min),
    "clip": Reference(
        _clip,
        lambda x, low, high: (int(low < x < high), int(x < low), int(x > high)),
        zeros(3),
        smooth=lambda x, low, high: x not in (low, high),
    ),
    "where": Reference(
        lambda condition, x, y: x if condition != 0 else y,
        lambda condition, _x, _y: (0, 1, 0) if condition != 0 else (0, 0, 1),
        zeros(3),
    ),
    "sign": step(MP.sign),
    "floor": step(MP.floor),
    "ceil": step(MP.ceil),
    "trunc": step(lambda x: MP.floor(x) if x > 0 else MP.ceil(x)),
    "step": step(lambda x: (1 + MP.sign(x)) / 2),
    "heaviside": Reference(
        lambda x, at_zero: int(x > 0) if x != 0 else at_zero, lambda x, _at_zero: (0, int(x == 0)), zeros(2)
    ),
    "copysign": Reference(
        lambda x, y: abs(x) if y >= 0 else -abs(x),
        lambda x, y: (MP.sign(x) * (1 if y >= 0 else -1), 0),
        zeros(2),
        smooth=lambda x, y: x != 0 and y != 0,
    ),
    "round": step(MP.nint),
    "less": indicator(lambda x, y: x < y),
    "less_equal": indicator(lambda x, y: x <= y),
    "greater": indicator(lambda x, y: x > y),
    "greater_equal": indicator(lambda x, y: x >= y),
    "equal": indicator(lambda x, y: x == y),
    "not_equal": indicator(lambda x, y: x != y),
    "logical_and": indicator(lambda x, y: bool(x) and bool(y)),
    "logical_or": indicator(lambda x, y: bool(x) or bool(y)),
    "logical_not": indicator(lambda x: not x),
    "isnan": indicator(lambda _x: False),
    "isinf": indicator(lambda _x: False),
    "isfinite": indicator(lambda _x: True),
}

REFERENCES: dict[str, Reference] = ARITHMETIC | EXPONENTIAL | TRIGONOMETRIC | SPECIAL | GAMMA | ACTIVATIONS | PIECEWISE
"""Every operation's reference by the operation's name."""
