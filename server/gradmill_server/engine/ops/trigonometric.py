"""Circular and hyperbolic functions and their inverses."""

from __future__ import annotations

import math

import numpy as np

from gradmill_server.engine.lanes import vector_function
from gradmill_server.engine.ops.operation import REALS, Interval, Operation, Partial, Select
from gradmill_server.engine.ops.value import Value, elementwise

_cos = elementwise("cos")
_cosh = elementwise("cosh")
_equal = elementwise("equal")
_hypot = elementwise("hypot")
_sech = elementwise("sech")
_sin = elementwise("sin")
_sinh = elementwise("sinh")
_sqrt = elementwise("sqrt")
_tanh = elementwise("tanh")

_UNIT = Interval(-1.0, 1.0)
_RADIANS_PER_DEGREE = math.pi / 180.0
_DEGREES_PER_RADIAN = 180.0 / math.pi


def _asin_partial(x: Value) -> Value:
    """Return 1/sqrt((1 - x)(1 + x)), which keeps its digits near x = ±1 where 1 - x² would not."""
    return 1.0 / _sqrt((1.0 - x) * (1.0 + x))


def _atan2_partial(along: Value, y: Value, x: Value) -> Partial:
    """Return along/(x² + y²) without overflow, and 0 at the origin."""
    radius = _hypot(y, x)
    return Select(_equal(radius, 0.0), 0.0, (along / radius) / radius)


def _hypot_partial(radius: Value, along: Value) -> Partial:
    """Return along/radius, and 0 at the origin: the subgradient of least norm."""
    return Select(_equal(radius, 0.0), 0.0, along / radius)


def _tanh_partial(x: Value) -> Value:
    """Return sech(x)², which keeps its digits where 1 - tanh(x)² has none left.

    As 1/cosh(x)² it would lose its own slope for large x, where the factor 1/cosh(x)⁴ vanishes on the way.
    """
    secant = _sech(x)
    return secant * secant


OPERATIONS = (
    Operation(
        name="sin",
        summary="The sine of x radians.",
        value=np.sin,
        lanes=vector_function("sin"),
        partials=(lambda _z, x: _cos(x),),
        domain=(REALS,),
    ),
    Operation(
        name="cos",
        summary="The cosine of x radians.",
        value=np.cos,
        lanes=vector_function("cos"),
        partials=(lambda _z, x: -_sin(x),),
        domain=(REALS,),
    ),
    Operation(
        name="tan",
        summary="The tangent of x radians.",
        value=np.tan,
        lanes=vector_function("tan"),
        partials=(lambda z, _x: 1.0 + z * z,),
        domain=(Interval(-1.5, 1.5),),
    ),
    Operation(
        name="asin",
        summary="The arc sine, in radians.",
        value=np.arcsin,
        lanes=vector_function("asin"),
        partials=(lambda _z, x: _asin_partial(x),),
        aliases=("arcsin",),
        convention="inf at -1 and 1",
        domain=(_UNIT,),
    ),
    Operation(
        name="acos",
        summary="The arc cosine, in radians.",
        value=np.arccos,
        lanes=vector_function("acos"),
        partials=(lambda _z, x: -_asin_partial(x),),
        aliases=("arccos",),
        convention="-inf at -1 and 1",
        domain=(_UNIT,),
    ),
    Operation(
        name="atan",
        summary="The arc tangent, in radians.",
        value=np.arctan,
        lanes=vector_function("atan"),
        partials=(lambda _z, x: 1.0 / (1.0 + x * x),),
        aliases=("arctan",),
        domain=(REALS,),
    ),
    Operation(
        name="atan2",
        summary="The angle of the point (x, y), as atan2(y, x), in radians.",
        value=np.arctan2,
        lanes=vector_function("atan2"),
        partials=(lambda _z, y, x: _atan2_partial(x, y, x), lambda _z, y, x: _atan2_partial(-y, y, x)),
        aliases=("arctan2",),
        convention="0 at the origin",
        domain=(REALS, REALS),
    ),
    Operation(
        name="sinh",
        summary="The hyperbolic sine.",
        value=np.sinh,
        lanes=vector_function("sinh"),
        partials=(lambda _z, x: _cosh(x),),
        domain=(Interval(-700.0, 700.0),),
    ),
    Operation(
        name="cosh",
        summary="The hyperbolic cosine.",
        value=np.cosh,
        lanes=vector_function("cosh"),
        partials=(lambda _z, x: _sinh(x),),
        domain=(Interval(-700.0, 700.0),),
    ),
    Operation(
        name="tanh",
        summary="The hyperbolic tangent.",
        value=np.tanh,
        lanes=vector_function("tanh"),
        partials=(lambda _z, x: _tanh_partial(x),),
        domain=(Interval(-300.0, 300.0),),
    ),
    Operation(
        name="sech",
        summary="The hyperbolic secant 1/cosh(x).",
        value=lambda x: 1.0 / np.cosh(x),
        lanes=vector_function("sech"),
        partials=(lambda z, x: -(z * _tanh(x)),),
        internal=True,
        domain=(Interval(-700.0, 700.0),),
    ),
    Operation(
        name="asinh",
        summary="The inverse hyperbolic sine.",
        value=np.arcsinh,
        lanes=vector_function("asinh"),
        partials=(lambda _z, x: 1.0 / _hypot(x, 1.0),),
        aliases=("arcsinh",),
        domain=(Interval(-1e3, 1e3),),
    ),
    Operation(
        name="acosh",
        summary="The inverse hyperbolic cosine.",
        value=np.arccosh,
        lanes=vector_function("acosh"),
        partials=(lambda _z, x: 1.0 / (_sqrt(x - 1.0) * _sqrt(x + 1.0)),),
        aliases=("arccosh",),
        convention="inf at 1",
        domain=(Interval(1.0, 1e3),),
    ),
    Operation(
        name="atanh",
        summary="The inverse hyperbolic tangent.",
        value=np.arctanh,
        lanes=vector_function("atanh"),
        partials=(lambda _z, x: 1.0 / ((1.0 - x) * (1.0 + x)),),
        aliases=("arctanh",),
        convention="inf at -1 and 1",
        domain=(Interval(-0.999999, 0.999999),),
    ),
    Operation(
        name="deg2rad",
        cost=1,
        summary="Degrees as radians.",
        value=np.deg2rad,
        lanes=lambda x: x * _RADIANS_PER_DEGREE,
        partials=(_RADIANS_PER_DEGREE,),
        aliases=("radians",),
        domain=(Interval(-720.0, 720.0),),
    ),
    Operation(
        name="rad2deg",
        cost=1,
        summary="Radians as degrees.",
        value=np.rad2deg,
        lanes=lambda x: x * _DEGREES_PER_RADIAN,
        partials=(_DEGREES_PER_RADIAN,),
        aliases=("degrees",),
        domain=(REALS,),
    ),
    Operation(
        name="hypot",
        summary="The length sqrt(x*x + y*y), without overflow.",
        value=np.hypot,
        lanes=vector_function("hypot"),
        partials=(lambda z, x, _y: _hypot_partial(z, x), lambda z, _x, y: _hypot_partial(z, y)),
        convention="0 at the origin",
        commutative=True,
        domain=(REALS, REALS),
    ),
)
