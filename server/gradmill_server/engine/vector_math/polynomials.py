"""Polynomials on lanes."""

from __future__ import annotations

from collections.abc import Sequence

from gradmill_server.engine.lanes import Lanes, constant


def horner(x: Lanes, coefficients: Sequence[float], rest: Lanes | None = None) -> Lanes:
    """Return the polynomial of these coefficients, the constant term first, by Horner's rule.

    Args:
        x: the variable.
        coefficients: at least one.
        rest: what multiplies the power after the last, if anything does.
    """
    if rest is None:
        *coefficients, last = coefficients
        rest = constant(x.emitter, last)
    for coefficient in reversed(coefficients):
        rest = rest.times_plus(x, coefficient)
    return rest


def even_and_odd(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """Return the same polynomial, even and odd powers by a Horner's rule each.

    For long ones: one multiplication more, half as long to wait.
    """
    squared = x * x
    return horner(squared, coefficients[1::2]).times_plus(x, horner(squared, coefficients[0::2]))


def in_four(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """Return the same polynomial, every fourth power by a Horner's rule of its own.

    For very long ones: two multiplications more, a quarter as long to wait.
    """
    squared = x * x
    fourth = squared * squared
    parts = [horner(fourth, coefficients[place::4]) for place in range(4)]
    return parts[3].times_plus(x, parts[2]).times_plus(squared, parts[1].times_plus(x, parts[0]))
