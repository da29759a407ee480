"""The error function's family, the normal quantile, and sinc.

Slopes are built on the Gaussians exp(-x²) and exp(-x²/2), computed so that the rounding of x² does not grow with x:
x is split into a head whose square is exact and a tail, and the exponential of the sum is the product of two
(W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23, 1969, does likewise).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gradmill_server.engine.lanes import vector_function
from gradmill_server.engine.ops.operation import REALS, Interval, Operation, Partial, Select
from gradmill_server.engine.ops.value import Value, elementwise
from gradmill_server.engine.vector_math.on_numpy import OnNumpy

if TYPE_CHECKING:
    from gradmill_server.engine.ir import FloatArray

_abs = elementwise("abs")
_erfinv = elementwise("erfinv")
_erfinv_slope = elementwise("erfinv_slope")
_exp_minus_square = elementwise("exp_minus_square")
_less = elementwise("less")
_normal_pdf = elementwise("normal_pdf")
_normal_ppf = elementwise("normal_ppf")
_normal_ppf_slope = elementwise("normal_ppf_slope")
_sinc = elementwise("sinc")
_sinc_slope = elementwise("sinc_slope")

_TWO_BY_ROOT_PI = 2.0 / math.sqrt(math.pi)
_ONE_BY_ROOT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)
_ROOT_HALF = math.sqrt(0.5)
_ROOT_HALF_TAIL = -4.833646656726457e-17
"""sqrt(1/2) minus its nearest float64."""

# Beyond this every Gaussian here is zero; much farther out the exponential of the square's tail would overflow.
_FAR = 64.0
_SPLITTER = 134217729.0
"""2**27 + 1: Dekker's constant, which cuts a float64 into two halves of 26 bits."""

# The second derivative of sinc as a polynomial of degree 9 in x², for |x| <= 1/2; its relative error is below 2^-69.
_SINC_CURVATURE = (
    -3.289868133696453,
    9.740909103400243,
    -5.722554723662526,
    1.4642794777886499,
    -0.21114729319055328,
    0.019592600673366413,
    -0.0012696089474515853,
    6.0748896592537615e-05,
    -2.234180297855848e-06,
    6.327490429746663e-08,
)
_NEAR_ZERO = 0.5

_libm_erf = np.frompyfunc(math.erf, 1, 1)
_libm_erfc = np.frompyfunc(math.erfc, 1, 1)


def _erf_value(x: FloatArray) -> FloatArray:
    """Compute erf by the C library, one element at a time: NumPy has none."""
    return np.asarray(_libm_erf(x), dtype=np.float64)


def _erfc_value(x: FloatArray) -> FloatArray:
    """Compute erfc by the C library, one element at a time: NumPy has none."""
    return np.asarray(_libm_erfc(x), dtype=np.float64)


def _split(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return head and tail with x = head + tail and head² exact (T. J. Dekker, Numer. Math. 18, 1971)."""
    scaled = _SPLITTER * x
    head = scaled - (scaled - x)
    return head, x - head


def _gaussian(x: FloatArray, factor: float) -> FloatArray:
    """Compute exp(-factor·x²) to about one unit in the last place; ``factor`` is 1 or 1/2."""
    near = np.clip(x, -_FAR, _FAR)
    head, tail = _split(near)
    return np.exp(-factor * (head * head)) * np.exp(-factor * (tail * (near + head)))


def _exp_minus_square_value(x: FloatArray) -> FloatArray:
    return _gaussian(x, 1.0)


def _normal_pdf_value(x: FloatArray) -> FloatArray:
    return _ONE_BY_ROOT_TWO_PI * _gaussian(x, 0.5)


def _normal_cdf_value(x: FloatArray) -> FloatArray:
    """Compute erfc(-x/sqrt(2))/2, with the rounding of the argument put right to first order.

    In the lower tail erfc's relative slope is about 2t, so an argument off by half a unit would cost x²/2 units.
    """
    near = np.clip(x, -_FAR, _FAR)
    argument = -near * _ROOT_HALF
    head, tail = _split(near)
    root_head, root_tail = _split(np.array(_ROOT_HALF))
    product_tail = ((head * root_head + argument) + head * root_tail + tail * root_head) + tail * root_tail
    error = -(product_tail + near * _ROOT_HALF_TAIL)
    return 0.5 * (_erfc_value(argument) - error * _TWO_BY_ROOT_PI * _gaussian(argument, 1.0))


def _sinc_slope_partial(slope: Value, x: Value) -> Partial:
    """Return the second derivative: near 0 a polynomial, elsewhere by x·y'' + 2·y' + π²·x·y = 0, which sinc obeys."""
    square = x * x
    *coefficients, last = _SINC_CURVATURE
    near: Value | float = last
    for coefficient in reversed(coefficients):
        near = coefficient + square * near
    return Select(_less(_abs(x), _NEAR_ZERO), near, -(2.0 * (slope / x) + math.pi**2 * _sinc(x)))


OPERATIONS = (
    Operation(
        name="erf",
        summary="The error function.",
        value=_erf_value,
        lanes=vector_function("erf"),
        partials=(lambda _z, x: _TWO_BY_ROOT_PI * _exp_minus_square(x),),
        domain=(Interval(-6.0, 6.0),),
    ),
    Operation(
        name="erfc",
        summary="The complementary error function 1 - erf(x), exact also where it is tiny.",
        value=_erfc_value,
        lanes=vector_function("erfc"),
        partials=(lambda _z, x: -_TWO_BY_ROOT_PI * _exp_minus_square(x),),
        domain=(Interval(-6.0, 26.0),),
    ),
    Operation(
        name="normal_cdf",
        summary="The standard normal distribution function, exact also in the lower tail.",
        value=_normal_cdf_value,
        lanes=vector_function("normal_cdf"),
        partials=(lambda _z, x: _normal_pdf(x),),
        aliases=("norm_cdf", "ndtr"),
        domain=(Interval(-37.0, 9.0),),
        source="Abramowitz and Stegun 26.2.29",
    ),
    Operation(
        name="normal_pdf",
        summary="The standard normal density exp(-x*x/2)/sqrt(2*pi).",
        value=_normal_pdf_value,
        lanes=vector_function("normal_pdf"),
        partials=(lambda z, x: -(x * z),),
        aliases=("norm_pdf",),
        domain=(Interval(-37.0, 37.0),),
        source="Abramowitz and Stegun 26.2.1",
    ),
    Operation(
        name="exp_minus_square",
        summary="exp(-x*x), to the last digits however large x is.",
        value=_exp_minus_square_value,
        lanes=vector_function("exp_minus_square"),
        partials=(lambda z, x: -2.0 * (x * z),),
        internal=True,
        domain=(Interval(-26.0, 26.0),),
    ),
    Operation(
        name="erfinv",
        summary="The inverse of the error function; infinite at -1 and 1, NaN beyond.",
        value=OnNumpy("erfinv"),
        lanes=vector_function("erfinv"),
        partials=(lambda _z, x: _erfinv_slope(x),),
        convention="inf at -1 and 1",
        domain=(Interval(-1.0 + 1e-12, 1.0 - 1e-12),),
    ),
    Operation(
        name="erfinv_slope",
        summary="The slope of erfinv, exact to the last digits also near -1 and 1.",
        value=OnNumpy("erfinv_slope"),
        lanes=vector_function("erfinv_slope"),
        partials=(lambda z, x: 2.0 * (_erfinv(x) * (z * z)),),
        internal=True,
        domain=(Interval(-1.0 + 1e-12, 1.0 - 1e-12),),
    ),
    Operation(
        name="normal_ppf",
        summary="The standard normal quantile, inverse of normal_cdf; infinite at 0 and 1, NaN beyond.",
        value=OnNumpy("normal_ppf"),
        lanes=vector_function("normal_ppf"),
        partials=(lambda _z, x: _normal_ppf_slope(x),),
        aliases=("norm_ppf", "ndtri"),
        convention="inf at 0 and 1",
        domain=(Interval(1e-12, 1.0 - 1e-12),),
        source="M. J. Wichura, Appl. Statist. 37, 1988",
    ),
    Operation(
        name="normal_ppf_slope",
        summary="The slope of normal_ppf, exact to the last digits also near 0 and 1.",
        value=OnNumpy("normal_ppf_slope"),
        lanes=vector_function("normal_ppf_slope"),
        partials=(lambda z, x: _normal_ppf(x) * (z * z),),
        internal=True,
        domain=(Interval(1e-12, 1.0 - 1e-12),),
    ),
    Operation(
        name="sinc",
        summary="sin(pi*x)/(pi*x), and 1 for x = 0.",
        value=OnNumpy("sinc"),
        lanes=vector_function("sinc"),
        partials=(lambda _z, x: _sinc_slope(x),),
        domain=(REALS,),
    ),
    Operation(
        name="sinc_slope",
        summary="The slope of sinc, exact to the last digits also near 0.",
        value=OnNumpy("sinc_slope"),
        lanes=vector_function("sinc_slope"),
        partials=(_sinc_slope_partial,),
        internal=True,
        domain=(REALS,),
    ),
)
