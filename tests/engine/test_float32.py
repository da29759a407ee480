"""Functions of float32: every value of that type, each rounded once, derivatives and constants included."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.element_types import ElementType, narrowed, rounded, widened
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import FloatArray, Graph, GraphBuilder, Input, Output
from gradmill_server.engine.ops.arrays.loops import Loop, parts_of, scanned
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Evaluation, Options, compile_program
from gradmill_server.engine.wants import WITH_DIRECTIONS, Kind, resolve_want

from tests.engine.arrays.cases import CASES, Case, operands_of
from tests.engine.building import LIMITS, compiled, function, no_checkpoint

FLOAT32 = ElementType.FLOAT32
SPECIALS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-45, -1e-45, 3e38, np.inf, -np.inf, np.nan)


def single(name: str, element_type: ElementType = FLOAT32) -> Graph:
    """Return the graph of one element-wise operation of inputs of its own."""
    arity = ops.TABLE[name].arity
    builder = GraphBuilder([Input(f"x{place}", (), element_type) for place in range(arity)])
    return builder.build([Output("value", ops.emit(builder, name, range(arity)))])


def in_domain(name: str, count: int) -> list[FloatArray]:
    """Return operands of float32 inside an operation's domain, for each of them an array."""
    random = np.random.default_rng(5)
    return [random.uniform(low, high, count).astype(np.float32) for low, high in ops.TABLE[name].domain]


def gradients_at(graph: Graph, columns: list[FloatArray]) -> Evaluation:
    """Evaluate value and gradient of a function of scalars, as callers do."""
    points = PointBatch.from_matrix(graph.inputs, np.stack(columns, axis=1))
    return compiled(graph, Kind.VALUE, Kind.GRADIENT).evaluate(points, LIMITS, no_checkpoint)


def formula(text: str, **shapes: tuple[int, ...]) -> Graph:
    """Return the graph of a formula whose inputs are float32."""
    return parse_formula(text, [Input(name, shape, FLOAT32) for name, shape in shapes.items()], LIMITS)


def test_numbers_become_the_nearest_float32_and_nan_keeps_its_bits() -> None:
    """Rounding is to nearest, beyond the range to infinity; a NaN's sign and fraction survive both ways."""
    numbers = np.array([0.1, -0.0, 1e300, 1e-60, 1.0 + 2.0**-24])
    assert rounded(numbers, FLOAT32).tolist() == [float(np.float32(0.1)), -0.0, np.inf, 0.0, 1.0]
    assert rounded(numbers, ElementType.FLOAT64) is numbers
    bits = np.array([0x7FC00000, 0xFFC00001, 0x7F800001, 0xFF812345], dtype=np.uint32)
    assert narrowed(widened(bits.view(np.float32))).view(np.uint32).tolist() == bits.tolist()
    least = np.array([0x7FF0000000000001], dtype=np.uint64).view(np.float64)
    assert np.isnan(narrowed(least)).all()


def test_a_graph_has_the_element_type_of_its_inputs() -> None:
    """Without inputs it is float64; inputs of two types are a mistake of the program around."""
    assert GraphBuilder().element_type is ElementType.FLOAT64
    assert formula("2*x", x=()).element_type is FLOAT32
    with pytest.raises(ValueError, match="one element type"):
        GraphBuilder([Input("x"), Input("y", (), FLOAT32)])


def test_constants_of_rules_and_folded_ones_are_float32() -> None:
    """What a formula says, what folding makes and what derivatives bring along are numbers that float32 has."""
    graph = formula("0.1*exp2(x) + sin(0.3)*2/3", x=())
    wants = (resolve_want(graph, Kind.GRADIENT, (), ()),)
    program = compile_program(graph, wants, Options(), LIMITS)
    assert program.point_bytes == np.dtype(np.float32).itemsize
    folded = simplify(graph)
    constants = [node.constant_array() for node in folded.nodes if node.is_constant]
    assert constants
    for array in constants:
        assert rounded(array, FLOAT32).tobytes() == array.tobytes()
    expected = np.float32(np.sin(np.float64(np.float32(0.3)))) * np.float32(2) / np.float32(3)
    assert float(expected) in {float(array) for array in constants}


@pytest.mark.parametrize("name", ops.TABLE)
def test_an_operation_is_rounded_once(name: str) -> None:
    """Each value is that of float64 rounded to nearest, over the domain and at zeros, infinities and NaN."""
    special = np.array(list(itertools.product(SPECIALS, repeat=ops.TABLE[name].arity)), dtype=np.float32).T
    for operands in (in_domain(name, 1000), list(special)):
        (value,) = NumpyExecutable(single(name)).run(operands, len(operands[0]), no_checkpoint)
        with np.errstate(all="ignore"):
            wide = ops.TABLE[name].value(*[operand.astype(np.float64) for operand in operands])
            expected = np.asarray(wide).astype(np.float32)
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, expected)
        assert np.array_equal(np.signbit(value[value == 0]), np.signbit(expected[expected == 0]))


@pytest.mark.parametrize("name", [row.name for row in ops.TABLE.values() if not row.internal])
def test_gradients_are_those_of_float64_to_float32s_digits(name: str) -> None:
    """Value and gradient of every operation agree with float64 at the same points, but for a few roundings."""
    columns: list[FloatArray] = [np.clip(column, -8, 8) for column in in_domain(name, 400)]  # where none underflows
    (values,), gradients = gradients_at(single(name), columns).arrays
    (wide_values,), wide_gradients = gradients_at(single(name, ElementType.FLOAT64), columns).arrays
    np.testing.assert_allclose(values.array, wide_values.array, rtol=1e-6)
    for gradient, wide in zip(gradients, wide_gradients, strict=True):
        assert gradient.array.dtype == np.float32
        np.testing.assert_allclose(gradient.array, wide.array, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_array_operations_compute_in_float32(case: Case) -> None:
    """Every operation on arrays gives float32, near to NumPy's value in float64."""
    inputs = [Input(f"x{place}", shape, FLOAT32) for place, shape in enumerate(case.shapes)]
    builder = GraphBuilder(inputs)
    parameters = tuple(sorted(case.parameters.items()))
    node = ops.emit(builder, case.operation, range(len(inputs)), parameters)
    graph = simplify(expand(builder.build([Output("value", node)])))
    operands = operands_of(case)
    (value,) = NumpyExecutable(graph).run([operand[np.newaxis] for operand in operands], 1, no_checkpoint)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value[0], np.asarray(case.numpy(*operands)), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("as_matrix", [True, False])
def test_every_kind_of_derivative_is_float32(as_matrix: bool) -> None:
    """Of arrays unrolled and of scalars, with directions and without, all results have the function's type."""
    graph = formula("sum(exp(x[1:] - x[:-1]**2) * w)", x=(4,), w=())
    wants = tuple(resolve_want(graph, kind, (), (), directions=2 if kind in WITH_DIRECTIONS else 0) for kind in Kind)
    program = compile_program(graph, wants, Options(), LIMITS)
    random = np.random.default_rng(1)
    matrix = random.uniform(-1, 1, (7, 5)).astype(np.float32)
    points = PointBatch.from_matrix(graph.inputs, matrix)
    if not as_matrix:
        points = PointBatch.from_inputs(graph.inputs, {"x": matrix[:, :4], "w": matrix[:, 4]})
    directions = [
        {entry.name: np.ones((7, *entry.shape), np.float32) for entry in program._directions if entry.want == number}  # noqa: SLF001 - what callers would have to know
        for number, want in enumerate(wants)
        if want.directions
    ]
    results = program.evaluate(points, LIMITS, no_checkpoint, directions)
    for entries in results.arrays:
        for entry in entries:
            assert entry.array.dtype == np.float32, entry.kind
    expected = np.exp(matrix[:, 1:4] - matrix[:, :3] ** 2).sum(axis=1) * matrix[:, 4]
    np.testing.assert_allclose(results.arrays[0][0].array, expected, rtol=1e-5)


def test_a_number_beyond_float32_is_refused_where_it_stands() -> None:
    """A formula of float32 does not turn a large number into infinity behind anybody's back."""
    with pytest.raises(Exception, match="the number 1e\\+39 is beyond the largest float32"):
        formula("x + 1e39", x=())
    assert formula("x + inf", x=()).element_type is FLOAT32


def test_long_loops_and_their_derivatives_are_float32() -> None:
    """A loop that is cut into segments for reverse mode computes in float32 in every segment."""
    body = function(lambda carry, element: carry * element + 0.1, Input("carry", (), FLOAT32), Input("e", (), FLOAT32))
    loop = Loop(body_of(body), 1000, 1, 1)

    def last(start: Value, factors: Value) -> Value:
        return parts_of(loop, scanned(loop, [start, factors]))[0]

    graph = function(last, Input("start", (), FLOAT32), Input("factors", (1000,), FLOAT32))
    wants = (resolve_want(graph, Kind.VALUE, (), ()), resolve_want(graph, Kind.GRADIENT, (), ()))
    factors = np.random.default_rng(3).uniform(0.9, 1.05, 1000).astype(np.float32)
    points = PointBatch.from_matrix(graph.inputs, np.concatenate([[1.0], factors])[np.newaxis].astype(np.float32))
    expected = np.float32(1.0)
    for factor in factors:
        expected = expected * factor + np.float32(0.1)
    for limits in (LIMITS, replace(LIMITS, maximum_loop_bytes=1000)):
        program = compile_program(graph, wants, Options(), limits)
        values, gradients = program.evaluate(points, limits, no_checkpoint).arrays
        assert values[0].array[0] == expected
        assert gradients[0].array.dtype == np.float32
        np.testing.assert_allclose(gradients[0].array[0, 0], np.prod(factors.astype(np.float64)), rtol=1e-4)
