"""The inverse hyperbolic functions, each as the logarithm of 1 plus a sum of two float64.

asinh(x) = log1p(x + x²/(1 + √(1 + x²))), acosh(1 + t) = log1p(t + √(t(t + 2))) and atanh(x) = log1p(2x/(1 - x))/2
neither cancel nor lose what is near their zeros (W. Kahan, "Branch cuts for complex elementary functions", 1987, has
these forms). What rounding the sum, the root or the quotient loses goes in as the second float64, by Dekker's sums and
products (Numer. Math. 18, 1971).
"""

from __future__ import annotations

from typing import Final

from gradmill_server.engine.lanes import Lanes, choose, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import fast_two_sum, two_product, two_sum
from gradmill_server.engine.vector_math.extended import split
from gradmill_server.engine.vector_math.logarithms import from_parts, log1p_of_sum

_INFINITY: Final = float("inf")
_NAN: Final = float("nan")
_LEAST_FAR: Final = 2.0**500
"""From here on the square may overflow, and both asinh(x) and acosh(x) are log(2x) to the last bit."""


def _log_of_double(x: Lanes) -> Lanes:
    """Return log(2x) for a large x, infinite ones and NaN included."""
    exponent, fraction = split(x)
    return choose(x.less(_INFINITY), from_parts(exponent + 1.0, fraction - 1.0), x)


def _asinh(x: Lanes) -> Lanes:
    """Write asinh(x), odd by construction.

    Within 1 ulp. Source: Kahan 1987 (see the module).
    """
    magnitude = abs(x)
    square = magnitude * magnitude
    root = (square + 1.0).sqrt()
    high, low = fast_two_sum(magnitude, square / (root + 1.0))
    is_far = ~magnitude.less(_LEAST_FAR)
    return rare(is_far, log1p_of_sum(high, low), lambda: _log_of_double(magnitude)).with_sign_of(x)


def _acosh(x: Lanes) -> Lanes:
    """Write acosh(x), NaN below 1; x - 1 is exact up to 2^53.

    Within 1 ulp. Source: Kahan 1987 (see the module).
    """
    above = x - 1.0
    factor, factor_low = two_sum(2.0, above)
    square, square_low = two_product(above, factor)
    root = square.sqrt()
    rest = (-root).times_plus(root, square) + above.times_plus(factor_low, square_low)
    high, low = two_sum(root, above)
    low = low + choose(root.greater(0.0), rest * (0.5 / root), 0.0)
    usual = choose(x.less(1.0), _NAN, log1p_of_sum(high, low))
    return rare(~x.less(_LEAST_FAR), usual, lambda: _log_of_double(x))


def _atanh(x: Lanes) -> Lanes:
    """Write atanh(x), odd by construction, infinite at -1 and 1 and NaN beyond.

    Within 1 ulp. Source: Kahan 1987 (see the module).
    """
    magnitude = abs(x)
    divisor, divisor_low = fast_two_sum(1.0, -magnitude)
    reciprocal = 1.0 / divisor
    dividend = magnitude + magnitude
    ratio = dividend * reciprocal
    remainder = (-ratio).times_plus(divisor, dividend) - ratio * divisor_low
    usual = log1p_of_sum(ratio, remainder * reciprocal) * 0.5
    outside = choose(magnitude.equals(1.0), _INFINITY, _NAN)
    return choose(magnitude.less(1.0), usual, outside).with_sign_of(x)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("asinh", 1, _asinh, bound=1.0),
    VectorFunction("acosh", 1, _acosh, bound=1.0),
    VectorFunction("atanh", 1, _atanh, bound=1.0),
)
"""asinh, acosh, atanh."""
