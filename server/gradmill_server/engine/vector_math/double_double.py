"""Numbers kept as the unevaluated sum of two float64, some 106 bits: exact sums and products, and what they make.

Sources: T. J. Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18 (1971);
D. E. Knuth, TAOCP 2, 4.2.2 (the sum without a condition). Nothing here looks at infinities or overflow: callers do.
"""

from __future__ import annotations

from typing import NamedTuple

from gradmill_server.engine.lanes import Lanes


class DoubleDouble(NamedTuple):
    """The unevaluated sum of two float64; the low part is about 2^-53 of the high one, or less.

    Attributes:
        high: the sum, rounded.
        low: what rounding left over.
    """

    high: Lanes
    low: Lanes


def two_sum(first: Lanes | float, second: Lanes) -> DoubleDouble:
    """Return the exact sum of two numbers in any order."""
    total = second + first
    part = total - first
    return DoubleDouble(total, (first - (total - part)) + (second - part))


def fast_two_sum(larger: Lanes | float, smaller: Lanes) -> DoubleDouble:
    """Return the exact sum of two numbers whose exponents do not ascend, or the first of which is zero."""
    total = smaller + larger
    return DoubleDouble(total, (larger - total) + smaller)


def two_product(first: Lanes, second: Lanes) -> DoubleDouble:
    """Return the exact product of two numbers, as long as its low part does not underflow."""
    product = first * second
    return DoubleDouble(product, first.times_plus(second, -product))


def square(number: DoubleDouble) -> DoubleDouble:
    """Return the square, not normalised."""
    product, rest = two_product(number.high, number.high)
    return DoubleDouble(product, (number.high + number.high).times_plus(number.low, rest))


def product(first: DoubleDouble, second: DoubleDouble) -> DoubleDouble:
    """Return the product, not normalised; it errs by a few parts in 2^104."""
    high, rest = two_product(first.high, second.high)
    return DoubleDouble(high, first.high.times_plus(second.low, first.low.times_plus(second.high, rest)))


def sum_of(larger: tuple[Lanes | float, Lanes | float], smaller: DoubleDouble) -> DoubleDouble:
    """Return the sum, not normalised, of two numbers whose exponents do not ascend."""
    high, rest = fast_two_sum(larger[0], smaller.high)
    return DoubleDouble(high, rest + (smaller.low + larger[1]))
