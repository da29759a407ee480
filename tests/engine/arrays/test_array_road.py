"""Functions large enough for the array tape: strong zeros, marks, and sums over points."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.backends.choice import Road, road
from gradmill_server.engine.backends.native.levels import host_level
from gradmill_server.engine.ir import FloatArray, Graph, Input
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Options, Program, compile_program
from gradmill_server.engine.wants import Kind, resolve_want
from gradmill_server.serving.reduction import evaluate_reduced, pairwise_sum
from gradmill_server.serving.wire.requests import Reduction

from tests.engine.building import LIMITS, function, no_checkpoint

pytestmark = pytest.mark.skipif(host_level() is None, reason="this processor runs none of the levels there is code for")

WIDTH = 24


def total(x: Value) -> Value:
    """Return the sum of all elements."""
    return ops.ARRAYS["sum"].apply(x, axes=tuple(range(len(x.shape))))


def masked(x: Value, w: Value) -> Value:
    """Return sum(w @ log(x)) where x[0] is positive, and sum(x**2) elsewhere: the logarithm's branch is dead there."""
    first = ops.ARRAYS["slice"].apply(x, starts=(0,), counts=(1,), steps=(1,))
    product = total(ops.ARRAYS["matmul"].apply(w, apply("log", x)))
    return apply("where", apply("greater", total(first), 0.0), product, total(x * x))


GRAPH = function(masked, Input("x", (WIDTH,)), Input("w", (WIDTH, WIDTH)))


def compiled(graph: Graph) -> Program:
    """Compile value and gradient by both inputs."""
    kinds = (Kind.VALUE, Kind.GRADIENT)
    wants = tuple(resolve_want(graph, kind, (), ()) for kind in kinds)
    return compile_program(graph, wants, Options(), LIMITS)


def points(count: int, seed: int = 0) -> dict[str, FloatArray]:
    """Return points of which every third takes the other branch, with zeros and negative numbers in it."""
    random = np.random.default_rng(seed)
    x = random.uniform(0.5, 2.0, size=(count, WIDTH))
    x[::3, 0] = -1.0
    x[::3, 5] = 0.0
    return {"x": x, "w": random.normal(size=(WIDTH, WIDTH))}


def test_the_function_takes_the_array_tape() -> None:
    """What the other tests here show would show nothing otherwise."""
    assert road(simplify(expand(GRAPH))) is Road.ARRAYS
    assert compiled(GRAPH).sums_points


def test_a_dead_branch_does_not_poison_through_a_product_of_matrices() -> None:
    """Gradients are those of the branch taken, and no point is marked."""
    given = points(13)
    batch = PointBatch.from_inputs(GRAPH.inputs, given, {"w"})
    evaluation = compiled(GRAPH).evaluate(batch, LIMITS, no_checkpoint)
    assert not evaluation.point_flags.any()
    by_x, by_w = (entry.array for entry in evaluation.arrays[1])
    x, w = given["x"], given["w"]
    with np.errstate(all="ignore"):
        expected = np.where(x[:, :1] > 0.0, w.sum(axis=0) / x, 2.0 * x)
        by_weights = np.where(x[:, :1] > 0.0, np.log(x), 0.0)[:, np.newaxis, :] * np.ones((WIDTH, 1))
    np.testing.assert_allclose(by_x, expected, rtol=1e-13)
    np.testing.assert_allclose(by_w, by_weights, rtol=1e-13)


@pytest.mark.parametrize("count", [0, 1, 7, 1_000, 8_192, 9_000])
def test_sums_made_inside_are_those_of_the_points(count: int) -> None:
    """Values and gradients summed as they are made agree with the sums of each point's, for any number of points."""
    given = points(count)
    given["x"][:, 0] = 1.0
    given["x"][:, 5] = 1.5
    program, batch = compiled(GRAPH), PointBatch.from_inputs(GRAPH.inputs, given, {"w"}, count)
    summed = program.evaluate_sums(batch, LIMITS, no_checkpoint)
    apart = program.evaluate(batch, LIMITS, no_checkpoint)
    for results, others in zip(summed.arrays, apart.arrays, strict=True):
        for one, each in zip(results, others, strict=True):
            expected = pairwise_sum(each.array)
            scale = max(1.0, float(np.abs(each.array).sum(axis=0).max()))
            assert one.array.shape == (1, *expected.shape)
            np.testing.assert_allclose(one.array[0], expected, rtol=0.0, atol=1e-14 * scale)


@pytest.mark.parametrize("as_matrix", [True, False])
def test_points_that_are_not_finite_are_marked_in_a_sum(as_matrix: bool) -> None:
    """A sum over points says which of them spoiled it, and a dead branch at one of them does not."""
    given = points(20)
    given["x"][7] = np.nan
    given = {
        name: np.broadcast_to(array, (20, WIDTH, WIDTH)) if name == "w" else array for name, array in given.items()
    }
    matrix = np.concatenate([array.reshape(20, -1) for array in given.values()], axis=1)
    program = compiled(GRAPH)

    def batch(start: int, stop: int) -> PointBatch:
        if as_matrix:
            return PointBatch.from_matrix(GRAPH.inputs, matrix[start:stop])
        return PointBatch.from_inputs(GRAPH.inputs, {name: array[start:stop] for name, array in given.items()})

    evaluation = evaluate_reduced(
        lambda start, stop: program.evaluate(batch(start, stop), LIMITS, no_checkpoint),
        20,
        program.point_bytes,
        Reduction.SUM,
        lambda start, stop: program.evaluate_sums(batch(start, stop), LIMITS, no_checkpoint),
    )
    assert np.flatnonzero(evaluation.point_flags).tolist() == [7]
    assert np.isnan(evaluation.arrays[0][0].array)
