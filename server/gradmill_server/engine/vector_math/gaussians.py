"""The Gaussians exp(-x²) and exp(-x²/2)/√(2π), to the last digits however large x is.

The rounding of x² would cost up to x² units in the last place. The square is therefore kept as the exact sum of a head
and a tail (Dekker's product, by a fused multiplication: J.-M. Muller et al., "Handbook of Floating-Point Arithmetic",
2nd ed. 2018, 4.4), and the tail enters the exponential's reduced argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from gradmill_server.engine.lanes import Lanes, choose, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.double_double import two_product
from gradmill_server.engine.vector_math.exponentials import Reduced, reduce
from gradmill_server.engine.vector_math.exponents import power_of_two, scale_normal

_ONE_BY_ROOT_TWO_PI: Final = 0.3989422804014327
_ONE_BY_ROOT_TWO_PI_TAIL: Final = -2.49232720227773e-17
"""1/√(2π) minus its nearest float64."""

# A power of two by which results are held up until their last rounding: with it, every count of doublings that occurs
# here, from -1131 to 0, is that of a normal number.
_HELD_UP: Final = 200


@dataclass(frozen=True, slots=True)
class Bell:
    """A Gaussian exp(-s·x²), and where it is small.

    Attributes:
        exponent_factor: s, a power of two.
        far_from: up to this |x| the Gaussian is normal, and so is a quarter of it.
        zero_from: from here on it is zero; s·x² is within what the exponential's reduction takes up to here.
    """

    exponent_factor: float
    far_from: float
    zero_from: float


UNIT: Final = Bell(exponent_factor=1.0, far_from=26.0, zero_from=28.0)
"""exp(-x²)."""

NORMAL: Final = Bell(exponent_factor=0.5, far_from=37.0, zero_from=39.5)
"""exp(-x²/2)."""


class Gaussian(NamedTuple):
    """The value of a bell as (high + low)·2**n; beyond the bell's `zero_from` and for NaN all but |x| is arbitrary.

    Attributes:
        bell: which function of x it is.
        magnitude: |x|.
        reduced: the exponent, reduced for the exponential; it tells n.
        high: between 0.6 and 1.4.
        low: below 0.1 in magnitude.
    """

    bell: Bell
    magnitude: Lanes
    reduced: Reduced
    high: Lanes
    low: Lanes

    def times(self, factor: Lanes | float, factor_tail: Lanes | float) -> Lanes:
        """Return factor + factor_tail times high + low; only the last of the roundings is of the product's own size."""
        return self.high.times_plus(factor, self.low.times_plus(factor, self.high * factor_tail))

    def scaled(self, product: Lanes) -> Lanes:
        """Return a product of high + low and a factor from 1/4 to 1, times 2**n, for any x."""
        is_far = ~self.magnitude.less(self.bell.far_from)
        return rare(is_far, self.scaled_normal(product), lambda: self.scaled_far_out(product))

    def scaled_normal(self, product: Lanes) -> Lanes:
        """Return a product of high + low times 2**n, where that is normal."""
        return scale_normal(product, self.reduced.pattern)

    def scaled_far_out(self, product: Lanes) -> Lanes:
        """Return a product of high + low times 2**n, for any x; only a subnormal result is rounded."""
        graded = product * power_of_two(self.reduced.pattern + _HELD_UP) * 2.0**-_HELD_UP
        return choose(self.magnitude.greater(self.bell.zero_from), 0.0, graded)


def gaussian(x: Lanes, bell: Bell) -> Gaussian:
    """Return a bell's value in parts."""
    magnitude = abs(x)
    square, tail = two_product(magnitude * -bell.exponent_factor, magnitude)
    reduced = reduce(square, tail)
    return Gaussian(bell, magnitude, reduced, *reduced.exponential_in_parts())


def exp_minus_square_of(parts: Gaussian) -> Lanes:
    """Return exp(-x²)."""
    return parts.scaled(parts.high + parts.low)


def normal_pdf_of(parts: Gaussian) -> Lanes:
    """Return exp(-x²/2)/√(2π), the constant as a sum of two float64."""
    return parts.scaled(parts.times(_ONE_BY_ROOT_TWO_PI, _ONE_BY_ROOT_TWO_PI_TAIL))


def _exp_minus_square(x: Lanes) -> Lanes:
    """Write exp(-x²).

    Within 1 ulp. Source: Muller et al. 2018 (see the module).
    """
    return exp_minus_square_of(gaussian(x, UNIT))


def _normal_pdf(x: Lanes) -> Lanes:
    """Write exp(-x²/2)/√(2π).

    Within 1 ulp. Source: Muller et al. 2018 (see the module).
    """
    return normal_pdf_of(gaussian(x, NORMAL))


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("exp_minus_square", 1, _exp_minus_square, bound=1.0),
    VectorFunction("normal_pdf", 1, _normal_pdf, bound=1.0),
)
"""exp_minus_square, normal_pdf."""
