"""The logarithm of the gamma function, and its first two derivatives.

Beyond a few units all are Stirling's: with u = x - 1/2, for which the series has fewer terms, the rest beside
u·(log u - 1) + log(2π)/2, log u and 1/u is a polynomial in 1/(u² + c); the constant c moves the singularity at u = 0
away from the range. Nearer to 0 the recurrence adds what is missing, and where lgamma and digamma cross zero, between 1
and 2, the zeros are factors: (x - 1)(x - 2), and the distance from digamma's root, kept as two float64 (W. J. Cody,
A. J. Strecok and H. C. Thacher, "Chebyshev approximations for the psi function", Math. Comp. 27, 1973, do so). For
negative x the reflections hold (M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 6.1.17, 6.3.7,
6.4.7). Coefficients are our own, by Remez exchange at 54 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gradmill_server.engine.lanes import Lanes, call, choose, constant, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import (
    DoubleDouble,
    fast_two_sum,
    product,
    square,
    two_product,
    two_sum,
)
from gradmill_server.engine.vector_math.error_functions import evaluate
from gradmill_server.engine.vector_math.extended import Split, extended_logarithm, split, split_any
from gradmill_server.engine.vector_math.half_turns import PI, sine_and_cosine, turned
from gradmill_server.engine.vector_math.polynomials import horner

_INFINITY: Final = float("inf")
_NAN: Final = float("nan")
_LEAST_NORMAL: Final = 2.0**-1022
_HUGE: Final = 2.0**500
"""From here on reciprocals of squares are nothing, and what is lost beside an infinity is not looked for."""

_TINY: Final = 2.0**-60
"""Below this lgamma is -log|x| on either side of 0."""

_LARGEST_USUAL: Final = 1e300
"""Up to here lgamma is finite."""

_ROOT_FROM_MIDDLE: Final = (0.03836785503163766, 1.6445603550442201e-18)
"""3/2 minus the positive root of digamma, as the sum of two float64."""

_HALF_LOG_TWO_PI: Final = (0.9189385332046728, -3.8782941580672414e-17)
_LOG_PI: Final = (1.1447298858494002, 1.0265951162707826e-17)

# digamma(x)/(x - root) in powers of x - 3/2 from 1 to 2: degree 22, relative error below 2^-58.
_DIGAMMA_NEAR: Final = (
    0.9510558760318328,
    -0.4236274212814606,
    0.24054248424078722,
    -0.1484049230538802,
    0.09498872445285002,
    -0.061922133275550455,
    0.04076083394337775,
    -0.026975796657315438,
    0.01790724823594765,
    -0.01190822015996442,
    0.007927023321430028,
    -0.0052799365465260005,
    0.003518088764711913,
    -0.0023455005719212056,
    0.0015635030246950346,
    -0.0010364281980067087,
    0.0006902836207715892,
    -0.0004860467787793845,
    0.0003258771957600899,
    -0.00014463477455904108,
    9.32997941309136e-05,
    -0.00017834985270857916,
    0.00012117074950983246,
)
_DIGAMMA_NEAR_LOW: Final = 4.3050172537687797e-17
"""What is missing of the constant term."""

# (digamma(u + 1/2) - log u)/r in powers of r = 1/(u² + 3/2), from u = 3/2 on: degree 17; beside the whole its error is
# below 2^-61.
_DIGAMMA_FAR: Final = (
    0.041666666666664895,
    0.05520833333418469,
    0.07571924588132195,
    0.10457125652270981,
    0.14715279544150361,
    0.20421743876157314,
    0.3031410326977135,
    0.3585349043387855,
    0.8892010480321764,
    -0.4117905477422078,
    4.87219828597714,
    -0.18254469381213004,
    -43.13661874273689,
    281.29861374292227,
    -895.4789048720767,
    1820.8124156135905,
    -2152.138468472616,
    1227.1784850754484,
)
_DIGAMMA_CENTER: Final = 1.5

# (u·trigamma(u + 1/2) - 1)/r in powers of r = 1/(u² + 2), from u = 5/2 on: degree 13; beside the whole its error is
# below 2^-61.
_TRIGAMMA_FAR: Final = (
    -0.08333333333333245,
    -0.13750000000069879,
    -0.2397321426625566,
    -0.4219866347584446,
    -0.7645953526601654,
    -1.3588934837022477,
    -2.63934658181098,
    -3.8924419340127017,
    -13.498374433651357,
    11.42150332263626,
    -147.9158657735927,
    280.56726914726624,
    -586.4684743647387,
    -231.15628383568364,
)
_TRIGAMMA_CENTER: Final = 2.0

# lgamma(x)/((x - 1)(x - 2)) in powers of x - 3/2 from 1 to 2: degree 21, relative error below 2^-59.
_LGAMMA_NEAR: Final = (
    0.4831289505409809,
    -0.14595989591430608,
    0.06291140107456437,
    -0.031308487501009404,
    0.016797098631276455,
    -0.009425622448634104,
    0.005446457839008044,
    -0.003212074069405125,
    0.0019229163158696507,
    -0.0011644146789570873,
    0.0007115190213971323,
    -0.00043799183717786733,
    0.0002713141589510101,
    -0.00016892800604808713,
    0.00010535275452375359,
    -6.608845857209353e-05,
    4.303575666007758e-05,
    -2.7370099776763624e-05,
    1.3170791745516043e-05,
    -8.055034143450032e-06,
    1.2152209348624172e-05,
    -7.989687305460328e-06,
)
_LGAMMA_NEAR_LOW: Final = 1.730530285778948e-17
"""What is missing of the constant term."""

# (lgamma(u + 1/2) - u·(log u - 1) - log(2π)/2)/(u·r) in powers of r = 1/(u² + 3/2), from u = 5/2 on: degree 11; beside
# the whole its error is below 2^-58.
_LGAMMA_FAR: Final = (
    -0.04166666666665954,
    -0.06006944444747329,
    -0.08722718206689291,
    -0.12708802179991568,
    -0.18579920179570963,
    -0.2719848779947457,
    -0.3986951429661594,
    -0.5999431639564609,
    -0.7185323159361113,
    -2.237700542242739,
    2.045733652157608,
    -10.999786666993634,
)
_LGAMMA_CENTER: Final = 1.5


def _double(like: Lanes, number: tuple[float, float]) -> DoubleDouble:
    return DoubleDouble(constant(like.emitter, number[0]), constant(like.emitter, number[1]))


def _quotient(dividend: DoubleDouble, divisor: DoubleDouble) -> DoubleDouble:
    """Return the quotient, not normalised; infinities beside infinities are the caller's."""
    ratio = dividend.high / divisor.high
    remainder = (-ratio).times_plus(divisor.high, dividend.high) + (dividend.low - ratio * divisor.low)
    return DoubleDouble(ratio, remainder / divisor.high)


def _digamma_upwards(x: Lanes) -> DoubleDouble:
    """Return digamma(|x|) for x >= 1, and for all other x digamma(1 + |x|)."""
    magnitude = abs(x)
    is_raised = ~x.greater_equal(1.0)
    high, low = two_sum(magnitude - choose(is_raised, 0.5, 1.5), constant(x.emitter, _ROOT_FROM_MIDDLE[0]))
    low = low + _ROOT_FROM_MIDDLE[1]
    factor, factor_low = evaluate(magnitude - choose(is_raised, 0.5, 1.5), _DIGAMMA_NEAR)
    near, near_low = two_product(high, factor)
    near_low = high.times_plus(factor_low + _DIGAMMA_NEAR_LOW, low.times_plus(factor, near_low))
    u = magnitude + choose(is_raised, 0.5, -0.5)
    r = 1.0 / u.times_plus(u, _DIGAMMA_CENTER)
    logarithm = call("log", u)
    far, far_low = fast_two_sum(logarithm, r * horner(r, _DIGAMMA_FAR))
    far_low = choose(magnitude.less(_HUGE), far_low, 0.0)
    is_near = magnitude.less(choose(is_raised, 1.0, 2.0))
    return DoubleDouble(choose(is_near, near, far), choose(is_near, near_low, far_low))


def _plus(term: DoubleDouble, other: DoubleDouble) -> Lanes:
    """Return the sum of both, in any order, rounded; infinite where the first term is."""
    high, lost = two_sum(term.high, other.high)
    return choose(abs(term.high).equals(_INFINITY), term.high, high + (lost + (term.low + other.low)))


def _digamma(x: Lanes) -> Lanes:
    """Write digamma(x): infinite of the other sign at zeros, NaN at negative whole numbers.

    Within 2 ulp; below 0 the last place is that of the larger of digamma(1 - x) and π·cot(πx).
    Source: Cody, Strecok and Thacher 1973; Abramowitz and Stegun 6.3.5, 6.3.7 (see the module).
    """
    upwards = _digamma_upwards(x)
    reciprocal = -1.0 / x
    lost = reciprocal.times_plus(x, 1.0) * reciprocal
    raised = _plus(DoubleDouble(reciprocal, lost), upwards)
    usual = choose(x.less(1.0), raised, upwards.high + upwards.low)

    def below() -> Lanes:
        fraction, _ = turned(abs(x))
        sine, cosine = sine_and_cosine(fraction)
        cotangent, cotangent_low = _quotient(product(cosine, _double(x, PI)), sine)
        is_upper = fraction.less(0.0)
        signed = DoubleDouble(choose(is_upper, -cotangent, cotangent), choose(is_upper, -cotangent_low, cotangent_low))
        off_poles = choose(fraction.equals(0.0), _NAN, _plus(signed, upwards))
        return choose(x.equals(0.0), reciprocal, off_poles)

    return rare(x.less_equal(0.0), usual, below)


def _reciprocal_square(x: Lanes) -> DoubleDouble:
    """Return 1/x²; infinite with a NaN as low part where it overflows."""
    reciprocal = 1.0 / x
    lost = (-reciprocal).times_plus(x, 1.0) * reciprocal
    return square(DoubleDouble(reciprocal, lost))


def _trigamma_above_zero(x: Lanes) -> Lanes:
    u = x + choose(x.less(1.0), 2.5, choose(x.less(2.0), 1.5, choose(x.less(3.0), 0.5, -0.5)))
    r = 1.0 / u.times_plus(u, _TRIGAMMA_CENTER)
    leading = 1.0 / u
    lost = (-leading).times_plus(u, 1.0)
    lost = choose(x.less(_HUGE), lost, 0.0)
    total, low = leading, leading.times_plus(r * horner(r, _TRIGAMMA_FAR), leading * lost)
    for place in (2.0, 1.0, 0.0):
        is_term = x.less(3.0 - place)
        term = _reciprocal_square(x + place if place else x)
        total, left = two_sum(total, choose(is_term, term.high, 0.0))
        low = low + (left + choose(is_term, term.low, 0.0))
    return choose(total.equals(_INFINITY), total, total + low)


def _trigamma(x: Lanes) -> Lanes:
    """Write the derivative of digamma(x), infinite at 0 and negative whole numbers.

    Within 2 ulp. Source: Abramowitz and Stegun 6.4.6, 6.4.7, 6.4.12 (see the module).
    """
    is_above = ~x.less_equal(0.0)
    usual = _trigamma_above_zero(choose(is_above, x, 1.0 - x))

    def below() -> Lanes:
        fraction, _ = turned(abs(x))
        sine, _ = sine_and_cosine(fraction)
        whole, low = square(_quotient(_double(x, PI), sine))
        reflected = choose(whole.equals(_INFINITY), whole, (whole - usual) + low)
        return choose(fraction.equals(0.0), _INFINITY, reflected)

    return rare(~is_above, usual, below)


def _lgamma_above_zero(x: Lanes, parts_of: Callable[[Lanes], Split]) -> DoubleDouble:
    """Return lgamma(x) for 0 < x <= 1e300.

    From 3 on by Stirling's formula; below as lgamma(a) for a in [1, 2) plus or minus the logarithm of the step to x.
    """
    is_far = x.greater_equal(3.0)
    below_one, from_two = x.less(1.0), x.greater_equal(2.0)
    u = x - 0.5
    above = x - 1.0
    argument = choose(is_far, u, choose(below_one, x, choose(from_two, above, 1.0)))
    logarithm = extended_logarithm(parts_of(argument))

    smaller = choose(below_one, x, choose(from_two, x - 2.0, above))
    weight, weight_low = two_product(smaller, choose(below_one, above, choose(from_two, x - 3.0, x - 2.0)))
    t = x - choose(below_one, 0.5, choose(from_two, 2.5, 1.5))
    value, value_low = evaluate(t, _LGAMMA_NEAR)
    near = product(DoubleDouble(weight, weight_low), DoubleDouble(value, value_low + _LGAMMA_NEAR_LOW))
    step, step_low = (
        choose(below_one, -logarithm.high, logarithm.high),
        choose(below_one, -logarithm.low, logarithm.low),
    )
    near_sum, near_lost = two_sum(step, near.high)
    near_low = near_lost + (step_low + near.low)

    r = 1.0 / u.times_plus(u, _LGAMMA_CENTER)
    factor, factor_low = two_sum(-1.0, logarithm.high)
    whole, whole_low = product(
        DoubleDouble(u, constant(x.emitter, 0.0)), DoubleDouble(factor, factor_low + logarithm.low)
    )
    far_sum, far_lost = two_sum(_HALF_LOG_TWO_PI[0], whole)
    far_low = far_lost + (whole_low + (u * r).times_plus(horner(r, _LGAMMA_FAR), _HALF_LOG_TWO_PI[1]))
    return DoubleDouble(choose(is_far, far_sum, near_sum), choose(is_far, far_low, near_low))


def _log_of_product(first: Lanes, second: DoubleDouble) -> DoubleDouble:
    """Return the logarithm of a product of positive numbers, which itself may underflow."""
    x, y = split_any(first), split_any(second.high)
    scaled, lost = two_product(x.fraction, y.fraction)
    exponent, fraction = split(scaled)
    high, low = extended_logarithm(Split(exponent + (x.exponent + y.exponent), fraction))
    return DoubleDouble(high, low + (lost / scaled + second.low / second.high))


def _lgamma(x: Lanes) -> Lanes:
    """Write the logarithm of |Γ(x)|, infinite at 0, at negative whole numbers and at both infinities.

    Within 2 ulp; below 0 the last place is that of log|x·sin(πx)/π| where that is larger, or of 1.
    Source: Cody, Strecok and Thacher 1973; Abramowitz and Stegun 6.1.17, 6.1.40 (see the module).
    """
    above_zero = _lgamma_above_zero(x, split)
    usual = above_zero.high + above_zero.low

    def elsewhere() -> Lanes:
        magnitude = abs(x)
        value, value_low = _lgamma_above_zero(magnitude, split_any)
        huge = magnitude * (call("log", magnitude) - 1.0)
        value = choose(magnitude.greater(_LARGEST_USUAL), huge, choose(magnitude.equals(0.0), _INFINITY, value))
        value_low = choose(magnitude.greater(_LARGEST_USUAL), 0.0, value_low)
        fraction, _ = turned(magnitude)
        logarithm, logarithm_low = _log_of_product(magnitude, sine_and_cosine(fraction).sine)
        first, left = two_sum(_LOG_PI[0], -logarithm)
        total, lost = two_sum(first, -value)
        reflected = total + ((lost + left) + (_LOG_PI[1] - (logarithm_low + value_low)))
        at_a_pole = (fraction.equals(0.0) & x.less(0.0)) | magnitude.equals(_INFINITY)
        reflected = choose(at_a_pole, _INFINITY, reflected)
        is_reflected = x.less_equal(0.0) & magnitude.greater_equal(_TINY)
        return choose(is_reflected, reflected, value + value_low)

    is_usual = x.greater_equal(_LEAST_NORMAL) & x.less_equal(_LARGEST_USUAL)
    return rare(~is_usual, usual, elsewhere)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("lgamma", 1, _lgamma, bound=2.0),
    VectorFunction("digamma", 1, _digamma, bound=2.0),
    VectorFunction("trigamma", 1, _trigamma, bound=2.0),
)
"""lgamma, digamma, trigamma."""
