"""The normal quantile, the inverse error function, and their slopes.

All are made of the upper quantile T of a tail probability p <= 1/2. In the middle, for |2p - 1| <= 1/2, T is 2p - 1
times a polynomial in its square. In the tail T is s - g for s = √(-2 log p), where g falls slowly and is a polynomial
in some t = a/(s + c) - b (the variable is that of M. J. Wichura, "Algorithm AS 241: the percentage points of the normal
distribution", Appl. Statist. 37, 1988). s is the sum of two float64, since just outside the middle T changes relatively
three times as fast as s.

The slope of the quantile, 1/φ(T), would lose T² units by the density of a rounded T. It is (Q(T)/φ(T))/p instead, the
quotient of the upper tail Q and the density, which changes no faster than T (see `error_functions`), divided by the
probability that it is exactly. Coefficients are our own, by Remez exchange at 45 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gradmill_server.engine.lanes import Lanes, choose, constant, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import DoubleDouble, fast_two_sum, product, two_product
from gradmill_server.engine.vector_math.error_functions import NORMAL_TAIL, evaluate, reciprocal_of_sum, tail_alone
from gradmill_server.engine.vector_math.extended import Split, extended_logarithm, is_positive_normal, split, split_any
from gradmill_server.engine.vector_math.polynomials import horner, in_four

_INFINITY: Final = float("inf")
_NAN: Final = float("nan")
_HALF: Final = 0.5
_TINY: Final = 2.0**-500
"""Below this erfinv(x) is √π/2·x to the last bit."""

_ROOT_HALF_PI: Final = (1.2533141373155003, -9.164289990229583e-17)
_ROOT_TWO_PI: Final = (2.5066282746310007, -1.8328579980459167e-16)
_HALF_ROOT_PI: Final = (0.886226925452758, -3.8332932499128993e-17)
_ROOT_HALF: Final = (0.7071067811865476, -4.833646656726457e-17)
"""√(π/2), √(2π), √π/2 and √(1/2), each as the sum of two float64."""

# (T/(√(π/2)·m) - 1)/m² for m = 1 - 2p <= 1/2, as a polynomial of degree 12 in m²; beside the whole its error is below
# 2^-57.
_MIDDLE: Final = (
    0.2617993877991532,
    0.14393173084805166,
    0.09766361963107147,
    0.0732990724104465,
    0.05837272478360649,
    0.04833144716833845,
    0.041211379551656754,
    0.03514512024921774,
    0.03564864214272269,
    0.009509826299495322,
    0.08297379706853555,
    -0.0860240182878847,
    0.12780810864382255,
)


@dataclass(frozen=True, slots=True)
class _Piece:
    """The polynomial of g = s - T over some range of s.

    Attributes:
        center: c.
        scale: a.
        shift: b.
        coefficients: in powers of t, the constant term first.
        constant_low: what is missing of the constant term.
        steepness: k0 and k1 of k0 + k1·r, which is near g's change per relative change of r = 1/(s + c).
    """

    center: float
    scale: float
    shift: float
    coefficients: tuple[float, ...]
    constant_low: float
    steepness: tuple[float, float]


_FAR_FROM: Final = 5.5
"""Up to this s the one, beyond the other; p is 2.7e-7 here."""

_NEAR: Final = _Piece(
    center=2.0,
    scale=16.0,
    shift=3.25,
    coefficients=(
        0.7244211964100716,
        0.22142342292854955,
        0.011992265889333064,
        0.0027623707056494587,
        0.00019409667982667046,
        7.617461423506194e-05,
        4.06567159506354e-06,
        2.684586176862409e-06,
        2.592714549793102e-08,
        1.1649828063194959e-07,
        -5.913348999566419e-09,
        5.870912162841534e-09,
        -6.759145312015088e-10,
        3.424128228733296e-10,
        -5.84787690406421e-11,
        1.948991322467469e-11,
        -4.399012577215455e-12,
        2.3720221670021638e-12,
        -5.357372821374715e-13,
    ),
    constant_low=-4.672635481428005e-17,
    steepness=(-0.233, 5.02),
)
"""From p = 1/4 on: degree 18; beside T its error is below 2^-58."""

_FAR: Final = _Piece(
    center=10.0,
    scale=48.0,
    shift=2.0,
    coefficients=(
        0.25553203441354444,
        0.15939766428497476,
        0.03220085353735575,
        0.010214442208929513,
        0.0026372974899137496,
        0.000890280266911065,
        0.00023625974706427159,
        8.516791805259616e-05,
        2.183938166713327e-05,
        8.695157678557623e-06,
        2.0247545461662198e-06,
        9.504354038488811e-07,
        1.8004674121963444e-07,
        1.1222957674403844e-07,
        1.4707158688136906e-08,
        1.4671350438413876e-08,
        -5.793405998966943e-10,
        2.202057518150935e-09,
        5.050598951177886e-10,
        1.4643757066014983e-10,
        -2.8497659120756106e-10,
        1.5182086259955436e-10,
    ),
    constant_low=-2.1329607384241684e-17,
    steepness=(-0.25, 17.8),
)
"""To the least float64: degree 21; beside T its error is below 2^-56."""


def _double(like: Lanes, number: tuple[float, float]) -> DoubleDouble:
    return DoubleDouble(constant(like.emitter, number[0]), constant(like.emitter, number[1]))


def _root(parts: Split) -> DoubleDouble:
    """Return s = √(-2 log p)."""
    high, low = extended_logarithm(parts)
    square, square_low = high * -2.0, low * -2.0
    root = square.sqrt()
    return DoubleDouble(root, ((-root).times_plus(root, square) + square_low) * (_HALF / root))


def _tail_quantile(root: DoubleDouble, piece: _Piece) -> DoubleDouble:
    """Return T = s - g for p <= 1/4, what the rounding of s and r costs g being put right to first order."""
    reciprocal = reciprocal_of_sum(root.high, piece.center, root.low)
    value, value_low = evaluate(reciprocal.value.times_plus(piece.scale, -piece.shift), piece.coefficients)
    correction = reciprocal.too_small * horner(reciprocal.value, piece.steepness)
    high, lost = fast_two_sum(root.high, -value)
    return DoubleDouble(high, lost + (root.low - (value_low + (correction + piece.constant_low))))


def _middle_quantile(distance: Lanes) -> DoubleDouble:
    """Return T for m = 1 - 2p <= 1/2."""
    leading, lost = two_product(distance, constant(distance.emitter, _ROOT_HALF_PI[0]))
    square = distance * distance
    bent = square * horner(square, _MIDDLE[:2], in_four(square, _MIDDLE[2:]))
    return fast_two_sum(leading, leading.times_plus(bent, distance.times_plus(_ROOT_HALF_PI[1], lost)))


def _usual_quantile(distance: Lanes, root: DoubleDouble) -> DoubleDouble:
    """Return T up to `_FAR_FROM`."""
    middle, tail = _middle_quantile(distance), _tail_quantile(root, _NEAR)
    is_middle = distance.less_equal(_HALF)
    return DoubleDouble(choose(is_middle, middle.high, tail.high), choose(is_middle, middle.low, tail.low))


def _of_quantile(distance: Lanes, probability: Lanes, finished: Callable[[DoubleDouble, bool], Lanes]) -> Lanes:
    """Return a function of T, given m = 1 - 2p and p; infinite for p = 0, NaN for what is no probability.

    Args:
        distance: m, exact where it is at most 1/2.
        probability: p <= 1/2, exact where m is larger.
        finished: makes the result of T, told whether T may be above 5.
    """
    root = _root(split(probability))
    usual = finished(_usual_quantile(distance, root), False)  # noqa: FBT003 - a callable's operands have no names

    def at_the_ends() -> Lanes:
        far = finished(_tail_quantile(_root(split_any(probability)), _FAR), True)  # noqa: FBT003 - as above
        outside = choose(probability.equals(0.0), _INFINITY, _NAN)
        return choose(probability.greater(0.0), far, outside)

    return rare(~root.high.less(_FAR_FROM) | ~is_positive_normal(probability), usual, at_the_ends)


def _slope(distance: Lanes, probability: DoubleDouble, factor: tuple[float, float]) -> Lanes:
    """Return factor·(Q(T)·exp(T²/2))/p."""

    def finished(quantile: DoubleDouble, far: bool) -> Lanes:  # noqa: FBT001 - a callable's operands have no names
        above, above_low = product(tail_alone(quantile, NORMAL_TAIL, to_the_end=far), _double(distance, factor))
        quotient = above / probability.high
        remainder = (-quotient).times_plus(probability.high, above) + (above_low - quotient * probability.low)
        corrected = quotient + remainder / probability.high
        return choose(quotient.equals(_INFINITY), _INFINITY, corrected)

    return _of_quantile(distance, probability.high, finished)


def _rounded(quantile: DoubleDouble, _far: bool) -> Lanes:  # noqa: FBT001 - see `_of_quantile`
    return quantile.high + quantile.low


def _tail_of(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return |1 - 2x| and the smaller of x and 1 - x, both exact where they count."""
    middle = abs(x - _HALF)
    return middle + middle, choose(x.greater(_HALF), 1.0 - x, x)


def _normal_ppf(x: Lanes) -> Lanes:
    """Write the normal quantile: -T below 1/2 and T above; infinite at 0 and 1, NaN outside.

    Within 1.25 ulp. Source: Wichura 1988 (see the module).
    """
    distance, probability = _tail_of(x)
    upper = _of_quantile(distance, probability, _rounded)
    return choose(x.less(_HALF), -upper, upper)


def _normal_ppf_slope(x: Lanes) -> Lanes:
    """Write the quantile's slope, the reciprocal of the density; infinite at 0 and 1, NaN outside.

    Within 2 ulp. Source: Cody 1969, Shepherd and Laframboise 1981 (see `error_functions`).
    """
    distance, probability = _tail_of(x)
    return _slope(distance, DoubleDouble(probability, constant(x.emitter, 0.0)), _ROOT_TWO_PI)


def _erfinv(x: Lanes) -> Lanes:
    """Write the inverse error function, T/√2 for p = (1 - |x|)/2 and odd by construction; infinite at -1 and 1.

    Within 1 ulp. Source: Wichura 1988 (see the module).
    """

    def finished(quantile: DoubleDouble, _far: bool) -> Lanes:  # noqa: FBT001 - see `_of_quantile`
        high, low = product(quantile, _double(x, _ROOT_HALF))
        return high + low

    magnitude = abs(x)
    usual = _of_quantile(magnitude, (1.0 - magnitude) * _HALF, finished)
    # Products of two float64 would lose what is subnormal of them.
    is_tiny = magnitude.less(_TINY)
    return choose(is_tiny, magnitude * _HALF_ROOT_PI[0], usual).with_sign_of(x)


def _erfinv_slope(x: Lanes) -> Lanes:
    """Write the inverse error function's slope, √π/2·exp(erfinv(x)²), even by construction; infinite at -1 and 1.

    Within 1.75 ulp. Source: Cody 1969, Shepherd and Laframboise 1981 (see `error_functions`).
    """
    magnitude = abs(x)
    double, lost = fast_two_sum(1.0, -magnitude)
    return _slope(magnitude, DoubleDouble(double * _HALF, lost * _HALF), _HALF_ROOT_PI)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("normal_ppf", 1, _normal_ppf, bound=1.25),
    VectorFunction("normal_ppf_slope", 1, _normal_ppf_slope, bound=2.0),
    VectorFunction("erfinv", 1, _erfinv, bound=1.0),
    VectorFunction("erfinv_slope", 1, _erfinv_slope, bound=1.75),
)
"""normal_ppf, erfinv, and the slope of each."""
