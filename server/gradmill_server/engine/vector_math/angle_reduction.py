"""Angles reduced to an eighth of the circle: x = quadrant*pi/2 + (high + low), |high + low| <= pi/4 or a hair more.

Sources: W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980 (the multiple of pi/2 taken away
in parts); M. H. Payne and R. N. Hanek, "Radian reduction for trigonometric functions", SIGNUM Newsletter 18(1), 1983
(of the product with 2/pi only the digits that matter); T. J. Dekker, Numerische Mathematik 18, 1971 (sums and products
with their errors); J.-M. Muller, Elementary Functions, 3rd edition, chapter 11 (how near to a multiple of pi/2, other
than 0, a float64 comes: never nearer than 2^-61).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

from gradmill_server.engine.lanes import Bits, Lanes, Mask, call_many, constant, select
from gradmill_server.engine.vector_math.definition import VectorFunction

_TWO_OVER_PI: Final = 0.6366197723675814
# pi/2 to 160 bits, each part the nearest float64 to what the parts before it leave.
HALF_PI: Final = 1.5707963267948966
HALF_PI_LOW: Final = 6.123233995736766e-17
_HALF_PI_LOWEST: Final = -1.4973849048591698e-33

# Added to a number under 2^51, it leaves the nearest integer in the low bits of the sum.
_ROUNDER: Final = 6755399441055744.0

HUGE: Final = float(1 << 40)
"""The least magnitude of an angle whose reduction needs more than three parts of pi/2."""

TWO_OVER_PI_WORDS: Final = (
    *(0x00000000, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041),
    *(0xFE5163AB, 0xDEBBC561, 0xB7246E3A, 0x424DD2E0, 0x06492EEA, 0x09D1921C),
    *(0xFE1DEB1C, 0xB129A73E, 0xE88235F5, 0x2EBB4484, 0xE99C7026, 0xB45F7E41),
    *(0x3991D639, 0x835339F4, 0x9C845F8B, 0xBDF9283B, 0x1FF897FF, 0xDE05980F),
    *(0xEF2F118B, 0x5A0A6D1F, 0x6D367ECF, 0x27CB09B7, 0x4F463F66, 0x9E5FEA2D),
    *(0x7527BAC7, 0xEBE5F17B, 0x3D0739F7, 0x8A5292EA, 0x6BFB5FB1, 0x1F8D5D08, 0x56033046),
)
"""2/pi as a fixed-point number in words of 32 bits, the most significant first, after one word of zeros.

The window of the least huge angles opens before the point.
"""
_WINDOW: Final = 6
_WORD_BITS: Final = 32
_WORD: Final = 0xFFFFFFFF

_FRACTION_BITS: Final = 52
_FRACTION: Final = (1 << _FRACTION_BITS) - 1
_BIAS: Final = 1023
SIGN: Final = 1 << 63
"""The sign's bit of a float64."""


class Angle(NamedTuple):
    """An angle as quadrant*pi/2 + (high + low).

    Attributes:
        high: nearly all of it.
        low: the rest, of the order of an ulp of high or, where reduction cancels much, somewhat more.
        quadrant: only its two lowest bits count.
    """

    high: Lanes
    low: Lanes
    quadrant: Bits


def is_huge(x: Lanes) -> Mask:
    """Hold where `reduced` would not do: from 2^40 on, infinities included, NaN not."""
    return abs(x).greater_equal(HUGE)


def reduced(x: Lanes) -> Angle:
    """Return an angle under 2^40 in magnitude, reduced to a relative error under 2^-57; NaN for NaN.

    Let n be the integer nearest to x*2/pi; 2/pi in float64 displaces the halves by less than 2^-13, hence |high| may
    pass pi/4 by 2^-12.5. The first fma is exact: for n != 0 both of its terms are multiples of 2^-53, and the
    difference is under 1. That difference is also a multiple of the ulp of n*HALF_PI_LOW, which is what Dekker's fast
    sum needs, so ``first - high`` is exact as well. What is rounded is ``rest``, under n*2^-106 in size, hence by less
    than 2^(40-106-53) = 2^-119, and low itself; the parts of pi/2 left out weigh less. A float64 stays 2^-61 clear of
    the multiples of pi/2, and 2^(61-119) is the error beside that.
    """
    shifted = x.times_plus(_TWO_OVER_PI, _ROUNDER)
    turns = shifted - _ROUNDER
    first = turns.times_plus(-HALF_PI, x)
    product = turns * HALF_PI_LOW
    rest = turns.times_plus(_HALF_PI_LOWEST, turns.times_plus(HALF_PI_LOW, -product))
    high = first - product
    low = ((first - high) - product) - rest
    return Angle(high, low, shifted.as_bits())


def reduced_huge(x: Lanes) -> Angle:
    """Return an angle of 2^40 or more, reduced to a relative error under 2^-66; NaN for infinities. Slow."""
    high, low, quadrant = call_many(REDUCTION_OF_HUGE.name, x)
    return Angle(high, low, quadrant.as_bits())


def _write_reduction_of_huge(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Write Payne and Hanek's reduction in fixed point.

    |x| is an integer of 53 bits times 2^e. Of 2/pi a window of 192 bits is taken whose first bit, times 2^e, weighs 2:
    the bits before it add whole turns, those after the window less than 2^-137 quadrants. The product modulo 2^192 is
    then the quadrant, in two bits, and the fraction of a quadrant, of which the next 128 bits are kept.

    Within 0.001 ulp of the high part. Source: Payne and Hanek 1983 (see the module).
    """
    magnitude = abs(x).as_bits()
    # e is the exponent field - 1075; the first bit after the point of 2/pi is bit 32 of the words and weighs 2^-1.
    start = magnitude.logical_right(_FRACTION_BITS) - (_BIAS + _FRACTION_BITS + 2 - _WORD_BITS)
    mantissa = (magnitude & _FRACTION) | (1 << _FRACTION_BITS)
    limbs = _product(mantissa, _window(start))[1:]
    top = limbs[-1]
    # The two bits of the quadrant leave; two bits of the limb below move up.
    moved = [((upper << 2) | lower.logical_right(30)) & _WORD for lower, upper in pairwise(limbs)]
    # To the nearest multiple of pi/2: half a quadrant and more is negative. Inverting all bits negates, up to 2^-128.
    past_half = (top << 34).arithmetic_right(63)
    magnitudes = [(limb ^ past_half) & _WORD for limb in reversed(moved)]
    quadrant = top.logical_right(30) - past_half
    high, low = _quadrants_to_radians(*_sum_of_limbs(magnitudes))
    flip = (past_half ^ x.as_bits()) & SIGN
    # x - x is NaN for an infinity, else nothing.
    signed_high = (high.as_bits() ^ flip).as_lanes() + (x - x)
    signed_low = (low.as_bits() ^ flip).as_lanes()
    zero = constant(x.emitter, 0.0).as_bits()
    return signed_high, signed_low, select(x.less(0.0), zero - quadrant, quadrant).as_lanes()


def _bit_set(value: Bits, place: int) -> Mask:
    return (value << (63 - place)).less(0)


def _window(start: Bits) -> list[Bits]:
    """Return the words, the most significant first, of 2/pi from bit ``start`` on.

    There is no gather: each bit of the word's number halves the list, and each of the bits below doubles a factor.
    """
    zero = start & 0
    words = [zero + word for word in TWO_OVER_PI_WORDS]
    for step in (16, 8, 4, 2, 1):
        jump = _bit_set(start, 4 + step.bit_length())
        kept = _WINDOW + step
        words = [select(jump, words[place + step], words[place]) for place in range(kept)]
    factor = zero + 1
    for place in range(5):
        factor = select(_bit_set(start, place), factor << (1 << place), factor)
    return [(((upper << _WORD_BITS) | lower) * factor).logical_right(_WORD_BITS) for upper, lower in pairwise(words)]


def _product(mantissa: Bits, window: list[Bits]) -> list[Bits]:
    """Return the product's limbs of 32 bits modulo 2^192, the least significant first."""
    halves = (mantissa & _WORD, mantissa.logical_right(_WORD_BITS))
    zero = mantissa & 0
    columns = [[zero] for _ in range(_WINDOW + 2)]
    for place, word in enumerate(reversed(window)):
        for half_place, half in enumerate(halves):
            partial = word * half
            columns[place + half_place].append(partial & _WORD)
            columns[place + half_place + 1].append(partial.logical_right(_WORD_BITS))
    limbs = []
    carry = zero
    for column in columns[:_WINDOW]:
        for term in column:
            carry = carry + term
        limbs.append(carry & _WORD)
        carry = carry.logical_right(_WORD_BITS)
    return limbs


def _sum_of_limbs(limbs: list[Bits]) -> tuple[Lanes, Lanes]:
    """Return four limbs, the first worth 2^-32 a unit, as a float64 and its remainder.

    A limb put into the fraction of a power of two, and that power taken away, is the limb scaled, exactly. Each fast
    sum is exact, as the first term is a multiple of the ulp of the second.
    """
    terms = []
    for place, limb in enumerate(limbs):
        exponent = _FRACTION_BITS - _WORD_BITS * (place + 1)
        terms.append((limb | ((_BIAS + exponent) << _FRACTION_BITS)).as_lanes() - 2.0**exponent)
    upper, upper_error = _fast_two_sum(terms[0], terms[1])
    lower, lower_error = _fast_two_sum(terms[2], terms[3])
    high, high_error = _fast_two_sum(upper, lower)
    return high, (upper_error + high_error) + lower_error


def _quadrants_to_radians(high: Lanes, low: Lanes) -> tuple[Lanes, Lanes]:
    radians = high * HALF_PI
    error = high.times_plus(HALF_PI, -radians)
    return radians, high.times_plus(HALF_PI_LOW, low.times_plus(HALF_PI, error))


def _fast_two_sum(large: Lanes, small: Lanes) -> tuple[Lanes, Lanes]:
    total = large + small
    return total, small - (total - large)


REDUCTION_OF_HUGE: Final = VectorFunction("reduction_of_huge", 1, _write_reduction_of_huge, bound=0.001, results=3)
"""The parts of an `Angle`, the quadrant as the float64 of the same bits; only for 2^40 and more in magnitude."""
