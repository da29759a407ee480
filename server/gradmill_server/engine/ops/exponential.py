"""Exponentials, logarithms, roots, and the functions made of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.lanes import Lanes, call, vector_function
from gradmill_server.engine.ops.operation import REALS, Interval, Operation, Partial, Select
from gradmill_server.engine.ops.value import Value, elementwise

if TYPE_CHECKING:
    from gradmill_server.engine.ir import FloatArray

_abs = elementwise("abs")
_equal = elementwise("equal")
_exp = elementwise("exp")
_log = elementwise("log")
_logical_and = elementwise("logical_and")
_sigmoid = elementwise("sigmoid")

_POSITIVE = Interval(1e-3, 1e3)
_LN2 = math.log(2.0)
_PER_LN2 = 1.4426950408889634
_PER_LN10 = 0.4342944819032518
"""1/log(2) and 1/log(10), rounded once."""


def _sigmoid_value(x: FloatArray) -> FloatArray:
    """Compute 1/(1 + exp(-x)) without overflow and without losing the small values at negative x."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, small) / (1.0 + small)


def _softplus_value(x: FloatArray) -> FloatArray:
    """Compute log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)), which neither overflows nor cancels."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _logaddexp_value(x: FloatArray, y: FloatArray) -> FloatArray:
    """Compute log(exp(x) + exp(y)); np.logaddexp keeps equal infinities."""
    return np.logaddexp(x, y)


def _logaddexp_share(of: Value, other: Value) -> Partial:
    """Return sigmoid(of - other); equal infinities share equally."""
    equal_infinities = _logical_and(_equal(of, other), _equal(_abs(of), float("inf")))
    return Select(equal_infinities, 0.5, _sigmoid(of - other))


def _xlogy_by_y(_result: Value, x: Value, y: Value) -> Partial:
    """Return x/y, and 0 at the origin; elsewhere on x = 0 the quotient stays, for its own slope 1/y by x is needed."""
    return Select(_logical_and(_equal(x, 0.0), _equal(y, 0.0)), 0.0, x / y)


def _xlogy_value(x: FloatArray, y: FloatArray) -> FloatArray:
    """Compute x·log(y), and 0 where x is 0 and y finite and not negative; what has no limit stays NaN."""
    return np.where((x == 0.0) & (y >= 0.0) & (y < np.inf), 0.0, x * np.log(y))


def _xlogx_value(x: FloatArray) -> FloatArray:
    return np.where(x == 0.0, 0.0, x * np.log(x))


OPERATIONS = (
    Operation(
        name="exp",
        summary="The exponential.",
        value=np.exp,
        lanes=vector_function("exp"),
        partials=(lambda z, _x: z,),
        domain=(Interval(-700.0, 700.0),),
    ),
    Operation(
        name="exp2",
        summary="2 to the power x.",
        value=np.exp2,
        lanes=vector_function("exp2"),
        partials=(lambda z, _x: _LN2 * z,),
        domain=(Interval(-1000.0, 1000.0),),
    ),
    Operation(
        name="expm1",
        summary="exp(x) - 1, exact also near 0.",
        value=np.expm1,
        lanes=vector_function("expm1"),
        partials=(lambda _z, x: _exp(x),),
        domain=(Interval(-40.0, 700.0),),
    ),
    Operation(
        name="log",
        summary="The natural logarithm.",
        value=np.log,
        lanes=vector_function("log"),
        partials=(lambda _z, x: 1.0 / x,),
        aliases=("ln",),
        convention="1/x throughout: inf at 0, also where the value is NaN",
        domain=(_POSITIVE,),
    ),
    Operation(
        name="log2",
        summary="The logarithm to base 2.",
        value=np.log2,
        lanes=vector_function("log2"),
        partials=(lambda _z, x: _PER_LN2 / x,),
        convention="as log: inf at 0, also where the value is NaN",
        domain=(_POSITIVE,),
    ),
    Operation(
        name="log10",
        summary="The logarithm to base 10.",
        value=np.log10,
        lanes=vector_function("log10"),
        partials=(lambda _z, x: _PER_LN10 / x,),
        convention="as log: inf at 0, also where the value is NaN",
        domain=(_POSITIVE,),
    ),
    Operation(
        name="log1p",
        summary="log(1 + x), exact also near 0.",
        value=np.log1p,
        lanes=vector_function("log1p"),
        partials=(lambda _z, x: 1.0 / (1.0 + x),),
        domain=(Interval(-0.999, 1e3),),
    ),
    Operation(
        name="sqrt",
        summary="The square root.",
        value=np.sqrt,
        lanes=Lanes.sqrt,
        direct=True,
        partials=(lambda z, _x: 0.5 / z,),
        convention="inf at 0, the one-sided limit",
        domain=(_POSITIVE,),
    ),
    Operation(
        name="cbrt",
        summary="The real cube root.",
        value=np.cbrt,
        lanes=vector_function("cbrt"),
        partials=(lambda z, _x: 1.0 / (3.0 * (z * z)),),
        convention="inf at 0",
        domain=(REALS,),
    ),
    Operation(
        name="sigmoid",
        summary="The logistic function 1/(1 + exp(-x)), stable at both ends.",
        value=_sigmoid_value,
        lanes=vector_function("sigmoid"),
        partials=(lambda z, x: z * _sigmoid(-x),),
        aliases=("expit", "logistic"),
        domain=(Interval(-700.0, 700.0),),
    ),
    Operation(
        name="softplus",
        summary="log(1 + exp(x)), stable at both ends.",
        value=_softplus_value,
        lanes=vector_function("softplus"),
        partials=(lambda _z, x: _sigmoid(x),),
        domain=(Interval(-700.0, 700.0),),
    ),
    Operation(
        name="logaddexp",
        summary="log(exp(x) + exp(y)), stable.",
        value=_logaddexp_value,
        lanes=vector_function("logaddexp"),
        partials=(lambda _z, x, y: _logaddexp_share(x, y), lambda _z, x, y: _logaddexp_share(y, x)),
        convention="1/2 each for equal infinities",
        domain=(REALS, REALS),
    ),
    Operation(
        name="xlogy",
        summary="x*log(y), and 0 for x = 0 and a finite y >= 0.",
        value=_xlogy_value,
        lanes=vector_function("xlogy"),
        partials=(lambda _z, _x, y: _log(y), _xlogy_by_y),
        convention="at x = 0: log(y) by x, 0 by y",
        domain=(REALS, _POSITIVE),
    ),
    Operation(
        name="xlogx",
        summary="x*log(x), and 0 for x = 0.",
        value=_xlogx_value,
        lanes=lambda x: call("xlogy", x, x),
        partials=(lambda _z, x: _log(x) + 1.0,),
        convention="-inf at 0",
        domain=(_POSITIVE,),
    ),
)
