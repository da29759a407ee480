"""Logarithm and exponential with digits to spare: what powers and sums of exponentials are made of.

The argument of the logarithm is taken apart as 2^k·m with m in [√½, √2), and log m = 2 artanh s for
s = (m - 1)/(m + 1), as the odd series in s (Muller, "Elementary Functions", ch. 6; the reduction is that of Cody and
Waite, "Software Manual for the Elementary Functions", 1980, ch. 5 and 6). Coefficients are our own, by Remez exchange
at 60 digits.
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial
from typing import Final, NamedTuple

from gradmill_server.engine.lanes import Lanes, Mask, choose, constant
from gradmill_server.engine.vector_math.double_double import (
    DoubleDouble,
    fast_two_sum,
    product,
    square,
    sum_of,
    two_product,
    two_sum,
)
from gradmill_server.engine.vector_math.exponents import Whole, nearest_whole, power_of_two, scale, scale_normal
from gradmill_server.engine.vector_math.polynomials import horner

LN2_HIGH: Final = float.fromhex("0x1.62e42fefa3800p-1")
"""The first 42 bits of log 2, so that a multiple by an exponent is exact."""

LN2_LOW: Final = float.fromhex("0x1.ef35793c76730p-45")
"""The rest of log 2; together they err by 2^-102."""

LARGEST_USUAL_EXPONENT: Final = 708.0
"""Below this magnitude the exponential neither overflows nor is subnormal."""

_PER_LN2: Final = float.fromhex("0x1.71547652b82fep+0")
_SMALLEST_NORMAL: Final = float.fromhex("0x1p-1022")
_INFINITY: Final = float("inf")
_TWO_54: Final = float.fromhex("0x1p54")
_BITS_OF_SQRT_HALF: Final = 0x3FE6A09E667F3BCD
_BITS_OF_ONE: Final = 0x3FF0000000000000
_BITS_OF_TWO_52: Final = 0x4330000000000000
_FRACTION: Final = 0x000FFFFFFFFFFFFF

# (2 artanh(s)/s - 2 - 2s²/3 - 2s⁴/5)/s⁶ as a polynomial of degree 6 in s², for s² <= 0.02945; beside the whole
# logarithm its error is below 2^-72.
_ARTANH_TAIL: Final = (
    0.28571428571433155,
    0.22222222220014703,
    0.1818181860507334,
    0.1538457292871568,
    0.13335761829853082,
    0.11685070268519264,
    0.119107206603195,
)
_TWO_THIRDS: Final = (float.fromhex("0x1.5555555555555p-1"), float.fromhex("0x1.5555555555555p-55"))
_TWO_FIFTHS: Final = (float.fromhex("0x1.999999999999ap-2"), float.fromhex("-0x1.999999999999ap-56"))

# (exp(r) - 1 - r)/r² as a polynomial of degree 10, for |r| <= log(2)/2; beside exp(r) its error is below 2^-64.
_EXPONENTIAL: Final = (
    0.5,
    0.16666666666666682,
    0.041666666666666095,
    0.008333333333317048,
    0.0013888888889115449,
    0.00019841269896350833,
    2.4801586926864357e-05,
    2.755723489541391e-06,
    2.7557581732503683e-07,
    2.511202497289368e-08,
    2.082664150042849e-09,
)

# What the other two parts leave of log 2.
_LN2_LOWEST: Final = float.fromhex("0x1.f97b57a079a19p-103")


def _halves(number: Fraction) -> tuple[float, float]:
    """Return a fraction as the sum of two float64."""
    high = float(number)
    return high, float(number - Fraction(high))


# 1/n! from n = 1 on.
_INVERSE_FACTORIALS: Final = tuple(_halves(Fraction(1, factorial(count))) for count in range(1, 26))
_TERMS_IN_FULL: Final = 14


class Split(NamedTuple):
    """A positive number as 2^exponent·fraction.

    Attributes:
        exponent: a whole number.
        fraction: in [√½, √2).
    """

    exponent: Lanes
    fraction: Lanes


def is_positive_normal(x: Lanes) -> Mask:
    """Hold where x is positive, normal and finite."""
    return x.greater_equal(_SMALLEST_NORMAL) & x.less(_INFINITY)


def split(x: Lanes) -> Split:
    """Take a positive normal number apart. Elsewhere the result is some number."""
    # The exponent field counts from √½ on. It stays positive, so that a logical shift will do, and is made a float64
    # by the sum with 2^52: AVX2 has neither the arithmetic shift nor the conversion.
    biased = x.as_bits() + (_BITS_OF_ONE - _BITS_OF_SQRT_HALF)
    exponent = (biased.logical_right(52) | _BITS_OF_TWO_52).as_lanes() - (2.0**52 + 1023.0)
    return Split(exponent, ((biased & _FRACTION) + _BITS_OF_SQRT_HALF).as_lanes())


def split_any(x: Lanes) -> Split:
    """Take a positive finite number apart, be it subnormal."""
    subnormal = x.less(_SMALLEST_NORMAL)
    exponent, fraction = split(choose(subnormal, x * _TWO_54, x))
    return Split(choose(subnormal, exponent - 54.0, exponent), fraction)


def extended_logarithm(x: Split) -> DoubleDouble:
    """Return the natural logarithm; it errs by less than 2^-70 of itself."""
    of_fraction = extended_logarithm_of_fraction(x.fraction)
    high, low = sum_of((x.exponent * LN2_HIGH, x.exponent * LN2_LOW), of_fraction)
    return fast_two_sum(high, low)


def extended_logarithm_of_fraction(fraction: Lanes) -> DoubleDouble:
    """Return the natural logarithm of a number in [√½, √2), not normalised; it errs by less than 2^-70 of itself."""
    whole = fast_two_sum(1.0, fraction)
    excess = fraction - 1.0
    reciprocal = 1.0 / whole.high
    ratio = excess * reciprocal
    remainder = (-ratio).times_plus(whole.high, excess) - ratio * whole.low
    s = DoubleDouble(ratio, remainder * reciprocal)
    z = square(s)
    tail = z.high.times_plus(horner(z.high, _ARTANH_TAIL), _TWO_FIFTHS[1])
    fifths = fast_two_sum(_TWO_FIFTHS[0], tail)
    series = product(z, sum_of(_TWO_THIRDS, product(z, fifths)))
    return sum_of((s.high + s.high, s.low + s.low), product(s, series))


def _reduced_exponential(x: DoubleDouble) -> tuple[Lanes, Whole]:
    """Return exp(x - n·log 2), and the whole number n nearest to x/log 2."""
    n = nearest_whole(x.high, _PER_LN2)
    # Exact: both terms are multiples of the difference's last place.
    high = (-n.number).times_plus(LN2_HIGH, x.high)
    r, rest = fast_two_sum(high, (-n.number).times_plus(LN2_LOW, x.low))
    one_and_r, left = fast_two_sum(1.0, r)
    low = (r * r).times_plus(horner(r, _EXPONENTIAL), rest.times_plus(one_and_r, left))
    return one_and_r + low, n


def extended_exponential(x: DoubleDouble) -> Lanes:
    """Return exp(x) for |x| < 708, rounded; it errs by less than 0.6 of a unit in the last place if x is exact."""
    reduced, n = _reduced_exponential(x)
    return scale_normal(reduced, n.pattern)


def extended_exponential_anywhere(x: DoubleDouble) -> Lanes:
    """Return exp(x) for any x, infinite or NaN too, overflowing to infinity and underflowing gradually."""
    high = choose(x.high.less(-800.0), -800.0, choose(x.high.greater(800.0), 800.0, x.high))
    # Beside an infinite high part the low one is NaN.
    low = choose(high.equals(x.high), x.low, 0.0)
    reduced, n = _reduced_exponential(DoubleDouble(high, low))
    return choose(x.high.is_nan(), x.high, scale(reduced, n.number))


class ScaledExponential(NamedTuple):
    """An exponential as scale·(1 + excess).

    Attributes:
        scale: a power of two.
        excess: from -0.3 to 0.42; it errs by a few parts in 2^104 of itself.
    """

    scale: Lanes
    excess: DoubleDouble


def extended_expm1(x: Lanes, doublings: int = 0) -> ScaledExponential:
    """Return 2^doublings times the exponential of x <= 0, twice as precise as a float64.

    By Taylor's series, the first terms in double-double. Slow: for rare cases. The result must be above 2^-1000.
    """
    n = nearest_whole(x, _PER_LN2)
    high = (-n.number).times_plus(LN2_HIGH, x)
    middle, rest = two_product(-n.number, constant(x.emitter, LN2_LOW))
    r, left = two_sum(high, middle)
    reduced = fast_two_sum(r, left + (-n.number).times_plus(_LN2_LOWEST, rest))
    tail = horner(reduced.high, [term[0] for term in _INVERSE_FACTORIALS[_TERMS_IN_FULL:]])
    series = DoubleDouble(tail, constant(x.emitter, 0.0))
    for term in reversed(_INVERSE_FACTORIALS[:_TERMS_IN_FULL]):
        series = sum_of(term, product(reduced, series))
    scale_of_x = n.pattern + doublings if doublings else n.pattern
    return ScaledExponential(power_of_two(scale_of_x), product(reduced, series))
