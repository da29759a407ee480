"""The hyperbolic functions.

With x = n*ln(2) + r, sinh(x) is (p - q) cosh(r) + (p + q) sinh(r), where p = 2**(n-1) and q = 2**(-n-1), and cosh(x)
the same with the two weights exchanged: the even and odd halves of one exponential's polynomial give all of them,
without a division for exp(-x) and without cancelling near 0 (J.-M. Muller, "Elementary Functions", chapter on range
reduction, has the addition formulas).
"""

from __future__ import annotations

from typing import NamedTuple

from gradmill_server.engine.lanes import Lanes, choose, constant, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.exponentials import Reduced, reduce, scaled_at_the_ends, unusual
from gradmill_server.engine.vector_math.exponents import power_of_two, reciprocal_power_of_two

_FAR = 300.0
"""From here on the hyperbolic tangent is 1 and the secant is 2 exp(-|x|) in float64; 4**-n is still a normal number."""


class _Sum(NamedTuple):
    """A number as head + tail, the head being the sum rounded."""

    head: Lanes
    tail: Lanes


def _combination(reduced: Reduced, growing: Lanes, falling: Lanes) -> _Sum:
    """Return growing*exp(r) + falling*exp(-r).

    Args:
        reduced: tells r.
        growing: a power of two.
        falling: a power of two, or its negative, of magnitude growing or at most a quarter of it.
    """
    of_cosh = growing + falling
    of_sinh = growing - falling
    # When n is about 27 the weights are rounded; left out, this would cost the tangent near 1 half a unit.
    weights_lost = ((growing - of_sinh) - falling).times_plus(reduced.head, (growing - of_cosh) + falling)
    head = of_sinh.times_plus(reduced.head, of_cosh)
    lost = of_sinh.times_plus(reduced.head, of_cosh - head) + weights_lost
    from_sinh = (reduced.square * reduced.rounded).times_plus(reduced.odd, reduced.tail)
    from_cosh = (reduced.square * reduced.cosh_by_square()).times_plus(of_cosh, lost)
    rest = from_sinh.times_plus(of_sinh, from_cosh)
    total = head + rest
    return _Sum(total, rest - (total - head))


def _halved_powers(reduced: Reduced) -> tuple[Lanes, Lanes]:
    """Return 2**(n-1) and 2**(-n-1)."""
    return power_of_two(reduced.pattern - 1), reciprocal_power_of_two(reduced.pattern + 1)


def _sinh(x: Lanes) -> Lanes:
    """Write sinh(x), odd by construction.

    Within 1 ulp. Source: Muller, Elementary Functions (see the module).
    """
    magnitude = abs(x)
    reduced = reduce(magnitude)
    growing, falling = _halved_powers(reduced)
    usual = _combination(reduced, growing, -falling).head
    return rare(unusual(x), usual, lambda: scaled_at_the_ends(reduced, magnitude, doublings=-1.0)).with_sign_of(x)


def _cosh_sum(reduced: Reduced) -> _Sum:
    growing, falling = _halved_powers(reduced)
    return _combination(reduced, growing, falling)


def _cosh(x: Lanes) -> Lanes:
    """Write cosh(x), even by construction.

    Within 1 ulp. Source: Muller, Elementary Functions (see the module).
    """
    magnitude = abs(x)
    reduced = reduce(magnitude)
    usual = _cosh_sum(reduced).head
    return rare(unusual(x), usual, lambda: scaled_at_the_ends(reduced, magnitude, doublings=-1.0))


class _Scaled(NamedTuple):
    """A magnitude up to `_FAR`, the hyperbolic cosine divided by 2**(n-1), and its reciprocal."""

    reduced: Reduced
    falling: Lanes
    cosh: _Sum
    reciprocal: Lanes


def _scaled_cosh(x: Lanes) -> _Scaled:
    magnitude = abs(x)
    # A NaN passes the comparison's else.
    reduced = reduce(choose(magnitude.greater(_FAR), _FAR, magnitude))
    falling = reciprocal_power_of_two(reduced.pattern + reduced.pattern)
    cosh = _combination(reduced, constant(x.emitter, 1.0), falling)
    return _Scaled(reduced, falling, cosh, 1.0 / cosh.head)


def _sech_of(x: Lanes, scaled: _Scaled) -> Lanes:
    """Return 1/cosh(x), put right by one Newton step; far out 2 exp(-|x|)."""
    cosh, reciprocal = scaled.cosh, scaled.reciprocal
    remainder = (-reciprocal).times_plus(cosh.tail, (-reciprocal).times_plus(cosh.head, 1.0))
    usual = remainder.times_plus(reciprocal, reciprocal) * reciprocal_power_of_two(scaled.reduced.pattern - 1)
    far = -abs(x)
    return rare(unusual(x, _FAR), usual, lambda: scaled_at_the_ends(reduce(far), far, doublings=1.0))


def _tanh_of(x: Lanes, scaled: _Scaled) -> Lanes:
    """Return sinh(x)/cosh(x), both divided by 2**(n-1), with the quotient's error put right by its remainder."""
    cosh, reciprocal = scaled.cosh, scaled.reciprocal
    sinh = _combination(scaled.reduced, constant(x.emitter, 1.0), -scaled.falling)
    quotient = sinh.head * reciprocal
    remainder = (-quotient).times_plus(cosh.head, sinh.head)
    remainder = remainder + (-quotient).times_plus(cosh.tail, sinh.tail)
    return remainder.times_plus(reciprocal, quotient).with_sign_of(x)


def _sech(x: Lanes) -> Lanes:
    """Write 1/cosh(x).

    Within 1 ulp. Source: Muller, Elementary Functions (see the module).
    """
    return _sech_of(x, _scaled_cosh(x))


def _tanh(x: Lanes) -> Lanes:
    """Write tanh(x).

    Within 1 ulp. Source: Muller, Elementary Functions (see the module); Dekker 1971 (the quotient).
    """
    return _tanh_of(x, _scaled_cosh(x))


def _tanh_and_sech(x: Lanes) -> tuple[Lanes, Lanes]:
    """Write tanh(x) and sech(x), which share cosh(x) and its reciprocal.

    Within 1 ulp. Source: Muller, Elementary Functions (see the module); Dekker 1971 (the quotient).
    """
    scaled = _scaled_cosh(x)
    return _tanh_of(x, scaled), _sech_of(x, scaled)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("sinh", 1, _sinh, bound=1.0),
    VectorFunction("cosh", 1, _cosh, bound=1.0),
    VectorFunction("tanh", 1, _tanh, bound=1.0),
    VectorFunction("sech", 1, _sech, bound=1.0),
    VectorFunction("tanh_and_sech", 1, _tanh_and_sech, results=2, bound=1.0),
)
"""sinh, cosh, tanh, sech, and the last two at once."""
