"""Functions that learning is made of: smooth steps and ramps, and Huber's loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.lanes import Lanes, call, choose, vector_function
from gradmill_server.engine.ops.operation import REALS, Interval, Operation, Partial, Select
from gradmill_server.engine.ops.value import Value, elementwise
from gradmill_server.engine.vector_math.on_numpy import OnNumpy

if TYPE_CHECKING:
    from gradmill_server.engine.ir import FloatArray

_abs = elementwise("abs")
_exp = elementwise("exp")
_greater = elementwise("greater")
_greater_equal = elementwise("greater_equal")
_less_equal = elementwise("less_equal")
_normal_cdf = elementwise("normal_cdf")
_normal_pdf = elementwise("normal_pdf")
_sigmoid = elementwise("sigmoid")
_sign = elementwise("sign")
_silu = elementwise("silu")
_strong_product = elementwise("strong_product")


def _log_sigmoid_value(x: FloatArray) -> FloatArray:
    """Compute -log(1 + exp(-x)) as min(x, 0) - log1p(exp(-|x|))."""
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


def _elu_value(x: FloatArray) -> FloatArray:
    return np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))


def _huber_value(x: FloatArray, delta: FloatArray) -> FloatArray:
    size = np.abs(x)
    tangent = np.where(delta >= 0.0, delta * (size - delta * 0.5), np.nan)
    return np.where(size <= delta, (size * 0.5) * size, tangent)


def _elu_lanes(x: Lanes) -> Lanes:
    return choose(x.greater(0.0), x, call("expm1", x))


def _silu_partial(x: Value) -> Partial:
    """Return s(x)·(1 + x·s(-x)) for the logistic s, the product being -silu(-x), which has a limit at infinity."""
    return _strong_product(_sigmoid(x), 1.0 - _silu(-x))


def _gelu_partial(x: Value) -> Partial:
    """Return the distribution function plus x times the density, which at infinity has vanished."""
    return _normal_cdf(x) + _strong_product(_normal_pdf(x), x)


def _huber_by_x(loss: Value, x: Value, delta: Value) -> Partial:
    """Return x, cut off at -delta and delta; the loss itself where delta is negative and it is NaN."""
    beyond = Select(_greater_equal(delta, 0.0), delta * _sign(x), loss)
    return Select(_less_equal(_abs(x), delta), x, beyond)


def _huber_by_delta(loss: Value, x: Value, delta: Value) -> Partial:
    """Return by how much |x| is beyond delta."""
    beyond = Select(_greater_equal(delta, 0.0), _abs(x) - delta, loss)
    return Select(_less_equal(_abs(x), delta), 0.0, beyond)


OPERATIONS = (
    Operation(
        name="log_sigmoid",
        summary="The logarithm of the logistic function, stable at both ends.",
        value=_log_sigmoid_value,
        lanes=lambda x: -call("softplus", -x),
        partials=(lambda _z, x: _sigmoid(-x),),
        aliases=("log_expit",),
        domain=(Interval(-700.0, 700.0),),
    ),
    Operation(
        name="silu",
        summary="x times the logistic function of x.",
        value=OnNumpy("silu"),
        lanes=vector_function("silu"),
        partials=(lambda _z, x: _silu_partial(x),),
        aliases=("swish",),
        domain=(Interval(-700.0, 700.0),),
        source="S. Elfwing, E. Uchibe and K. Doya, Neural Networks 107, 2018",
    ),
    Operation(
        name="gelu",
        summary="x times the standard normal distribution function of x, exactly.",
        value=OnNumpy("gelu"),
        lanes=vector_function("gelu"),
        partials=(lambda _z, x: _gelu_partial(x),),
        domain=(Interval(-37.0, 9.0),),
        source="D. Hendrycks and K. Gimpel, arXiv 1606.08415, 2016",
    ),
    Operation(
        name="elu",
        summary="x where x > 0, else exp(x) - 1.",
        value=_elu_value,
        lanes=_elu_lanes,
        partials=(lambda _z, x: Select(_greater(x, 0.0), 1.0, _exp(x)),),
        convention="1 at 0, where the second derivative is that from the left",
        domain=(REALS,),
        source="D.-A. Clevert, T. Unterthiner and S. Hochreiter, arXiv 1511.07289, 2015",
    ),
    Operation(
        name="huber",
        summary="Huber's loss, as huber(x, delta): x*x/2 from -delta to delta, its tangents beyond; NaN for delta < 0.",
        value=_huber_value,
        lanes=vector_function("huber"),
        partials=(_huber_by_x, _huber_by_delta),
        convention="at -delta and delta the second derivatives are those from within",
        domain=(REALS, Interval(0.0, 30.0)),
        source="P. J. Huber, Ann. Math. Statist. 35, 1964",
    ),
)
"""log_sigmoid, silu, gelu, elu, huber."""
