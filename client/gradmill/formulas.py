"""Functions given as text. Nothing is parsed here: the server reads the formula and tells its inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy.typing as npt

from gradmill.element_types import as_element_type
from gradmill.errors import Failure, InvalidRequestError
from gradmill.graph import FLOAT64, Input, Shape, as_shape, check_names


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula in ordinary mathematical notation, such as ``3*(x1**2 + x2*x3)``.

    Attributes:
        text: the text as it was given.
        inputs: the declared inputs; empty when they are the free names in order of first appearance, all scalars.
    """

    text: str
    inputs: tuple[Input, ...] = ()


def formula(
    text: str, inputs: Iterable[str] | Mapping[str, int | Shape] | None = None, *, dtype: npt.DTypeLike = "float64"
) -> Formula:
    """Return a function given as text.

    One statement a line (or separated by ``;``), ``name = expression`` names an intermediate, ``# ...`` is a comment,
    and a closing ``return a, b`` gives several outputs. `gradmill functions` lists what a formula may call. Arrays
    follow NumPy: ``x[1:]``, ``x @ y``, ``sum(x, axis=0)``.

    Args:
        text: the formula.
        inputs: the inputs in order: names of scalars, or a mapping from name to shape. None takes the free names in
            order of first appearance, all scalars.
        dtype: "float64" or "float32", for all inputs, which must be given for float32: in it everything is computed,
            the formula's numbers are rounded to it, and results come in it.

    Raises:
        InvalidRequestError: the text is not valid Unicode, an input's name is not an identifier or occurs twice, a
            shape is not made of whole numbers, or the dtype is another one or lacks inputs. Mistakes in the text are
            found by the first call that uses it, with line and column.
        TypeError: the text is not a str.
    """
    _check_text(text)
    element_type = as_element_type(dtype)
    if inputs is None:
        if element_type != FLOAT64:
            message = "a formula in float32 needs its inputs, as in formula('2*x', ['x'], dtype='float32')"
            raise InvalidRequestError(message, Failure(reason="INPUT_MISSING"))
        return Formula(text)
    if isinstance(inputs, str):
        inputs = (inputs,)
    names = check_names("input", inputs)
    shapes = inputs.values() if isinstance(inputs, Mapping) else [()] * len(names)
    pairs = zip(names, shapes, strict=True)
    return Formula(text, tuple([Input(name, as_shape(shape), element_type) for name, shape in pairs]))


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        message = f"a formula is a str, not {type(text).__name__}"
        raise TypeError(message)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"the formula is not valid Unicode: character {error.start + 1} stands for a byte that is no text"
        raise InvalidRequestError(message, Failure(reason="FORMULA_SYNTAX")) from None
