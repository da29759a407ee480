"""Sums, products, quotients and powers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.lanes import choose, vector_function
from gradmill_server.engine.ops.operation import REALS, Interval, Operation, Partial, Select, Strong
from gradmill_server.engine.ops.value import Value, elementwise

if TYPE_CHECKING:
    from gradmill_server.engine.ir import FloatArray

_greater_equal = elementwise("greater_equal")
_equal = elementwise("equal")
_log = elementwise("log")
_logical_and = elementwise("logical_and")
_not_equal = elementwise("not_equal")
_power = elementwise("power")
_round = elementwise("round")
_live_partial_of = elementwise("live_partial")
_strong_product_of = elementwise("strong_product")

_POSITIVE = Interval(0.01, 20.0)
_NONZERO = Interval(0.1, 50.0)


def _power_value(base: FloatArray, exponent: FloatArray) -> FloatArray:
    """Compute x^y without the short cuts that NumPy takes for an exponent that all points share.

    They differ from the power in the last digit, and x^0.5 as a square root is NaN at -inf. A point's result would
    depend on whether the exponent came once for all points or point by point.
    """
    shape = np.broadcast_shapes(np.shape(base), np.shape(exponent))
    exponents = np.empty(shape or 1)
    exponents[...] = exponent
    return np.power(base, exponents).reshape(shape)


def _power_by_base(_result: Value, base: Value, exponent: Value) -> Partial:
    """Return y·x^(y-1), and 0 for y = 0 even where x^(-1) is infinite.

    A product, not a choice: at y = 0 its own slope by y is x^(-1).
    """
    number = exponent.constant
    if number is None:
        return _strong_product_of(exponent, _power(base, exponent - 1.0))
    if number in {0.0, 1.0}:
        return number
    if number == 2.0:  # noqa: PLR2004 - the exponent of a square
        return 2.0 * base
    return number * _power(base, number - 1.0)


def _power_by_exponent(result: Value, base: Value, exponent: Value) -> Partial:
    """Return x^y·log(x), continued by 0 to x = 0, y >= 0: there x^y does not change with y, save at the jump y = 0."""
    on_axis = _logical_and(_equal(base, 0.0), _greater_equal(exponent, 0.0))
    return Select(on_axis, 0.0, result * _log(base))


def _strong_product(seed: np.ndarray, partial: np.ndarray) -> np.ndarray:
    """Multiply, with a zero seed giving zero whatever the partial."""
    return np.where(seed == 0.0, 0.0, seed * partial)


def _mutual_product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Multiply, with a zero on either side giving zero whatever the other."""
    return np.where((left == 0.0) | (right == 0.0), 0.0, left * right)


def _live_partial(seed: np.ndarray, partial: np.ndarray) -> np.ndarray:
    """Return the partial, and 0 where the branch is dead: zero seed and a partial that is not finite."""
    return np.where((seed == 0.0) & ~np.isfinite(partial), 0.0, partial)


def _live_partial_by_partial(_result: Value, seed: Value, partial: Value) -> Partial:
    dead = _logical_and(_equal(seed, 0.0), _not_equal(partial - partial, 0.0))
    return Select(dead, 0.0, 1.0)


OPERATIONS = (
    Operation(
        name="add",
        cost=1,
        summary="The sum x + y.",
        value=np.add,
        lanes=lambda x, y: x + y,
        direct=True,
        partials=(1.0, 1.0),
        notation="{0} + {1}",
        commutative=True,
        neutral=(-0.0, -0.0),
        domain=(REALS, REALS),
    ),
    Operation(
        name="subtract",
        cost=1,
        summary="The difference x - y.",
        value=np.subtract,
        lanes=lambda x, y: x - y,
        direct=True,
        partials=(1.0, -1.0),
        notation="{0} - {1}",
        neutral=(None, 0.0),
        domain=(REALS, REALS),
    ),
    Operation(
        name="multiply",
        cost=1,
        summary="The product x * y.",
        value=np.multiply,
        lanes=lambda x, y: x * y,
        direct=True,
        partials=(lambda _z, _x, y: y, lambda _z, x, _y: x),
        notation="{0}*{1}",
        commutative=True,
        neutral=(1.0, 1.0),
        domain=(REALS, REALS),
    ),
    Operation(
        name="divide",
        summary="The quotient x / y.",
        value=np.divide,
        lanes=lambda x, y: x / y,
        direct=True,
        partials=(lambda _z, _x, y: 1.0 / y, lambda z, _x, y: -(z * (1.0 / y))),
        aliases=("true_divide",),
        notation="{0}/{1}",
        neutral=(None, 1.0),
        domain=(REALS, _NONZERO),
    ),
    Operation(
        name="negate",
        cost=1,
        summary="The negative -x.",
        value=np.negative,
        lanes=lambda x: -x,
        direct=True,
        partials=(-1.0,),
        aliases=("negative",),
        notation="-{0}",
        domain=(REALS,),
    ),
    Operation(
        name="square",
        cost=1,
        summary="The square x * x.",
        value=np.square,
        lanes=lambda x: x * x,
        direct=True,
        partials=(lambda _z, x: 2.0 * x,),
        domain=(REALS,),
    ),
    Operation(
        name="reciprocal",
        summary="The reciprocal 1 / x.",
        value=np.reciprocal,
        lanes=lambda x: 1.0 / x,
        direct=True,
        partials=(lambda z, _x: -(z * z),),
        convention="-inf at 0",
        domain=(_NONZERO,),
    ),
    Operation(
        name="power",
        summary="x to the power y, by IEEE 754: 1 for y = 0, NaN for a negative x and a fractional y.",
        value=_power_value,
        lanes=vector_function("power"),
        partials=(_power_by_base, _power_by_exponent),
        aliases=("pow",),
        notation="{0}**{1}",
        convention="by x: 0 where y = 0; by y: 0 where x = 0 and y >= 0, NaN where x < 0",
        neutral=(None, 1.0),
        domain=(_POSITIVE, Interval(-6.0, 6.0)),
    ),
    Operation(
        name="mod",
        cost=400,
        summary="The remainder of x / y with the sign of y (floored division).",
        value=np.mod,
        lanes=vector_function("mod"),
        partials=(1.0, lambda z, x, y: -_round((x - z) / y)),
        aliases=("remainder",),
        notation="{0} % {1}",
        convention="1 by x at the jumps",
        domain=(REALS, _NONZERO),
    ),
    Operation(
        name="fmod",
        cost=400,
        summary="The remainder of x / y with the sign of x (truncated division).",
        value=np.fmod,
        lanes=vector_function("fmod"),
        partials=(1.0, lambda z, x, y: -_round((x - z) / y)),
        convention="1 by x at the jumps",
        domain=(REALS, _NONZERO),
    ),
    Operation(
        name="strong_product",
        cost=1,
        summary="seed * partial, and exactly 0 where the seed is 0, whatever the partial.",
        value=_strong_product,
        lanes=lambda seed, partial: choose(seed.equals(0.0), 0.0, seed * partial),
        direct=True,
        # Strong, as a tangent that comes out of a dead branch may be NaN.
        partials=(
            lambda _z, seed, partial: Strong(_live_partial_of(seed, partial)),
            lambda _z, seed, _partial: Strong(seed),
        ),
        notation="{0}*{1}",
        neutral=(1.0, None),
        internal=True,
        domain=(REALS, REALS),
    ),
    Operation(
        name="mutual_product",
        cost=1,
        summary="x*y, and exactly 0 where either is 0, whatever the other.",
        value=_mutual_product,
        lanes=lambda x, y: choose(x.equals(0.0) | y.equals(0.0), 0.0, x * y),
        direct=True,
        partials=(
            lambda _z, x, y: Strong(_live_partial_of(x, y)),
            lambda _z, x, y: Strong(_live_partial_of(y, x)),
        ),
        notation="{0}*{1}",
        commutative=True,
        internal=True,
        domain=(REALS, REALS),
    ),
    Operation(
        name="live_partial",
        cost=1,
        summary="The slope of a strong product by its seed: the partial, and 0 where a zero seed meets one not finite.",
        value=_live_partial,
        lanes=lambda seed, partial: choose(seed.equals(0.0) & (partial - partial).is_nan(), 0.0, partial),
        direct=True,
        partials=(None, _live_partial_by_partial),
        convention="0 by the seed",
        internal=True,
        domain=(REALS, REALS),
    ),
)
