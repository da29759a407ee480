"""The NumPy backend: slots used again, broadcasting of mixed ranks, shared inputs, checkpoints, threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.backends.results import ResultGroup
from gradmill_server.engine.checkpoints import Checkpoint
from gradmill_server.engine.errors import Cancelled, DeadlineExceeded
from gradmill_server.engine.ir import FloatArray, Graph, GraphBuilder, Input, Output, size
from gradmill_server.engine.ops.arrays.movement import taken
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.passes.expand import expand

from tests.engine.building import (
    LIMITS,
    Countdown,
    addition_chain,
    function,
    no_checkpoint,
    number,
    plain_values,
    random_graph,
    same_bits,
)


def sine_chain(length: int, shape: tuple[int, ...] = ()) -> Graph:
    """Return sin(sin(...sin(x)))."""
    builder = GraphBuilder([Input("x", shape)])
    value = 0
    for _ in range(length):
        value = ops.emit(builder, "sin", (value,))
    return builder.build([Output("value", value)])


@pytest.mark.parametrize("length", [1, 2, 10, 5_000])
def test_a_chain_needs_scratch_for_two_values_however_long_it_is(length: int) -> None:
    """Memory for intermediate values is used again as soon as nothing needs them."""
    assert NumpyExecutable(sine_chain(length)).scratch_bytes_per_point <= 16
    assert NumpyExecutable(sine_chain(length, (5, 2))).scratch_bytes_per_point <= 160


def test_values_needed_until_the_end_keep_their_scratch() -> None:
    """What is read late, or shown as an output, is not overwritten."""

    def late(x: object) -> object:
        values = [apply("sin", x + float(position)) for position in range(20)]  # type: ignore[operator]
        total = values[0]
        for value in reversed(values):
            total = total + value
        return {"total": total, "first": values[0], "input": x, "seventh": values[7]}

    graph = function(late, "x")  # type: ignore[arg-type]
    executable = NumpyExecutable(graph)
    assert 20 * 8 <= executable.scratch_bytes_per_point <= 24 * 8
    points = np.linspace(-1, 1, 7)
    total, first, same, seventh = executable.run([points], 7, no_checkpoint)
    np.testing.assert_allclose(total, np.sin(points) + sum(np.sin(points + position) for position in range(20)))
    np.testing.assert_array_equal(first, np.sin(points))
    np.testing.assert_array_equal(same, points)
    np.testing.assert_array_equal(seventh, np.sin(points + 7.0))


def inputs_at(graph: Graph, rows: int, seed: int) -> tuple[list[FloatArray], list[list[FloatArray]]]:
    """Return inputs for a block, every third one shared, and the same point by point."""
    rng = np.random.default_rng(seed)
    block: list[FloatArray] = [
        rng.normal(size=(1 if (position + seed) % 3 == 0 else rows, *entry.shape))
        for position, entry in enumerate(graph.inputs)
    ]
    return block, [[np.broadcast_to(array, (rows, *array.shape[1:]))[row] for array in block] for row in range(rows)]


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(60))
def test_a_block_gives_what_each_point_alone_gives(seed: int, rows: int) -> None:
    """Arrays of mixed ranks, shared and per-point inputs, and constants broadcast at every point as in plain NumPy."""
    graph = random_graph(seed, arrays=True, outputs=5)
    block, points = inputs_at(graph, rows, seed)
    results = NumpyExecutable(graph).run(block, rows, no_checkpoint)
    for entry, result in zip(graph.outputs, results, strict=True):
        shape = graph.nodes[entry.node].shape
        assert result.shape == (rows, *shape)
        assert result.dtype == np.float64
        for row, point in enumerate(points):
            expected = plain_values(graph, point)[entry.node]
            assert expected.shape == shape
            np.testing.assert_allclose(result[row], expected, rtol=1e-14)


def test_extents_equal_to_the_number_of_points_are_not_mixed_up_with_it() -> None:
    """Three points of a vector of three, with a scalar for each point, do not broadcast against each other."""
    graph = function(lambda x, v, m: x * v + m, "x", Input("v", (3,)), Input("m", (3, 3)))
    rng = np.random.default_rng(0)
    x, v, m = rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=(3, 3, 3))
    (result,) = NumpyExecutable(graph).run([x, v, m], 3, no_checkpoint)
    np.testing.assert_array_equal(result, np.stack([x[row] * v[row] + m[row] for row in range(3)]))


def test_constants_and_inputs_can_be_outputs() -> None:
    """An output that is no operation is given for every point."""
    graph = function(lambda x: {"x": x, "two": number(x, 2.0), "row": number(x, [1.0, 3.0])}, "x")
    x, two, row = NumpyExecutable(graph).run([np.array([5.0])], 4, no_checkpoint)
    assert x.tolist() == [5.0] * 4
    assert two.tolist() == [2.0] * 4
    assert row.tolist() == [[1.0, 3.0]] * 4


def test_inputs_are_never_written_to() -> None:
    """A caller's arrays are only read, and need not be writable."""
    graph = random_graph(5)
    block = [np.random.default_rng(0).normal(size=10) for _ in graph.inputs]
    for array in block:
        array.setflags(write=False)
    NumpyExecutable(graph).run(block, 10, no_checkpoint)


@pytest.mark.filterwarnings("error")
def test_special_points_raise_no_warnings() -> None:
    """Overflow, division by zero and invalid operations give IEEE results, silently."""
    graph = function(lambda x: apply("log", x) / x + apply("exp", 1e3 + x), "x")
    (result,) = NumpyExecutable(graph).run([np.array([0.0, -1.0, 1.0])], 3, no_checkpoint)
    assert np.isnan(result[1])
    assert np.isinf(result[2])


def checkpoints(graph: Graph, rows: int) -> int:
    """Return how many checkpoints a run passes."""
    countdown = Countdown(10**9)
    executable = NumpyExecutable(graph)
    block = [np.zeros((rows, *entry.shape)) for entry in graph.inputs]
    executable.run(block, rows, countdown)
    return 10**9 - countdown.left


def test_the_checkpoint_can_stop_a_run() -> None:
    """A deadline that passes, or a caller who leaves, ends the computation between two operations."""
    executable = NumpyExecutable(addition_chain(100_000))
    with pytest.raises(DeadlineExceeded):
        executable.run([np.zeros(10), np.zeros(10)], 10, Countdown(3))

    def gone() -> None:
        message = "the caller went away"
        raise Cancelled(message)

    with pytest.raises(Cancelled):
        executable.run([np.zeros(10), np.zeros(10)], 10, gone)


@pytest.mark.parametrize(("shape", "rows"), [((), 10_000), ((100, 100), 1), ((10, 10), 100)])
def test_the_more_an_operation_computes_the_more_often_the_run_can_be_stopped(
    shape: tuple[int, ...], rows: int
) -> None:
    """Between two checkpoints there are a few million elements at most, in points or within a point."""
    length = 5_000
    elements = length * rows * size(shape)
    assert checkpoints(sine_chain(length, shape), rows) >= elements / 4_000_000


def test_one_executable_serves_many_threads() -> None:
    """Concurrent runs over different points do not disturb each other."""
    graph = random_graph(11, operations=120, outputs=4)
    executable = NumpyExecutable(graph)
    rng = np.random.default_rng(1)
    blocks = [[rng.normal(size=500) for _ in graph.inputs] for _ in range(8)]
    expected = [[array.copy() for array in executable.run(block, 500, no_checkpoint)] for block in blocks]
    barrier = threading.Barrier(len(blocks))

    def work(position: int) -> bool:
        barrier.wait()
        for _ in range(10):
            found = executable.run(blocks[position], 500, no_checkpoint)
            if not all(map(same_bits, found, expected[position])):
                return False
        return True

    with ThreadPoolExecutor(len(blocks)) as threads:
        assert all(threads.map(work, range(len(blocks))))


def test_the_estimate_of_bytes_counts_constants_and_instructions() -> None:
    """A cache that is bounded in bytes sees large constants, lists of indices, and long programs."""
    small = NumpyExecutable(sine_chain(1)).byte_size
    assert NumpyExecutable(sine_chain(1_000)).byte_size > 999 * 100 + small
    large = function(lambda x: x + number(x, np.zeros(10_000)), "x")
    assert NumpyExecutable(large).byte_size > 80_000
    picked = function(lambda x: taken(x, range(10_000)), Input("x", (10_000,)))
    assert NumpyExecutable(picked).byte_size > 300_000


def _damped(a: Value) -> Value:
    return a + number(a, 400.0 * np.eye(200))


LONG_ROWS = {
    "cholesky": lambda a: ops.ARRAYS["cholesky"].apply(_damped(a)),
    "solution": lambda a: ops.ARRAYS["solution"].apply(_damped(a), a),
    "triangular_solution": lambda a: ops.ARRAYS["triangular_solution"].apply(_damped(a), a, lower=1),
    "log_determinant": lambda a: ops.ARRAYS["logdet"].apply(_damped(a)),
    "matrix_product": lambda a: ops.ARRAYS["matrix_product"].apply(a, a, strong=3),
}


@pytest.mark.parametrize("name", LONG_ROWS)
def test_an_operation_that_takes_long_can_be_stopped_within(name: str) -> None:
    """A factorization looks at the deadline at every row, as does a product that goes through its terms one by one."""
    executable = NumpyExecutable(expand(function(LONG_ROWS[name], Input("a", (200, 200)))))
    points = np.random.default_rng(0).normal(size=(2, 200, 200))
    if name == "matrix_product":
        points[0, 0, 0] = np.inf
    watching = Countdown(1_000_000)
    executable.run([points], 2, watching)
    assert 1_000_000 - watching.left > 200
    with pytest.raises(DeadlineExceeded):
        executable.run([points], 2, Countdown(100))


def test_blocks_of_large_values_have_few_points() -> None:
    """What one call of NumPy goes through is bounded, as nothing can stop it."""
    counts: list[int] = []

    def spread(x: Value) -> Value:
        return ops.ARRAYS["sum"].apply(apply("exp", ops.ARRAYS["broadcast_to"].apply(x, shape=(200_000,))), axes=(0,))

    executable = NumpyExecutable(function(spread, "x"), [ResultGroup(1, ((),), is_row=False)])
    run = executable.run

    def counting(inputs: Sequence[FloatArray], rows: int, checkpoint: Checkpoint) -> list[FloatArray]:
        counts.append(rows)
        return run(inputs, rows, checkpoint)

    with patch.object(executable, "run", counting):
        executable.evaluate_columns([np.arange(12.0)], 12, LIMITS, no_checkpoint)
    assert counts == [5, 5, 2]
