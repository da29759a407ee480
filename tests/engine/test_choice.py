"""The choice of a backend: for a function as a whole, so that no result depends on what is wanted beside it."""

from __future__ import annotations

import pytest
from gradmill_server.engine.backends.choice import (
    Road,
    backend_name,
    executable,
    native_closure,
    road,
    why_not_native,
)
from gradmill_server.engine.backends.native import levels
from gradmill_server.engine.backends.native.levels import host_level
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import Graph, Input
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.simplify import simplify

needs_native = pytest.mark.skipif(
    host_level() is None, reason="this processor runs none of the levels there is code for"
)


def test_the_name_says_backend_and_level() -> None:
    """What a server writes at its start tells which code it runs."""
    level = host_level()
    assert backend_name() == ("numpy" if level is None else f"native {level.name}")


def test_a_processor_without_fused_multiply_add_is_named_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no level runs, functions go to NumPy, and one sentence says what the processor lacks."""
    features = dict.fromkeys(("bmi", "bmi2", "f16c", "lzcnt", "movbe"), True) | {"fma": False, "avx2": False}
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: features)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    levels.host_level.cache_clear()
    levels.runs_on_host.cache_clear()
    try:
        assert backend_name() == "numpy"
        assert why_not_native() == "this processor lacks avx2, fma: functions run by NumPy, many times slower"
        graph = simplified("3*(x1**2 + x2*x3)", [Input(name) for name in ("x1", "x2", "x3")])
        assert road(graph) is Road.NUMPY
        assert isinstance(executable(graph, [], by=Road.SCALARS), NumpyExecutable)
        monkeypatch.setattr("platform.machine", lambda: "riscv64")
        levels.runs_on_host.cache_clear()
        assert why_not_native().startswith("there is no machine code for its platform")
    finally:
        monkeypatch.undo()
        levels.host_level.cache_clear()
        levels.runs_on_host.cache_clear()
    assert not (host_level() and why_not_native())


@needs_native
@pytest.mark.parametrize(
    ("shape", "taken"),
    [((), Road.SCALARS), ((2,), Road.SCALARS), ((40, 50), Road.ARRAYS), ((300, 300), Road.NUMPY)],
)
def test_the_road_suits_the_size_of_arrays(shape: tuple[int, ...], taken: Road) -> None:
    """Small arrays are unrolled into scalars, larger ones run on the array tape, and very large ones by NumPy."""
    inputs = [Input(name, shape) for name in ("x1", "x2", "x3")]
    assert road(simplified("3*(x1**2 + x2*x3)", inputs)) is taken


@needs_native
@pytest.mark.parametrize(
    ("formula", "taken"),
    [
        ("sum(x*tanh(x @ w))", Road.ARRAYS),
        ("logsumexp(w @ x)", Road.ARRAYS),
        ("x[0]*x[1] + sin(x[2])", Road.SCALARS),
        ("sum(solve_triangular(w, x, lower=True)**2)", Road.SCALARS),
        ("logdet(w)", Road.NUMPY),
        ("sum(sort(x)[:3])", Road.NUMPY),
    ],
)
def test_the_road_suits_the_operations(formula: str, taken: Road) -> None:
    """Few elements for many operations are unrolled, as is what the array tape has no records for, if it can be."""
    inputs = [Input("x", (20,)), Input("w", (20, 20))]
    assert road(expand(simplified(formula, inputs))) is taken


def test_an_operation_is_native_only_with_all_its_derivatives() -> None:
    """No operation is taken whose derivative of some order would have to go elsewhere."""
    assert native_closure() <= {name for name, row in TABLE.items() if row.lanes is not None}
    assert {"add", "multiply", "where", "strong_product", "sqrt"} <= native_closure()


def simplified(text: str, inputs: list[Input]) -> Graph:
    """Return a formula's graph as a program's compiler sees it."""
    return simplify(canonicalize(parse_formula(text, inputs, Limits())))
