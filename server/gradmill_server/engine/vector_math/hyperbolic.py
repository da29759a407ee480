"""The hyperbolic functions.

With x = n*ln(2) + r, sinh(x) is (p - q) cosh(r) + (p + q) sinh(r), where p = 2**(n-1) and q = 2**(-n-1), and cosh(x)
the same with the two weights exchanged: the even and odd halves of one exponential's polynomial give all of them,
without a division for exp(-x) and without cancelling near 0 (J.-M. Muller, "Elementary Functions", chapter on range
reduction, has the addition formulas).
"""

from __future__ import annotations

from typing import NamedTuple

from gradmill_server.engine.lanes import Lanes, call, choose, constant, rare
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.exponentials import Reduced, reduce, scaled_at_the_ends, unusual
from gradmill_server.engine.vector_math.exponents import divide_normal, power_of_two, reciprocal_power_of_two

_FAR = 300.0
"""Where the parts of the hyperbolic tangent are cut off: from 20 on it rounds to 1, up to here 2**(-2n) is normal."""


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


def _sinh_of(reduced: Reduced) -> Lanes:
    growing, falling = _halved_powers(reduced)
    return _combination(reduced, growing, -falling).head


def _cosh_of(reduced: Reduced) -> Lanes:
    growing, falling = _halved_powers(reduced)
    return _combination(reduced, growing, falling).head


def _far_out(reduced: Reduced, magnitude: Lanes) -> Lanes:
    """Return half the exponential of a magnitude."""
    return scaled_at_the_ends(reduced, magnitude, doublings=-1.0)


def _sinh(x: Lanes) -> Lanes:
    """Write sinh(x), odd by construction.

    Within 1 ulp. Source: Muller, Elementary Functions (see the module).
    """
    magnitude = abs(x)
    reduced = reduce(magnitude)
    return rare(unusual(x), _sinh_of(reduced), lambda: _far_out(reduced, magnitude)).with_sign_of(x)


def _cosh(x: Lanes) -> Lanes:
    """Write cosh(x), even by construction.

    Within 1 ulp. Source: Muller, Elementary Functions (see the module).
    """
    magnitude = abs(x)
    reduced = reduce(magnitude)
    return rare(unusual(x), _cosh_of(reduced), lambda: _far_out(reduced, magnitude))


def _sinh_and_cosh(x: Lanes) -> tuple[Lanes, Lanes]:
    """Write sinh(x) and cosh(x), with the bits of each alone.

    Both within 1 ulp. Source: Muller, Elementary Functions (see the module).
    """
    magnitude = abs(x)
    reduced = reduce(magnitude)
    sinh, cosh = _sinh_of(reduced), _cosh_of(reduced)
    beyond = unusual(x)
    cosh = rare(beyond, cosh, lambda: _far_out(reduced, magnitude))
    # Far out, and for NaN, both are the same but for the sign.
    return choose(beyond, cosh, sinh).with_sign_of(x), cosh


def _reciprocal_of(cosh: _Sum, reciprocal: Lanes) -> Lanes:
    """Return 1/cosh, given that of its head, put right by one Newton step."""
    remainder = (-reciprocal).times_plus(cosh.tail, (-reciprocal).times_plus(cosh.head, 1.0))
    return remainder.times_plus(reciprocal, reciprocal)


def _sech(x: Lanes) -> Lanes:
    """Write 1/cosh(x), put right by one Newton step; far out, where cosh would overflow, 2 exp(-|x|).

    Within 1 ulp. Source: Muller, Elementary Functions (see the module).
    """
    magnitude = abs(x)
    reduced = reduce(magnitude)
    cosh = _combination(reduced, *_halved_powers(reduced))
    usual = _reciprocal_of(cosh, 1.0 / cosh.head)
    return rare(unusual(x), usual, lambda: scaled_at_the_ends(reduce(-magnitude), -magnitude, doublings=1.0))


class _Scaled(NamedTuple):
    """The parts of tanh(x): sinh(|x|) and cosh(x), both divided by 2**(n-1).

    Attributes:
        reduced: |x|, but at most `_FAR`, reduced; it tells n.
        sinh: up to 3.
        cosh: from 1 to 3.
        reciprocal: that of the latter's head.
    """

    reduced: Reduced
    sinh: _Sum
    cosh: _Sum
    reciprocal: Lanes

    def tanh(self) -> Lanes:
        """Return the quotient, its error put right by its remainder."""
        quotient = self.sinh.head * self.reciprocal
        remainder = (-quotient).times_plus(self.cosh.head, self.sinh.head)
        remainder = remainder + (-quotient).times_plus(self.cosh.tail, self.sinh.tail)
        return remainder.times_plus(self.reciprocal, quotient)


def _scaled_sinh_and_cosh(x: Lanes) -> _Scaled:
    magnitude = abs(x)
    # A NaN passes the comparison's else.
    reduced = reduce(choose(magnitude.greater(_FAR), _FAR, magnitude))
    falling = reciprocal_power_of_two(reduced.pattern + reduced.pattern)
    one = constant(x.emitter, 1.0)
    sinh, cosh = _combination(reduced, one, -falling), _combination(reduced, one, falling)
    return _Scaled(reduced, sinh, cosh, 1.0 / cosh.head)


def _tanh(x: Lanes) -> Lanes:
    """Write sinh(x)/cosh(x), both divided by 2**(n-1), with the quotient's error put right by its remainder.

    Within 1 ulp. Source: Muller, Elementary Functions (see the module); Dekker 1971 (the quotient).
    """
    return _scaled_sinh_and_cosh(x).tanh().with_sign_of(x)


def _tanh_and_sech(x: Lanes) -> tuple[Lanes, Lanes]:
    """Write tanh(x) and sech(x), with the bits of each alone: a power of two taken out of cosh(x) changes no digit.

    Both within 1 ulp. Source: Muller, Elementary Functions (see the module); Dekker 1971 (the quotient).
    """
    parts = _scaled_sinh_and_cosh(x)
    sech = divide_normal(_reciprocal_of(parts.cosh, parts.reciprocal), parts.reduced.pattern - 1)
    return parts.tanh().with_sign_of(x), rare(unusual(x, _FAR), sech, lambda: call("sech", x))


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("sinh", 1, _sinh, bound=1.0),
    VectorFunction("cosh", 1, _cosh, bound=1.0),
    VectorFunction("tanh", 1, _tanh, bound=1.0),
    VectorFunction("sech", 1, _sech, bound=1.0),
    VectorFunction("sinh_and_cosh", 1, _sinh_and_cosh, bound=1.0, results=2),
    VectorFunction("tanh_and_sech", 1, _tanh_and_sech, bound=1.0, results=2),
)
"""sinh, cosh, tanh, sech, and pairs of these."""
