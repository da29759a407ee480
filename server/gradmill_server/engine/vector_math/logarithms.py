"""Logarithms.

The argument is 2^k·m with m = 1 + f in [√½, √2). With s = f/(2 + f) and R = (log(m)/s - 2) a polynomial in s²,
log(m) = f - (f²/2 - s·(f²/2 + R)): the leading term is exact and the rest small, which leaves little to round. To that
comes k·log 2, its first part exact too. (Cody and Waite, "Software Manual for the Elementary Functions", 1980, ch. 5;
Muller, "Elementary Functions", ch. 6. Coefficients are our own, by Remez exchange.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gradmill_server.engine.lanes import Lanes, Mask, call, choose, constant, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import DoubleDouble, fast_two_sum, product, two_sum
from gradmill_server.engine.vector_math.exponents import nearest_whole, power_of_two
from gradmill_server.engine.vector_math.extended import (
    LARGEST_USUAL_EXPONENT,
    LN2_HIGH,
    LN2_LOW,
    Split,
    extended_expm1,
    extended_exponential,
    extended_exponential_anywhere,
    extended_logarithm,
    extended_logarithm_of_fraction,
    is_positive_normal,
    split,
    split_any,
)
from gradmill_server.engine.vector_math.polynomials import horner

_INFINITY: Final = float("inf")
_NAN: Final = float("nan")
_TINY_EXPONENT: Final = -600.0
"""Below this an exponential is so small that the logarithm of one plus it is itself, and its square nothing."""

_PER_LN2: Final = (float.fromhex("0x1.71547652b82fep+0"), float.fromhex("0x1.777d0ffda0d24p-56"))
_PER_LN10: Final = (float.fromhex("0x1.bcb7b1526e50ep-2"), float.fromhex("0x1.95355baaafad3p-57"))
"""1/log 2 and 1/log 10, each as the sum of two float64."""

# Doublings that keep the low parts of what is subnormal, or nearly so.
_HELD_UP: Final = 200

# (2 artanh(s)/s - 2)/s² as a polynomial of degree 7 in s², for s² <= 0.02945; beside the whole logarithm its error is
# below 2^-66.
_ARTANH: Final = (
    0.6666666666666666,
    0.4000000000000624,
    0.2857142856908736,
    0.22222222646571452,
    0.18181775683767323,
    0.15387089950270558,
    0.13250136518180333,
    0.13251160407860055,
)


def from_parts(exponent: Lanes, excess: Lanes, rest: Lanes | None = None) -> Lanes:
    """Return exponent·log 2 + log(1 + excess + rest), the rest being below a last place of 1."""
    s = excess / (excess + 2.0)
    z = s * s
    half = excess * 0.5
    low = s.times_plus(z.times_plus(horner(z, _ARTANH), half * excess), exponent * LN2_LOW)
    if rest is not None:
        # The rest counts by the slope 1/(1 + excess) = (1 - s)/(1 + s).
        low = rest.times_plus(s.times_plus(s + s, 1.0) - (s + s), low)
    high, left = fast_two_sum(exponent * LN2_HIGH, excess)
    return high + (left - half.times_plus(excess, -low))


def _log(x: Lanes) -> Lanes:
    """Write log(x): -inf at both zeros, NaN below.

    Within 0.75 ulp. Source: Cody and Waite 1980; Muller, Elementary Functions (see the module).
    """
    parts = split(x)
    usual = from_parts(parts.exponent, parts.fraction - 1.0)
    return rare(~is_positive_normal(x), usual, lambda: _log_at_the_ends(x))


def _log_at_the_ends(x: Lanes) -> Lanes:
    parts = split_any(x)
    return at_the_ends_of_logarithms(x, from_parts(parts.exponent, parts.fraction - 1.0))


def at_the_ends_of_logarithms(x: Lanes, subnormal: Lanes) -> Lanes:
    """Return -inf at both zeros, inf at inf, NaN below zero and beside a NaN, elsewhere what is given."""
    special = choose(x.equals(0.0), -_INFINITY, choose(x.equals(_INFINITY), _INFINITY, _NAN))
    return choose(x.greater(0.0) & x.less(_INFINITY), subnormal, special)


def _to_base(x: Lanes, combined: Callable[[Split], Lanes]) -> Lanes:
    """Return a logarithm to another base, combined of the parts of its argument."""
    usual = combined(split(x))
    return rare(~is_positive_normal(x), usual, lambda: at_the_ends_of_logarithms(x, combined(split_any(x))))


def _log2_of(parts: Split) -> Lanes:
    of_fraction = product(extended_logarithm_of_fraction(parts.fraction), _double(parts.fraction, _PER_LN2))
    high, low = fast_two_sum(parts.exponent, of_fraction.high)
    return high + (low + of_fraction.low)


def _log2(x: Lanes) -> Lanes:
    """Write log2(x) as the exponent plus the fraction's logarithm in double-double: exact at powers of two.

    Within 0.55 ulp. Source: Muller, Elementary Functions (see `extended`).
    """
    return _to_base(x, _log2_of)


def _log10_of(parts: Split) -> Lanes:
    high, low = product(extended_logarithm(parts), _double(parts.fraction, _PER_LN10))
    return high + low


def _log10(x: Lanes) -> Lanes:
    """Write log10(x) as the natural logarithm times log10(e), both in double-double: exact at powers of ten.

    Within 0.55 ulp. Source: Muller, Elementary Functions (see `extended`).
    """
    return _to_base(x, _log10_of)


def _double(like: Lanes, number: tuple[float, float]) -> DoubleDouble:
    return DoubleDouble(constant(like.emitter, number[0]), constant(like.emitter, number[1]))


def _log1p(x: Lanes) -> Lanes:
    """Write log(1 + x), the sum with its rounding error.

    Within 0.75 ulp. Source: Cody and Waite 1980; Knuth, TAOCP 2, 4.2.2 (the sum).
    """
    usual = log1p_of_sum(x)
    # Far out, where 1 + x is x and 2^-k may not be normal, and outside the domain.
    beyond = ~(x.greater(-1.0) & x.less(2.0**1000))
    return rare(beyond, usual, lambda: call("log", x + 1.0))


def log1p_of_sum(high: Lanes, low: Lanes | None = None) -> Lanes:
    """Return log(1 + high + low) for -1 < high < 2^1000, within 0.75 ulp.

    Args:
        high: by far the larger part.
        low: below the last place of the other; none by default.
    """
    whole, rest = two_sum(1.0, high)
    parts = split(whole)
    unscaled = parts.exponent.equals(0.0)
    excess = choose(unscaled, high, parts.fraction - 1.0)
    rest = rest if low is None else rest + low
    scaled_rest = choose(unscaled, 0.0 if low is None else low, rest * _reciprocal_power(parts.exponent))
    # With the sign of x, for the sum with 0·log 2 would lose that of -0.
    return from_parts(parts.exponent, excess, scaled_rest).with_sign_of(high)


def _reciprocal_power(exponent: Lanes) -> Lanes:
    return power_of_two(nearest_whole(-exponent).pattern)


def _xlogy(x: Lanes, y: Lanes) -> Lanes:
    """Return the product, and 0 where x is 0 and y finite and not negative: there it has that limit.

    Within 1.6 ulp. Source: that of the logarithm (see the module).
    """
    return choose(x.equals(0.0) & y.greater_equal(0.0) & y.less(_INFINITY), 0.0, x * call("log", y))


def _logaddexp(x: Lanes, y: Lanes) -> Lanes:
    """Return the larger plus log1p(exp(-difference)), the difference with its rounding error.

    Where a negative larger number eats up the logarithm, the sum is taken before the logarithm instead.
    Within 1.6 ulp, as long as 2^-50 of the larger operand is left; of what is less, the last place is that of 2^-50 of
    it. Source: that of the logarithm (see the module); Dekker 1971 (see `double_double`).
    """
    swap = y.greater(x)
    larger, smaller = choose(swap, y, x), choose(swap, x, y)
    difference = two_sum(smaller, -larger)
    gain = log1p_of_sum(extended_exponential(difference))
    is_usual = difference.high.greater(-LARGEST_USUAL_EXPONENT)
    return rare(~is_usual | _cancels(larger, gain), larger + gain, lambda: _logaddexp_with_care(larger, smaller))


def _logaddexp_with_care(larger: Lanes, smaller: Lanes) -> Lanes:
    difference = two_sum(smaller, -larger)
    gain = log1p_of_sum(extended_exponential_anywhere(difference))
    equal_infinities = larger.equals(smaller) & abs(larger).equals(_INFINITY)
    plain = choose(equal_infinities, larger, larger + gain)
    tiny = smaller.less(_TINY_EXPONENT)
    summed = choose(tiny, _sum_with_exponential(larger, smaller), _logarithm_of_sum_near_one(larger, smaller))
    return choose(_cancels(larger, gain), summed, plain)


def _cancels(larger: Lanes, gain: Lanes) -> Mask:
    """Hold where the sum of both is smaller than the gain, whose error it would keep."""
    return larger.less(0.0) & larger.greater(-2.0 * gain)


def _logarithm_of_sum_near_one(larger: Lanes, smaller: Lanes) -> Lanes:
    """Return log1p((exp(larger) - 1) + exp(smaller)), the sum in double-double.

    So the result keeps its digits down to 2^-50 of the larger exponent; nearer to zero it errs by some 2^-103 of that.
    """
    first, second = extended_expm1(larger), extended_expm1(smaller)
    minus_one, missing = two_sum(first.scale - 1.0, first.scale * first.excess.high)
    excess, left = two_sum(second.scale, second.scale * second.excess.high)
    total, rest = two_sum(minus_one, excess)
    rest = rest + ((missing + left) + (first.scale * first.excess.low + second.scale * second.excess.low))
    high, low = fast_two_sum(total, rest)
    return log1p_of_sum(high) + low


def _sum_with_exponential(term: Lanes, exponent: Lanes) -> Lanes:
    """Return term + exp(exponent), the exponential in double-double, for both so small that they would lose bits."""
    exponential = extended_expm1(exponent, _HELD_UP)
    total, rest = two_sum(term * 2.0**_HELD_UP, exponential.scale)
    total, left = two_sum(total, exponential.scale * exponential.excess.high)
    rest = (rest + left) + exponential.scale * exponential.excess.low
    return (total + rest) * 2.0**-_HELD_UP


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("log", 1, _log, bound=0.75),
    VectorFunction("log1p", 1, _log1p, bound=0.75),
    VectorFunction("log2", 1, _log2, bound=0.55),
    VectorFunction("log10", 1, _log10, bound=0.55),
    VectorFunction("xlogy", 2, _xlogy, bound=1.6),
    VectorFunction("logaddexp", 2, _logaddexp, bound=1.6),
)
"""log, log1p, log2, log10, xlogy, logaddexp."""
