"""Functions made of pieces: absolute value, rounding, extremes, comparisons, logic and choice.

A condition is a float64: 0.0 is false, anything else (also NaN, as in NumPy) is true; comparisons give 1.0 or 0.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.lanes import Lanes, Mask, choose
from gradmill_server.engine.ops.operation import REALS, Interval, Operation, Partial, Select, truth
from gradmill_server.engine.ops.value import Value, elementwise

if TYPE_CHECKING:
    from gradmill_server.engine.ir import FloatArray

_copysign = elementwise("copysign")
_equal = elementwise("equal")
_greater = elementwise("greater")
_greater_equal = elementwise("greater_equal")
_less = elementwise("less")
_less_equal = elementwise("less_equal")
_logical_and = elementwise("logical_and")
_not_equal = elementwise("not_equal")
_sign = elementwise("sign")


def _extreme_partial(of: Value, other: Value, wins: Value, loses: Value) -> Partial:
    """Return 1 where the operand wins, 0 where it loses, 1/2 at a tie, NaN beside a NaN.

    The NaN is made of the operands, here and below: a constant NaN would be in the graph at every point, and in plain
    IEEE propagation one that is multiplied by zero poisons the next derivative.
    """
    return Select(wins, 1.0, Select(loses, 0.0, Select(_equal(of, other), 0.5, of + other)))


def _maximum_partial(of: Value, other: Value) -> Partial:
    return _extreme_partial(of, other, _greater(of, other), _less(of, other))


def _minimum_partial(of: Value, other: Value) -> Partial:
    return _extreme_partial(of, other, _less(of, other), _greater(of, other))


def _quiet_extreme_partial(of: Value, other: Value, wins: Value) -> Partial:
    """Like the above, but a NaN loses against a number and two NaNs give NaN."""
    is_number = _equal(of, of)
    other_is_number = _equal(other, other)
    ordered = Select(wins, 1.0, Select(_equal(of, other), 0.5, 0.0))
    return Select(is_number, Select(other_is_number, ordered, 1.0), Select(other_is_number, 0.0, of))


def _clip_by_x(z: Value, x: Value, low: Value, high: Value) -> Partial:
    inside = _logical_and(_less_equal(low, x), _less_equal(x, high))
    return Select(inside, 1.0, Select(_equal(z, z), 0.0, z))


def _clip_by_low(z: Value, x: Value, low: Value, high: Value) -> Partial:
    lifted = _logical_and(_less(x, low), _less_equal(low, high))
    return Select(lifted, 1.0, Select(_equal(z, z), 0.0, z))


def _clip_by_high(z: Value, x: Value, low: Value, high: Value) -> Partial:
    within = _logical_and(_less_equal(x, high), _less_equal(low, high))
    return Select(within, 0.0, Select(_equal(z, z), 1.0, z))


def _fmax_value(x: FloatArray, y: FloatArray) -> FloatArray:
    """Compute the larger number; np.fmax takes the sign of a zero by the length of the batch."""
    return np.where((x > y) | np.isnan(y), x, y)


def _fmin_value(x: FloatArray, y: FloatArray) -> FloatArray:
    """Compute the smaller number; np.fmin takes the sign of a zero by the length of the batch."""
    return np.where((x < y) | np.isnan(y), x, y)


def _clip_value(x: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    return np.minimum(np.maximum(x, low), high)


def _maximum_lanes(x: Lanes, y: Lanes) -> Lanes:
    return choose(x.greater(y) | x.is_nan(), x, y)


def _minimum_lanes(x: Lanes, y: Lanes) -> Lanes:
    return choose(x.less(y) | x.is_nan(), x, y)


def _sign_lanes(x: Lanes) -> Lanes:
    return choose(x.greater(0.0), 1.0, choose(x.less(0.0), -1.0, choose(x.is_nan(), x, 0.0)))


def _comparison(
    name: str, symbol: str, value: np.ufunc, lanes: Callable[[Lanes, Lanes], Mask], summary: str
) -> Operation:
    return Operation(
        name=name,
        summary=summary,
        value=lambda x, y: truth(value(x, y)),
        lanes=lambda x, y: choose(lanes(x, y), 1.0, 0.0),
        direct=True,
        partials=(None, None),
        notation="{0} " + symbol + " {1}",
        convention="0 throughout",
        finite=True,
        domain=(REALS, REALS),
    )


def _stepwise(
    name: str,
    value: Callable[[FloatArray], FloatArray],
    lanes: Callable[[Lanes], Lanes],
    summary: str,
    aliases: tuple[str, ...] = (),
) -> Operation:
    return Operation(
        name=name,
        summary=summary,
        value=value,
        lanes=lanes,
        direct=True,
        partials=(None,),
        aliases=aliases,
        convention="0 throughout",
        domain=(REALS,),
    )


def _test(name: str, value: np.ufunc, lanes: Callable[[Lanes], Mask], summary: str) -> Operation:
    return Operation(
        name=name,
        summary=summary,
        value=lambda x: truth(value(x)),
        lanes=lambda x: choose(lanes(x), 1.0, 0.0),
        direct=True,
        partials=(None,),
        convention="0 throughout",
        finite=True,
        domain=(REALS,),
    )


def _heaviside_value(x: FloatArray, at_zero: FloatArray) -> FloatArray:
    return np.heaviside(x, at_zero)


def _step_value(x: FloatArray) -> FloatArray:
    return np.heaviside(x, 0.5)


def _step_lanes(x: Lanes, at_zero: Lanes | float = 0.5) -> Lanes:
    return choose(x.greater(0.0), 1.0, choose(x.less(0.0), 0.0, choose(x.is_nan(), x, at_zero)))


OPERATIONS = (
    Operation(
        name="abs",
        summary="The absolute value.",
        value=np.abs,
        lanes=Lanes.__abs__,
        direct=True,
        partials=(lambda _z, x: Select(_equal(x, 0.0), 0.0, _sign(x)),),
        aliases=("absolute", "fabs"),
        convention="0 at 0",
        domain=(REALS,),
    ),
    Operation(
        name="relu",
        summary="The positive part: x where x > 0, else 0; NaN for NaN.",
        value=lambda x: np.maximum(x, 0.0),
        lanes=lambda x: choose(x.greater(0.0) | x.is_nan(), x, 0.0),
        direct=True,
        partials=(lambda _z, x: Select(_greater(x, 0.0), 1.0, Select(_less_equal(x, 0.0), 0.0, x)),),
        convention="0 at 0",
        domain=(REALS,),
    ),
    Operation(
        name="maximum",
        summary="The larger of x and y; NaN when either is NaN.",
        value=np.maximum,
        lanes=_maximum_lanes,
        direct=True,
        partials=(lambda _z, x, y: _maximum_partial(x, y), lambda _z, x, y: _maximum_partial(y, x)),
        aliases=("max",),
        convention="1/2 each at a tie; NaN beside a NaN",
        domain=(REALS, REALS),
    ),
    Operation(
        name="minimum",
        summary="The smaller of x and y; NaN when either is NaN.",
        value=np.minimum,
        lanes=_minimum_lanes,
        direct=True,
        partials=(lambda _z, x, y: _minimum_partial(x, y), lambda _z, x, y: _minimum_partial(y, x)),
        aliases=("min",),
        convention="1/2 each at a tie; NaN beside a NaN",
        domain=(REALS, REALS),
    ),
    Operation(
        name="fmax",
        summary="The larger of x and y; a NaN loses against a number.",
        value=_fmax_value,
        lanes=lambda x, y: choose(x.greater(y) | y.is_nan(), x, y),
        direct=True,
        partials=(
            lambda _z, x, y: _quiet_extreme_partial(x, y, _greater(x, y)),
            lambda _z, x, y: _quiet_extreme_partial(y, x, _greater(y, x)),
        ),
        convention="1/2 each at a tie",
        domain=(REALS, REALS),
    ),
    Operation(
        name="fmin",
        summary="The smaller of x and y; a NaN loses against a number.",
        value=_fmin_value,
        lanes=lambda x, y: choose(x.less(y) | y.is_nan(), x, y),
        direct=True,
        partials=(
            lambda _z, x, y: _quiet_extreme_partial(x, y, _less(x, y)),
            lambda _z, x, y: _quiet_extreme_partial(y, x, _less(y, x)),
        ),
        convention="1/2 each at a tie",
        domain=(REALS, REALS),
    ),
    Operation(
        name="clip",
        summary="x limited to [low, high], as clip(x, low, high); high wins where low > high.",
        value=_clip_value,
        lanes=lambda x, low, high: _minimum_lanes(_maximum_lanes(x, low), high),
        direct=True,
        partials=(_clip_by_x, _clip_by_low, _clip_by_high),
        convention="1 by x on the closed interval",
        domain=(REALS, Interval(-20.0, -5.0), Interval(5.0, 20.0)),
    ),
    Operation(
        name="where",
        summary="x where the condition is not 0, else y, as where(condition, x, y); the other branch cannot poison it.",
        value=lambda condition, x, y: np.where(condition != 0.0, x, y),
        lanes=lambda condition, x, y: choose(condition.differs(0.0), x, y),
        direct=True,
        partials=(None, lambda _z, c, _x, _y: Select(c, 1.0, 0.0), lambda _z, c, _x, _y: Select(c, 0.0, 1.0)),
        convention="the branch not taken contributes exactly 0, at any order",
        domain=(Interval(-1.0, 1.0), REALS, REALS),
    ),
    _stepwise("sign", np.sign, _sign_lanes, "The sign: -1, 0 or 1."),
    _stepwise("floor", np.floor, Lanes.floor, "The largest integer not above x."),
    _stepwise("ceil", np.ceil, Lanes.ceil, "The smallest integer not below x."),
    _stepwise("round", np.rint, Lanes.rint, "The nearest integer, halves to even.", aliases=("rint",)),
    _stepwise("trunc", np.trunc, Lanes.trunc, "The nearest integer towards 0.", aliases=("fix",)),
    _stepwise("step", _step_value, _step_lanes, "The unit step: 0 below 0, 1 above, 1/2 at 0."),
    Operation(
        name="heaviside",
        summary="The unit step with a value of its own at 0, as heaviside(x, value_at_zero).",
        value=_heaviside_value,
        lanes=_step_lanes,
        direct=True,
        partials=(None, lambda _z, x, _at_zero: Select(_equal(x, 0.0), 1.0, 0.0)),
        convention="0 throughout by x",
        domain=(REALS, REALS),
    ),
    Operation(
        name="copysign",
        summary="The magnitude of x with the sign of y.",
        value=np.copysign,
        lanes=Lanes.with_sign_of,
        direct=True,
        partials=(lambda _z, x, y: Select(_equal(x, 0.0), 0.0, _sign(x) * _copysign(1.0, y)), None),
        convention="0 by x at x = 0, 0 throughout by y",
        domain=(REALS, REALS),
    ),
    _comparison("less", "<", np.less, Lanes.less, "1 where x < y, else 0."),
    _comparison("less_equal", "<=", np.less_equal, Lanes.less_equal, "1 where x <= y, else 0."),
    _comparison("greater", ">", np.greater, Lanes.greater, "1 where x > y, else 0."),
    _comparison("greater_equal", ">=", np.greater_equal, Lanes.greater_equal, "1 where x >= y, else 0."),
    _comparison("equal", "==", np.equal, Lanes.equals, "1 where x equals y, else 0."),
    _comparison("not_equal", "!=", np.not_equal, Lanes.differs, "1 where x does not equal y, else 0."),
    _comparison(
        "logical_and",
        "and",
        np.logical_and,
        lambda x, y: x.differs(0.0) & y.differs(0.0),
        "1 where neither x nor y is 0, else 0.",
    ),
    _comparison(
        "logical_or",
        "or",
        np.logical_or,
        lambda x, y: x.differs(0.0) | y.differs(0.0),
        "1 where x or y is not 0, else 0.",
    ),
    Operation(
        name="logical_not",
        summary="1 where x is 0, else 0.",
        value=lambda x: truth(np.logical_not(x)),
        lanes=lambda x: choose(x.equals(0.0), 1.0, 0.0),
        direct=True,
        partials=(None,),
        notation="not {0}",
        convention="0 throughout",
        finite=True,
        domain=(REALS,),
    ),
    _test("isnan", np.isnan, Lanes.is_nan, "1 where x is NaN, else 0."),
    _test("isinf", np.isinf, lambda x: abs(x).equals(math.inf), "1 where x is infinite, else 0."),
    _test("isfinite", np.isfinite, lambda x: abs(x).less(math.inf), "1 where x is neither infinite nor NaN, else 0."),
)
