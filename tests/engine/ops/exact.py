"""What an operation is compared with, and the shapes that references come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath

MP = mpmath.mp.clone()
"""A context of its own, so that nobody else's precision changes."""
MP.dps = 60

Number = Any
"""A number of `MP`; mpmath has no types."""

_FAR = MP.mpf(10) ** 100


def everywhere(*_operands: Number) -> bool:
    """Hold at every point."""
    return True


def zeros(arity: int) -> Callable[..., tuple[Number, ...]]:
    """Return the second derivatives of a function that has none: one zero for each pair of operands."""
    return lambda *_operands: (0,) * (arity * (arity + 1) // 2)


@dataclass(frozen=True)
class Reference:
    """The exact function.

    Attributes:
        value: of the operands.
        slopes: of the operands, the derivative by each.
        curvatures: of the operands, the second derivatives by each pair (i, j) with i <= j, in the order of pairs.
        smooth: of the operands, whether the derivatives exist there; conventions elsewhere are those of
            `tests/engine/semantics_table.py`.
        cancelling: of the operands, for each curvature the size of the terms whose difference it is.
            A curvature that crosses zero by their cancelling is good to so many digits of them, not of itself.
        slopes_cancelling: the same for each slope.
    """

    value: Callable[..., Number]
    slopes: Callable[..., tuple[Number, ...]]
    curvatures: Callable[..., tuple[Number, ...]]
    smooth: Callable[..., bool] = everywhere
    cancelling: Callable[..., tuple[Number, ...]] | None = None
    slopes_cancelling: Callable[..., tuple[Number, ...]] | None = None


def linear(value: Callable[..., Number], *slopes: int) -> Reference:
    """Return a function whose derivatives are numbers."""
    return Reference(value, lambda *_operands: slopes, zeros(len(slopes)))


def indicator(holds: Callable[..., bool]) -> Reference:
    """Return a function that is 1 where a condition holds and 0 elsewhere, and nowhere slopes."""
    arity = holds.__code__.co_argcount
    return Reference(lambda *operands: int(holds(*operands)), lambda *_operands: (0,) * arity, zeros(arity))


def step(value: Callable[[Number], Number]) -> Reference:
    """Return a function of one operand that nowhere slopes."""
    return Reference(value, lambda _x: (0,), zeros(1))


def choice(value: Callable[..., Number], smooth: Callable[..., bool] = lambda x, y: x != y) -> Reference:
    """Return a function that gives one of its two operands."""

    def slopes(x: Number, y: Number) -> tuple[Number, ...]:
        return (1, 0) if value(x, y) == x else (0, 1)

    return Reference(value, slopes, zeros(2), smooth=smooth)


def remainder(quotient: Callable[[Number], Number]) -> Reference:
    """Return what a division leaves, given how its quotient is made whole."""
    return Reference(
        lambda x, y: x - y * quotient(x / y),
        lambda x, y: (1, -quotient(x / y)),
        zeros(2),
        smooth=lambda x, y: not MP.isint(x / y),
    )


def logistic(x: Number) -> Number:
    """Return the logistic function."""
    return 1 / (1 + MP.exp(-x))


def logistic_slope(x: Number) -> Number:
    """Return its derivative."""
    return logistic(x) * logistic(-x)


def logistic_curvature(x: Number) -> Number:
    """Return its second derivative."""
    return -logistic_slope(x) * MP.tanh(x / 2)


def gaussian(x: Number) -> Number:
    """Return the standard normal density."""
    return MP.exp(-x * x / 2) / MP.sqrt(2 * MP.pi)


def erfc(x: Number) -> Number:
    """Return the complementary error function, and its limits where mpmath refuses the square of x."""
    return MP.erfc(x) if abs(x) < _FAR else MP.mpf(0 if x > 0 else 2)
