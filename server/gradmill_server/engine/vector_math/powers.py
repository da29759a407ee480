"""Powers, the cube root, and the length of a vector of two."""

from __future__ import annotations

from typing import Final

from gradmill_server.engine.lanes import Lanes, choose, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import DoubleDouble, fast_two_sum, two_product
from gradmill_server.engine.vector_math.exponents import nearest_whole, scale_normal
from gradmill_server.engine.vector_math.extended import (
    LARGEST_USUAL_EXPONENT,
    Split,
    extended_exponential,
    extended_exponential_anywhere,
    extended_logarithm,
    is_positive_normal,
    split,
    split_any,
)
from gradmill_server.engine.vector_math.polynomials import horner

_INFINITY: Final = float("inf")
_NAN: Final = float("nan")
_SMALLEST_NORMAL: Final = float.fromhex("0x1p-1022")

# m^(-1/3) as a polynomial of degree 4, for m in [√½, √2): a first guess, to one part in 2^14.
_INVERSE_CUBE_ROOT: Final = (
    1.874519646720164,
    -1.861833078172714,
    1.561308293775534,
    -0.7023880136940381,
    0.12836973532377619,
)
_INVERSE_CUBE_ROOT_OF_2: Final = float.fromhex("0x1.965fea53d6e3dp-1")
_CUBE_ROOT_OF_2: Final = float.fromhex("0x1.428a2f98d728bp0")


def _power(x: Lanes, y: Lanes) -> Lanes:
    """Return exp(y·log x), the logarithm and the product in double-double; special cases are those of C99, F.9.4.4.

    Within 1 ulp, and within 0.65 where the power is normal. Source: Cody and Waite 1980; Dekker 1971 (see `extended`).
    """
    magnitude = abs(x)
    exponent = _times(extended_logarithm(split(magnitude)), y)
    usual = _with_sign_of_base(extended_exponential(exponent), x, y)
    is_usual = is_positive_normal(magnitude) & abs(exponent.high).less(LARGEST_USUAL_EXPONENT)
    return rare(~is_usual, usual, lambda: _power_at_the_ends(x, y))


def _times(logarithm: DoubleDouble, y: Lanes) -> DoubleDouble:
    high, rest = two_product(logarithm.high, y)
    return DoubleDouble(high, logarithm.low.times_plus(y, rest))


def _with_sign_of_base(result: Lanes, x: Lanes, y: Lanes) -> Lanes:
    """Return the result for x out of that for its magnitude.

    Odd powers keep the sign; fractional powers of negative numbers are NaN.
    """
    whole = y.rint().equals(y)
    # From 2^53 on all numbers are even, and their halves whole.
    half = y * 0.5
    odd = whole & half.rint().differs(half)
    signed = result.with_sign_of(choose(odd, x, 1.0))
    return choose(x.less(0.0) & x.greater(-_INFINITY) & ~whole, _NAN, signed)


def _power_at_the_ends(x: Lanes, y: Lanes) -> Lanes:
    magnitude = abs(x)
    high, low = extended_logarithm(split_any(magnitude))
    high = choose(magnitude.equals(0.0), -_INFINITY, choose(magnitude.equals(_INFINITY), _INFINITY, high))
    low = choose(abs(high).equals(_INFINITY), 0.0, low)
    result = extended_exponential_anywhere(_times(DoubleDouble(high, low), y))
    result = _with_sign_of_base(result, x, y)
    result = choose(x.is_nan() | y.is_nan(), _NAN, result)
    # 1 to any power, -1 to an infinite one, and anything to the power 0, is 1, even beside a NaN.
    is_one = x.equals(1.0) | y.equals(0.0) | (magnitude.equals(1.0) & abs(y).equals(_INFINITY))
    return choose(is_one, 1.0, result)


def _cbrt(x: Lanes) -> Lanes:
    """Write the real cube root.

    Within 0.501 ulp. Source: Newton's step from an exact residual (J.-M. Muller et al., "Handbook of Floating-Point
    Arithmetic", 2nd ed. 2018, ch. 4, does so for the square root).
    """
    magnitude = abs(x)
    usual = _cube_root(split(magnitude)).with_sign_of(x)
    return rare(~is_positive_normal(magnitude), usual, lambda: _cbrt_at_the_ends(x))


def _cbrt_at_the_ends(x: Lanes) -> Lanes:
    """Return the cube root of a subnormal; zeros, infinities and NaN are their own."""
    magnitude = abs(x)
    root = _cube_root(split_any(magnitude)).with_sign_of(x)
    return choose(magnitude.greater(0.0) & magnitude.less(_SMALLEST_NORMAL), root, x)


def _cube_root(x: Split) -> Lanes:
    """Return the cube root, to 0.501 of a unit in the last place.

    A guess y of the inverse cube root is improved by the binomial series of y·(1 - e)^(-1/3), e = 1 - m·y³, and the
    root m·y² by one step of Newton's from its residual in double-double. No division.
    """
    third = nearest_whole(x.exponent, 1.0 / 3.0)
    left = x.exponent - third.number * 3.0
    # 2^left, left being -1, 0 or 1, goes to the fraction.
    m = x.fraction * choose(left.less(0.0), 0.5, choose(left.greater(0.0), 2.0, 1.0))
    of_left = choose(left.less(0.0), _CUBE_ROOT_OF_2, choose(left.greater(0.0), _INVERSE_CUBE_ROOT_OF_2, 1.0))
    guess = horner(x.fraction, _INVERSE_CUBE_ROOT) * of_left
    e = (-m * guess).times_plus(guess * guess, 1.0)
    series = e.times_plus(e.times_plus(14.0 / 81.0, 2.0 / 9.0), 1.0 / 3.0) * e
    inverse = guess.times_plus(series, guess)
    inverse_square = inverse * inverse
    root = m * inverse_square
    square, rest = two_product(root, root)
    residual = (-root).times_plus(rest, (-square).times_plus(root, m))
    return scale_normal((inverse_square * (1.0 / 3.0)).times_plus(residual, root), third.pattern)


def _hypot(x: Lanes, y: Lanes) -> Lanes:
    """Return sqrt(x² + y²), the sum of squares rounded once.

    That root and that sum leave an error below 0.86 of a unit in the last place. Within 0.9 ulp. Source: Dekker 1971
    (exact squares; see `double_double`); ISO C, annex F (an infinity beside a NaN).
    """
    first, second = abs(x), abs(y)
    swap = second.greater(first)
    larger, smaller = choose(swap, second, first), choose(swap, first, second)
    # A NaN is found on either side: the square of the smaller spoils the sum, the larger compares as unusual.
    is_usual = larger.greater(2.0**-450) & larger.less(2.0**500)
    return rare(~is_usual, _length(larger, smaller), lambda: _hypot_at_the_ends(larger, smaller))


def _length(larger: Lanes, smaller: Lanes) -> Lanes:
    large_square, large_rest = two_product(larger, larger)
    small_square, small_rest = two_product(smaller, smaller)
    total, rest = fast_two_sum(large_square, small_square)
    return (total + (rest + (large_rest + small_rest))).sqrt()


def _hypot_at_the_ends(larger: Lanes, smaller: Lanes) -> Lanes:
    is_large = larger.greater(1.0)
    down = choose(is_large, 2.0**-600, 2.0**600)
    up = choose(is_large, 2.0**600, 2.0**-600)
    length = _length(larger * down, smaller * down) * up
    infinite = larger.equals(_INFINITY) | smaller.equals(_INFINITY)
    return choose(infinite, _INFINITY, length)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("power", 2, _power, bound=1.0),
    VectorFunction("cbrt", 1, _cbrt, bound=0.501),
    VectorFunction("hypot", 2, _hypot, bound=0.9),
)
"""power, cbrt, hypot."""
