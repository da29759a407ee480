"""Simplification: fewer operations, the same bits."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.passes.simplify import simplify

from tests.engine.building import SPECIAL_NUMBERS, function, no_checkpoint, number, random_graph, same_bits, specify

Make = Callable[..., Value]


def operations_of(graph: Graph) -> list[str]:
    """Return the names of the operations that are left."""
    return [node.operation for node in graph.nodes if node.arguments]


def results(graph: Graph, rows: int, seed: int) -> list[np.ndarray]:
    """Return the outputs at random points, half of whose numbers are special."""
    rng = np.random.default_rng(seed)
    inputs = []
    for entry in graph.inputs:
        shape = (rows, *entry.shape)
        inputs.append(np.where(rng.random(shape) < 0.5, rng.choice(SPECIAL_NUMBERS, shape), rng.normal(size=shape)))
    return [array.copy() for array in NumpyExecutable(graph).run(inputs, rows, no_checkpoint)]


def has_small_power(graph: Graph) -> bool:
    """Whether some power has an exponent that is written out as a product, which rounds better than the C library."""
    return any(node.operation == "power" and graph.nodes[node.arguments[1]].is_constant for node in graph.nodes)


@pytest.mark.parametrize("arrays", [False, True])
@pytest.mark.parametrize("seed", range(150))
def test_simplification_never_changes_a_bit(seed: int, arrays: bool) -> None:
    """At ordinary and special points, a simplified function has the bits of the original one."""
    graph = random_graph(seed, operations=40, arrays=arrays, outputs=6)
    simple = simplify(graph)
    specify(simple)
    assert len(simple.nodes) <= len(graph.nodes)
    assert simplify(simple) == simple
    if not has_small_power(graph):
        for before, after in zip(results(graph, 40, seed), results(simple, 40, seed), strict=True):
            assert same_bits(before, after)


IDENTITIES: list[tuple[str, Make, Make]] = [
    ("-(-x) is x", lambda x, _y: apply("negate", -x), lambda x, _y: x),
    ("x*1 is x", lambda x, _y: x * 1.0, lambda x, _y: x),
    ("1*x is x", lambda x, _y: 1.0 * x, lambda x, _y: x),
    ("x/1 is x", lambda x, _y: x / 1.0, lambda x, _y: x),
    ("x - 0 is x", lambda x, _y: x - 0.0, lambda x, _y: x),
    ("x + -0.0 is x", lambda x, _y: x + -0.0, lambda x, _y: x),
    ("-0.0 + x is x", lambda x, _y: -0.0 + x, lambda x, _y: x),
    ("x**1 is x", lambda x, _y: apply("power", x, 1.0), lambda x, _y: x),
    ("x * -1 is -x", lambda x, _y: x * -1.0, lambda x, _y: -x),
    ("-1 * x is -x", lambda x, _y: -1.0 * x, lambda x, _y: -x),
    ("x + -y is x - y", lambda x, y: x + -y, lambda x, y: x - y),
    ("-x + y is y - x", lambda x, y: -x + y, lambda x, y: y - x),
    ("x - -y is x + y", lambda x, y: x - apply("negate", y), lambda x, y: x + y),
    ("x**2 is x*x", lambda x, _y: apply("power", x, 2.0), lambda x, _y: x * x),
    ("x**-1 is 1/x", lambda x, _y: apply("power", x, -1.0), lambda x, _y: 1.0 / x),
    ("where(c, x, x) is x", lambda x, y: apply("where", y, x, x), lambda x, _y: x),
    ("where(1, x, y) is x", lambda x, y: apply("where", 1.0, x, y), lambda x, _y: x),
    ("where(nan, x, y) is x", lambda x, y: apply("where", np.nan, x, y), lambda x, _y: x),
    ("where(0, x, y) is y", lambda x, y: apply("where", 0.0, x, y), lambda _x, y: y),
    ("where(-0.0, x, y) is y", lambda x, y: apply("where", -0.0, x, y), lambda _x, y: y),
    ("2*3 is 6", lambda x, _y: x * (number(x, 2.0) * 3.0), lambda x, _y: x * 6.0),
]


@pytest.mark.parametrize(("make", "simple"), [row[1:] for row in IDENTITIES], ids=[row[0] for row in IDENTITIES])
def test_an_exact_identity_is_used(make: Make, simple: Make) -> None:
    """Operations that provably change nothing are not computed, for scalars and for arrays."""
    for shape in ((), (2, 3)):
        inputs = (Input("x", shape), Input("y", shape))
        assert simplify(function(make, *inputs)) == simplify(function(simple, *inputs))


NOT_IDENTITIES: list[tuple[str, Make]] = [
    ("x + 0.0", lambda x, _y: x + 0.0),
    ("0.0 + x", lambda x, _y: 0.0 + x),
    ("x - -0.0", lambda x, _y: x - -0.0),
    ("0.0 - x", lambda x, _y: 0.0 - x),
    ("x*0.0", lambda x, _y: x * 0.0),
    ("x - x", lambda x, _y: x - x),
    ("0/x", lambda x, _y: 0.0 / x),
    ("x/x", lambda x, _y: x / x),
    ("x**0", lambda x, _y: apply("power", x, 0.0)),
    ("x**0.5", lambda x, _y: apply("power", x, 0.5)),
    ("x**3", lambda x, _y: apply("power", x, 3.0)),
    ("1**x", lambda x, _y: apply("power", number(x, 1.0), x)),
    ("x + y - y", lambda x, y: x + y - y),
    ("x*y/y", lambda x, y: x * y / y),
    ("exp(log(x))", lambda x, _y: apply("exp", apply("log", x))),
    ("sqrt(x)**2", lambda x, _y: apply("multiply", apply("sqrt", x), apply("sqrt", x))),
    ("x/2", lambda x, _y: x / 2.0),
    ("2*(3*x)", lambda x, _y: 2.0 * (3.0 * x)),
    ("x*y + x", lambda x, y: x * y + x),
    ("equal(x, x)", lambda x, _y: apply("equal", x, x)),
    ("maximum(x, x)", lambda x, _y: apply("maximum", x, x)),
]


@pytest.mark.parametrize("make", [row[1] for row in NOT_IDENTITIES], ids=[row[0] for row in NOT_IDENTITIES])
def test_an_identity_of_real_numbers_only_is_not_used(make: Make) -> None:
    """What would change a rounding, the sign of a zero, or a NaN is computed as it was written."""
    graph = function(make, "x", "y")
    assert operations_of(simplify(graph)) == operations_of(graph)


def test_squares_and_reciprocals_are_correctly_rounded() -> None:
    """x**2 and x**-1 are the nearest float64 to the exact result."""
    graph = simplify(function(lambda x: {"square": apply("power", x, 2.0), "reciprocal": apply("power", x, -1.0)}, "x"))
    points = np.random.default_rng(3).normal(size=500)
    square, reciprocal = NumpyExecutable(graph).run([points], len(points), no_checkpoint)
    assert square.tolist() == [float(Fraction(x) ** 2) for x in points.tolist()]
    assert reciprocal.tolist() == [float(1 / Fraction(x)) for x in points.tolist()]


def test_squares_and_reciprocals_are_those_of_ieee_at_special_points() -> None:
    """At zeros, infinities and NaN, x**2 and x**-1 are what IEEE 754 says of power."""
    points = np.array(SPECIAL_NUMBERS)
    for exponent in (2.0, -1.0):
        graph = function(lambda x, exponent=exponent: apply("power", x, exponent), "x")
        (simple,) = NumpyExecutable(simplify(graph)).run([points], len(points), no_checkpoint)
        with np.errstate(all="ignore"):
            assert same_bits(simple, np.power(points, exponent))


def test_constants_are_folded_through_every_operation() -> None:
    """Whatever depends on constants only is computed once, when the function is compiled, and not at every point."""
    for row in ops.TABLE.values():
        for operands in itertools.islice(itertools.product(SPECIAL_NUMBERS, repeat=row.arity), 0, None, 7):
            builder = GraphBuilder()
            index = ops.emit(builder, row.name, [builder.constant(operand) for operand in operands])
            graph = builder.build([Output("value", index)])
            simple = simplify(graph)
            assert len(simple.nodes) == 1
            with np.errstate(all="ignore"):
                assert same_bits(simple.nodes[0].constant_array(), row.value(*map(np.asarray, operands)))


def test_folding_does_not_blow_constants_up() -> None:
    """A column times a row stays a column and a row; their product is not stored with the program."""
    builder = GraphBuilder()
    column, row = builder.constant(np.ones((5, 1))), builder.constant(np.ones((1, 5)))
    graph = builder.build([Output("value", ops.emit(builder, "subtract", (column, row)))])
    assert operations_of(simplify(graph)) == ["subtract"]


def test_folding_a_chain_of_large_constants_does_not_fill_the_memory() -> None:
    """A thousand operations on a constant of a million elements are not a thousand constants of that size."""
    builder = GraphBuilder()
    value = builder.constant(np.full(1_000_000, 0.5))
    for _ in range(1_000):
        value = ops.emit(builder, "sin", (value,))
    graph = builder.build([Output("value", value)])
    assert operations_of(simplify(graph)) == ["sin"] * 1_000


def test_a_neutral_constant_that_broadcasts_stays() -> None:
    """A scalar times a vector of ones is a vector, and is not taken for the scalar."""
    graph = function(lambda x: x * number(x, [1.0, 1.0]), "x")
    assert operations_of(simplify(graph)) == ["multiply"]
    graph = function(lambda x: x * number(x, [1.0, 1.0]), Input("x", (2,)))
    assert operations_of(simplify(graph)) == []


def test_a_choice_that_differs_between_elements_stays() -> None:
    """A constant mask chooses element by element."""
    graph = function(lambda x, y: apply("where", number(x, [0.0, 1.0]), x, y), Input("x", (2,)), Input("y", (2,)))
    assert operations_of(simplify(graph)) == ["where"]
