"""The error function, its complement and the normal distribution function.

The tails are exp(-x²) times a slowly varying function (W. J. Cody, "Rational Chebyshev approximations for the error
function", Math. Comp. 23, 1969). That function, erfcx(a) = exp(a²)·erfc(a), becomes a polynomial in r = 1/(a + c) after
multiplication by a + c (M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of (1 + 2x)exp(x²)erfc x in
0 <= x < infinity", Math. Comp. 36, 1981), in powers of some t = s - b·r, so that one division serves both. Coefficients
are our own: Remez exchange at 50 digits, the leading ones then rounded one by one and the others fitted anew by least
squares. The constants c were chosen such that the constant terms are float64 but for a hundredth of a last place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gradmill_server.engine.lanes import Lanes, choose, rare
from gradmill_server.engine.vector_math import gaussians
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import DoubleDouble, two_product
from gradmill_server.engine.vector_math.exponents import power_of_two
from gradmill_server.engine.vector_math.gaussians import (
    NORMAL,
    UNIT,
    Gaussian,
    exp_minus_square_of,
    gaussian,
    normal_pdf_of,
)
from gradmill_server.engine.vector_math.polynomials import even_and_odd, horner, in_four

_Split = Callable[[Lanes, Sequence[float]], Lanes]
"""Evaluates a polynomial by taking its powers apart."""

_LEADING: Final = 2
"""How many leading terms of a long polynomial go by Horner's rule alone."""

_TAIL_SCALE: Final = 8.0
"""b above for the tails. A power of two, so that 1 - b·r is exact where the function is steep."""


@dataclass(frozen=True, slots=True)
class Tail:
    """A function of a >= 0 that falls like 1/a, by its product with a + c.

    Attributes:
        center: c.
        near: up to `far_from`, coefficients in powers of 1 - 8r.
        far: from there on, coefficients in powers of far_shift - 8r.
        far_shift: s above, for the latter.
        far_from: where the one ends and the other begins; the function times its Gaussian is normal up to here.
        steepness: s0 and s1 of s0 + s1·r, which is within 0.4 of the function's relative change per relative change of
            r up to `far_from`; that is between 1.4 and 4.4. Beyond it is within 0.9 of it.
    """

    center: float
    near: tuple[float, ...]
    far: tuple[float, ...]
    far_shift: float
    far_from: float
    steepness: tuple[float, float]


_ERFC_TAIL: Final = Tail(
    center=4.375,
    near=(
        1.2023177797941549,
        -1.2795176862576667,
        1.2137562390136007,
        -1.0240587636900444,
        0.764463878850846,
        -0.5002525884518216,
        0.2825084359303838,
        -0.13398831816471543,
        0.05060510093075428,
        -0.013296503047160388,
        0.0011218740865296846,
        0.0009214780284150405,
        -0.0004632437547973894,
        4.4676683404980525e-05,
        4.39534183333287e-05,
        -1.7460500963380197e-05,
        -1.287704464540891e-06,
        4.333930112589295e-06,
        1.063098277625811e-06,
    ),
    far=(
        0.773677307049042,
        -0.5668624943170775,
        0.39463888231451627,
        -0.2600185601435082,
        0.16133750082469248,
        -0.09367364452886423,
        0.05045972429291052,
        -0.024918393499192885,
        0.011079743845456522,
        -0.004304795970649786,
        0.001377556143932279,
        -0.0003080423688317769,
        8.255548036998142e-06,
        2.72626905978204e-05,
    ),
    far_shift=0.5,
    far_from=7.0,
    steepness=(-0.8181, 23.4964),
)
"""erfcx(a): degree 18, relative error below 2^-57; far out degree 13, below 2^-56."""

NORMAL_TAIL: Final = Tail(
    center=5.25,
    near=(
        1.045797872805977,
        -1.478954871154223,
        1.6895441311146508,
        -1.5595841858583095,
        1.144974192028965,
        -0.6408761294603094,
        0.24460795242607686,
        -0.038300889258581924,
        -0.018640121927586795,
        0.012050333364909944,
        -0.00021319202924285644,
        -0.0020368664798187065,
        0.0003584667429753822,
        0.0003495493630246622,
        -9.296749089309293e-05,
        -6.852332742185823e-05,
        1.7792253487571928e-05,
        1.2460119379304376e-05,
        -1.801733569331288e-06,
    ),
    far=(
        0.5006603102646399,
        -0.4037034820848032,
        0.3065284762949266,
        -0.21760206921812295,
        0.1430368852947679,
        -0.08587201931850136,
        0.04609648886240371,
        -0.02132637231434626,
        0.007863592725285284,
        -0.001787611271093249,
        -0.0002179273198022564,
        0.00045667860297575973,
        -0.00021751852929276387,
    ),
    far_shift=0.3125,
    far_from=10.0,
    steepness=(-0.1659, 21.6945),
)
"""erfcx(a/√2)/2: degree 18, relative error below 2^-55; far out degree 12, below 2^-55."""

_ERF_NEAR: Final = (
    0.1283791670955126,
    -0.3761263890318374,
    0.11283791670954305,
    -0.02686617064493267,
    0.005223977622956691,
    -0.0008548326839475441,
    0.00012055324327156439,
    -1.4925381512842409e-05,
    1.6456518907558149e-06,
    -1.6288383603386306e-07,
    1.4118073881619079e-08,
    -8.655149640989497e-10,
)
"""erf(x)/x - 1 in powers of x² for |x| <= 7/8: degree 11; beside erf(x)/x its error is below 2^-55."""

_ERF_FAR_CENTER: Final = 3.125
_ERF_FAR_SCALE: Final = 4.0
_ERF_FAR_STEEPNESS: Final = 2.6
_ERF_FAR: Final = (
    1.857246332810676,
    -3.1960960110428256,
    3.779804766591364,
    -3.0491357188162755,
    1.5072954541340453,
    -0.2405154458076019,
    -0.19135699559281572,
    0.09100601102598777,
    0.029898306482193045,
    -0.022017687357987273,
    -0.009002139338409022,
    0.0073314543877406844,
)
"""(a + c)·erfcx(a) for 7/8 <= a <= 6, c = 3.125, in powers of 1 - 4r: degree 11; it costs erf(a) less than 2^-56. The
function's relative change per relative change of r is 2.6 at 7/8, where it counts most."""

_ERF_IS_NEAR: Final = 0.875
"""Up to here the one, from here on the other."""


def _polynomial(x: Lanes, coefficients: Sequence[float], of_the_rest: _Split = even_and_odd) -> Lanes:
    """Return a long polynomial, whose terms may cancel at one end of the range.

    There powers taken apart would lose digits; Horner's rule alone would keep the machine waiting at each step. So the
    leading terms go by the latter, the others, which are small, by the former.

    Args:
        x: the variable.
        coefficients: the constant term first.
        of_the_rest: how the powers of the others are taken apart. By four costs more instructions and less waiting: it
            pays for the tails, which have a division before and much to do after.
    """
    return horner(x, coefficients[:_LEADING], of_the_rest(x, coefficients[_LEADING:]))


class _Reciprocal(NamedTuple):
    """A reciprocal, and by how much it is too small, relatively."""

    value: Lanes
    too_small: Lanes


def reciprocal_of_sum(magnitude: Lanes, center: float, low: Lanes | None = None) -> _Reciprocal:
    """Return 1/(magnitude + low + center); the rounding of the sum counts as one of the reciprocal."""
    total = magnitude + center
    reciprocal = 1.0 / total
    lost = magnitude - (total - center)
    lost = lost if low is None else lost + low
    return _Reciprocal(reciprocal, (-reciprocal).times_plus(lost, (-reciprocal).times_plus(total, 1.0)))


def evaluate(variable: Lanes, coefficients: Sequence[float]) -> DoubleDouble:
    """Return a polynomial, its last step with what that loses, but for an eighth of it."""
    constant, *higher = coefficients
    slope = _polynomial(variable, higher, in_four)
    value = variable.times_plus(slope, constant)
    return DoubleDouble(value, variable.times_plus(slope, constant - value))


def _times_tail(
    parts: Gaussian, reciprocal: _Reciprocal, polynomial: DoubleDouble, tail: Tail, factor: Lanes | None = None
) -> Lanes:
    """Return the product of polynomial, reciprocal, Gaussian and factor, the Gaussian's power of two left out.

    What the rounding of r costs the tail function goes in to first order. The Gaussian is multiplied by r first, while
    the polynomial is still on its way.
    """
    lost = reciprocal.too_small * horner(reciprocal.value, tail.steepness)
    high, rounding = two_product(parts.high, reciprocal.value)
    low = parts.high.times_plus(lost, parts.low).times_plus(reciprocal.value, rounding)
    rest = high.times_plus(polynomial.low, low * polynomial.high)
    if factor is None:
        return high.times_plus(polynomial.high, rest)
    leading, lost = two_product(high, polynomial.high)
    return leading.times_plus(factor, (lost + rest) * factor)


def tail_alone(argument: DoubleDouble, tail: Tail, *, to_the_end: bool) -> DoubleDouble:
    """Return the tail function of an argument >= 0, not normalised; it errs by a part in 2^54.

    Args:
        argument: the sum of two float64.
        tail: which function.
        to_the_end: whether the argument may be above the tail's `far_from`.
    """
    reciprocal = reciprocal_of_sum(argument.high, tail.center, argument.low)
    value, low = evaluate(reciprocal.value.times_plus(-_TAIL_SCALE, 1.0), tail.near)
    if to_the_end:
        far = evaluate(reciprocal.value.times_plus(-_TAIL_SCALE, tail.far_shift), tail.far)
        is_far = argument.high.greater(tail.far_from)
        value, low = choose(is_far, far.high, value), choose(is_far, far.low, low)
    lost = reciprocal.too_small * horner(reciprocal.value, tail.steepness)
    high, rounding = two_product(reciprocal.value, value)
    return DoubleDouble(high, reciprocal.value.times_plus(value.times_plus(lost, low), rounding))


def tail_times_gaussian(parts: Gaussian, tail: Tail, factor: Lanes | None = None) -> Lanes:
    """Return the tail function of |x| times the Gaussian, and times a factor below 2^60 if there is one."""
    magnitude = parts.magnitude
    reciprocal = reciprocal_of_sum(magnitude, tail.center)
    near = evaluate(reciprocal.value.times_plus(-_TAIL_SCALE, 1.0), tail.near)
    usual = parts.scaled_normal(_times_tail(parts, reciprocal, near, tail, factor))

    def far_out() -> Lanes:
        far = evaluate(reciprocal.value.times_plus(-_TAIL_SCALE, tail.far_shift), tail.far)
        return parts.scaled_far_out(_times_tail(parts, reciprocal, far, tail, factor))

    return rare(~magnitude.less(tail.far_from), usual, far_out)


def _erfc_of(x: Lanes, parts: Gaussian) -> Lanes:
    upper = tail_times_gaussian(parts, _ERFC_TAIL)
    return choose(x.less(0.0), 2.0 - upper, upper)


def _erfc(x: Lanes) -> Lanes:
    """Write erfc(x): the upper tail, and for negative x 2 minus it.

    Within 2 ulp. Source: Cody 1969, Shepherd and Laframboise 1981 (see the module).
    """
    return _erfc_of(x, gaussian(x, UNIT))


def _erfc_and_exp_minus_square(x: Lanes) -> tuple[Lanes, Lanes]:
    """Write erfc(x) and exp(-x²), with the bits of each alone.

    Both within 2 ulp. Source: Cody 1969, Shepherd and Laframboise 1981 (see the module).
    """
    parts = gaussian(x, UNIT)
    return _erfc_of(x, parts), exp_minus_square_of(parts)


def _normal_cdf_of(x: Lanes, parts: Gaussian) -> Lanes:
    lower = tail_times_gaussian(parts, NORMAL_TAIL)
    return choose(x.greater(0.0), 1.0 - lower, lower)


def _normal_cdf(x: Lanes) -> Lanes:
    """Write the normal distribution function: the lower tail, and for positive x 1 minus it.

    That is erfc(-x/√2)/2, the Gaussian of x itself and the slowly varying factor fitted in x: x/√2 is never rounded.
    Within 2 ulp. Source: Cody 1969, Shepherd and Laframboise 1981 (see the module).
    """
    return _normal_cdf_of(x, gaussian(x, NORMAL))


def _normal_cdf_and_normal_pdf(x: Lanes) -> tuple[Lanes, Lanes]:
    """Write the normal distribution function and its density, with the bits of each alone.

    Both within 2 ulp. Source: Cody 1969, Shepherd and Laframboise 1981 (see the module).
    """
    parts = gaussian(x, NORMAL)
    return _normal_cdf_of(x, parts), normal_pdf_of(parts)


def _erf_of(x: Lanes, parts: Gaussian) -> Lanes:
    magnitude = parts.magnitude
    near = x.times_plus(_polynomial(magnitude * magnitude, _ERF_NEAR), x)
    reciprocal = reciprocal_of_sum(magnitude, _ERF_FAR_CENTER)
    factor = _polynomial(reciprocal.value.times_plus(-_ERF_FAR_SCALE, 1.0), _ERF_FAR) * reciprocal.value
    lost = reciprocal.too_small * _ERF_FAR_STEEPNESS
    exponential = parts.high + parts.high.times_plus(lost, parts.low)
    far = (-exponential).times_plus(factor * power_of_two(parts.reduced.pattern), 1.0)
    usual = choose(magnitude.less(_ERF_IS_NEAR), near, far)
    # Beyond 6 the factor is not fitted, but below 1, and the Gaussian too small to be felt. Where the latter's power of
    # two is no normal number both are left out.
    beyond = ~magnitude.less(parts.bell.far_from)
    return rare(beyond, usual, lambda: choose(x.is_nan(), x, 1.0)).with_sign_of(x)


def _erf(x: Lanes) -> Lanes:
    """Write erf(x): an odd polynomial up to 7/8, beyond 1 - erfc(|x|), which is below a quarter there.

    Within 1 ulp. Source: Cody 1969, Shepherd and Laframboise 1981 (see the module).
    """
    return _erf_of(x, gaussian(x, UNIT))


def _erf_and_exp_minus_square(x: Lanes) -> tuple[Lanes, Lanes]:
    """Write erf(x) and exp(-x²), with the bits of each alone.

    Both within 1 ulp. Source: Cody 1969, Shepherd and Laframboise 1981 (see the module).
    """
    parts = gaussian(x, UNIT)
    return _erf_of(x, parts), exp_minus_square_of(parts)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("erf", 1, _erf, bound=1.0),
    VectorFunction("erfc", 1, _erfc, bound=2.0),
    VectorFunction("normal_cdf", 1, _normal_cdf, bound=2.0),
    VectorFunction("erf_and_exp_minus_square", 1, _erf_and_exp_minus_square, bound=1.0, results=2),
    VectorFunction("erfc_and_exp_minus_square", 1, _erfc_and_exp_minus_square, bound=2.0, results=2),
    VectorFunction("normal_cdf_and_normal_pdf", 1, _normal_cdf_and_normal_pdf, bound=2.0, results=2),
    *gaussians.FUNCTIONS,
)
"""erf, erfc, normal_cdf, pairs of one and a Gaussian, and the Gaussians."""
