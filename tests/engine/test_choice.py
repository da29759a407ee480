"""The choice of a backend: for a function as a whole, so that no result depends on what is wanted beside it."""

from __future__ import annotations

import pytest
from gradmill_server.engine.backends.choice import backend_name, native_closure, runs_natively
from gradmill_server.engine.backends.native.levels import host_level
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import Graph, Input
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.passes.simplify import simplify

needs_native = pytest.mark.skipif(
    host_level() is None, reason="this processor runs none of the levels there is code for"
)


def test_the_name_says_backend_and_level() -> None:
    """What a server writes at its start tells which code it runs."""
    level = host_level()
    assert backend_name() == ("numpy" if level is None else f"native {level.name}")


@needs_native
def test_arithmetic_runs_natively_and_arrays_do_not() -> None:
    """Scalars go to the tape machine; a function with an array goes to NumPy."""
    text = "3*(x1**2 + x2*x3)"
    names = ("x1", "x2", "x3")
    scalars = [Input(name) for name in names]
    arrays = [Input(name, (2,)) for name in names]
    assert runs_natively(simplified(text, scalars))
    assert not runs_natively(simplified(text, arrays))


def test_an_operation_is_native_only_with_all_its_derivatives() -> None:
    """No operation is taken whose derivative of some order would have to go elsewhere."""
    assert native_closure() <= {name for name, row in TABLE.items() if row.lanes is not None}
    assert {"add", "multiply", "where", "strong_product", "sqrt"} <= native_closure()


def simplified(text: str, inputs: list[Input]) -> Graph:
    """Return a formula's graph as a program's compiler sees it."""
    return simplify(canonicalize(parse_formula(text, inputs, Limits())))
