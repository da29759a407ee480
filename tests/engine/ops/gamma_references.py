"""Exact values and derivatives of the logarithm of the gamma function and of its derivatives."""

from __future__ import annotations

from tests.engine.ops.exact import MP, Number, Reference

_HIGHEST_ORDER = 100
_FAR = 30
_CORRECTIONS = tuple(
    -(1 - MP.mpf(2) ** (1 - 2 * place)) * MP.bernoulli(2 * place) / MP.factorial(2 * place) for place in range(1, 31)
)
"""The coefficients of the Euler-Maclaurin formula at a midpoint."""


def lgamma(x: Number) -> Number:
    """Return log|gamma(x)|; mpmath takes for ever far below 0."""
    return MP.loggamma(x) if x > 0 else -reflected_factor(x) - MP.loggamma(-x)


def reflected_factor(x: Number) -> Number:
    """Return log|x*sin(pi*x)/pi|, which lgamma(x) and lgamma(-x) add up to but for the sign."""
    return MP.log(abs(x * MP.sinpi(x) / MP.pi))


def _first_term(order: int, x: Number) -> Number:
    return MP.factorial(order) / abs(x - MP.nint(x)) ** (order + 1)


def _above_zero(order: int, x: Number) -> Number:
    """Return |polygamma(order, x)| for x > 0 and order > 0, ten times as fast as mpmath: a sum and its correction."""
    power = order + 1
    steps = max(0, int(MP.ceil(_FAR + order / 2 - x)))
    u = x + steps - MP.mpf(1) / 2
    total = MP.fsum((x + step) ** -power for step in range(steps)) + u**-order / order
    term = power * u ** -(power + 1)
    for place, coefficient in enumerate(_CORRECTIONS, start=1):
        total += coefficient * term
        term *= (power + 2 * place - 1) * (power + 2 * place) / (u * u)
    return MP.factorial(order) * total


def polygamma(n: Number, x: Number) -> Number:
    """Return the derivative of digamma of the order nearest to n, below 0 by the sum over all whole numbers."""
    order = int(MP.nint(n))
    if not 0 <= order <= _HIGHEST_ORDER:
        return MP.nan
    if order == 0:
        return MP.psi(0, x) if x > 0 else MP.psi(0, 1 - x) - MP.pi * MP.cospi(x) / MP.sinpi(x)
    odd = (-1) ** (order + 1)
    if x > 0:
        return odd * _above_zero(order, x)
    offset = x - MP.nint(x)
    nearest = odd * MP.factorial(order) / offset ** (order + 1)
    return nearest + odd * _above_zero(order, 1 + offset) + _above_zero(order, 1 - offset) - _above_zero(order, 1 - x)


def polygamma_terms(n: float, x: Number) -> Number:
    """Return the size of the terms that cancel in a derivative of digamma below 0; 0 where none do."""
    order = round(n)
    if x > 0 or not 0 <= order <= _HIGHEST_ORDER:
        return MP.mpf(0)
    if order == 0:
        return max(abs(MP.psi(0, 1 - x)), abs(MP.pi * MP.cospi(x) / MP.sinpi(x)))
    return _first_term(order, x)


def _of_order(order: int) -> Reference:
    return Reference(
        lambda x: polygamma(order, x), lambda x: (polygamma(order + 1, x),), lambda x: (polygamma(order + 2, x),)
    )


GAMMA = {
    "lgamma": Reference(lgamma, lambda x: (polygamma(0, x),), lambda x: (polygamma(1, x),)),
    "digamma": _of_order(0),
    "trigamma": _of_order(1),
    "polygamma": Reference(polygamma, lambda n, x: (0, polygamma(n + 1, x)), lambda n, x: (0, 0, polygamma(n + 2, x))),
}
