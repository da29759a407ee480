"""Derivatives of digamma of any order: polygamma(n, x) = (-1)^(n+1)·n!·Σ 1/(x + k)^(n+1), summed over k >= 0.

The first terms are added one by one, the rest by the Euler-Maclaurin formula at the midpoint u = x + 19/2, where it has
no terms of odd order (M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 6.4.10, 23.1.30). All is
relative to the first term, so that nothing overflows that need not, and what sums and quotients lose before they are
raised to a power goes in to first order. The first term, with n!, is one exponential of a sum of two float64. Below 0
the sum over all whole numbers is taken round the nearest of them.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import factorial
from typing import Final

from gradmill_server.engine.lanes import Lanes, Mask, call, choose, constant, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import DoubleDouble, two_product, two_sum
from gradmill_server.engine.vector_math.extended import (
    LN2_HIGH,
    LN2_LOW,
    extended_exponential_anywhere,
    extended_logarithm,
    split,
    split_any,
)
from gradmill_server.engine.vector_math.half_turns import turned
from gradmill_server.engine.vector_math.polynomials import horner

HIGHEST_ORDER: Final = 100
"""Orders beyond give NaN."""

_INFINITY: Final = float("inf")
_NAN: Final = float("nan")

_TERMS: Final = 10
"""How many terms of the series are added one by one."""

_MIDPOINT: Final = _TERMS - 0.5

_LEAST: Final = 2.0**-60
"""Below this all terms but the first are nothing."""

_MOST: Final = 2.0**60
"""Above this the sum is its integral."""

_HELD_UP: Final = 200
"""Doublings that keep a first term normal which the sum, below 2^60, makes normal."""

_LARGEST_EXACT: Final = 20
"""The factorials up to this number's are float64."""

_HALF_LOG_TWO_PI: Final = (0.9189385332046728, -3.8782941580672414e-17)
_STIRLING: Final = tuple(
    float(Fraction(*term))
    for term in ((-1, 24), (7, 2880), (-31, 40320), (127, 215040), (-511, 608256), (1414477, 738017280))
)
"""log n! - u·(log u - 1) - log(2π)/2 for u = n + 1/2, in odd powers of 1/u; beyond n = 20 it errs by 2^-64."""

_BERNOULLI: Final = (
    Fraction(1),
    Fraction(1, 6),
    Fraction(-1, 30),
    Fraction(1, 42),
    Fraction(-1, 30),
    Fraction(5, 66),
    Fraction(-691, 2730),
    Fraction(7, 6),
    Fraction(-3617, 510),
    Fraction(43867, 798),
    Fraction(-174611, 330),
    Fraction(854513, 138),
    Fraction(-236364091, 2730),
)
"""The Bernoulli numbers of even index."""


def _midpoint_ratios() -> tuple[float, ...]:
    """Return the quotients of successive B_2j(1/2)/(2j)!, which are those of the formula but for powers and orders."""
    at_half = [(Fraction(2, 4**place) - 1) * number / factorial(2 * place) for place, number in enumerate(_BERNOULLI)]
    return tuple(float(later / earlier) for earlier, later in pairwise(at_half))


_RATIOS: Final = _midpoint_ratios()


def _power(base: DoubleDouble, order: Lanes) -> DoubleDouble:
    """Return a base >= 1 to the power -order, not normalised."""
    power = call("power", base.high, -order)
    return DoubleDouble(power, -power * (order * (base.low / base.high)))


def _ratio(x: Lanes, step: float) -> DoubleDouble:
    """Return (x + step)/x."""
    quotient = constant(x.emitter, step) / x
    lost = (-quotient).times_plus(x, step) / x
    high, low = two_sum(quotient, constant(x.emitter, 1.0))
    return DoubleDouble(high, low + lost)


def _remaining(x: Lanes, order: Lanes) -> DoubleDouble:
    """Return the series from the tenth term on, relative to its first term: u/(s - 1)·(x/u)^s·(1 + ...)."""
    u, u_low = two_sum(x, constant(x.emitter, _MIDPOINT))
    reciprocal = 1.0 / u
    square = reciprocal * reciprocal
    series = constant(x.emitter, 0.0)
    for place in reversed(range(len(_RATIOS))):
        factors = (order + (2.0 * place - 1.0)) * (order + 2.0 * place)
        step = factors * square * _RATIOS[place]
        series = step.times_plus(series, step)
    power, power_low = _power(_ratio(x, _MIDPOINT), order)
    product, lost = two_product(u, power)
    lost = (lost + u * power_low) + (u_low * power + product * series)
    below = order - 1.0
    quotient = product / below
    return DoubleDouble(quotient, ((-quotient).times_plus(below, product) + lost) / below)


def _sum_of_ratios(x: Lanes, order: Lanes) -> DoubleDouble:
    """Return the series relative to its first term, for x from 2^-60 to 2^60."""
    total, low = _remaining(x, order)
    for step in reversed(range(1, _TERMS)):
        term, term_low = _power(_ratio(x, float(step)), order)
        total, lost = two_sum(total, term)
        low = low + (lost + term_low)
    total, lost = two_sum(total, constant(x.emitter, 1.0))
    return DoubleDouble(total, low + lost)


def _log_factorial(n: Lanes) -> DoubleDouble:
    """Return log n!, by Stirling's formula where n! is no float64."""
    is_exact = n.less_equal(float(_LARGEST_EXACT))
    u = n + 0.5
    number = u
    for place in range(_LARGEST_EXACT + 1):
        number = choose(n.equals(float(place)), float(factorial(place)), number)
    high, low = extended_logarithm(split(number))
    factor, factor_low = two_sum(-1.0, high)
    leading, lost = two_product(u, factor)
    total, left = two_sum(leading, constant(n.emitter, _HALF_LOG_TWO_PI[0]))
    reciprocal = 1.0 / u
    series = reciprocal * horner(reciprocal * reciprocal, _STIRLING)
    rest = (left + lost) + (u * (factor_low + low) + (series + _HALF_LOG_TWO_PI[1]))
    return DoubleDouble(choose(is_exact, high, total), choose(is_exact, low, rest))


def _times_first_term(n: Lanes, x: Lanes, power: Lanes, factor: DoubleDouble) -> Lanes:
    """Return n!/x^power times a factor up to 2^60."""
    high, low = _log_factorial(n)
    logarithm, logarithm_low = extended_logarithm(split_any(x))
    product, lost = two_product(-power, logarithm)
    exponent, left = two_sum(high, product)
    rest = left + (low + (lost - power * logarithm_low))
    is_small = exponent.less(0.0)
    raised, raised_lost = two_sum(exponent, choose(is_small, _HELD_UP * LN2_HIGH, 0.0))
    rest = rest + raised_lost + choose(is_small, _HELD_UP * LN2_LOW, 0.0)
    exponential = extended_exponential_anywhere(DoubleDouble(raised + rest, (raised - (raised + rest)) + rest))
    value = exponential.times_plus(factor.high, exponential * factor.low)
    value = choose(exponential.equals(_INFINITY), _INFINITY, value)
    return value * choose(is_small, 2.0**-_HELD_UP, 1.0)


def _polygamma_magnitude(n: Lanes, x: Lanes) -> Lanes:
    """Write |polygamma(n, x)| for x > 0 and whole n from 1 to 100.

    Within 2 ulp. Source: Abramowitz and Stegun 6.4.10, 23.1.30 (see the module).
    """
    order = n + 1.0
    is_far = x.greater(_MOST)
    clipped = choose(x.less(_LEAST), _LEAST, choose(is_far, _MOST, x))
    total, low = _sum_of_ratios(clipped, order)
    factor = DoubleDouble(choose(is_far, 1.0 / n, total), choose(is_far, 0.0, low))
    usual = _times_first_term(n, x, choose(is_far, n, order), factor)
    return choose(x.equals(_INFINITY), 0.0, choose(x.is_nan(), x, usual))


def _near_one(n: Lanes, offset: Lanes) -> Lanes:
    """Return |polygamma(n, 1 + offset)| for |offset| <= 1/2."""
    argument, lost = two_sum(1.0, offset)
    # With the order, terms after the first stop to matter for how fast the sum falls.
    return call("polygamma_magnitude", n, argument) * (1.0 - (n + 1.0) * (lost / argument))


def _below_zero(n: Lanes, x: Lanes, is_odd: Mask) -> Lanes:
    """Return polygamma(n, x) for x <= 0 and n from 2 to 100, by the sum over all whole numbers less that above x."""
    fraction, _ = turned(abs(x))
    # Counted from the nearest whole number towards x, of either sign.
    offset = -fraction
    size = abs(offset)
    one = DoubleDouble(constant(x.emitter, 1.0), constant(x.emitter, 0.0))
    nearest = _times_first_term(n, size, n + 1.0, one)
    right, left = _near_one(n, offset), _near_one(n, -offset)
    beyond = call("polygamma_magnitude", n, 1.0 - x)
    odd = (nearest + (right + left)) - beyond
    even = (choose(offset.less(0.0), nearest, -nearest) + (left - right)) - beyond
    regular = choose(is_odd, odd, even)
    at_zero = choose(is_odd, _INFINITY, constant(x.emitter, -_INFINITY).with_sign_of(-x))
    at_pole = choose(x.equals(0.0), at_zero, choose(is_odd, _INFINITY, _NAN))
    return choose(size.equals(0.0), at_pole, choose(nearest.equals(_INFINITY), choose(is_odd, nearest, even), regular))


def _polygamma(n: Lanes, x: Lanes) -> Lanes:
    """Write the derivative of digamma(x) of an order rounded to a whole number; NaN below 0 and beyond 100.

    Within 2 ulp; below 0 and for even orders the last place is that of the largest of the terms that cancel.
    Source: Abramowitz and Stegun 6.4.10, 23.1.30 (see the module).
    """
    whole = n.rint()
    half = whole * 0.5
    is_odd = half.floor().differs(half)
    magnitude = call("polygamma_magnitude", whole, x)
    usual = choose(is_odd, magnitude, -magnitude)
    signed = rare(x.less_equal(0.0), usual, lambda: _below_zero(whole, x, is_odd))

    def of_low_order() -> Lanes:
        low = choose(whole.equals(0.0), call("digamma", x), choose(whole.equals(1.0), call("trigamma", x), _NAN))
        return choose(whole.greater_equal(2.0) & whole.less_equal(float(HIGHEST_ORDER)), signed, low)

    is_usual = whole.greater_equal(2.0) & whole.less_equal(float(HIGHEST_ORDER))
    return rare(~is_usual, signed, of_low_order)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("polygamma", 2, _polygamma, bound=2.0),
    VectorFunction("polygamma_magnitude", 2, _polygamma_magnitude, bound=2.0),
)
"""polygamma, and its magnitude above 0."""
