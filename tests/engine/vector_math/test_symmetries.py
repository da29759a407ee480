"""Symmetries of vector functions, which hold in every bit."""

from __future__ import annotations

import pytest

from tests.engine.vector_math.compiled import bits_of, evaluated
from tests.engine.vector_math.ranges import points

PARITIES = {
    **dict.fromkeys(
        ("sinh", "tanh", "sin", "tan", "asin", "atan", "erf", "cbrt", "asinh", "atanh", "erfinv", "sinc_slope"), -1.0
    ),
    **dict.fromkeys(("cosh", "sech", "cos", "exp_minus_square", "normal_pdf", "erfinv_slope", "sinc"), 1.0),
}
"""What the sign of the argument makes of the result."""


@pytest.mark.parametrize(("name", "parity"), PARITIES.items())
def test_symmetry_is_exact(name: str, parity: float) -> None:
    """The value at -x has the bits of the value at x, but for the sign that the function's symmetry says."""
    (x,) = points(name)
    assert bits_of(evaluated(name, -x)) == bits_of(parity * evaluated(name, x))


@pytest.mark.parametrize("name", ["hypot", "logaddexp"])
def test_operands_have_no_order(name: str) -> None:
    """Exchanging the operands leaves the bits."""
    x, y = points(name)
    assert bits_of(evaluated(name, x, y)) == bits_of(evaluated(name, y, x))


def test_length_knows_no_sign() -> None:
    """Turning a component round leaves the bits."""
    x, y = points("hypot")
    assert bits_of(evaluated("hypot", -x, y)) == bits_of(evaluated("hypot", x, y))


@pytest.mark.parametrize("name", ["atan2", "fmod"])
def test_the_first_operands_sign_goes_to_the_result(name: str) -> None:
    """Angles below the axis are those above it negated, and so are remainders of negative dividends."""
    x, y = points(name)
    assert bits_of(evaluated(name, -x, y)) == bits_of(-evaluated(name, x, y))
