"""The kinds of result that can be wanted, as a table: what each is called, and what sets its arrays apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradmill.errors import invalid_want
from gradmill.v1 import gradient_service_pb2 as service


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of result.

    Attributes:
        name: its name, as in ``client.evaluate(..., want=[name])``.
        number: its number in the contract's ``Derivative``.
        by_output: whether there is a result for each output, rather than one for all of them together.
        has_output_axes: whether an array has the axes of the output.
        input_axes: how many inputs' axes an array has: none, those of one input, or those of two.
        directions: the argument that brings its directions; empty for a kind without.
        is_sparse: whether an array has one axis for the places of a sparse matrix.
    """

    name: str
    number: service.Derivative
    by_output: bool = True
    has_output_axes: bool = False
    input_axes: int = 1
    directions: str = ""
    is_sparse: bool = False


_TABLE = (
    Kind("value", service.DERIVATIVE_VALUE, has_output_axes=True, input_axes=0),
    Kind("gradient", service.DERIVATIVE_GRADIENT),
    Kind("jacobian", service.DERIVATIVE_JACOBIAN, has_output_axes=True),
    Kind("vjp", service.DERIVATIVE_VJP, by_output=False, directions="cotangents"),
    Kind("jvp", service.DERIVATIVE_JVP, has_output_axes=True, input_axes=0, directions="tangents"),
    Kind("hvp", service.DERIVATIVE_HVP, directions="vectors"),
    Kind("hessian", service.DERIVATIVE_HESSIAN, input_axes=2),
    Kind("hessian_diagonal", service.DERIVATIVE_HESSIAN_DIAGONAL),
    Kind("sparse_jacobian", service.DERIVATIVE_SPARSE_JACOBIAN, input_axes=0, is_sparse=True),
    Kind("sparse_hessian", service.DERIVATIVE_SPARSE_HESSIAN, input_axes=0, is_sparse=True),
)

KINDS = {kind.name: kind for kind in _TABLE}
"""Every kind, by name."""


def kinds_named(want: str | Sequence[str]) -> tuple[Kind, ...]:
    """Return the kinds that ``want`` names: a name, or several.

    Raises:
        InvalidRequestError: there is none, one is unknown, or one is named twice.
    """
    names = (want,) if isinstance(want, str) else tuple(want)
    if not names:
        message = f"want is empty; name one or more of {', '.join(KINDS)}"
        raise invalid_want(message)
    for position, name in enumerate(names):
        if name not in KINDS:
            message = f"want: {name!r} is no kind of result; there are {', '.join(KINDS)}"
            raise invalid_want(message, name=str(name))
        if name in names[:position]:
            message = f"want: {name!r} is named twice"
            raise invalid_want(message, name=name)
    return tuple(KINDS[name] for name in names)
