"""Whole numbers and powers of two on lanes, by the layout of float64.

Adding 1.5 * 2**52 to a number of magnitude below 2**51 rounds it to the nearest whole number (halves to even) and
leaves that number, as an integer, in the low bits of the sum's pattern (T. J. Dekker, Numer. Math. 18, 1971; the
constant is folklore). Instruction sets without conversions between int64 and float64, such as AVX2, lose nothing so.
"""

from __future__ import annotations

from typing import NamedTuple

from gradmill_server.engine.lanes import Bits, Lanes

_SHIFT = 6755399441055744.0
_SHIFT_PATTERN = 0x4338000000000000
_BIAS = 1023
_FRACTION_BITS = 52


class Whole(NamedTuple):
    """A whole number below 2**51 in magnitude, in both forms.

    Attributes:
        number: as float64.
        pattern: a pattern whose low 51 bits are the number in two's complement; the bits above are arbitrary.
    """

    number: Lanes
    pattern: Bits


def nearest_whole(x: Lanes, factor: float = 1.0) -> Whole:
    """Return the whole number nearest to x*factor, halves to even, the product not rounded; arbitrary beyond 2**51."""
    shifted = x.times_plus(factor, _SHIFT)
    return Whole(shifted - _SHIFT, shifted.as_bits())


def whole_as_integer(x: Lanes) -> Bits:
    """Return a whole number below 2**51 in magnitude as int64."""
    return (x + _SHIFT).as_bits() - _SHIFT_PATTERN


def power_of_two(exponent: Bits) -> Lanes:
    """Return 2**exponent for exponents from -1022 to 1023; only the low 12 bits of the exponent are read."""
    return ((exponent + _BIAS) << _FRACTION_BITS).as_lanes()


def reciprocal_power_of_two(exponent: Bits) -> Lanes:
    """Return 2**-exponent for exponents from -1023 to 1022; only the low 12 bits of the exponent are read."""
    bias = Bits(exponent.emitter, exponent.emitter.integer_constant(_BIAS))
    return ((bias - exponent) << _FRACTION_BITS).as_lanes()


def scale_normal(x: Lanes, exponent: Bits) -> Lanes:
    """Return x * 2**exponent, where both x and the result are normal numbers; low 12 bits of the exponent are read."""
    return (x.as_bits() + (exponent << _FRACTION_BITS)).as_lanes()


def divide_normal(x: Lanes, exponent: Bits) -> Lanes:
    """Return x / 2**exponent, where both x and the result are normal numbers; low 12 bits of the exponent are read."""
    return (x.as_bits() - (exponent << _FRACTION_BITS)).as_lanes()


def scale(x: Lanes, exponent: Lanes) -> Lanes:
    """Return x * 2**exponent, rounded once, also where it overflows or is subnormal.

    Args:
        x: any number.
        exponent: whole, up to 2000 in magnitude. Above 1000, x itself should be around 1: the first of the two
            steps must neither overflow nor lose digits.
    """
    first = nearest_whole(exponent, 0.5)
    second = exponent - first.number
    return x * power_of_two(first.pattern) * power_of_two(whole_as_integer(second))
