"""Wants: defaults filled in, and wishes a function cannot grant refused by name."""

from __future__ import annotations

import pytest
from gradmill_server.engine.errors import InvalidWant
from gradmill_server.engine.ir import Input
from gradmill_server.engine.wants import Kind, Want, resolve_want

from tests.engine.building import function

GRAPH = function(lambda x, y, w: {"sum": x + y, "product": x * y, "scaled": x * w}, "x", "y", Input("w", (3,)))
SCALARS = function(lambda x, y: {"sum": x + y, "product": x * y}, "x", "y")


@pytest.mark.parametrize(
    ("kind", "outputs", "inputs", "expected"),
    [
        (Kind.VALUE, (), (), Want(Kind.VALUE, ("sum", "product"), ())),
        (Kind.VALUE, ("product",), (), Want(Kind.VALUE, ("product",), ())),
        (Kind.VALUE, ("product", "sum"), (), Want(Kind.VALUE, ("product", "sum"), ())),
        (Kind.GRADIENT, (), (), Want(Kind.GRADIENT, ("sum", "product"), ("x", "y"))),
        (Kind.GRADIENT, ("sum",), ("y",), Want(Kind.GRADIENT, ("sum",), ("y",))),
        (Kind.GRADIENT, ("sum",), ("y", "x"), Want(Kind.GRADIENT, ("sum",), ("x", "y"))),
    ],
)
def test_nothing_said_means_everything_in_declared_order(
    kind: Kind, outputs: tuple[str, ...], inputs: tuple[str, ...], expected: Want
) -> None:
    """No outputs means all and no inputs means all; inputs always come in declared order, as in a matrix of points."""
    assert resolve_want(SCALARS, kind, outputs, inputs) == expected


@pytest.mark.parametrize(
    ("kind", "outputs", "inputs", "reason", "field"),
    [
        (Kind.VALUE, ("total",), (), "OUTPUT_UNKNOWN", "outputs"),
        (Kind.VALUE, ("sum", "sum"), (), "NAME_DUPLICATE", "outputs"),
        (Kind.VALUE, ("sum",), ("x",), "WANT_INVALID", "with_respect_to"),
        (Kind.GRADIENT, ("sum",), ("z",), "INPUT_UNKNOWN", "with_respect_to"),
        (Kind.GRADIENT, ("sum",), ("x", "x"), "NAME_DUPLICATE", "with_respect_to"),
        (Kind.GRADIENT, ("scaled",), (), "OUTPUT_NOT_SCALAR", "outputs"),
        (Kind.GRADIENT, (), (), "OUTPUT_NOT_SCALAR", "outputs"),
        (Kind.GRADIENT, ("x",), (), "OUTPUT_UNKNOWN", "outputs"),
    ],
)
def test_a_wish_the_function_cannot_grant_is_refused_by_name(
    kind: Kind, outputs: tuple[str, ...], inputs: tuple[str, ...], reason: str, field: str
) -> None:
    """Unknown, repeated and non-scalar outputs and inputs each have their reason and field."""
    with pytest.raises(InvalidWant) as caught:
        resolve_want(GRAPH, kind, outputs, inputs, field="wants[3]")
    assert [(entry.reason, entry.field) for entry in caught.value.violations] == [(reason, f"wants[3].{field}")]


def test_all_that_is_wrong_with_a_wish_is_said_at_once() -> None:
    """Several mistakes give several violations."""
    with pytest.raises(InvalidWant) as caught:
        resolve_want(GRAPH, Kind.GRADIENT, ("a", "scaled"), ("b",))
    reasons = [entry.reason for entry in caught.value.violations]
    assert reasons == ["OUTPUT_UNKNOWN", "INPUT_UNKNOWN", "OUTPUT_NOT_SCALAR"]
