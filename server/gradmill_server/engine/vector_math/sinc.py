"""sin(πx)/(πx), and its slope.

With x = n + f, f from -1/2 to 1/2 and exact, sin(πx) is ±sin(πf), so that nothing of x is lost however large it is;
sin(πf)/(πf) is a polynomial in f², and so is what cos(πf) is made of. (W. J. Cody and W. Waite,
"Software Manual for the Elementary Functions", 1980, on reductions that are exact. Coefficients are our own, by Remez
exchange at 60 digits.)
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gradmill_server.engine.lanes import Lanes, Mask, choose
from gradmill_server.engine.vector_math.angle_reduction import SIGN
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import DoubleDouble, fast_two_sum, two_sum
from gradmill_server.engine.vector_math.double_double import square as square_of
from gradmill_server.engine.vector_math.polynomials import horner

_INFINITY: Final = float("inf")
_PI: Final = 3.141592653589793
_PI_LOW: Final = 1.2246467991473532e-16
_HALF, _QUARTER = 0.5, 0.25

# (sin(πf)/(πf) - 1)/f² as a polynomial of degree 7 in f², for |f| <= 1/2; beside the whole its error is below 2^-61.
_SINE: Final = (
    -1.6449340668482264,
    0.8117424252833402,
    -0.19075182412150266,
    0.02614784780548186,
    -0.002346080893946179,
    0.00014842783121174407,
    -6.97206907698813e-06,
    2.449946915202832e-07,
)
# The slope by x, as a polynomial of degree 8 in x², for |x| <= 1/2; its relative error is below 2^-64.
_SLOPE: Final = (
    -3.289868133696453,
    3.2469697011334144,
    -1.144510944732498,
    0.2091827825409445,
    -0.0234608103485922,
    0.0017811454481839297,
    -9.766177248686179e-05,
    4.0481448234169e-06,
    -1.2765038119341316e-07,
)


class _Turned(NamedTuple):
    """A magnitude as a whole number and a fraction.

    Attributes:
        fraction: from -1/2 to 1/2, exact; NaN for an infinity.
        is_odd: whether the whole number is.
    """

    fraction: Lanes
    is_odd: Mask


def _turned(magnitude: Lanes) -> _Turned:
    whole = magnitude.rint()
    half = whole * 0.5
    return _Turned(magnitude - whole, half.floor().differs(half))


def excess_of_sine(fraction: Lanes) -> Lanes:
    """Return sin(πf)/(πf) - 1 for |f| <= 1/2."""
    square = fraction * fraction
    return square * horner(square, _SINE)


def cosine_of_fraction(fraction: Lanes) -> DoubleDouble:
    """Return cos(πf) for |f| <= 1/2, to the last place also where it is small.

    From 1/4 on it is sin(πg) for g = 1/2 - |f|, below it is 1 - 2·sin(πf/2)².
    """
    magnitude = abs(fraction)
    is_small = magnitude.less(_QUARTER)
    argument = choose(is_small, magnitude * _HALF, _HALF - magnitude)
    leading = argument * _PI
    rest = argument.times_plus(_PI_LOW, argument.times_plus(_PI, -leading))
    sine = fast_two_sum(leading, leading.times_plus(excess_of_sine(argument), rest))
    square, square_low = square_of(sine)
    complement, left = fast_two_sum(1.0, square * -2.0)
    return DoubleDouble(
        choose(is_small, complement, sine.high), choose(is_small, left - (square_low + square_low), sine.low)
    )


def _sinc(x: Lanes) -> Lanes:
    """Write sinc(x) as ±(f/x)·(sin(πf)/(πf)), even by construction, 1 at 0, and 0 at infinity and whole numbers.

    Within 2 ulp. Source: Cody and Waite 1980 (see the module).
    """
    magnitude = abs(x)
    fraction, is_odd = _turned(magnitude)
    ratio = choose(magnitude.equals(0.0), 1.0, fraction / magnitude)
    value = ratio.times_plus(excess_of_sine(fraction), ratio)
    # The sum makes every zero a positive one.
    return choose(magnitude.equals(_INFINITY), 0.0, choose(is_odd, -value, value) + 0.0)


def _sinc_slope(x: Lanes) -> Lanes:
    """Write (cos(πx) - sinc(x))/x, and near 0 a polynomial times x; odd by construction, 0 at infinity.

    Within 1.75 ulp; where the difference is smaller than 1, the last place is that of 1/x.
    Source: Cody and Waite 1980 (see the module).
    """
    magnitude = abs(x)
    square = magnitude * magnitude
    near = magnitude * horner(square, _SLOPE)
    fraction, is_odd = _turned(magnitude)
    reciprocal = 1.0 / magnitude
    ratio = fraction * reciprocal
    lost = (-ratio).times_plus(magnitude, fraction) * reciprocal
    cosine = cosine_of_fraction(fraction)
    difference, left = two_sum(cosine.high, -ratio)
    difference = difference + (left + (cosine.low - ratio.times_plus(excess_of_sine(fraction), lost)))
    far = choose(is_odd, -difference, difference)
    too_small = (-reciprocal).times_plus(magnitude, 1.0)
    far = far.times_plus(reciprocal, far * (too_small * reciprocal))
    far = choose(magnitude.equals(_INFINITY), 0.0, far)
    slope = choose(magnitude.less_equal(_HALF), near, far)
    return (slope.as_bits() ^ (x.as_bits() & SIGN)).as_lanes()


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("sinc", 1, _sinc, bound=2.0),
    VectorFunction("sinc_slope", 1, _sinc_slope, bound=1.75),
)
"""sinc, sinc_slope."""
