"""Remainders on lanes: exact, however large the quotient."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from gradmill_server.engine.ops import TABLE

from tests.engine.vector_math.compiled import bits_of, evaluated
from tests.engine.vector_math.ranges import points


@pytest.mark.parametrize("name", ["fmod", "mod"])
def test_remainders_are_those_of_the_reference(name: str) -> None:
    """Over the whole range, with quotients of up to two thousand bits, every bit is that of the NumPy reference."""
    x, y = points(name)
    assert bits_of(evaluated(name, x, y)) == bits_of(TABLE[name].value(x, y))


def test_remainders_are_exact() -> None:
    """The truncated remainder is that of the fractions the operands stand for."""
    x, y = (each[::20].copy() for each in points("fmod"))
    exact = [float(abs(Fraction(one)) % abs(Fraction(other))) for one, other in zip(x, y, strict=True)]
    assert bits_of(evaluated("fmod", x, y)) == bits_of(np.copysign(exact, x))
