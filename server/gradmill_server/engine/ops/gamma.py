"""The logarithm of the gamma function, and its derivatives of any order."""

from __future__ import annotations

from gradmill_server.engine.lanes import vector_function
from gradmill_server.engine.ops.operation import Interval, Operation
from gradmill_server.engine.ops.value import elementwise
from gradmill_server.engine.vector_math.on_numpy import OnNumpy

_digamma = elementwise("digamma")
_polygamma = elementwise("polygamma")
_trigamma = elementwise("trigamma")

_POSITIVE = Interval(1e-3, 1e3)
_SECOND = 2.0

OPERATIONS = (
    Operation(
        name="lgamma",
        summary="The logarithm of the magnitude of the gamma function; infinite at 0 and negative whole numbers.",
        value=OnNumpy("lgamma"),
        lanes=vector_function("lgamma"),
        partials=(lambda _z, x: _digamma(x),),
        aliases=("gammaln", "loggamma"),
        convention="-inf at 0, NaN at negative whole numbers",
        domain=(_POSITIVE,),
        cost=80,
        source="Abramowitz and Stegun 6.1.40, 6.1.17",
    ),
    Operation(
        name="digamma",
        summary="The derivative of lgamma; infinite at 0, NaN at negative whole numbers.",
        value=OnNumpy("digamma"),
        lanes=vector_function("digamma"),
        partials=(lambda _z, x: _trigamma(x),),
        aliases=("psi",),
        convention="inf at 0 and negative whole numbers",
        domain=(_POSITIVE,),
        cost=80,
        source="Abramowitz and Stegun 6.3.18, 6.3.7",
    ),
    Operation(
        name="trigamma",
        summary="The derivative of digamma; infinite at 0 and negative whole numbers.",
        value=OnNumpy("trigamma"),
        lanes=vector_function("trigamma"),
        partials=(lambda _z, x: _polygamma(_SECOND, x),),
        convention="NaN at negative whole numbers",
        domain=(_POSITIVE,),
        cost=80,
        source="Abramowitz and Stegun 6.4.12, 6.4.7",
    ),
    Operation(
        name="polygamma",
        summary="The n-th derivative of digamma, as polygamma(n, x), for n rounded to a whole number from 0 to 100.",
        value=OnNumpy("polygamma"),
        lanes=vector_function("polygamma"),
        partials=(None, lambda _z, n, x: _polygamma(n + 1.0, x)),
        convention="0 throughout by n",
        domain=(Interval(0.0, 10.0), Interval(0.05, 200.0)),
        cost=2000,
        source="Abramowitz and Stegun 6.4.10",
    ),
)
"""lgamma, digamma, trigamma, polygamma."""
