"""The contract at the awkward points, row by row, and the rules that hold at all of them."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward, push_forward
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import FloatArray, Graph, GraphBuilder, Input, Output
from gradmill_server.engine.ops.arrays.movement import part, reshaped
from gradmill_server.engine.ops.value import Value
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.passes.stable_forms import STABLE_FORM_NAMES, use_stable_forms
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import DERIVATIVE_NOT_FINITE, VALUE_NOT_FINITE, Options, compile_program
from gradmill_server.engine.wants import Kind, resolve_want

from tests.engine.building import (
    LIMITS,
    at_matrix,
    compiled,
    no_checkpoint,
    plain_values,
    same_bits,
    value_and_gradient,
)
from tests.engine.ops.accuracy import unit
from tests.engine.ops.derivatives import gradient
from tests.engine.ops.references import MP, Number
from tests.engine.semantics_table import (
    ARRAY_CASES,
    CASES,
    MASKINGS,
    MEANINGS,
    SECOND_DERIVATIVES,
    STABLE_SPELLINGS,
    ArrayCase,
    Case,
    HigherCase,
    Outcome,
    StableSpelling,
)

NAMES = ("x", "y")
NO_STABLE_FORMS = Options(disabled_stable_forms=STABLE_FORM_NAMES)
PARITY = Options(parity=True)
PLAIN_CASES = [case for case in CASES if case.plain is not None]
MASKED_POINTS = [(formula, place) for formula, places in MASKINGS for place in places]


AGREEING = [
    *(f"{name}({', '.join('xyz'[: row.arity])})" for name, row in ops.TABLE.items() if not row.internal),
    *("x**2 + y**0.5 - z**(-1)", "log(1 + exp(x))*y - 1/(1 + exp(-z))", "where(x > y, sqrt(x - y), z)*sqrt(x*x + z*z)"),
    *("x*log(y) + max(x, max(y, z))/(abs(x) + z)", "erf(x)*normal_cdf(y) - atan2(x, z)**2 + (x + y)*(y + z)*(z + x)"),
]
"""Formulas of x, y and z: every operation, and some mixtures."""


class Agreeing(NamedTuple):
    """A function and its results in one batch."""

    graph: Graph
    matrix: FloatArray
    values: FloatArray
    gradients: FloatArray


def read(formula: str, inputs: int) -> Graph:
    """Return a formula's graph over the first of the inputs x and y, in canonical form."""
    return canonicalize(parse_formula(formula, [Input(name) for name in NAMES[:inputs]], LIMITS))


def outcome(case: Case, options: Options) -> Outcome:
    """Return what the engine gives for a case."""
    value, slopes = value_and_gradient(read(case.formula, len(case.point)), *case.point, options=options)
    return Outcome(value, tuple(slopes.tolist()))


def assert_same(actual: Outcome, expected: Outcome) -> None:
    """Compare numbers; NaN equals NaN, and signs of zero are not promised."""
    np.testing.assert_allclose(actual.value, expected.value, rtol=1e-15, atol=0.0)
    np.testing.assert_allclose(actual.gradient, expected.gradient, rtol=1e-15, atol=0.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_a_row_of_the_contract_holds(case: Case) -> None:
    """Value and gradient at an awkward point are the ones promised."""
    assert_same(outcome(case, Options()), case.expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_without_stable_forms_a_row_holds_or_gives_what_the_spelling_gives(case: Case) -> None:
    """Switching stable forms off changes the rows that depend on them, and no others."""
    assert_same(outcome(case, NO_STABLE_FORMS), case.naive or case.expected)


@pytest.mark.parametrize("case", PLAIN_CASES, ids=lambda case: case.label)
def test_parity_mode_gives_what_plain_propagation_gives(case: Case) -> None:
    """In parity mode a result can be compared point for point with an engine of plain IEEE propagation."""
    assert case.plain is not None
    assert_same(outcome(case, PARITY), case.plain)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_what_is_not_finite_is_marked(case: Case) -> None:
    """A point is marked exactly where its value or one of its derivatives is not finite, and its neighbours are not."""
    graph = read(case.formula, len(case.point))
    neighbour = (2.75, 1.5)[: len(case.point)]
    kinds = (Kind.VALUE, Kind.GRADIENT)
    alone = int(at_matrix(graph, [neighbour], *kinds).point_flags[0])
    flags = 0 if math.isfinite(case.expected.value) else VALUE_NOT_FINITE
    flags |= 0 if all(map(math.isfinite, case.expected.gradient)) else DERIVATIVE_NOT_FINITE
    evaluation = at_matrix(graph, [neighbour, case.point, neighbour], *kinds)
    assert evaluation.point_flags.tolist() == [alone, flags, alone]


def test_a_derivative_is_marked_only_when_it_was_asked_for() -> None:
    """The slope of sqrt at 0 is infinite, but the value alone raises no alarm."""
    graph = read("sqrt(x)", 1)
    assert at_matrix(graph, [[0.0]], Kind.VALUE).point_flags.tolist() == [0]
    assert at_matrix(graph, [[0.0]], Kind.GRADIENT).point_flags.tolist() == [DERIVATIVE_NOT_FINITE]


def along_unit_tangents(graph: Graph, point: tuple[float, ...]) -> FloatArray:
    """Return the derivatives by all inputs of a function of scalars, in forward mode."""
    count = len(point)
    program = compile_program(graph, (resolve_want(graph, Kind.JVP, (), (), directions=count),), Options(), LIMITS)
    unit_tangents = {entry.name: row[np.newaxis] for entry, row in zip(graph.inputs, np.eye(count), strict=True)}
    batch = PointBatch.from_matrix(graph.inputs, np.array([point]))
    (results,) = program.evaluate(batch, LIMITS, no_checkpoint, [unit_tangents]).arrays
    along: FloatArray = results[0].array[0]
    return along


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_forward_mode_gives_the_gradient(case: Case) -> None:
    """Derivatives along unit tangents are those of reverse mode, also where an infinite slope meets a zero (R4)."""
    graph = read(case.formula, len(case.point))
    _, gradient_there = value_and_gradient(graph, *case.point)
    np.testing.assert_array_equal(along_unit_tangents(graph, case.point), gradient_there)


def derivative_at(formula: str, point: tuple[float, ...], by: str) -> float:
    """Return a derivative of any order at a point, by differentiating graphs of derivatives."""
    graph = simplify(use_stable_forms(read(formula, len(point)))[0])
    builder = GraphBuilder.extending(graph)
    node = graph.outputs[0].node
    for name in by:
        node = gradient(builder, node, Propagation())[NAMES.index(name)]
    differentiated = simplify(builder.build([Output("derivative", node)]))
    return float(plain_values(differentiated, point)[differentiated.outputs[0].node])


@pytest.mark.parametrize("case", SECOND_DERIVATIVES, ids=lambda case: f"{case.formula} by {case.by} at {case.point}")
def test_a_promised_second_derivative_holds(case: HigherCase) -> None:
    """Second derivatives at awkward points are the ones promised, in either order of differentiation."""
    np.testing.assert_allclose(derivative_at(case.formula, case.point, case.by), case.expected, rtol=1e-15, atol=0.0)


def hessians_at(formula: str, point: tuple[float, ...]) -> list[FloatArray]:
    """Return the Hessian at a point as every kind of derivative gives it: dense, by products, and sparse."""
    graph, size = read(formula, len(point)), len(point)
    kinds = (Kind.HESSIAN, Kind.HVP, Kind.SPARSE_HESSIAN)
    wants = tuple(resolve_want(graph, kind, (), (), directions=size * (kind is Kind.HVP)) for kind in kinds)
    program = compile_program(graph, wants, Options(), LIMITS)
    batch = PointBatch.from_matrix(graph.inputs, np.array([point]))
    vectors = {name: row[np.newaxis] for name, row in zip(NAMES, np.eye(size), strict=False)}
    dense, products, entries = program.evaluate(batch, LIMITS, no_checkpoint, [vectors]).arrays
    sparse, pattern = np.zeros((size, size)), program.patterns[2, "value"]
    sparse[pattern.rows, pattern.columns] = entries[0].array[0]
    return [dense[0].array[0], products[0].array[0].T, sparse]


@pytest.mark.parametrize(
    ("formula", "point"),
    [*((case.formula, case.point) for case in SECOND_DERIVATIVES), *((text, (at, 2.0)) for text, at in MASKED_POINTS)],
)
def test_hessians_of_every_kind_are_those_of_reverse_mode(formula: str, point: tuple[float, ...]) -> None:
    """Forward mode over reverse mode, dense, in products or compressed, agrees at the awkward points (R4)."""
    by = NAMES[: len(point)]
    expected = [[derivative_at(formula, point, first + second) for second in by] for first in by]
    for hessian in hessians_at(formula, point):
        np.testing.assert_allclose(hessian, expected, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("formula", "place"), MASKED_POINTS)
def test_a_branch_not_taken_never_poisons(formula: str, place: float, order: int) -> None:
    """What a mask hides, however infinite, leaves derivatives of every order finite."""
    assert math.isfinite(derivative_at(formula, (place, 2.0), "x" * order))


@pytest.mark.parametrize(("formula", "place"), MASKED_POINTS)
def test_every_masking_hides_something(formula: str, place: float) -> None:
    """The maskings that never poison here do so under plain IEEE propagation, at the first or second order."""
    graph = simplify(read(formula, 2))
    builder = GraphBuilder.extending(graph)
    propagation = Propagation(strong_zeros=False)
    slope = gradient(builder, graph.outputs[0].node, propagation)[0]
    curvature = gradient(builder, slope, propagation)[0]
    values = plain_values(builder.build([]), (place, 2.0))
    assert not (np.isfinite(values[slope]) and np.isfinite(values[curvature]))


@pytest.fixture(params=AGREEING, scope="module")
def agreeing(request: pytest.FixtureRequest) -> Agreeing:
    """Return a function of x, y and z, with its results at awkward points in one batch."""
    inputs = [Input(name) for name in "xyz"]
    graph = canonicalize(parse_formula(request.param, inputs, LIMITS))
    numbers = (0.0, -0.0, 0.7, -3.0, 1.0, 1e-310, 1e300, math.inf, -math.inf, math.nan)
    generator = np.random.default_rng(3)
    matrix = np.concatenate([generator.choice(numbers, (150, 3)), generator.standard_normal((50, 3))])
    (values,), (gradients,) = at_matrix(graph, matrix, Kind.VALUE, Kind.GRADIENT).arrays
    return Agreeing(graph, matrix, values.array, gradients.array)


def test_named_points_give_the_bits_of_a_matrix(agreeing: Agreeing) -> None:
    """A gradient does not depend on whether points come as a matrix or by name."""
    columns = {name: agreeing.matrix[:, i].copy() for i, name in enumerate("xyz")}
    points = PointBatch.from_inputs(agreeing.graph.inputs, columns)
    ((*slopes,),) = compiled(agreeing.graph, Kind.GRADIENT).evaluate(points, LIMITS, no_checkpoint).arrays
    assert [entry.with_respect_to for entry in slopes] == ["x", "y", "z"]
    assert same_bits(np.stack([entry.array for entry in slopes], axis=1), agreeing.gradients)


def test_a_shared_input_gives_the_bits_of_a_repeated_one(agreeing: Agreeing) -> None:
    """A gradient does not depend on whether an input comes once for all points or point by point."""
    columns = {name: agreeing.matrix[:, i].copy() for i, name in enumerate("xyz")}
    for shared, position in itertools.product("xyz", (2, 7, 160)):
        number = agreeing.matrix[position, "xyz".index(shared)]
        repeated = columns | {shared: np.full(len(agreeing.matrix), number)}
        once = columns | {shared: np.array(number)}
        program = compiled(agreeing.graph, Kind.VALUE, Kind.GRADIENT)
        batches = (
            PointBatch.from_inputs(agreeing.graph.inputs, repeated),
            PointBatch.from_inputs(agreeing.graph.inputs, once, {shared}),
        )
        first, second = (program.evaluate(batch, LIMITS, no_checkpoint).arrays for batch in batches)
        for one, other in zip(itertools.chain(*first), itertools.chain(*second), strict=True):
            assert same_bits(one.array, other.array)


def test_a_gradient_alone_has_the_bits_of_one_with_the_value(agreeing: Agreeing) -> None:
    """A gradient, and a value, does not depend on what else is asked for."""
    ((gradients,),) = at_matrix(agreeing.graph, agreeing.matrix, Kind.GRADIENT).arrays
    ((values,),) = at_matrix(agreeing.graph, agreeing.matrix, Kind.VALUE).arrays
    assert same_bits(gradients.array, agreeing.gradients)
    assert same_bits(values.array, agreeing.values)


def test_a_slope_by_one_input_has_the_bits_of_the_whole_gradient(agreeing: Agreeing) -> None:
    """A derivative does not depend on which other inputs are varied."""
    points = PointBatch.from_matrix(agreeing.graph.inputs, agreeing.matrix)
    for position, name in enumerate("xyz"):
        wants = (resolve_want(agreeing.graph, Kind.GRADIENT, (), (name,)),)
        program = compile_program(agreeing.graph, wants, Options(), LIMITS)
        ((slopes,),) = program.evaluate(points, LIMITS, no_checkpoint).arrays
        assert same_bits(slopes.array, agreeing.gradients[:, position : position + 1])


def test_a_point_alone_has_the_bits_of_the_same_point_in_company(agreeing: Agreeing) -> None:
    """A result does not depend on the neighbours in the batch, however awkward."""
    program = compiled(agreeing.graph, Kind.VALUE, Kind.GRADIENT)
    for start, stop in [*((i, i + 1) for i in range(0, 200, 9)), (1, 8), (3, 20), (5, 200)]:
        points = PointBatch.from_matrix(agreeing.graph.inputs, agreeing.matrix[start:stop])
        (values,), (gradients,) = program.evaluate(points, LIMITS, no_checkpoint).arrays
        assert same_bits(values.array, agreeing.values[start:stop])
        assert same_bits(gradients.array, agreeing.gradients[start:stop])


def test_a_batch_of_many_blocks_repeats_the_bits_of_a_small_one() -> None:
    """A result does not depend on where in a large batch the point stands."""
    graph = canonicalize(parse_formula("exp(sin(x)*y)/(1 + z*z) + where(x > 0, sqrt(x), y)**3", None, LIMITS))
    generator = np.random.default_rng(5)
    few = generator.standard_normal((997, 3))
    many = np.tile(few, (150, 1))
    small, large = (at_matrix(graph, matrix, Kind.GRADIENT).arrays[0][0].array for matrix in (few, many))
    assert same_bits(np.tile(small, (150, 1)), large)


def units_off(computed: float, exact: Number) -> float:
    """Return an error in units in the last place of the exact number."""
    if computed == exact:
        return 0.0
    if not (math.isfinite(computed) and MP.isfinite(exact)):
        return math.inf
    return float(abs(MP.mpf(computed) - exact) / unit(exact))


def worst_units_off(spelling: StableSpelling, options: Options) -> float:
    """Return the largest error of value and slopes at the spelling's point."""
    value, slopes = value_and_gradient(read(spelling.formula, len(spelling.point)), *spelling.point, options=options)
    operands = [MP.mpf(number) for number in spelling.point]
    meaning = MEANINGS[spelling.form]
    exact = [meaning.value(*operands), *meaning.slopes(*operands)]
    return max(units_off(computed, number) for computed, number in zip([value, *slopes.tolist()], exact, strict=True))


def spelling_id(spelling: StableSpelling) -> str:
    """Name a spelling in reports."""
    return f"{spelling.form}: {spelling.formula}"


def test_every_stable_form_has_a_spelling() -> None:
    """No stable form is applied whose worth nothing has shown."""
    assert {spelling.form for spelling in STABLE_SPELLINGS} == STABLE_FORM_NAMES == set(MEANINGS)


@pytest.mark.parametrize("spelling", STABLE_SPELLINGS, ids=spelling_id)
def test_a_stable_form_is_right_where_the_spelling_is_not(spelling: StableSpelling) -> None:
    """A naive spelling gives value and slopes to the last digits, and with its form switched off it does not."""
    assert worst_units_off(spelling, Options()) <= 4.0
    assert worst_units_off(spelling, Options(disabled_stable_forms=frozenset({spelling.form}))) > 1e6


@pytest.mark.parametrize("spelling", STABLE_SPELLINGS, ids=spelling_id)
def test_an_applied_stable_form_is_named(spelling: StableSpelling) -> None:
    """A program says which form it uses; none of that name when it is switched off, none at all in parity mode."""
    graph = read(spelling.formula, len(spelling.point))
    without = Options(disabled_stable_forms=frozenset({spelling.form}))
    assert compiled(graph, Kind.VALUE).stable_forms == (spelling.form,)
    assert spelling.form not in compiled(graph, Kind.VALUE, options=without).stable_forms
    assert compiled(graph, Kind.VALUE, options=PARITY).stable_forms == ()


@pytest.mark.parametrize("y", [-1.0, math.inf, math.nan])
def test_what_has_no_limit_stays_nan(y: float) -> None:
    """A product with a logarithm that has no limit at x = 0 is NaN in stable form, too: a wrong y is not covered up."""
    graph = canonicalize(parse_formula("x*log(y)", None, LIMITS))
    ((value,),) = at_matrix(graph, [[0.0, y]], Kind.VALUE).arrays
    assert np.isnan(value.array).all()


@pytest.mark.parametrize(("formula", "form", "slope"), [("1 - exp(x)", "expm1", -1.0), ("log(1 - x)", "log1p", -1.0)])
def test_mirrored_spellings_are_stable_too(formula: str, form: str, slope: float) -> None:
    """A spelling that cancels is recognised from either side: near 0 the small number is kept, not rounded away."""
    graph = canonicalize(parse_formula(formula, None, LIMITS))
    value, gradients = at_matrix(graph, [[1e-20]], Kind.VALUE, Kind.GRADIENT).arrays
    assert value[0].array.tolist() == [-1e-20]
    assert gradients[0].array.tolist() == [[slope]]
    assert use_stable_forms(graph)[1] == (form,)


@pytest.mark.parametrize("case", ARRAY_CASES, ids=lambda case: f"{case.operation}{list(case.vector)}")
def test_operations_on_arrays_keep_the_conventions(case: ArrayCase) -> None:
    """Ties share equally, masks and zeros do not poison, infinities have their limits; forward and reverse agree."""
    builder = GraphBuilder([Input("x", (len(case.vector),))])
    result = Value(builder, ops.emit(builder, case.operation, (0,), case.parameters))
    first = result if not result.shape else sliced_first(result)
    graph = simplify(expand(builder.build([Output("value", first.index)])))
    builder, node = GraphBuilder.extending(graph), graph.outputs[0].node
    adjoint = backward(builder, node, [0], Propagation())[0]
    (tangent,) = push_forward(
        builder, [node], {0: builder.constant(np.eye(len(case.vector)))}, Propagation(), (len(case.vector),)
    )
    zeros = builder.constant(np.zeros(len(case.vector)))
    nodes = [node, *(zeros if entry == NO_ADJOINT else entry for entry in (adjoint, tangent))]
    outputs = [Output(f"output{place}", entry) for place, entry in enumerate(nodes)]
    vector = np.array([case.vector])
    value, reverse, forward = NumpyExecutable(simplify(builder.build(outputs))).run([vector], 1, no_checkpoint)
    np.testing.assert_array_equal(value[0], case.value)
    np.testing.assert_allclose(reverse[0], case.gradient, rtol=1e-15)
    np.testing.assert_allclose(forward[0], case.gradient, rtol=1e-15)


def sliced_first(vector: Value) -> Value:
    """Return the first element of a vector."""
    return reshaped(part(vector, 0, 0, 1), ())
