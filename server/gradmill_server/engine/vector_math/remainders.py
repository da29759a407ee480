"""Remainders of division, exact.

A quotient below 2^53 is rounded to a whole number that is right or one too large, so that x - q·y is a float64: one
fused operation finds it, and one sum corrects it. Larger quotients go down in strides of 51 bits by multiples of y that
are powers of two, the long division of the schoolbook.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from gradmill_server.engine.lanes import Lanes, Mask, call, choose, rare, select
from gradmill_server.engine.vector_math.definition import VectorFunction

_INFINITY: Final = float("inf")
_NAN: Final = float("nan")
_SMALLEST_NORMAL: Final = float.fromhex("0x1p-1022")
_LARGEST_QUOTIENT: Final = 2.0**53
_EXPONENT_FIELD: Final = 0x7FF0000000000000
_FRACTION_FIELD: Final = 0x000FFFFFFFFFFFFF
_STRIDE_BITS: Final = 51

_STRIDES: Final = (1, 4, 36)
"""In how many strides quotients are brought down before asking whether more are needed; the sum serves 2^2046."""


def _fmod(x: Lanes, y: Lanes) -> Lanes:
    """Write the remainder of truncated division, with the sign of x.

    Within 0 ulp: exact. Source: ISO C, annex F (fmod); the strides are those of the schoolbook (see the module).
    """
    dividend, divisor = abs(x), abs(y)
    quotient = dividend / divisor
    usual = _less_whole_part(quotient, dividend, divisor)
    remainder = rare(_is_far(quotient, divisor), usual, lambda: _far_remainder(dividend, divisor))
    return remainder.with_sign_of(x)


def _mod(x: Lanes, y: Lanes) -> Lanes:
    """Write the remainder of floored division, with the sign of y.

    Within 0.5 ulp: rounded once, when the divisor is added. Source: Knuth, TAOCP 1, 1.2.4 (mod).
    """
    dividend, divisor = abs(x), abs(y)
    quotient = dividend / divisor
    usual = _floored(_less_whole_part(quotient, dividend, divisor).with_sign_of(x), y)
    return rare(_is_far(quotient, divisor), usual, lambda: _floored(call("fmod", x, y), y))


def _is_far(quotient: Lanes, divisor: Lanes) -> Mask:
    """Hold where one step does not do: also beside infinities, NaN, and a divisor of zero."""
    return ~(quotient.less(_LARGEST_QUOTIENT) & divisor.less(_INFINITY))


def _less_whole_part(quotient: Lanes, dividend: Lanes, divisor: Lanes) -> Lanes:
    """Return the remainder, given the rounded quotient, which is below 2^53."""
    rest = (-quotient.trunc()).times_plus(divisor, dividend)
    return choose(rest.less(0.0), rest + divisor, rest)


def _far_remainder(dividend: Lanes, divisor: Lanes) -> Lanes:
    # A subnormal divisor has no exponent field to read: first the remainder by 2^54 times it, which is normal.
    subnormal = divisor.less(_SMALLEST_NORMAL)
    normal = choose(subnormal, divisor * 2.0**54, divisor)
    remainder = dividend
    for count in _STRIDES:
        unfinished = remainder.greater_equal(normal)
        remainder = rare(unfinished, remainder, partial(_strides, count, remainder, normal))
    remainder = choose(subnormal, _subnormal_remainder(remainder, divisor), remainder)
    defined = dividend.less(_INFINITY) & divisor.greater(0.0)
    return choose(defined, choose(divisor.equals(_INFINITY), dividend, remainder), _NAN)


def _strides(count: int, remainder: Lanes, divisor: Lanes) -> Lanes:
    for _ in range(count):
        remainder = _stride(remainder, divisor)
    return remainder


def _stride(remainder: Lanes, divisor: Lanes) -> Lanes:
    """Return the remainder by the multiple 2^n·divisor whose exponent is 51 less, or by the divisor if that is more."""
    exponent = (remainder.as_bits() & _EXPONENT_FIELD) - (_STRIDE_BITS << 52)
    least = divisor.as_bits()
    raised = (least & _FRACTION_FIELD) + exponent
    multiple = select(raised.greater(least), raised, least).as_lanes()
    return _less_whole_part(remainder / multiple, remainder, multiple)


def _subnormal_remainder(remainder: Lanes, divisor: Lanes) -> Lanes:
    """Return the remainder by a subnormal divisor of something less than 2^54 times it."""
    multiple = divisor * 2.0**27
    remainder = _less_whole_part(remainder / multiple, remainder, multiple)
    return _less_whole_part(remainder / divisor, remainder, divisor)


def _floored(remainder: Lanes, y: Lanes) -> Lanes:
    """Return the remainder of floored division from that of truncated division; a zero takes the sign of y."""
    opposite = remainder.less(0.0) ^ y.less(0.0)
    moved = choose(opposite, remainder + y, remainder)
    return choose(remainder.equals(0.0), remainder, moved).with_sign_of(y)


FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction("fmod", 2, _fmod, bound=0.0),
    VectorFunction("mod", 2, _mod, bound=0.5),
)
"""Both exact, save that the remainder of floored division is rounded once when the divisor is added to it."""
