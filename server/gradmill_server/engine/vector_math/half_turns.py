"""Sine and cosine of πx, for functions that have poles, zeros or signs at whole numbers.

With x = n + f, f from -1/2 to 1/2 and exact, nothing of x is lost however large it is; sin(πf)/(πf) is a polynomial in
f². (W. J. Cody and W. Waite, "Software Manual for the Elementary Functions", 1980, on reductions that are exact.
Coefficients are our own, by Remez exchange at 60 digits.)
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gradmill_server.engine.lanes import Lanes, Mask, choose
from gradmill_server.engine.vector_math.double_double import DoubleDouble, fast_two_sum, square
from gradmill_server.engine.vector_math.polynomials import horner

PI: Final = (3.141592653589793, 1.2246467991473532e-16)
"""π, as the sum of two float64."""

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


class Turned(NamedTuple):
    """A magnitude as a whole number and a fraction.

    Attributes:
        fraction: from -1/2 to 1/2, exact; NaN for an infinity.
        is_odd: whether the whole number is.
    """

    fraction: Lanes
    is_odd: Mask


class SineAndCosine(NamedTuple):
    """Both of πf, each as the sum of two float64 and to the last place also where it is small."""

    sine: DoubleDouble
    cosine: DoubleDouble


def turned(magnitude: Lanes) -> Turned:
    """Take a number >= 0 apart."""
    whole = magnitude.rint()
    half = whole * 0.5
    return Turned(magnitude - whole, half.floor().differs(half))


def excess_of_sine(fraction: Lanes) -> Lanes:
    """Return sin(πf)/(πf) - 1 for |f| <= 1/2."""
    squared = fraction * fraction
    return squared * horner(squared, _SINE)


def _sine(fraction: Lanes) -> DoubleDouble:
    """Return sin(πf) for 0 <= f <= 1/4."""
    leading = fraction * PI[0]
    rest = fraction.times_plus(PI[1], fraction.times_plus(PI[0], -leading))
    return fast_two_sum(leading, leading.times_plus(excess_of_sine(fraction), rest))


def sine_and_cosine(fraction: Lanes) -> SineAndCosine:
    """Return sine and cosine of π|f| for |f| <= 1/2: up to 1/4 of f itself, beyond of 1/2 - |f|, which is exact.

    The larger of the two is 1 - 2·sin(πf/2)².
    """
    magnitude = abs(fraction)
    is_small = magnitude.less_equal(_QUARTER)
    argument = choose(is_small, magnitude, _HALF - magnitude)
    smaller = _sine(argument)
    lost, lost_low = square(_sine(argument * _HALF))
    high, left = fast_two_sum(1.0, lost * -2.0)
    larger = DoubleDouble(high, left - (lost_low + lost_low))
    return SineAndCosine(_chosen(is_small, smaller, larger), _chosen(is_small, larger, smaller))


def _chosen(mask: Mask, if_true: DoubleDouble, if_false: DoubleDouble) -> DoubleDouble:
    return DoubleDouble(choose(mask, if_true.high, if_false.high), choose(mask, if_true.low, if_false.low))
