"""Black and Scholes's call and its five sensitivities in closed form, by the C library's erfc and by mpmath.

F. Black and M. Scholes, "The Pricing of Options and Corporate Liabilities", J. Political Economy 81 (1973); the
derivatives as in J. Hull, "Options, Futures, and Other Derivatives", chapter 19.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import mpmath
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FORMULA = """
total_deviation = volatility*sqrt(maturity)
d1 = (log(spot/strike) + (rate + volatility**2/2)*maturity)/total_deviation
d2 = d1 - total_deviation
price = spot*normal_cdf(d1) - strike*exp(-rate*maturity)*normal_cdf(d2)
"""


class Greeks(NamedTuple):
    """The price and its derivatives by spot, strike, maturity, rate and volatility."""

    price: Any
    gradient: Any


_erfc = np.frompyfunc(math.erfc, 1, 1)


def _normal_cdf(x: Array) -> Array:
    return 0.5 * np.asarray(_erfc(-x / math.sqrt(2.0)), dtype=np.float64)


def closed_form(rows: Array) -> Greeks:
    """Return price [n] and gradient [n, 5] for rows [n, 5]."""
    spot, strike, maturity, rate, volatility = rows.T
    deviation = volatility * np.sqrt(maturity)
    d1 = (np.log(spot / strike) + (rate + volatility**2 / 2) * maturity) / deviation
    d2 = d1 - deviation
    discounted = strike * np.exp(-rate * maturity)
    density = np.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    upper, lower = _normal_cdf(d1), _normal_cdf(d2)
    vega = spot * density * np.sqrt(maturity)
    gradient = np.column_stack(
        [
            upper,
            -np.exp(-rate * maturity) * lower,
            spot * density * volatility / (2 * np.sqrt(maturity)) + rate * discounted * lower,
            maturity * discounted * lower,
            vega,
        ]
    )
    return Greeks(spot * upper - discounted * lower, gradient)


def exact(row: list[float]) -> Greeks:
    """Return price and gradient [5] of one row to 40 digits."""
    with mpmath.workdps(40):
        spot, strike, maturity, rate, volatility = map(mpmath.mpf, row)
        deviation = volatility * mpmath.sqrt(maturity)
        d1 = (mpmath.log(spot / strike) + (rate + volatility**2 / 2) * maturity) / deviation
        d2 = d1 - deviation
        discounted = strike * mpmath.exp(-rate * maturity)
        upper, lower, density = mpmath.ncdf(d1), mpmath.ncdf(d2), mpmath.npdf(d1)
        gradient = [
            upper,
            -mpmath.exp(-rate * maturity) * lower,
            spot * density * volatility / (2 * mpmath.sqrt(maturity)) + rate * discounted * lower,
            maturity * discounted * lower,
            spot * density * mpmath.sqrt(maturity),
        ]
        return Greeks(spot * upper - discounted * lower, gradient)


def condition_numbers(rows: Array) -> Array:
    """Return for each row and sensitivity [n, 5] how much the formula as written amplifies rounding.

    Its derivative adds terms that come by way of d1 and by way of d2, which cancel in exact arithmetic: the terms over
    the sum is one factor. The other is the square of d1 and d2, by which the density in each term amplifies a
    rounding of its argument.
    """
    spot, strike, maturity, rate, volatility = rows.T
    root = np.sqrt(maturity)
    deviation = volatility * root
    d1 = (np.log(spot / strike) + (rate + volatility**2 / 2) * maturity) / deviation
    d2 = d1 - deviation
    discounted = strike * np.exp(-rate * maturity)
    density = np.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    weight = spot * density
    gradient = closed_form(rows).gradient
    by_way_of_d = np.column_stack(
        [
            1 / (spot * deviation),
            1 / (strike * deviation),
            (np.abs(d1) + np.abs(d2) + deviation) / maturity,
            root / volatility,
            (np.abs(d1) + np.abs(d2)) / volatility,
        ]
    )
    terms = weight[:, None] * by_way_of_d
    direct = np.column_stack(
        [
            np.zeros_like(spot),
            np.zeros_like(spot),
            np.abs(rate) * discounted * _normal_cdf(d2),
            np.zeros_like(spot),
            np.zeros_like(spot),
        ]
    )
    tail = 1.0 + d1[:, None] ** 2 + d2[:, None] ** 2
    return np.asarray(tail * (1.0 + (terms + direct) / np.abs(gradient)))
