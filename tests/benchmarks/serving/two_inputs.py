"""The function that ours and the peers serve, f(x, y) = x*y + sin(x), and its gradient; plain Python, for all."""

from __future__ import annotations

import math
from collections.abc import Iterable

FORMULA = "x*y + sin(x)"
POINT = (1.5, 0.5)


def value(x: float, y: float) -> float:
    """Return f."""
    return x * y + math.sin(x)


def gradient(x: float, y: float) -> tuple[float, float]:
    """Return its derivatives by x and by y."""
    return y + math.cos(x), x


def check(answer: Iterable[float]) -> None:
    """Compare a gradient at the point with the right one.

    Raises:
        ValueError: it is another one.
    """
    found, right = [float(number) for number in answer], gradient(*POINT)
    if len(found) != len(right) or not all(map(math.isclose, found, right)):
        message = f"wrong: the gradient is {right}, and the answer was {found}"
        raise ValueError(message)
