"""sin(πx)/(πx), and its slope.

Both are made of sine and cosine of an exact fraction of half a turn (see `half_turns`). Coefficients are our own, by
Remez exchange at 60 digits.
"""

from __future__ import annotations

from typing import Final

from gradmill_server.engine.lanes import Lanes, choose
from gradmill_server.engine.vector_math.angle_reduction import SIGN
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import two_sum
from gradmill_server.engine.vector_math.half_turns import excess_of_sine, sine_and_cosine, turned
from gradmill_server.engine.vector_math.polynomials import horner

_INFINITY: Final = float("inf")
_HALF: Final = 0.5

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


def _sinc(x: Lanes) -> Lanes:
    """Write sinc(x) as ±(f/x)·(sin(πf)/(πf)), even by construction, 1 at 0, and 0 at infinity and whole numbers.

    Within 2 ulp. Source: Cody and Waite 1980 (see `half_turns`).
    """
    magnitude = abs(x)
    fraction, is_odd = turned(magnitude)
    ratio = choose(magnitude.equals(0.0), 1.0, fraction / magnitude)
    value = ratio.times_plus(excess_of_sine(fraction), ratio)
    # The sum makes every zero a positive one.
    return choose(magnitude.equals(_INFINITY), 0.0, choose(is_odd, -value, value) + 0.0)


def _sinc_slope(x: Lanes) -> Lanes:
    """Write (cos(πx) - sinc(x))/x, and near 0 a polynomial times x; odd by construction, 0 at infinity.

    Within 1.75 ulp; where the difference is smaller than 1, the last place is that of 1/x.
    Source: Cody and Waite 1980 (see `half_turns`).
    """
    magnitude = abs(x)
    square = magnitude * magnitude
    near = magnitude * horner(square, _SLOPE)
    fraction, is_odd = turned(magnitude)
    reciprocal = 1.0 / magnitude
    ratio = fraction * reciprocal
    lost = (-ratio).times_plus(magnitude, fraction) * reciprocal
    _, cosine = sine_and_cosine(fraction)
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
