"""Arc sine, arc cosine and arc tangent, the last also of a quotient with its quadrant.

Arc sine and cosine come within 1.2 ulp, the worst just beyond 1/2, where the square root's rounding counts most; arc
tangents within 1.6 ulp, the worst round 1, where the polynomial is a quarter of the result.

Sources: J.-M. Muller, Elementary Functions, 3rd edition (reductions by the half-angle formula and by the complement);
W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980; ISO C, annex F (special values of atan2).
"""

from __future__ import annotations

from typing import Final

from gradmill_server.engine.lanes import Lanes, Mask, choose, rare, select
from gradmill_server.engine.vector_math.angle_reduction import HALF_PI, HALF_PI_LOW
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.polynomials import even_and_odd, horner

# Minimax fits by the Remez exchange, in powers of the argument's square.
# asin(s) = s + s³*P(s²) on |s| <= 1/2, P of degree 12: relative error of the arc sine under 2^-59.8.
_ARC_SINE: Final = (
    0.1666666666666676,
    0.07499999999970791,
    0.04464285717461948,
    0.03038194270743561,
    0.022372214996964693,
    0.017351611854547505,
    0.013980822365704224,
    0.011398897967093626,
    0.010780329832792554,
    0.0037061267860478285,
    0.02170811403978662,
    -0.020999982413479786,
    0.032629185537920116,
)
# atan(t) = t + t³*P(t²) on |t| <= 1, P of degree 19: relative error of the arc tangent under 2^-57.5.
_ARC_TANGENT: Final = (
    -0.3333333333333307,
    0.1999999999995146,
    -0.14285714282575035,
    0.11111111007023367,
    -0.09090907002934207,
    0.07692279838567277,
    -0.0666640405139889,
    0.05880527777375827,
    -0.052535183880553504,
    0.04722321667281695,
    -0.04219177552168791,
    0.03664188318896137,
    -0.029903815996997197,
    0.021984802991126946,
    -0.013900514428909347,
    0.007196472111242917,
    -0.0028849030950730903,
    0.0008313166413948267,
    -0.0001521597831640677,
    1.3224971523101241e-05,
)

_PI: Final = 2.0 * HALF_PI
_PI_LOW: Final = 2.0 * HALF_PI_LOW

# From here on an arc tangent is pi/2 to the last bit, and a reciprocal is still an ordinary number.
_VERTICAL: Final = 2.0**60
# Between these a quotient and its remainder neither overflow nor lose bits to underflow.
_LEAST: Final = 2.0**-500
_MOST: Final = 2.0**500


def _from_base(base: Lanes, base_low: Lanes, offset: Lanes, correction: Lanes) -> Lanes:
    """Return (base + base_low) + (offset + correction), where base is 0 or not less than offset in magnitude."""
    total = base + offset
    rounding = (base - total) + offset
    return total + (rounding + (base_low + correction))


def _halved(x: Lanes) -> tuple[Mask, Lanes, Lanes]:
    """Return whether |x| > 1/2, and s and (asin(s) - s)/s for s = |x| or, beyond 1/2, s = sqrt((1 - |x|)/2).

    For there asin|x| = pi/2 - 2*asin(s), and (1 - |x|)/2 is exact. Beyond 1 it is negative, and its root NaN.
    """
    magnitude = abs(x)
    beyond = magnitude.greater(0.5)
    squared = select(beyond, magnitude.times_plus(-0.5, 0.5), x * x)
    s = select(beyond, squared.sqrt(), magnitude)
    return beyond, s, squared * even_and_odd(squared, _ARC_SINE)


def _asin(x: Lanes) -> Lanes:
    """Write asin(x), beyond 1/2 by the half-angle formula; beyond 1 it is NaN.

    Within 1.25 ulp. Source: Muller, Elementary Functions; Cody and Waite 1980 (see the module).
    """
    beyond, s, excess = _halved(x)
    offset = select(beyond, s * -2.0, s)
    base, base_low = choose(beyond, HALF_PI, 0.0), choose(beyond, HALF_PI_LOW, 0.0)
    return _from_base(base, base_low, offset, offset * excess).with_sign_of(x)


def _acos(x: Lanes) -> Lanes:
    """Write pi/2 - asin(x) in the middle, 2*asin(s) on the right, pi - 2*asin(s) on the left.

    Within 1.25 ulp. Source: Muller, Elementary Functions; Cody and Waite 1980 (see the module).
    """
    beyond, s, excess = _halved(x)
    offset = select(beyond, (s + s).with_sign_of(x), -x)
    left = x.less(0.0)
    base = choose(beyond, choose(left, _PI, 0.0), HALF_PI)
    base_low = choose(beyond, choose(left, _PI_LOW, 0.0), HALF_PI_LOW)
    return _from_base(base, base_low, offset, offset * excess)


def _arc_tangent(base: Lanes, base_low: Lanes, ratio: Lanes, ratio_low: Lanes | None) -> Lanes:
    """Return (base + base_low) + atan(ratio + ratio_low), for ratios between -1 and 1."""
    squared = ratio * ratio
    # Even and odd powers have opposite signs, and near 1 their sums would cancel: the largest terms are kept apart.
    excess = horner(squared, _ARC_TANGENT[:6], even_and_odd(squared, _ARC_TANGENT[6:]))
    cubed = ratio * squared
    if ratio_low is None:
        return _from_base(base, base_low, ratio, cubed * excess)
    # The derivative 1/(1 + ratio²) to one digit, which is enough: the chord of it.
    return _from_base(base, base_low, ratio, cubed.times_plus(excess, ratio_low * squared.times_plus(-0.5, 1.0)))


def _with_remainder(above: Lanes, below: Lanes) -> tuple[Lanes, Lanes]:
    """Return above/below as a float64 and the rest, by one division."""
    reciprocal = 1.0 / below
    ratio = above * reciprocal
    return ratio, (-ratio).times_plus(below, above) * reciprocal


def _atan(x: Lanes) -> Lanes:
    """Write atan(x), beyond 1 as pi/2 less the arc tangent of the reciprocal.

    Within 1.75 ulp. Source: Muller, Elementary Functions; Cody and Waite 1980 (see the module).
    """
    magnitude = abs(x)
    steep = magnitude.greater(1.0)
    below = choose(steep, choose(magnitude.greater(_VERTICAL), _VERTICAL, magnitude), 1.0)
    ratio, ratio_low = _with_remainder(choose(steep, -1.0, magnitude), below)
    base, base_low = choose(steep, HALF_PI, 0.0), choose(steep, HALF_PI_LOW, 0.0)
    return _arc_tangent(base, base_low, ratio, ratio_low).with_sign_of(x)


def _atan2(y: Lanes, x: Lanes) -> Lanes:
    """Write the angle of a ratio not above 1, from the nearest half-axis on, then the sign of y.

    Ratios near the ends of the range are rare, and there taken by a plain division, without their remainder.
    Within 1.75 ulp. Source: Cody and Waite 1980; ISO C, annex F (see the module).
    """
    height, width = abs(y), abs(x)
    steep = height.greater(width)
    above, below = select(steep, width, height), select(steep, height, width)
    leftward = (x.as_bits()).less(0)
    base = choose(steep, HALF_PI, choose(leftward, _PI, 0.0))
    base_low = choose(steep, HALF_PI_LOW, choose(leftward, _PI_LOW, 0.0))
    # Anticlockwise is away from the half-axis to the right, and from the one upwards when going left.
    against = steep ^ leftward

    def towards(size: Lanes) -> Lanes:
        return select(against, -size, size)

    def at_the_ends() -> Lanes:
        quotient = choose(above.equals(below), 1.0, above / below)
        return _arc_tangent(base, base_low, towards(choose(below.equals(0.0), 0.0, quotient)), None)

    ratio, ratio_low = _with_remainder(towards(above), below)
    usual = _arc_tangent(base, base_low, ratio, ratio_low)
    return rare(above.less(_LEAST) | below.greater(_MOST), usual, at_the_ends).with_sign_of(y)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("asin", 1, _asin, bound=1.25),
    VectorFunction("acos", 1, _acos, bound=1.25),
    VectorFunction("atan", 1, _atan, bound=1.75),
    VectorFunction("atan2", 2, _atan2, bound=1.75),
)
