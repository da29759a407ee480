"""Reverse mode: right on random functions of all operations, at first and second order, at any size."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward, local_partial
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.ir import FloatArray, Graph, GraphBuilder, Input, Output
from gradmill_server.engine.ops.operation import Interval
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.passes.rewrite import prune
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.passes.stable_forms import STABLE_FORM_NAMES
from gradmill_server.engine.program import Options
from gradmill_server.engine.wants import Kind

from tests.engine.building import (
    PUBLIC,
    addition_chain,
    at_matrix,
    function,
    no_checkpoint,
    number,
    random_graph,
    smooth_graph,
    specify,
    value_and_gradient,
)
from tests.engine.high_precision import VALUES, gradients_at, hessian_at

STRONG = Propagation()
PARITY = Options(parity=True)
POINT = (0.7, -1.3, 0.4)


def differentiated(graph: Graph) -> Graph:
    """Return the graph of the first output's derivatives by all inputs, outputs d0, d1, ..."""
    builder = GraphBuilder.extending(graph)
    adjoints = backward(builder, graph.outputs[0].node, range(len(graph.inputs)), STRONG)
    zero = builder.constant(0.0)
    found = [adjoints[position] if position < len(adjoints) else NO_ADJOINT for position in range(len(graph.inputs))]
    return builder.build(
        [Output(f"d{place}", zero if index == NO_ADJOINT else index) for place, index in enumerate(found)]
    )


def at(graph: Graph, *point: float) -> list[float]:
    """Return all outputs at one point."""
    arrays = NumpyExecutable(graph).run([np.array([entry]) for entry in point], 1, no_checkpoint)
    return [float(array[0]) for array in arrays]


def near(expected: object, tolerance: float = 1e-10) -> object:
    """Compare relative to each number, and to 1 where that is larger: cancellation in a sum of slopes is no mistake."""
    return pytest.approx(np.asarray(expected), rel=tolerance, abs=tolerance)


def test_the_high_precision_source_knows_every_operation() -> None:
    """A new operation is differentiated in random graphs as well."""
    assert set(VALUES) == {row.name for row in PUBLIC}


@pytest.mark.parametrize("seed", range(120))
def test_gradients_of_random_functions_are_right(seed: int) -> None:
    """Functions of all operations, with sharing and several outputs, agree with differences taken with 80 digits."""
    graph = canonicalize(smooth_graph(seed, operations=12, outputs=3))
    results = at_matrix(graph, [POINT], Kind.GRADIENT).arrays[0]
    assert [result.output for result in results] == ["out_0", "out_1", "out_2"]
    assert np.array([result.array[0] for result in results]) == near(gradients_at(graph, POINT))


@pytest.mark.parametrize("seed", range(60))
def test_second_derivatives_of_random_functions_are_right_and_symmetric(seed: int) -> None:
    """Differentiating a gradient again gives the Hessian."""
    graph = smooth_graph(1_000 + seed, operations=5)
    first = differentiated(graph)
    specify(first)
    hessian = []
    for entry in first.outputs:
        row = differentiated(Graph(first.inputs, first.nodes, (entry,), {}))
        hessian.append(at(row, *POINT))
    assert np.array(hessian) == near(hessian_at(graph, POINT), 1e-9)
    assert np.array(hessian) == near(np.transpose(hessian), 1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_derivatives_are_graphs_like_any_other(seed: int) -> None:
    """What differentiation makes keeps all that a graph promises, also simplified, pruned and in canonical form."""
    graph = random_graph(seed, outputs=1)
    first = differentiated(graph)
    second = differentiated(Graph(first.inputs, first.nodes, first.outputs[:1], {}))
    for made in (first, second):
        for transform in (simplify, prune, canonicalize):
            specify(transform(made))
        specify(made)


def test_a_value_used_many_times_collects_every_share() -> None:
    """The derivative of x*x*x*...*x, fifty factors, is 50 x**49."""

    def product(x: Value) -> Value:
        result = x
        for _ in range(49):
            result = result * x
        return result

    value, gradient = value_and_gradient(function(product, "x"), 1.1)
    assert [value, gradient[0]] == pytest.approx([1.1**50, 50 * 1.1**49], rel=1e-13)


def test_sharing_does_not_multiply_the_work() -> None:
    """Sixty squarings of one value, a sum of 2**60 paths, differentiate to a graph of a few hundred values."""

    def doubled(x: Value) -> Value:
        for _ in range(60):
            x = apply("sin", x) + apply("sin", x)
        return x

    graph = function(doubled, "x")
    assert len(differentiated(graph).nodes) < 10 * len(graph.nodes)


@pytest.mark.parametrize("operation", ["floor", "ceil", "round", "sign", "logical_not"])
def test_what_does_not_depend_on_an_input_has_slope_zero(operation: str) -> None:
    """Unused inputs, inputs behind a step, and outputs that are inputs or constants have the slopes they should."""
    graph = function(
        lambda x, y, _z: {"step": apply(operation, x) * y, "input": y, "fixed": number(x, 3.0)}, "x", "y", "z"
    )
    results = at_matrix(graph, [[0.4, 2.0, 5.0]], Kind.GRADIENT).arrays[0]
    stepped = float(ops.TABLE[operation].value(np.float64(0.4)))
    assert [result.array.tolist() for result in results] == [[[0.0, stepped, 0.0]], [[0.0, 1.0, 0.0]], [[0.0] * 3]]


def test_only_what_the_wanted_inputs_reach_is_differentiated() -> None:
    """A gradient by one input costs nothing for branches of the other inputs."""
    builder = GraphBuilder([Input("x"), Input("y")])
    heavy = 1
    for _ in range(50):
        heavy = ops.emit(builder, "sin", (heavy,))
    output = ops.emit(builder, "multiply", (0, heavy))
    before = len(builder)
    adjoints = backward(builder, output, [0], STRONG)
    assert len(builder) - before <= 2
    assert [index for index, adjoint in enumerate(adjoints) if adjoint != NO_ADJOINT] == [0, output]


POISONED: list[tuple[str, Callable[[Value], Value], float, float]] = [
    ("where sqrt", lambda x: apply("where", apply("greater", x, 0.0), apply("sqrt", x), 0.0), 0.0, 0.0),
    ("where log", lambda x: apply("where", apply("greater", x, 0.0), apply("log", x), 0.0), -1.0, 0.0),
    ("where exp", lambda x: apply("where", apply("less", x, 700.0), apply("exp", x), x), 1000.0, 1.0),
    ("mask", lambda x: apply("greater", x, 0.0) * apply("sqrt", x), 0.0, 0.0),
    ("deep", lambda x: 0.0 * apply("exp", apply("sqrt", apply("cbrt", x))), 0.0, 0.0),
]


@pytest.mark.parametrize(("make", "point", "expected"), [row[1:] for row in POISONED], ids=[row[0] for row in POISONED])
def test_a_zero_adjoint_contributes_exactly_zero(make: Callable[[Value], Value], point: float, expected: float) -> None:
    """A masked branch never poisons a gradient with inf or NaN, at first and at second order."""
    graph = function(make, "x")
    assert value_and_gradient(graph, point)[1].tolist() == [expected]
    assert at(differentiated(differentiated(graph)), point) == [0.0]


def test_parity_propagates_as_plain_ieee_does() -> None:
    """In parity mode zero times infinity is NaN, as in the engines one compares with."""
    graph = function(lambda x: x * apply("sqrt", x), "x")
    assert np.isnan(value_and_gradient(graph, 0.0, options=PARITY)[1][0])
    assert value_and_gradient(graph, 0.25, options=PARITY)[1][0] == value_and_gradient(graph, 0.25)[1][0] == 0.75


@pytest.mark.parametrize("seed", range(40))
def test_parity_and_strong_zeros_agree_where_everything_is_finite(seed: int) -> None:
    """Strong zeros change nothing at ordinary points."""
    graph = canonicalize(smooth_graph(seed, operations=10))
    stable_forms_off = Options(disabled_stable_forms=STABLE_FORM_NAMES)
    plain = at_matrix(graph, [POINT], Kind.GRADIENT, options=PARITY).arrays[0]
    strong = at_matrix(graph, [POINT], Kind.GRADIENT, options=stable_forms_off).arrays[0]
    for left, right in zip(plain, strong, strict=True):
        assert left.array == near(right.array, 1e-13)


def inside(interval: Interval, share: float) -> float:
    """Return a moderate number of an interval."""
    low, high = max(interval.low, -2.0), min(interval.high, 3.0)
    if low >= high:
        low, high = interval
    return low + share * (high - low)


@pytest.mark.parametrize("row", PUBLIC, ids=lambda row: row.name)
def test_a_local_partial_is_the_derivative_of_the_operation_alone(row: ops.Operation) -> None:
    """The local partials that an explanation shows are the derivatives of each operation by its operands."""
    names = ("x", "y", "z")[: row.arity]
    graph = function(lambda *values: apply(row.name, *values), *names)
    point = tuple(inside(interval, share) for interval, share in zip(row.domain, (0.35, 0.45, 0.55), strict=False))
    (expected,) = gradients_at(graph, point)
    for operand in range(row.arity):
        builder = GraphBuilder.extending(graph)
        partial = local_partial(builder, graph.outputs[0].node, operand)
        found = 0.0 if partial is None else at(builder.build([Output("d", partial)]), *point)[0]
        assert found == near(expected[operand])


def test_a_chain_of_a_million_additions_differentiates_and_evaluates() -> None:
    """A million operations on top of one another give their value and gradient, without recursion."""
    graph = addition_chain(1_000_000)
    evaluation = at_matrix(graph, [[1.0, 2.0], [0.5, -0.25]], Kind.VALUE, Kind.GRADIENT)
    values, gradients = evaluation.arrays
    np.testing.assert_array_equal(values[0].array, [500_001 + 2 * 500_000, 0.5 * 500_001 - 0.25 * 500_000])
    np.testing.assert_array_equal(gradients[0].array, [[500_001.0, 500_000.0]] * 2)


def mixed_chain(length: int) -> Graph:
    """Return a chain that goes through sums, products, sines and choices."""
    builder = GraphBuilder([Input("x"), Input("y")])
    value = Value(builder, 0)
    other = Value(builder, 1)
    for position in range(length):
        match position % 4:
            case 0:
                value = apply("sin", value)
            case 1:
                value = value + other
            case 2:
                value = value * 0.75
            case _:
                value = apply("where", apply("greater", value, 0.0), value, -value)
    return builder.build([Output("value", value.index)])


def forward(length: int, point: FloatArray) -> tuple[float, FloatArray]:
    """Return value and gradient of the mixed chain by hand: tangents carried along in a loop."""
    value, tangent = point[0], np.array([1.0, 0.0])
    for position in range(length):
        match position % 4:
            case 0:
                value, tangent = np.sin(value), np.cos(value) * tangent
            case 1:
                value, tangent = value + point[1], tangent + np.array([0.0, 1.0])
            case 2:
                value, tangent = 0.75 * value, 0.75 * tangent
            case _:
                value, tangent = abs(value), np.sign(value) * tangent
    return float(value), tangent


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 97, 20_000])
def test_a_deep_chain_of_different_operations_is_right(length: int) -> None:
    """The sweep hands adjoints down correctly through thousands of different operations."""
    point = np.array([0.8, -0.3])
    expected, slopes = forward(length, point)
    value, gradient = value_and_gradient(mixed_chain(length), *point)
    assert value == near(expected)
    assert gradient == near(slopes)


def first_whole(row: ops.Operation) -> float:
    """Return a whole number from which on an operation of one operand is defined, 0 if possible."""
    return max(0.0, float(np.ceil(row.domain[0].low - 0.25)))


def test_every_pair_of_operations_composes() -> None:
    """The derivative of every unary operation of every other one is right: no rule spoils the next."""
    unary = [row for row in PUBLIC if row.arity == 1]
    for outer, inner in itertools.product(unary, unary):

        def composed(x: Value, outer: ops.Operation = outer, inner: ops.Operation = inner) -> Value:
            between = 0.2 * apply("sin", apply(inner.name, first_whole(inner) + x))
            return apply(outer.name, (first_whole(outer) + 0.45) + between)

        graph = function(composed, "x")
        (expected,) = gradients_at(graph, [0.37])
        assert value_and_gradient(graph, 0.37)[1] == near(expected)
