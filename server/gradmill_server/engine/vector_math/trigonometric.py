"""Sine, cosine and tangent.

After reduction to [-pi/4, pi/4] (see `angle_reduction`) both polynomials are computed and the quadrant selects, so
that sin(x) and cos(x) alone have the bits that sincos(x) gives.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gradmill_server.engine.lanes import Lanes, Mask, choose, rare, select
from gradmill_server.engine.vector_math.angle_reduction import (
    REDUCTION_OF_HUGE,
    SIGN,
    Angle,
    is_huge,
    reduced,
    reduced_huge,
)
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.polynomials import horner

# Minimax fits by the Remez exchange on |r| <= pi/4 + 0.0003, in powers of r².
# sin(r) = r + r³*S(r²), S of degree 5: relative error of the sine under 2^-57.9.
_SINE: Final = (
    -0.1666666666666663,
    0.008333333333322077,
    -0.0001984126982955518,
    2.7557313608993398e-06,
    -2.505074575187851e-08,
    1.5896109676476407e-10,
)
# cos(r) = 1 - r²/2 + r⁴*C(r²), C of degree 5: relative error of the cosine under 2^-63.9.
_COSINE: Final = (
    0.041666666666666595,
    -0.0013888888888872997,
    2.4801587288812984e-05,
    -2.7557314167777076e-07,
    2.087569923322657e-09,
    -1.135845110813856e-11,
)


class _Sum(NamedTuple):
    """A number as the unevaluated sum of a float64 and a small correction."""

    main: Lanes
    correction: Lanes

    def rounded(self) -> Lanes:
        return self.main + self.correction


def _sine_and_cosine(angle: Angle) -> tuple[_Sum, _Sum]:
    """Return both of high + low, whatever the quadrant.

    The main terms are exact or corrected for their rounding by an fma, so that only the roundings of the corrections
    count, a tenth of the sums in size: results come within 0.75 ulp.
    """
    r, low, _ = angle
    squared = r * r
    half = r * 0.5
    main = (-r).times_plus(half, 1.0)
    rounding = (-r).times_plus(half, 1.0 - main)
    cosine = (squared * squared).times_plus(horner(squared, _COSINE), (-r).times_plus(low, rounding))
    # The derivative of the sine, which carries low into it, is the cosine: its main term has digits enough.
    sine = (r * squared).times_plus(horner(squared, _SINE), low * main)
    return _Sum(r, sine), _Sum(main, cosine)


def _is_odd(angle: Angle) -> Mask:
    return (angle.quadrant << 63).less(0)


def _sine_of(angle: Angle) -> Lanes:
    sine, cosine = _sine_and_cosine(angle)
    return _sine_in_quadrant(angle, sine.rounded(), cosine.rounded())


def _cosine_of(angle: Angle) -> Lanes:
    sine, cosine = _sine_and_cosine(angle)
    return _cosine_in_quadrant(angle, sine.rounded(), cosine.rounded())


def _sine_in_quadrant(angle: Angle, sine: Lanes, cosine: Lanes) -> Lanes:
    chosen = select(_is_odd(angle), cosine, sine)
    return (chosen.as_bits() ^ ((angle.quadrant << 62) & SIGN)).as_lanes()


def _cosine_in_quadrant(angle: Angle, sine: Lanes, cosine: Lanes) -> Lanes:
    chosen = select(_is_odd(angle), sine, cosine)
    return (chosen.as_bits() ^ (((angle.quadrant + 1) << 62) & SIGN)).as_lanes()


def _tangent_of(angle: Angle) -> Lanes:
    """Return sine/cosine, or -cosine/sine in odd quadrants, both with their corrections, by one division.

    The quotient of the main terms is corrected by its remainder (Dekker 1971), so that the result comes within 0.9 ulp.
    """
    sine, cosine = _sine_and_cosine(angle)
    odd = _is_odd(angle)
    above, above_rest = _normalized(_Sum(*(select(odd, c, s) for s, c in zip(sine, cosine, strict=True))))
    below, below_rest = _normalized(_Sum(*(select(odd, s, c) for s, c in zip(sine, cosine, strict=True))))
    reciprocal = 1.0 / below
    quotient = above * reciprocal
    remainder = (-quotient).times_plus(below, above) + (-quotient).times_plus(below_rest, above_rest)
    tangent = remainder.times_plus(reciprocal, quotient)
    return (tangent.as_bits() ^ (angle.quadrant << 63)).as_lanes()


def _normalized(value: _Sum) -> _Sum:
    total = value.rounded()
    return _Sum(total, value.correction - (total - value.main))


def _keeping_zero(x: Lanes, odd_function: Lanes) -> Lanes:
    """Return x itself where it is a zero: a sum of corrections has lost the sign of -0."""
    return choose(x.equals(0.0), x, odd_function)


def _sin(x: Lanes) -> Lanes:
    """Write sin(x), infinities giving NaN.

    Within 0.8 ulp. Source: Cody and Waite 1980, Payne and Hanek 1983 (see `angle_reduction`).
    """
    usual = _keeping_zero(x, _sine_of(reduced(x)))
    return rare(is_huge(x), usual, lambda: _sine_of(reduced_huge(x)))


def _cos(x: Lanes) -> Lanes:
    """Write cos(x), infinities giving NaN.

    Within 0.8 ulp. Source: Cody and Waite 1980, Payne and Hanek 1983 (see `angle_reduction`).
    """
    return rare(is_huge(x), _cosine_of(reduced(x)), lambda: _cosine_of(reduced_huge(x)))


def _sincos(x: Lanes) -> tuple[Lanes, Lanes]:
    """Write sin(x) and cos(x), with the bits of each alone.

    Both within 0.8 ulp. Source: Cody and Waite 1980, Payne and Hanek 1983 (see `angle_reduction`).
    """
    angle = reduced(x)
    both = _sine_and_cosine(angle)
    sine, cosine = both[0].rounded(), both[1].rounded()
    huge = is_huge(x)
    return (
        rare(huge, _keeping_zero(x, _sine_in_quadrant(angle, sine, cosine)), lambda: _sine_of(reduced_huge(x))),
        rare(huge, _cosine_in_quadrant(angle, sine, cosine), lambda: _cosine_of(reduced_huge(x))),
    )


def _tan(x: Lanes) -> Lanes:
    """Write tan(x), infinities giving NaN.

    Within 1 ulp. Source: Cody and Waite 1980, Payne and Hanek 1983 (see `angle_reduction`); Dekker 1971 (quotient).
    """
    usual = _keeping_zero(x, _tangent_of(reduced(x)))
    return rare(is_huge(x), usual, lambda: _tangent_of(reduced_huge(x)))


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("sin", 1, _sin, bound=0.8),
    VectorFunction("cos", 1, _cos, bound=0.8),
    VectorFunction("sincos", 1, _sincos, bound=0.8, results=2),
    VectorFunction("tan", 1, _tan, bound=1.0),
    REDUCTION_OF_HUGE,
)
