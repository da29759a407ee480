"""The error function, its complement and the normal distribution function.

The tails are exp(-x²) times a slowly varying function (W. J. Cody, "Rational Chebyshev approximations for the error
function", Math. Comp. 23, 1969). That function, erfcx(a) = exp(a²)·erfc(a), is one polynomial over the whole half-line
in t = (a - c)/(a + c), after multiplication by a + c (M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of
(1 + 2x)exp(x²)erfc x in 0 <= x < infinity", Math. Comp. 36, 1981). As t = 1 - 2c/(a + c), one division serves both. Its
rounding, which the steep end would magnify, is put right to first order. Coefficients are our own: Remez exchange at
50 digits, then a search over the two neighbouring float64 of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gradmill_server.engine.lanes import Lanes, choose, constant
from gradmill_server.engine.vector_math import gaussians
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import DoubleDouble, fast_two_sum, two_product, two_sum
from gradmill_server.engine.vector_math.exponentials import Reduced, reduce
from gradmill_server.engine.vector_math.exponents import power_of_two
from gradmill_server.engine.vector_math.gaussians import (
    BEYOND_EXP_MINUS_SQUARE,
    BEYOND_NORMAL_PDF,
    magnitude_up_to,
    reduced_minus_half_square,
    reduced_minus_square,
    scale_down,
    times_exponential,
)
from gradmill_server.engine.vector_math.polynomials import horner

_CENTER: Final = 4.0
"""c above. A power of two, so that 1 - c/(a + c) is exact where the function is steep."""


_LEADING: Final = 2
"""How many leading terms of a long polynomial go by Horner's rule."""


@dataclass(frozen=True, slots=True)
class _Tail:
    """A function of a >= 0 that falls like 1/a, multiplied by a + c: a polynomial in t = (a - c)/(a + c).

    Attributes:
        constant: the constant term.
        constant_tail: what its rounding left over.
        higher: the other coefficients, from that of t on.
        steepness: b1 and b2 of 1 + b1·r + b2·r², r = 1/(a + c), which is within a tenth of the function's relative
            change per relative change of r.
    """

    constant: float
    constant_tail: float
    higher: tuple[float, ...]
    steepness: tuple[float, float]


_ERFC_TAIL: Final = _Tail(
    constant=1.095995661000491,
    constant_tail=5.852195890021967e-17,
    higher=(
        -0.9765487290808821,
        0.7732087022652369,
        -0.5408538313132251,
        0.3308515878780205,
        -0.1740109372402855,
        0.07638151490921495,
        -0.026370053334666674,
        0.006112055656001512,
        -0.00028095891571657477,
        -0.00045505268367185286,
        0.00017681308756463689,
        -3.635170667412886e-06,
        -1.8861794205437728e-05,
        4.694383495916663e-06,
        1.426129067847517e-06,
        -8.460835661776522e-07,
        -7.804964869543625e-08,
        1.2399234154964522e-07,
        2.6832401516075085e-09,
        -1.5396436716860147e-08,
        -4.1353878450121884e-10,
        1.0072435321493206e-09,
    ),
    steepness=(0.2, 55.4),
)
"""erfcx(a) for 0 <= a <= 27: degree 22, relative error below 2^-55."""

_NORMAL_TAIL: Final = _Tail(
    constant=0.7552851304157515,
    constant_tail=-2.311808784897247e-17,
    higher=(
        -0.6078966419718921,
        0.3871374007422148,
        -0.18652185795965856,
        0.06039657489092038,
        -0.0075401889666853305,
        -0.003479692367036288,
        0.0016308184570101745,
        0.00013334430833907547,
        -0.0002310949309312266,
        -1.9082312449261776e-06,
        3.5144668776235164e-05,
        7.16551948405689e-07,
        -5.920136090339281e-06,
        -6.293860535665703e-07,
        1.0215288672360332e-06,
        2.71259740658863e-07,
        -1.5502864185698365e-07,
        -8.481169742561852e-08,
        1.3447537477644515e-08,
        1.924852711865018e-08,
        1.7647811802313557e-09,
        -2.422054931227246e-09,
        -6.737180684013912e-10,
    ),
    steepness=(4.1, 18.6),
)
"""erfcx(a/√2)/2 for 0 <= a <= 38.7: degree 23, relative error below 2^-55."""

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

_ERF_FAR_CONSTANT: Final = 0.8496055099332482
_ERF_FAR_CONSTANT_TAIL: Final = -5.2048943679151194e-18
_ERF_FAR: Final = (
    0.6389675142347916,
    -0.15689274364150121,
    0.0415610980464213,
    -0.010033825435629199,
    0.001977903033983081,
    -0.000237324708351796,
    -2.6270765899993913e-05,
    2.714328564542417e-05,
    -9.583611137510623e-06,
    2.030224237470122e-06,
    -1.1737279653584388e-07,
    -1.138483451000267e-07,
    5.971152349366207e-08,
    -1.7530816405205975e-08,
    3.493144945709028e-09,
    -4.688379939665923e-10,
    3.840983042150439e-11,
    -1.451386839209051e-12,
)
"""-log(erfc(a)) - a² in powers of a - 1 for 7/8 <= a <= 6, after the constant: degree 18; it costs erf(a) less than
2^-55. Round 1, where erfc(a) is largest, the sum is hardly more than its constant, which is kept as two float64."""

_ERF_IS_NEAR: Final = 0.875
"""Up to here the one, from here on the other."""

_ERF_FAR_CENTER: Final = 1.0
_ERF_IS_ONE: Final = 6.0
"""From here on erf is 1 in float64."""


def _polynomial(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """Return a long polynomial, whose terms may cancel at one end of the range.

    There Estrin's rule alone would lose digits; Horner's rule alone would keep the machine waiting at each step. So the
    leading terms go by the latter, the others, which are small, by the former (Muller, "Elementary Functions", 3.6).
    """
    terms = [constant(x.emitter, coefficient) for coefficient in coefficients[_LEADING:]]
    power = x
    while len(terms) > 1:
        pairs = [high.times_plus(power, low) for low, high in zip(terms[0::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
        power = power * power
    return horner(x, coefficients[:_LEADING], terms[0])


def _evaluate(tail: _Tail, variable: Lanes) -> DoubleDouble:
    """Return the tail's polynomial at a variable, its last two steps with what their roundings lose."""
    linear, *higher = tail.higher
    beyond = _polynomial(variable, higher)
    slope = variable.times_plus(beyond, linear)
    slope_lost = variable.times_plus(beyond, linear - slope)
    rise, rise_lost = two_product(variable, slope)
    value, value_lost = two_sum(tail.constant, rise)
    return DoubleDouble(value, (value_lost + rise_lost) + variable.times_plus(slope_lost, tail.constant_tail))


def _tail_times_exponential(magnitude: Lanes, tail: _Tail, reduced: Reduced) -> Lanes:
    """Return the tail function of a magnitude times the exponential of a reduced argument."""
    reciprocal = 1.0 / (magnitude + _CENTER)
    is_far = magnitude.greater(_CENTER)
    nearly_one = (-reciprocal).times_plus(choose(is_far, magnitude, _CENTER), 1.0)
    # What both roundings left of 1 - reciprocal·(magnitude + c), and by how much that moves the function, relatively.
    off = (-reciprocal).times_plus(choose(is_far, _CENTER, magnitude), nearly_one)
    first, second = tail.steepness
    moved = off * reciprocal.times_plus(second, first).times_plus(reciprocal, 1.0)
    value, lost = _evaluate(tail, reciprocal.times_plus(-2.0 * _CENTER, 1.0))
    product = value * reciprocal
    rest = value.times_plus(reciprocal, -product) + lost * reciprocal
    return scale_down(times_exponential(product, moved.times_plus(product, rest), reduced), reduced)


def _erfc(x: Lanes) -> Lanes:
    """Write erfc(x): the upper tail, and for negative x 2 minus it."""
    magnitude = magnitude_up_to(x, BEYOND_EXP_MINUS_SQUARE)
    upper = _tail_times_exponential(magnitude, _ERFC_TAIL, reduced_minus_square(magnitude))
    return choose(x.less(0.0), 2.0 - upper, upper)


def _normal_cdf(x: Lanes) -> Lanes:
    """Write the normal distribution function: the lower tail, and for positive x 1 minus it.

    That is erfc(-x/√2)/2, the Gaussian of x itself and the slowly varying factor fitted in x: x/√2 is never rounded.
    """
    magnitude = magnitude_up_to(x, BEYOND_NORMAL_PDF)
    lower = _tail_times_exponential(magnitude, _NORMAL_TAIL, reduced_minus_half_square(magnitude))
    return choose(x.greater(0.0), 1.0 - lower, lower)


def _erf(x: Lanes) -> Lanes:
    """Write erf(x): an odd polynomial up to 7/8, beyond 1 - exp(-(a² + g(a))) with a smooth g."""
    magnitude = magnitude_up_to(x, _ERF_IS_ONE)
    square = magnitude * magnitude
    near = x.times_plus(_polynomial(square, _ERF_NEAR), x)
    excess = magnitude - _ERF_FAR_CENTER
    slope = _polynomial(excess, _ERF_FAR)
    smooth = excess.times_plus(slope, _ERF_FAR_CONSTANT)
    smooth_lost = excess.times_plus(slope, (_ERF_FAR_CONSTANT - smooth) + _ERF_FAR_CONSTANT_TAIL)
    total, total_lost = fast_two_sum(square, smooth)
    total_tail = magnitude.times_plus(magnitude, -square) + (total_lost + smooth_lost)
    reduced = reduce(-total, -total_tail)
    far = (-reduced.exponential()).times_plus(power_of_two(reduced.pattern), 1.0)
    return choose(magnitude.less(_ERF_IS_NEAR), near, far.with_sign_of(x))


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("erf", 1, _erf),
    VectorFunction("erfc", 1, _erfc),
    VectorFunction("normal_cdf", 1, _normal_cdf),
    *gaussians.FUNCTIONS,
)
"""erf, erfc, normal_cdf, and the Gaussians."""
