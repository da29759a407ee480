"""The exponential, and functions made of one.

Argument reduction in two parts follows W. J. Cody and W. Waite, "Software Manual for the Elementary Functions", 1980;
that the reduced argument is kept as head and tail and that 1 + head is summed without error follows P. T. P. Tang,
"Table-driven implementation of the exponential function", ACM TOMS 15, 1989. There is no table here: one polynomial
covers the whole reduced interval.
"""

from __future__ import annotations

from typing import NamedTuple

from gradmill_server.engine.lanes import Bits, Lanes, Mask, choose, constant, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import DoubleDouble, fast_two_sum, two_product
from gradmill_server.engine.vector_math.exponents import (
    nearest_whole,
    power_of_two,
    scale,
    scale_normal,
    whole_as_integer,
)
from gradmill_server.engine.vector_math.polynomials import horner

INFINITY = float("inf")

USUAL = 708.0
"""Up to this magnitude of the argument the exponential is a normal number, and so are its halves and doubles."""

_FAR = 800.0
"""Beyond this magnitude the exponential is infinite or zero; up to it the reduction is exact."""

_LOG2_E = 1.4426950408889634
_LN2_HEAD = 0.6931471805598903
"""ln 2 cut after 42 bits: its product with any whole number of 11 bits is exact."""
_LN2_TAIL = 5.497923018708371e-14

_LN2 = 0.6931471805599453
_LN2_REST = 2.3190468138462996e-17
"""ln 2 as the sum of two float64."""

_USUAL_DOUBLINGS, _OVERFLOW, _FAR_DOWN = 1020.0, 1024.0, 1080.0
"""Up to the first 2**x and its halves are normal; from the second on it is infinite; below minus the third it is 0."""

# Interpolation at Chebyshev nodes in t = r*r for |r| <= 0.3467, a little over ln(2)/2.
_EVEN = (
    0.04166666666666668,
    0.0013888888888879054,
    2.480158733649766e-05,
    2.7557263219790347e-07,
    2.09181596693241e-09,
)
"""(cosh(r) - 1 - r**2/2)/r**4 in powers of t, degree 4; the error of cosh(r) is below 2**-65."""
_ODD = (
    0.16666666666666669,
    0.008333333333330055,
    0.00019841269863088255,
    2.7557268406190795e-06,
    2.51004110820149e-08,
)
"""(sinh(r)/r - 1)/r**2 in powers of t, degree 4; the relative error of sinh(r) is below 2**-58."""

# Interpolation at Chebyshev nodes in t = s*s for 0 <= s <= 1/3.
_LOG1P = (
    0.6666666666666666,
    0.40000000000014585,
    0.2857142856710876,
    0.22222222717427864,
    0.18181789436132859,
    0.15385570064958623,
    0.13314144209654935,
    0.12001072809590713,
    0.08800738486144674,
    0.1616404561194353,
)
"""(2 atanh(s) - 2 s)/s**3 in powers of t, degree 9; the relative error of atanh(s) is below 2**-56."""


class Reduced(NamedTuple):
    """An argument x = n*ln(2) + r, where r = head + tail has at most about half of ln(2) in magnitude.

    Attributes:
        exponent: a whole number n.
        pattern: a pattern whose low bits are n as an integer.
        head: exact.
        tail: below 2**-33 in magnitude.
        rounded: head + tail, rounded.
        square: r**2, rounded.
        even: (cosh(r) - 1 - r**2/2)/r**4.
        odd: (sinh(r) - r)/r**3.
    """

    exponent: Lanes
    pattern: Bits
    head: Lanes
    tail: Lanes
    rounded: Lanes
    square: Lanes
    even: Lanes
    odd: Lanes

    def cosh_by_square(self) -> Lanes:
        """Return (cosh(r) - 1)/r**2."""
        return self.even.times_plus(self.square, 0.5)

    def above_head(self) -> Lanes:
        """Return exp(r) - 1 - head, to full precision beside 1 + head."""
        by_square = self.odd.times_plus(self.rounded, self.cosh_by_square())
        return by_square.times_plus(self.square, self.tail)

    def above_square(self) -> Lanes:
        """Return exp(r) - 1 - head - r**2/2, with the square as rounded."""
        by_square = self.odd.times_plus(self.rounded, self.even * self.square)
        return by_square.times_plus(self.square, self.tail)

    def exponential_in_parts(self) -> DoubleDouble:
        """Return exp(r), between 0.7 and 1.42, as 1 + head rounded and all that is left."""
        # |head| < 1, so that what the sum loses is told exactly.
        total, lost = fast_two_sum(1.0, self.head)
        return DoubleDouble(total, lost + self.above_head())

    def exponential(self) -> Lanes:
        """Return exp(r), between 0.7 and 1.42."""
        total, rest = self.exponential_in_parts()
        return total + rest


def reduce(head: Lanes, tail: Lanes | None = None) -> Reduced:
    """Return head + tail reduced by a multiple of ln(2).

    Args:
        head: up to 800 in magnitude; beyond, or for a NaN, everything returned is arbitrary.
        tail: a correction, up to 2**-34 in magnitude.
    """
    nearest = nearest_whole(head, _LOG2_E)
    reduced = nearest.number.times_plus(-_LN2_HEAD, head)
    rest = nearest.number * -_LN2_TAIL if tail is None else nearest.number.times_plus(-_LN2_TAIL, tail)
    rounded = reduced + rest
    square = rounded * rounded
    even = horner(square, _EVEN)
    odd = horner(square, _ODD)
    return Reduced(nearest.number, nearest.pattern, reduced, rest, rounded, square, even, odd)


def unusual(x: Lanes, bound: float = USUAL) -> Mask:
    """Hold where x is beyond a bound in magnitude, or a NaN."""
    return ~abs(x).less_equal(bound)


def scaled_at_the_ends(reduced: Reduced, x: Lanes, doublings: float = 0.0) -> Lanes:
    """Return 2**doublings times the exponential of any x, overflow, underflow and NaN included.

    Args:
        reduced: x reduced, with its tail if it has one.
        x: the argument itself, or its head.
        doublings: a whole number, of magnitude 1 at most.
    """
    graded = scale(reduced.exponential(), reduced.exponent + doublings if doublings else reduced.exponent)
    return choose(x.greater(_FAR), INFINITY, choose(x.less(-_FAR), 0.0, choose(x.is_nan(), x, graded)))


def exp_of_sum(head: Lanes, tail: Lanes | None = None) -> Lanes:
    """Write exp(head + tail), for use in other functions; below 0.7 units in the last place, 0.8 for subnormal results.

    Args:
        head: any float64; where it is infinite or NaN the tail is not looked at.
        tail: a correction, up to 2**-34 in magnitude; none by default.
    """
    reduced = reduce(head, tail)
    usual = scale_normal(reduced.exponential(), reduced.pattern)
    return rare(unusual(head), usual, lambda: scaled_at_the_ends(reduced, head))


def _exp(x: Lanes) -> Lanes:
    """Write exp(x).

    Within 0.8 ulp. Source: Cody and Waite 1980, Tang 1989 (see the module).
    """
    return exp_of_sum(x)


def _exp2(x: Lanes) -> Lanes:
    """Write 2**x, the fraction of x being multiplied by ln(2) in double-double: exact at whole numbers.

    Within 0.8 ulp. Source: Cody and Waite 1980, Tang 1989 (see the module).
    """
    whole = x.rint()
    fraction = x - whole
    head, tail = two_product(fraction, constant(x.emitter, _LN2))
    reduced = reduce(head, fraction.times_plus(_LN2_REST, tail))
    usual = scale_normal(reduced.exponential(), whole_as_integer(whole + reduced.exponent))

    def at_the_ends() -> Lanes:
        graded = scale(reduced.exponential(), whole + reduced.exponent)
        return choose(
            x.greater_equal(_OVERFLOW), INFINITY, choose(x.less(-_FAR_DOWN), 0.0, choose(x.is_nan(), x, graded))
        )

    return rare(unusual(x, _USUAL_DOUBLINGS), usual, at_the_ends)


def _expm1(x: Lanes) -> Lanes:
    """Write exp(x) - 1 as (2**n - 1) + 2**n * (r + r**2/2 + ...), in whose three leading terms no digit is lost.

    Around x = 0.4, where the first cancels half of the second, the third rounded would be felt.
    Within 1 ulp. Source: the reduction of Cody and Waite 1980, summed with Dekker's sums (Numer. Math. 18, 1971).
    """
    reduced = reduce(x)
    power = power_of_two(reduced.pattern)
    whole = power - 1.0
    # Above 2**53 the subtraction rounds.
    lost = (power - whole) - 1.0
    linear = power * reduced.head
    first = whole + linear
    first_lost = (linear - (first - whole)) + lost
    quadratic = (power * 0.5) * reduced.square
    second = first + quadratic
    second_lost = (quadratic - (second - first)) + first_lost
    usual = second + reduced.above_square().times_plus(power, second_lost)

    def at_the_ends() -> Lanes:
        return choose(x.less(0.0), -1.0, scaled_at_the_ends(reduced, x))

    # Only the sum of opposite numbers forgets a sign: that of -0.
    return rare(unusual(x), usual, at_the_ends).with_sign_of(x)


def quotient_of_sigmoid(x: Lanes, small: Lanes) -> DoubleDouble:
    """Return the logistic function of x as a quotient and its correction, given exp(-|x|)."""
    numerator = choose(x.greater_equal(0.0), 1.0, small)
    divisor = small + 1.0
    divisor_lost = small - (divisor - 1.0)
    reciprocal = 1.0 / divisor
    quotient = numerator * reciprocal
    remainder = (-quotient).times_plus(divisor, numerator) - quotient * divisor_lost
    return DoubleDouble(quotient, remainder * reciprocal)


def _sigmoid_of(x: Lanes, small: Lanes) -> Lanes:
    quotient, correction = quotient_of_sigmoid(x, small)
    return quotient + correction


def _sigmoid(x: Lanes) -> Lanes:
    """Write the logistic function as 1/(1 + e) or e/(1 + e), with e = exp(-|x|) that cannot overflow.

    One Newton step by the remainder takes away what the rounding of 1 + e and of the division cost. Within 1.5 ulp.
    Source: the quotient's correction by its remainder is Dekker's (Numer. Math. 18, 1971).
    """
    return _sigmoid_of(x, exp_of_sum(-abs(x)))


def _softplus_of(x: Lanes, small: Lanes) -> Lanes:
    divisor = small + 2.0
    divisor_lost = small - (divisor - 2.0)
    reciprocal = 1.0 / divisor
    ratio = small * reciprocal
    remainder = (-ratio).times_plus(divisor, small) - ratio * divisor_lost
    ratio_tail = remainder * reciprocal
    square = ratio * ratio
    higher = (square * ratio).times_plus(horner(square, _LOG1P), ratio_tail + ratio_tail)
    logarithm = (ratio + ratio) + higher
    # Where e is this small log(1 + e) is e, which may be subnormal and halved above.
    logarithm = choose(small.less(8.673617379884035e-19), small, logarithm)
    return choose(x.greater(0.0), x, 0.0) + logarithm


def _softplus(x: Lanes) -> Lanes:
    """Write max(x, 0) + log(1 + e) with e = exp(-|x|) and log(1 + e) = 2 atanh(s), s = e/(2 + e).

    The series in s is that of Cody and Waite's logarithm; s is kept as a sum of two float64. Within 1.5 ulp.
    Source: Cody and Waite 1980 (see the module).
    """
    return _softplus_of(x, exp_of_sum(-abs(x)))


def _softplus_and_sigmoid(x: Lanes) -> tuple[Lanes, Lanes]:
    """Write softplus(x) and its slope, the logistic function, with the bits of each alone.

    Both within 1.5 ulp. Source: Cody and Waite 1980 (see the module); Dekker 1971 (the quotient).
    """
    small = exp_of_sum(-abs(x))
    return _softplus_of(x, small), _sigmoid_of(x, small)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("exp", 1, _exp, bound=0.8),
    VectorFunction("exp2", 1, _exp2, bound=0.8),
    VectorFunction("expm1", 1, _expm1, bound=1.0),
    VectorFunction("sigmoid", 1, _sigmoid, bound=1.5),
    VectorFunction("softplus", 1, _softplus, bound=1.5),
    VectorFunction("softplus_and_sigmoid", 1, _softplus_and_sigmoid, bound=1.5, results=2),
)
"""exp, exp2, expm1, sigmoid, softplus, and the last two at once."""
