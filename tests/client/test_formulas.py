"""Functions given as text."""

from __future__ import annotations

from collections.abc import Mapping

import gradmill as gm
import pytest
from gradmill.graph import Input
from gradmill.sources import as_source


def test_a_formula_keeps_its_text() -> None:
    """Nothing is read or changed before the server sees it, mistakes included."""
    assert gm.formula("x +").text == "x +"
    assert gm.formula("x + y") == gm.formula("x + y")


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (None, ()),
        (["y", "x"], (Input("y"), Input("x"))),
        ("x", (Input("x"),)),
        ({"x": (), "w": (2, 3), "v": 4}, (Input("x"), Input("w", (2, 3)), Input("v", (4,)))),
    ],
)
def test_inputs_fix_order_and_shapes(inputs: list[str] | Mapping[str, int] | None, expected: tuple[Input, ...]) -> None:
    """Names alone are scalars, a mapping gives shapes, and the order is the one given."""
    assert gm.formula("x", inputs).inputs == expected


def test_declared_inputs_travel_with_the_formula() -> None:
    """The server gets the inputs with their shapes and types."""
    message = as_source(gm.formula("x*w", {"x": (), "w": (3,)})).message().formula
    assert [(entry.name, tuple(entry.shape), entry.element_type) for entry in message.inputs] == [
        ("x", (), 1),
        ("w", (3,), 1),
    ]


def test_wrong_inputs_are_refused() -> None:
    """Names that no formula could use are found at once."""
    with pytest.raises(gm.InvalidRequestError, match="'x y'"):
        gm.formula("x", ["x y"])
    with pytest.raises(gm.InvalidRequestError, match="occurs twice"):
        gm.formula("x", ["x", "x"])


def test_a_formula_is_text() -> None:
    """Something else in place of the text is refused."""
    with pytest.raises(TypeError, match="a formula is a str, not int"):
        gm.formula(3)  # type: ignore[arg-type]
