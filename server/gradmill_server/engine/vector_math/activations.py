"""Functions of learning that are products, or chosen by pieces: silu, gelu, and Huber's loss.

Where x·exp(x) or x times a Gaussian tail is subnormal, or nearly so, the factor x goes in before the power of two, so
that only the result itself is rounded to few bits.
"""

from __future__ import annotations

from typing import Final

from gradmill_server.engine.lanes import Lanes, choose, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.error_functions import NORMAL_TAIL, tail_times_gaussian
from gradmill_server.engine.vector_math.exponentials import exp_of_sum, quotient_of_sigmoid, reduce, unusual
from gradmill_server.engine.vector_math.exponents import scale
from gradmill_server.engine.vector_math.gaussians import NORMAL, gaussian

_NAN: Final = float("nan")
_USUAL: Final = 700.0
"""Up to this magnitude x·exp(x) is normal, and so is the exponential itself."""

_VANISHING: Final = -800.0
"""Below this x·exp(x) is zero."""


def _silu(x: Lanes) -> Lanes:
    """Write x times the logistic function, the quotient's correction included.

    Within 1.5 ulp. Source: Dekker 1971 (the quotient; see `exponentials`).
    """
    quotient, correction = quotient_of_sigmoid(x, exp_of_sum(-abs(x)))
    usual = x.times_plus(quotient, x * correction)

    def at_the_ends() -> Lanes:
        reduced = reduce(x)
        graded = scale(x * reduced.exponential(), reduced.exponent)
        return choose(x.greater(0.0) | x.is_nan(), x, choose(x.less(_VANISHING), 0.0, graded))

    return rare(unusual(x, _USUAL), usual, at_the_ends).with_sign_of(x)


def _gelu(x: Lanes) -> Lanes:
    """Write x times the normal distribution function: |x| times its lower tail, negated or taken from x.

    Within 1.5 ulp. Source: Cody 1969, Shepherd and Laframboise 1981 (see `error_functions`).
    """
    magnitude = abs(x)
    lower = tail_times_gaussian(gaussian(x, NORMAL), NORMAL_TAIL, magnitude)
    return choose(x.greater(0.0), magnitude - lower, lower).with_sign_of(x)


def _huber(x: Lanes, delta: Lanes) -> Lanes:
    """Write x²/2 up to |x| = delta, and the tangent beyond; NaN for a negative delta.

    Within 1.5 ulp. Source: P. J. Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35, 1964.
    """
    magnitude = abs(x)
    tangent = choose(delta.greater_equal(0.0), delta * (magnitude - delta * 0.5), _NAN)
    return choose(magnitude.less_equal(delta), (magnitude * 0.5) * magnitude, tangent)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("silu", 1, _silu, bound=1.5),
    VectorFunction("gelu", 1, _gelu, bound=1.5),
    VectorFunction("huber", 2, _huber, bound=1.5),
)
"""silu, gelu, huber."""
