"""The Gaussians exp(-x²) and exp(-x²/2)/√(2π), to the last digits however large x is.

The rounding of x² would cost up to x² units in the last place. The square is therefore kept as the exact sum of a head
and a tail (Dekker's product, by a fused multiplication: J.-M. Muller et al., "Handbook of Floating-Point Arithmetic",
2nd ed. 2018, 4.4), and the tail enters the exponential's reduced argument.
"""

from __future__ import annotations

from typing import Final

from gradmill_server.engine.lanes import Lanes, choose
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import fast_two_sum, two_product
from gradmill_server.engine.vector_math.exponentials import Reduced, reduce
from gradmill_server.engine.vector_math.exponents import power_of_two

BEYOND_EXP_MINUS_SQUARE: Final = 28.0
"""From here on exp(-x²) is zero; its square is within what the exponential's reduction takes."""

BEYOND_NORMAL_PDF: Final = 39.5
"""From here on exp(-x²/2) is zero; half its square is within what the exponential's reduction takes."""

_ONE_BY_ROOT_TWO_PI: Final = 0.3989422804014327
_ONE_BY_ROOT_TWO_PI_TAIL: Final = -2.49232720227773e-17
"""1/√(2π) minus its nearest float64."""

# A power of two by which results are held up until their last rounding: with it, every count of doublings that occurs
# here, from -1131 to 0, is that of a normal number.
_HELD_UP: Final = 200


def magnitude_up_to(x: Lanes, bound: float) -> Lanes:
    """Return |x|, or the bound where that is less; NaN stays NaN."""
    magnitude = abs(x)
    return choose(magnitude.greater(bound), bound, magnitude)


def reduced_minus_square(x: Lanes) -> Reduced:
    """Return -x² reduced for the exponential, for |x| up to `BEYOND_EXP_MINUS_SQUARE`."""
    square, tail = two_product(-x, x)
    return reduce(square, tail)


def reduced_minus_half_square(x: Lanes) -> Reduced:
    """Return -x²/2 reduced for the exponential, for |x| up to `BEYOND_NORMAL_PDF`."""
    square, tail = two_product(x * -0.5, x)
    return reduce(square, tail)


def scale_down(x: Lanes, reduced: Reduced) -> Lanes:
    """Return x, around 1 in size, times the reduced argument's power of two; only a subnormal result is rounded."""
    return x * power_of_two(reduced.pattern + _HELD_UP) * 2.0**-_HELD_UP


def times_exponential(factor: Lanes | float, factor_tail: Lanes | float, reduced: Reduced) -> Lanes:
    """Return factor + factor_tail times the exponential of the reduced argument, its power of two left out.

    Only the last of its roundings is of the product's own size.
    """
    total, lost = fast_two_sum(1.0, reduced.head)
    rest = (lost + reduced.above_head()) * factor + total * factor_tail
    return total.times_plus(factor, rest)


def _exp_minus_square(x: Lanes) -> Lanes:
    """Write exp(-x²).

    Within 1 ulp. Source: Muller et al. 2018 (see the module).
    """
    reduced = reduced_minus_square(magnitude_up_to(x, BEYOND_EXP_MINUS_SQUARE))
    return scale_down(reduced.exponential(), reduced)


def normal_pdf(x: Lanes) -> Lanes:
    """Write exp(-x²/2)/√(2π), the constant as a sum of two float64.

    Within 1 ulp. Source: Muller et al. 2018 (see the module).
    """
    reduced = reduced_minus_half_square(magnitude_up_to(x, BEYOND_NORMAL_PDF))
    return scale_down(times_exponential(_ONE_BY_ROOT_TWO_PI, _ONE_BY_ROOT_TWO_PI_TAIL, reduced), reduced)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("exp_minus_square", 1, _exp_minus_square, bound=1.0),
    VectorFunction("normal_pdf", 1, normal_pdf, bound=1.0),
)
"""exp_minus_square, normal_pdf."""
