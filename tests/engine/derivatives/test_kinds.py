"""Every kind of derivative of one function, against one another and against differences of its gradient."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.derivatives.patterns import SparsePattern
from gradmill_server.engine.errors import InvalidPoints, LimitExceeded
from gradmill_server.engine.ir import FloatArray, Graph, GraphBuilder, Input, Output
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops.arrays.movement import taken
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Evaluation, Options, compile_program
from gradmill_server.engine.wants import WITH_DIRECTIONS, Kind, Want, resolve_want

from tests.engine.building import LIMITS, function, no_checkpoint

POINTS = 5
INPUTS = (Input("s"), Input("v", (3,)), Input("m", (2, 3)))
ELEMENTS = 10


def mixed(s: Value, v: Value, m: Value) -> Mapping[str, Value]:
    """Return a vector of three and a scalar that mix all elements of the inputs."""
    product = ops.ARRAYS["matmul"].apply(m, apply("sin", v))
    vector = apply("exp", v * 0.3) * s + ops.ARRAYS["sum"].apply(m * m, axes=(0,)) * v
    squares = ops.ARRAYS["sum"].apply(product * product, axes=(0,))
    return {"vector": vector, "scalar": squares * s + ops.ARRAYS["logsumexp"].apply(v, axes=(0,)) * apply("cos", s)}


FUNCTION = function(mixed, *INPUTS)


def rows(seed: int = 0, count: int = POINTS) -> FloatArray:
    """Return a matrix of points."""
    return np.random.default_rng(seed).normal(size=(count, ELEMENTS))


def columns(matrix: FloatArray) -> dict[str, FloatArray]:
    """Return the same points by input."""
    return {
        "s": matrix[..., 0],
        "v": matrix[..., 1:4],
        "m": matrix[..., 4:].reshape(*matrix.shape[:-1], 2, 3),
    }


def evaluate(
    graph: Graph,
    points: FloatArray | Mapping[str, FloatArray],
    wants: Sequence[Want],
    directions: Sequence[Mapping[str, FloatArray]] = (),
    limits: Limits = LIMITS,
) -> Evaluation:
    """Compile and evaluate."""
    program = compile_program(graph, tuple(wants), Options(), limits)
    batch = (
        PointBatch.from_inputs(graph.inputs, points)
        if isinstance(points, Mapping)
        else PointBatch.from_matrix(graph.inputs, points)
    )
    return program.evaluate(batch, limits, no_checkpoint, directions)


def want(kind: Kind, *outputs: str, by: Sequence[str] = (), directions: int = 0) -> Want:
    """Return a want of the function of this module."""
    return resolve_want(FUNCTION, kind, outputs, by, directions=directions)


def only(evaluation: Evaluation, number: int = 0) -> FloatArray:
    """Return the one array of a want."""
    (result,) = evaluation.arrays[number]
    return result.array


def jacobian(output: str, matrix: FloatArray) -> FloatArray:
    """Return the Jacobian of an output as the service computes it, points as a matrix."""
    return only(evaluate(FUNCTION, matrix, [want(Kind.JACOBIAN, output)]))


def hessian(matrix: FloatArray) -> FloatArray:
    """Return the Hessian of the scalar output."""
    return only(evaluate(FUNCTION, matrix, [want(Kind.HESSIAN, "scalar")]))


def differences(kind: Kind, output: str, matrix: FloatArray) -> FloatArray:
    """Return central differences of values or gradients, [points, ..., elements]."""
    step = 1e-6
    parts = []
    for element in range(ELEMENTS):
        shift = np.zeros(ELEMENTS)
        shift[element] = step
        ahead, behind = (only(evaluate(FUNCTION, matrix + sign * shift, [want(kind, output)])) for sign in (1, -1))
        parts.append((ahead - behind) / (2 * step))
    return np.stack(parts, axis=-1)


@pytest.mark.parametrize("output", ["vector", "scalar"])
def test_a_jacobian_is_that_of_differences(output: str) -> None:
    """Every output element by every input element."""
    matrix = rows()
    np.testing.assert_allclose(jacobian(output, matrix), differences(Kind.VALUE, output, matrix), rtol=1e-6, atol=1e-7)


def test_a_hessian_is_symmetric_and_that_of_differences_of_the_gradient() -> None:
    """Second derivatives agree with differences of first ones."""
    matrix = rows()
    second = hessian(matrix)
    np.testing.assert_allclose(second, np.swapaxes(second, 1, 2), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(second, differences(Kind.GRADIENT, "scalar", matrix), rtol=1e-5, atol=1e-6)


def test_a_gradient_is_the_jacobian_of_a_scalar() -> None:
    """Asked for either way, the derivatives are the same bits."""
    matrix = rows()
    gradient = only(evaluate(FUNCTION, matrix, [want(Kind.GRADIENT, "scalar")]))
    np.testing.assert_array_equal(gradient, jacobian("scalar", matrix))


@pytest.mark.parametrize("shared", [True, False])
def test_products_are_those_with_the_whole_matrices(shared: bool) -> None:
    """Tangents, cotangents and vectors, several at once, of their own at each point or shared by all."""
    matrix, count, directions = rows(), 1 if shared else POINTS, 2
    random = np.random.default_rng(7)
    tangents = random.normal(size=(count, directions, ELEMENTS))
    cotangents = {
        "vector": random.normal(size=(count, directions, 3)),
        "scalar": random.normal(size=(count, directions)),
    }
    wants = [
        want(Kind.JVP, "vector", directions=directions),
        want(Kind.VJP, directions=directions),
        want(Kind.HVP, "scalar", directions=directions),
    ]
    evaluation = evaluate(FUNCTION, matrix, wants, [columns(tangents), cotangents, columns(tangents)])
    by_vector, by_scalar = jacobian("vector", matrix), jacobian("scalar", matrix)
    whole = np.broadcast_to(tangents, (POINTS, directions, ELEMENTS))
    np.testing.assert_allclose(only(evaluation, 0), np.einsum("pij,pkj->pki", by_vector, whole), rtol=1e-12)
    expected = np.einsum("pij,pki->pkj", by_vector, np.broadcast_to(cotangents["vector"], (POINTS, directions, 3)))
    expected += by_scalar[:, np.newaxis] * cotangents["scalar"][..., np.newaxis]
    np.testing.assert_allclose(only(evaluation, 1), expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(only(evaluation, 2), np.einsum("pij,pkj->pki", hessian(matrix), whole), rtol=1e-11)


def test_directions_that_are_missing_are_zero() -> None:
    """A tangent of one input alone leaves the others where they are."""
    matrix = rows()
    tangent = {"v": np.ones((1, 1, 3))}
    evaluation = evaluate(FUNCTION, matrix, [want(Kind.JVP, "vector", directions=1)], [tangent])
    np.testing.assert_allclose(only(evaluation)[:, 0], jacobian("vector", matrix)[..., 1:4].sum(-1), rtol=1e-12)


def test_results_by_input_are_those_by_matrix_taken_apart() -> None:
    """Points given by input get an array for each input, or for each pair of inputs."""
    matrix = rows()
    kinds = (Kind.GRADIENT, Kind.JACOBIAN, Kind.HESSIAN, Kind.HESSIAN_DIAGONAL)
    wants = [want(kind, "scalar") for kind in kinds] + [want(Kind.VJP, "vector", directions=2)]
    cotangents = {"vector": np.random.default_rng(3).normal(size=(1, 2, 3))}
    whole = evaluate(FUNCTION, matrix, wants, [cotangents])
    apart = evaluate(FUNCTION, columns(matrix), wants, [cotangents])
    for number in (0, 1, 3, 4):
        pieces = columns(only(whole, number))
        assert [entry.with_respect_to for entry in apart.arrays[number]] == ["s", "v", "m"]
        for entry in apart.arrays[number]:
            np.testing.assert_array_equal(entry.array, pieces[entry.with_respect_to])
    for entry in apart.arrays[2]:
        first = columns(np.swapaxes(only(whole, 2), 1, 2))[entry.with_respect_to]
        block = np.moveaxis(first, 1, -1) if first.ndim > 2 else first
        np.testing.assert_array_equal(entry.array, columns(block)[entry.second_with_respect_to])


def test_the_diagonal_and_the_sparse_forms_are_those_of_the_dense_matrix() -> None:
    """Compressed and dense derivatives agree, entry by entry; what is not in the pattern is zero."""
    matrix = rows()
    wants = [
        want(Kind.HESSIAN_DIAGONAL, "scalar"),
        want(Kind.SPARSE_HESSIAN, "scalar"),
        want(Kind.SPARSE_JACOBIAN, "vector"),
    ]
    program = compile_program(FUNCTION, tuple(wants), Options(), LIMITS)
    evaluation = program.evaluate(PointBatch.from_matrix(FUNCTION.inputs, matrix), LIMITS, no_checkpoint)
    second = hessian(matrix)
    np.testing.assert_allclose(only(evaluation, 0), np.diagonal(second, axis1=1, axis2=2), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        dense(program.patterns[1, "scalar"], only(evaluation, 1)), second, rtol=1e-12, atol=1e-13
    )
    by_vector = dense(program.patterns[2, "vector"], only(evaluation, 2))
    np.testing.assert_allclose(by_vector, jacobian("vector", matrix), rtol=1e-12, atol=1e-13)


def dense(pattern: SparsePattern, values: FloatArray) -> FloatArray:
    """Return sparse matrices, [points, nonzeros], as dense ones."""
    result: FloatArray = np.zeros((len(values), *pattern.shape))
    result[:, pattern.rows, pattern.columns] = values
    return result


def rosenbrock(x: Value) -> Value:
    """Return Rosenbrock's function of a vector."""
    ahead = ops.ARRAYS["slice"].apply(x, starts=(1,), counts=(x.shape[0] - 1,), steps=(1,))
    behind = ops.ARRAYS["slice"].apply(x, starts=(0,), counts=(x.shape[0] - 1,), steps=(1,))
    bend, slope = ahead - behind * behind, 1.0 - behind
    return ops.ARRAYS["sum"].apply(100.0 * (bend * bend) + slope * slope, axes=(0,))


def test_the_pattern_of_a_hessian_is_that_of_the_structure() -> None:
    """Rosenbrock's function has a tridiagonal Hessian: 3 n - 2 entries, each that of the dense one."""
    graph = function(rosenbrock, Input("x", (12,)))
    kinds = (Kind.SPARSE_HESSIAN, Kind.HESSIAN)
    program = compile_program(graph, tuple(resolve_want(graph, kind, (), ()) for kind in kinds), Options(), LIMITS)
    pattern = program.patterns[0, "value"]
    assert pattern.shape == (12, 12)
    assert len(pattern.columns) == 3 * 12 - 2
    assert np.abs(pattern.rows - pattern.columns).max() == 1
    matrix = np.random.default_rng(5).normal(size=(4, 12))
    evaluation = program.evaluate(PointBatch.from_matrix(graph.inputs, matrix), LIMITS, no_checkpoint)
    np.testing.assert_allclose(dense(pattern, only(evaluation, 0)), only(evaluation, 1), rtol=1e-14)


def test_a_function_without_curvature_has_an_empty_hessian() -> None:
    """No entries, the right shapes, for points either way."""
    graph = function(lambda x, y: 2.0 * x - y, "x", "y")
    kinds = (Kind.SPARSE_HESSIAN, Kind.HESSIAN_DIAGONAL, Kind.HESSIAN)
    evaluation = evaluate(graph, np.ones((3, 2)), [resolve_want(graph, kind, (), ()) for kind in kinds])
    assert only(evaluation, 0).shape == (3, 0)
    assert only(evaluation, 1).tolist() == [[0.0, 0.0]] * 3
    assert only(evaluation, 2).tolist() == [[[0.0, 0.0], [0.0, 0.0]]] * 3


@pytest.mark.parametrize("kind", Kind)
def test_a_function_without_inputs_has_derivatives_without_elements(kind: Kind) -> None:
    """There is nothing to differentiate by, and that is no mistake."""
    builder = GraphBuilder()
    graph = builder.build([Output("value", builder.constant(2.5))])
    directions = 1 if kind in WITH_DIRECTIONS else 0
    wanted = resolve_want(graph, kind, (), (), directions=directions)
    cotangents = [{"value": np.ones((1, 1))} if kind is Kind.VJP else {}]
    evaluation = evaluate(graph, np.zeros((2, 0)), [wanted], cotangents if kind is Kind.VJP else [])
    assert all(len(entry.array) == 2 for entry in evaluation.arrays[0])


def test_a_dense_hessian_that_is_too_large_is_refused() -> None:
    """The refusal names the limit; the sparse form of the same is computed."""
    elements = 1_001
    graph = function(rosenbrock, Input("x", (elements,)))
    with pytest.raises(LimitExceeded) as caught:
        compile_program(graph, (resolve_want(graph, Kind.HESSIAN, (), ()),), Options(), LIMITS)
    assert caught.value.metadata["knob"] == "maximum_elements_per_value"
    program = compile_program(graph, (resolve_want(graph, Kind.SPARSE_HESSIAN, (), ()),), Options(), LIMITS)
    assert len(program.patterns[0, "value"].columns) == 3 * elements - 2


def test_a_pattern_that_would_take_too_much_memory_is_refused() -> None:
    """The sets that a pattern is found with have a limit of their own."""
    graph = function(rosenbrock, Input("x", (100,)))
    limits = Limits(maximum_pattern_bytes=1_000)
    with pytest.raises(LimitExceeded) as caught:
        compile_program(graph, (resolve_want(graph, Kind.SPARSE_HESSIAN, (), ()),), Options(), limits)
    assert caught.value.metadata["knob"] == "maximum_pattern_bytes"


def test_directions_of_another_shape_are_refused() -> None:
    """The refusal names the input, the shape given and the shape expected."""
    tangent = {"v": np.ones((1, 2, 4))}
    with pytest.raises(InvalidPoints, match=r"'v' have shape \(1, 2, 4\), expected \[points, 2, 3\]"):
        evaluate(FUNCTION, rows(), [want(Kind.JVP, "vector", directions=2)], [tangent])
    with pytest.raises(InvalidPoints, match="1 wants take some, 0 were given"):
        evaluate(FUNCTION, rows(), [want(Kind.JVP, "vector", directions=2)])


@pytest.mark.parametrize("kind", [Kind.SPARSE_JACOBIAN, Kind.SPARSE_HESSIAN, Kind.HESSIAN_DIAGONAL])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_dense_pattern_that_is_too_large_is_refused_before_its_places_are_made(kind: Kind, *, ordered: bool) -> None:
    """A short function may have a full matrix of any size: of its places only the number is found."""
    total = ops.ARRAYS["sum"]

    def full(x: Value) -> Value:
        terms = ops.ARRAYS["sort"].apply(x, axis=0) if ordered else x  # what has an order cannot be unrolled
        squares = terms * total.apply(terms, axes=(0,))
        return squares if kind is Kind.SPARSE_JACOBIAN else total.apply(squares * squares, axes=(0,))

    graph = function(full, Input("x", (5_000,)))
    with pytest.raises(LimitExceeded) as caught:
        compile_program(graph, (resolve_want(graph, kind, (), ()),), Options(), LIMITS)
    assert caught.value.reason == "DERIVATIVE_TOO_LARGE"
    assert caught.value.metadata["value"] == "25000000"


@pytest.mark.parametrize("kind", [Kind.SPARSE_JACOBIAN, Kind.SPARSE_HESSIAN])
def test_a_matrix_that_is_not_sparse_enough_is_refused(kind: Kind) -> None:
    """Directions are counted by the elements that they give: three of them, though there are fewer places."""
    count, places = 40, 118

    def neighbours(x: Value) -> Value:
        before, between, after = (taken(x, range(start, start + count - 2)) for start in range(3))
        if kind is Kind.SPARSE_JACOBIAN:
            return ops.ARRAYS["concatenate"].apply(before * between * after, taken(x * x, range(4)), axis=0)
        gaps = ops.ARRAYS["diff"].apply(x, axis=0)
        return ops.ARRAYS["sum"].apply(gaps * gaps, axes=(0,))

    graph = function(neighbours, Input("x", (count,)))
    want = resolve_want(graph, kind, (), ())
    compile_program(graph, (want,), Options(), LIMITS)
    with pytest.raises(LimitExceeded) as caught:
        compile_program(graph, (want,), Options(), Limits(maximum_elements_per_value=places))
    assert caught.value.reason == "DERIVATIVE_TOO_LARGE"
    assert (caught.value.metadata["value"], caught.value.metadata["limit"]) == ("3", "2")


def test_directions_make_no_arrays_before_they_are_refused() -> None:
    """A thousand tangents of one scalar would be zeros of gigabytes beside a large array."""

    def beside(x: Value, y: Value) -> Value:
        large = ops.ARRAYS["broadcast_to"].apply(apply("exp", y), shape=(900_000,))
        return ops.ARRAYS["concatenate"].apply(large, ops.ARRAYS["reshape"].apply(x, shape=(1,)), axis=0)

    graph = function(beside, "x", "y")
    tracemalloc.start()
    with pytest.raises(LimitExceeded) as caught:
        compile_program(graph, (resolve_want(graph, Kind.JVP, (), ("x",), directions=1_000),), Options(), LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason == "DERIVATIVE_TOO_LARGE"
    assert peak < 100_000_000


def test_zeros_of_many_elements_are_those_of_few() -> None:
    """Zeros that are repeated instead of kept give the same derivatives."""

    def beside(x: Value, y: Value) -> Value:
        both = ops.ARRAYS["concatenate"].apply(x, y, axis=0)
        return ops.ARRAYS["sum"].apply(apply("exp", both), axes=(0,))

    graph = function(beside, Input("x", (3,)), Input("y", (3_000,)))
    tangents = [{"x": np.ones((1, 2, 3))}]
    points = {"x": np.zeros((1, 3)), "y": np.ones((1, 3_000))}
    want = resolve_want(graph, Kind.HVP, (), (), directions=2)
    first, second = evaluate(graph, points, [want], tangents).arrays[0]
    np.testing.assert_array_equal(first.array, np.ones((1, 2, 3)))
    np.testing.assert_array_equal(second.array, np.zeros((1, 2, 3_000)))


def test_sparse_derivatives_of_many_outputs_have_a_limit_together() -> None:
    """Patterns that pass one by one are counted over all outputs, before the program holds all of them."""
    graph = function(
        lambda x: {f"output{place}": ops.ARRAYS["cumsum"].apply(x * float(place + 1), axis=0) for place in range(9)},
        Input("x", (20,)),
    )
    limits = Limits(maximum_constant_elements=1_000)
    with pytest.raises(LimitExceeded) as caught:
        compile_program(graph, (resolve_want(graph, Kind.SPARSE_JACOBIAN, (), ()),), Options(), limits)
    assert caught.value.metadata["knob"] == "maximum_constant_elements"
    compile_program(graph, (resolve_want(graph, Kind.SPARSE_JACOBIAN, ("output0",), ()),), Options(), limits)
