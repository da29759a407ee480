"""Explanations as tables, and numbers as text."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill.explanation import ExplainedNode, Explanation
from gradmill.formatting import format_number, format_tuple, format_value


def test_both_passes_line_up() -> None:
    """The forward pass reads downwards, the backward pass upwards, in aligned columns."""
    nodes = (
        ExplainedNode("x1", "input", "x1", 2.0, 5.0, ()),
        ExplainedNode("unused", "input", "unused", 1.0, 0.0, ()),
        ExplainedNode("x2", "multiply", "x1*x1", 4.0, 1.0, (("x1", 2.0), ("x1", 2.0))),
        ExplainedNode("x3", "add", "x2 + x1", 6.0, 1.0, (("x2", 1.0), ("x1", 1.0))),
    )
    assert Explanation("y", bytes(32), ("x1", "unused"), nodes).to_text() == (
        "forward pass of y\n"
        "  value        from      local partials\n"
        "  x1 = 2       x1\n"
        "  unused = 1   unused\n"
        "  x2 = 4       x1*x1     ∂x2/∂x1 = 2   ∂x2/∂x1 = 2\n"
        "  x3 = 6       x2 + x1   ∂x3/∂x2 = 1   ∂x3/∂x1 = 1\n"
        "\n"
        "backward pass of y\n"
        "  adjoint          from\n"
        "  ∂y/∂x3 = 1       seed\n"
        "  ∂y/∂x2 = 1       1 * 1\n"
        "  ∂y/∂unused = 0   not needed\n"
        "  ∂y/∂x1 = 5       1 * 1 + 1 * 2 + 1 * 2\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (2.0**60, "1.152921504606847e+18"),
        (1e16, "1e+16"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (1 / 3, "0.3333333333333333"),
    ],
)
def test_numbers_are_as_short_as_exactness_allows(value: float, text: str) -> None:
    """Whole numbers have no point, and every number reads back to the same 64 bits."""
    assert format_number(value) == text
    assert np.array_equal(float(text), value, equal_nan=True)


def test_arrays_are_cut() -> None:
    """Long arrays show their beginning, matrices their shape."""
    assert format_tuple([12.0, 9.5]) == "(12, 9.5)"
    assert format_value(np.arange(10.0)) == "[0, 1, 2, 3, 4, 5, ...]"
    assert format_value(np.zeros((1, 2))) == "[0, 0] shape (1, 2)"
