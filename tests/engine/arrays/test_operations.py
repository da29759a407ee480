"""Array operations: values against NumPy, derivatives against finite differences and against one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward, pull_back, push_forward
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output, Shape
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.simplify import simplify

from tests.engine.arrays.cases import CASES, Array, Case, operands_of
from tests.engine.building import no_checkpoint, same_bits

_DIRECTIONS = 3
_STEP = 1e-5
_SECOND_STEP = 1e-4


def graph_of(case: Case) -> Graph:
    """Return the function that applies a case's operation to its inputs, expanded."""
    builder = GraphBuilder([Input(f"x{place}", shape) for place, shape in enumerate(case.shapes)])
    parameters = tuple(sorted(case.parameters.items()))
    return expand(
        builder.build([Output("value", ops.emit(builder, case.operation, range(len(case.shapes)), parameters))])
    )


def evaluated(builder: GraphBuilder, nodes: Sequence[int], operands: Sequence[Array]) -> list[Array]:
    """Return the values of some nodes at one point, by NumPy."""
    graph = simplify(builder.build([Output(f"output{place}", node) for place, node in enumerate(nodes)]))
    results = NumpyExecutable(graph).run([operand[np.newaxis] for operand in operands], 1, no_checkpoint)
    return [result[0] for result in results]


def weighted_sine(builder: GraphBuilder, node: int, weights: Array) -> int:
    """Return the sum of weights * sin(node): a scalar whose derivatives say all of the node's."""
    terms = ops.emit(builder, "multiply", (ops.emit(builder, "sin", (node,)), builder.constant(weights)))
    return ops.emit(builder, "sum", (terms,), (("axes", tuple(range(weights.ndim))),))


def or_zeros(builder: GraphBuilder, node: int, shape: Shape) -> int:
    """Return the node, or zeros of the shape where a derivative is zero by structure."""
    return builder.constant(np.zeros(shape)) if node == NO_ADJOINT else node


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_values_are_those_of_numpy(case: Case) -> None:
    """Shape and elements are what NumPy gives."""
    operands = operands_of(case)
    graph = graph_of(case)
    (value,) = evaluated(GraphBuilder.extending(graph), [graph.outputs[0].node], operands)
    expected = np.asarray(case.numpy(*operands), dtype=np.float64)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-13)


LARGER = (
    Case("matmul", ((1, 7), (7, 4)), {}, np.matmul),
    Case("matmul", ((2, 5), (5, 1)), {}, np.matmul),
    Case("matmul", ((5, 33), (33, 7)), {}, np.matmul),
)
"""Operations that NumPy computes by different code, depending on how elements lie."""


@pytest.mark.parametrize("case", [*CASES, *LARGER], ids=lambda case: case.label)
def test_a_point_has_its_bits_however_elements_lie(case: Case) -> None:
    """A point alone, and among others whose elements are neighbours in memory, has the same bits."""
    points = [operands_of(case, seed=seed) for seed in range(3)]
    block = [np.moveaxis(np.stack(each, axis=-1), -1, 0) for each in zip(*points, strict=True)]
    executable = NumpyExecutable(graph_of(case))
    (together,) = executable.run(block, len(points), no_checkpoint)
    for place, point in enumerate(points):
        (alone,) = executable.run([operand[np.newaxis] for operand in point], 1, no_checkpoint)
        assert same_bits(alone[0], together[place])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_derivatives_agree_with_differences_and_with_one_another(case: Case) -> None:
    """Tangents, cotangents, gradients and curvatures say the same, in several directions at once."""
    operands = operands_of(case)
    graph = graph_of(case)
    builder, node, inputs = GraphBuilder.extending(graph), graph.outputs[0].node, range(len(operands))
    shape = graph.nodes.shape(node)
    random = np.random.default_rng(1)
    weights = random.normal(size=shape)
    tangents = [random.normal(size=(_DIRECTIONS, *operand.shape)) for operand in operands]
    cotangents = random.normal(size=(_DIRECTIONS, *shape))
    leading, plain = (_DIRECTIONS,), Propagation()
    seeds = {place: builder.constant(tangent) for place, tangent in enumerate(tangents)}

    scalar = weighted_sine(builder, node, weights)
    adjoints = backward(builder, scalar, inputs, plain)
    gradients = [or_zeros(builder, adjoints[place], operands[place].shape) for place in inputs]
    moved = push_forward(builder, [node, scalar, *gradients], seeds, plain, leading)
    pulled = pull_back(builder, {node: builder.constant(cotangents)}, inputs, plain, leading)
    shapes = [shape, (), *(operand.shape for operand in operands)]
    wanted = [
        *gradients,
        *(or_zeros(builder, entry, (*leading, *each)) for entry, each in zip(moved, shapes, strict=True)),
        *(or_zeros(builder, pulled[place], (*leading, *operands[place].shape)) for place in inputs),
    ]
    results = iter(evaluated(builder, wanted, operands))
    gradient = [next(results) for _ in inputs]
    jvp, slopes = next(results), next(results)
    hvp = [next(results) for _ in inputs]
    vjp = [next(results) for _ in inputs]

    def scalar_at(*points: Array) -> float:
        return float(np.sum(weights * np.sin(case.numpy(*points))))

    def along(step: float, direction: int) -> list[Array]:
        return [operand + step * tangent[direction] for operand, tangent in zip(operands, tangents, strict=True)]

    for direction in range(_DIRECTIONS):
        ahead, behind = along(_STEP, direction), along(-_STEP, direction)
        difference = (np.asarray(case.numpy(*ahead), float) - case.numpy(*behind)) / (2 * _STEP)
        np.testing.assert_allclose(jvp[direction], difference, rtol=1e-5, atol=1e-7)
        slope = sum(np.vdot(by, tangent[direction]) for by, tangent in zip(gradient, tangents, strict=True))
        np.testing.assert_allclose(slopes[direction], slope, rtol=1e-11, atol=1e-11)
        second = scalar_at(*along(_SECOND_STEP, direction)) + scalar_at(*along(-_SECOND_STEP, direction))
        second = (second - 2 * scalar_at(*operands)) / _SECOND_STEP**2
        curvature = sum(np.vdot(by[direction], tangent[direction]) for by, tangent in zip(hvp, tangents, strict=True))
        np.testing.assert_allclose(curvature, second, rtol=1e-4, atol=1e-5)
        for other in range(_DIRECTIONS):
            forward = np.vdot(cotangents[other], jvp[direction])
            reverse = sum(np.vdot(by[other], tangent[direction]) for by, tangent in zip(vjp, tangents, strict=True))
            np.testing.assert_allclose(forward, reverse, rtol=1e-10, atol=1e-11)


def test_every_public_array_operation_has_a_case() -> None:
    """A row cannot be added to the table without a case that compares it with NumPy."""
    covered = {case.operation for case in CASES}
    public = {name for name, row in ops.ARRAYS.items() if not row.internal and not row.has_body}
    assert public - covered == set()


@pytest.mark.parametrize("row", ops.ARRAYS.values(), ids=lambda row: row.name)
def test_every_row_can_be_run_and_differentiated(row: ops.ArrayOperation) -> None:
    """A row is written in others, or has a value in NumPy and either both rules of derivatives or none.

    Loops and calls, which have bodies and no value, are run by the backend and written out by a pass.
    """
    if row.expansion is not None:
        assert [row.value, row.pullback, row.pushforward] == [None, None, None]
    elif row.has_body:
        assert row.value is None
        assert [row.pullback is not None, row.pushforward is not None] == [row.repeats] * 2
    else:
        assert row.value is not None
        rules: tuple[object, object] = (row.pullback, row.pushforward)
        assert len({rule is None for rule in rules}) == 1
