"""Programs: what is wanted in one call shares its work, fits its limits, and does not depend on how it is cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.errors import DeadlineExceeded, LimitExceeded
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import (
    DERIVATIVE_NOT_FINITE,
    VALUE_NOT_FINITE,
    Evaluation,
    Options,
    Program,
    compile_program,
)
from gradmill_server.engine.wants import Kind, resolve_want

from tests.engine.building import (
    LIMITS,
    Countdown,
    addition_chain,
    at_matrix,
    compiled,
    function,
    no_checkpoint,
    number,
    random_graph,
    same_bits,
    smooth_graph,
)

SEED = function(lambda x1, x2, x3: 3.0 * (apply("power", x1, 2.0) + x2 * x3), "x1", "x2", "x3")


def evaluate(program: Program, graph: Graph, matrix: np.ndarray, limits: Limits = LIMITS) -> Evaluation:
    """Evaluate at a matrix of points."""
    return program.evaluate(PointBatch.from_matrix(graph.inputs, matrix), limits, no_checkpoint)


def test_the_seed_function_has_value_48_and_gradient_12_12_9() -> None:
    """The first example of the documentation is right."""
    values, gradients = at_matrix(SEED, [[2.0, 3.0, 4.0]], Kind.VALUE, Kind.GRADIENT).arrays
    assert (values[0].kind, values[0].output, values[0].array.tolist()) == (Kind.VALUE, "value", [48.0])
    assert gradients[0].array.tolist() == [[12.0, 12.0, 9.0]]


def towers(x: Value, y: Value, z: Value) -> dict[str, Value]:
    """Return two outputs whose gradients need every value of the forward pass."""
    value = x
    for _ in range(10):
        value = apply("exp", apply("sin", value * y))
    return {"one": value, "other": value * z}


def test_what_is_wanted_in_one_call_shares_the_forward_pass() -> None:
    """Value and gradient together cost less than one after the other."""
    graph = canonicalize(function(towers, "x", "y", "z"))
    both = compiled(graph, Kind.VALUE, Kind.GRADIENT)
    value, gradient = compiled(graph, Kind.VALUE), compiled(graph, Kind.GRADIENT)
    assert both.node_count < value.node_count + gradient.node_count - len(graph.nodes) // 2
    assert both.byte_size < value.byte_size + gradient.byte_size
    matrix = np.random.default_rng(0).normal(size=(50, 3))
    together = evaluate(both, graph, matrix).arrays
    apart = [evaluate(value, graph, matrix).arrays[0], evaluate(gradient, graph, matrix).arrays[0]]
    for left, right in zip(together, apart, strict=True):
        for one, other in zip(left, right, strict=True):
            assert one[:3] == other[:3]
            assert same_bits(one.array, other.array)


def test_the_same_want_twice_costs_nothing() -> None:
    """Equal derivatives are computed once, however often they are wanted."""
    once, twice = compiled(SEED, Kind.GRADIENT), compiled(SEED, Kind.GRADIENT, Kind.GRADIENT)
    assert once.node_count == twice.node_count


@pytest.mark.parametrize("seed", range(15))
def test_cutting_a_batch_into_blocks_changes_nothing(seed: int) -> None:
    """Little scratch memory means small blocks and the same bits."""
    graph = canonicalize(random_graph(seed, outputs=3))
    program = compiled(graph, Kind.VALUE, Kind.GRADIENT)
    matrix = np.random.default_rng(seed).normal(size=(701, 3))
    whole = evaluate(program, graph, matrix)
    for scratch in (4_000, 20_000, 200_000):
        cut = evaluate(program, graph, matrix, replace(LIMITS, maximum_scratch_bytes=scratch))
        np.testing.assert_array_equal(cut.point_flags, whole.point_flags)
        for left, right in zip(cut.arrays, whole.arrays, strict=True):
            for one, other in zip(left, right, strict=True):
                assert same_bits(one.array, other.array)


def test_no_block_needs_more_scratch_than_allowed() -> None:
    """A hundred points, with scratch allowed for ten of them, are computed ten at a time."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1

    points = PointBatch.from_matrix(WIDE.inputs, np.zeros((100, WIDE.elements_per_point)))
    compiled(WIDE, Kind.VALUE).evaluate(points, replace(LIMITS, maximum_scratch_bytes=10 * _SCRATCH_OF_WIDE), count)
    assert seen == 10


def test_a_large_batch_is_computed_in_blocks() -> None:
    """The checkpoint is reached several times in a long batch, and can stop it."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == 5:
            message = "time is up"
            raise DeadlineExceeded(message)

    points = PointBatch.from_matrix(SEED.inputs, np.zeros((5_000_000, 3)))
    with pytest.raises(DeadlineExceeded):
        compiled(SEED, Kind.GRADIENT).evaluate(points, LIMITS, count)
    assert seen == 5


def test_matrix_and_named_points_agree() -> None:
    """One matrix of points or one array for each input give the same numbers, in the form they were sent."""
    graph = function(
        lambda x, _w, y: {"sum": x * y + apply("sin", x), "product": x * x * y}, "x", Input("w", (2, 2)), "y"
    )
    matrix = np.random.default_rng(1).normal(size=(9, 6))
    program = compiled(graph, Kind.VALUE, Kind.GRADIENT)
    by_matrix = evaluate(program, graph, matrix)
    named = {"x": matrix[:, 0], "w": matrix[:, 1:5].reshape(9, 2, 2), "y": matrix[:, 5]}
    by_name = program.evaluate(PointBatch.from_inputs(graph.inputs, named), LIMITS, no_checkpoint)
    for left, right in zip(by_matrix.arrays[0], by_name.arrays[0], strict=True):
        assert left[:3] == right[:3] == (Kind.VALUE, left.output, "")
        assert same_bits(left.array, right.array)
    labels = [(entry.output, entry.with_respect_to, entry.array.shape) for entry in by_name.arrays[1]]
    shapes = (("x", (9,)), ("w", (9, 2, 2)), ("y", (9,)))
    assert labels == [(output, name, shape) for output in ("sum", "product") for name, shape in shapes]
    for position, entry in enumerate(by_matrix.arrays[1]):
        parts = by_name.arrays[1][3 * position : 3 * position + 3]
        assert (entry.output, entry.with_respect_to) == (parts[0].output, "")
        assert same_bits(entry.array, np.hstack([part.array.reshape(9, -1) for part in parts]))


def test_shared_inputs_give_every_point_its_gradient() -> None:
    """An input with one value for all points still has a derivative at each point."""
    arrays = {"x1": np.array([1.0, 2.0]), "x2": np.array(3.0), "x3": np.array(4.0)}
    points = PointBatch.from_inputs(SEED.inputs, arrays, shared={"x2", "x3"})
    values, gradients = compiled(SEED, Kind.VALUE, Kind.GRADIENT).evaluate(points, LIMITS, no_checkpoint).arrays
    assert values[0].array.tolist() == [39.0, 48.0]
    assert [entry.array.tolist() for entry in gradients] == [[6.0, 12.0], [12.0, 12.0], [9.0, 9.0]]


def test_gradients_of_some_outputs_by_some_inputs_come_in_order() -> None:
    """Only what is wanted is returned: these outputs, these inputs, in the order of the want and of the function."""
    graph = function(lambda x, y, z: {"a": x * y * z, "b": x + y, "c": z * z}, "x", "y", "z")
    want = resolve_want(graph, Kind.GRADIENT, ("c", "a"), ("z", "x"))
    program = compile_program(graph, (want,), Options(), LIMITS)
    (results,) = evaluate(program, graph, np.array([[2.0, 3.0, 5.0]])).arrays
    assert [(entry.output, entry.array.tolist()) for entry in results] == [("c", [[0.0, 10.0]]), ("a", [[15.0, 6.0]])]


def test_flags_mark_the_points_that_are_not_finite() -> None:
    """Each point says whether its value or its derivative is not finite; the numbers themselves are returned."""
    graph = function(lambda x: apply("sqrt", x), "x")
    evaluation = at_matrix(graph, [[1.0], [0.0], [-1.0], [np.inf], [np.nan]], Kind.VALUE, Kind.GRADIENT)
    both = VALUE_NOT_FINITE | DERIVATIVE_NOT_FINITE
    assert evaluation.point_flags.tolist() == [0, DERIVATIVE_NOT_FINITE, both, VALUE_NOT_FINITE, both]
    assert evaluation.point_flags.dtype == np.uint8
    assert same_bits(evaluation.arrays[0][0].array, [1.0, 0.0, np.nan, np.inf, np.nan])
    assert at_matrix(graph, [[0.0]], Kind.VALUE).point_flags.tolist() == [0]
    assert at_matrix(graph, [[0.0]], Kind.GRADIENT).point_flags.tolist() == [DERIVATIVE_NOT_FINITE]


def test_flags_look_at_every_element_and_every_output() -> None:
    """One bad element of one array output is enough to mark its point."""
    graph = function(lambda v: {"fine": v * 0.5, "log": apply("log", v)}, Input("v", (3,)))
    matrix = [[1.0, 2.0, 3.0], [1.0, 0.0, 3.0], [1.0, 2.0, -1.0]]
    assert at_matrix(graph, matrix, Kind.VALUE).point_flags.tolist() == [0, VALUE_NOT_FINITE, VALUE_NOT_FINITE]


@pytest.mark.parametrize("matrix", [True, False])
def test_no_points_give_empty_results_of_the_right_shape(matrix: bool) -> None:
    """An empty batch is answered with empty arrays."""
    program = compiled(SEED, Kind.VALUE, Kind.GRADIENT)
    empty = {entry.name: np.zeros(0) for entry in SEED.inputs}
    points = (
        PointBatch.from_matrix(SEED.inputs, np.zeros((0, 3))) if matrix else PointBatch.from_inputs(SEED.inputs, empty)
    )
    evaluation = program.evaluate(points, LIMITS, no_checkpoint)
    assert evaluation.point_flags.shape == (0,)
    assert [entry.array.shape for entry in evaluation.arrays[0]] == [(0,)]
    assert [entry.array.shape for entry in evaluation.arrays[1]] == ([(0, 3)] if matrix else [(0,)] * 3)


def test_a_function_without_inputs_has_a_gradient_without_elements() -> None:
    """A function of nothing has a value at every point, and nothing to differentiate by."""
    builder = GraphBuilder()
    graph = builder.build([Output("value", builder.constant(2.5))])
    values, gradients = at_matrix(graph, np.zeros((4, 0)), Kind.VALUE, Kind.GRADIENT).arrays
    assert values[0].array.tolist() == [2.5] * 4
    assert [entry.array.shape for entry in gradients] == [(4, 0)]


def refuse_to_compute() -> None:
    """Stand for a computation that must not have begun."""
    pytest.fail("the computation began")


WIDE = function(lambda x: apply("sin", apply("exp", x)), Input("x", (70_000,)))
"""A function of too many elements for the tape machine, which NumPy runs."""
_SCRATCH_OF_WIDE = 2 * 8 * WIDE.elements_per_point
"""Bytes of two values of it, which is what it needs at a time."""


@pytest.mark.parametrize(
    ("graph", "count", "knob", "limit", "value", "reason"),
    [
        (SEED, 11, "maximum_points", 10, 11, "TOO_MANY_POINTS"),
        (SEED, 11, "maximum_result_bytes", 351, 352, "RESULT_TOO_LARGE"),
        (WIDE, 1, "maximum_scratch_bytes", _SCRATCH_OF_WIDE - 1, _SCRATCH_OF_WIDE, "SCRATCH_TOO_LARGE"),
    ],
)
def test_a_batch_over_a_limit_is_refused_before_anything_is_computed(
    graph: Graph, count: int, knob: str, limit: int, value: int, reason: str
) -> None:
    """Points, results and scratch memory have limits that name themselves, and are inclusive."""
    kinds = (Kind.VALUE,) if graph is WIDE else (Kind.VALUE, Kind.GRADIENT)
    program = compiled(graph, *kinds)
    points = PointBatch.from_matrix(graph.inputs, np.zeros((count, graph.elements_per_point)))
    with pytest.raises(LimitExceeded) as caught:
        program.evaluate(points, replace(LIMITS, **{knob: limit}), refuse_to_compute)
    assert caught.value.reason == reason
    assert {key: caught.value.metadata[key] for key in ("value", "limit", "knob")} == {
        "value": str(value),
        "limit": str(limit),
        "knob": knob,
    }
    program.evaluate(points, replace(LIMITS, **{knob: value}), no_checkpoint)


def test_ten_million_points_of_results_too_large_cost_no_memory() -> None:
    """A batch whose results would not fit is refused by arithmetic, not by trying."""
    point = {entry.name: np.array(1.0) for entry in SEED.inputs}
    points = PointBatch.from_inputs(SEED.inputs, point, shared=set(point), count=2**62)
    with pytest.raises(LimitExceeded):
        compiled(SEED, Kind.VALUE).evaluate(points, replace(LIMITS, maximum_points=2**63), refuse_to_compute)


def test_a_program_that_grows_too_large_is_refused_by_name() -> None:
    """A function whose derivatives would be too many values is refused while it is compiled."""
    graph = smooth_graph(4, operations=50, outputs=10)
    wants = (resolve_want(graph, Kind.GRADIENT, (), ()),)
    with pytest.raises(LimitExceeded) as caught:
        compile_program(graph, wants, Options(), replace(LIMITS, maximum_program_nodes=len(graph.nodes)))
    assert caught.value.reason == "PROGRAM_TOO_LARGE"
    assert caught.value.metadata["knob"] == "maximum_program_nodes"
    assert int(caught.value.metadata["value"]) > int(caught.value.metadata["limit"]) == len(graph.nodes)


def test_options_are_parts_of_the_program() -> None:
    """Stable forms are listed and can be switched off; parity computes as written."""
    graph = function(lambda x: apply("log", 1.0 + apply("exp", x)), "x")
    assert compiled(graph, Kind.VALUE).stable_forms == ("softplus",)
    disabled = Options(disabled_stable_forms=frozenset({"softplus", "log1p"}))
    assert compiled(graph, Kind.VALUE, options=disabled).stable_forms == ()
    for options, expected in ((Options(), 1000.0), (disabled, np.inf), (Options(parity=True), np.inf)):
        assert at_matrix(graph, [[1000.0]], Kind.VALUE, options=options).arrays[0][0].array[0] == expected


def test_equal_functions_written_differently_give_equal_bits() -> None:
    """In canonical form, order and repetition in the writing make no difference to a single bit."""

    def one(x: Value, y: Value) -> Value:
        shared = apply("exp", x * y)
        return shared * apply("sin", shared) + shared

    def other(x: Value, y: Value) -> Value:
        unused = apply("cos", y)
        number(unused, 4.0)
        sine = apply("sin", apply("exp", x * y))
        return apply("exp", x * y) * sine + apply("exp", x * y)

    matrix = np.random.default_rng(5).normal(size=(100, 2))
    left, right = (
        at_matrix(canonicalize(function(make, "x", "y")), matrix, Kind.VALUE, Kind.GRADIENT) for make in (one, other)
    )
    for first, second in zip(left.arrays, right.arrays, strict=True):
        assert same_bits(first[0].array, second[0].array)


def test_scratch_of_a_long_program_stays_small() -> None:
    """Value and gradient of ten thousand additions run in a few kilobytes for each point."""
    graph = addition_chain(10_000)
    program = compiled(graph, Kind.VALUE, Kind.GRADIENT)
    matrix = np.ones((3, 2))
    small = replace(LIMITS, maximum_scratch_bytes=1_000)
    assert evaluate(program, graph, matrix, small).arrays[0][0].array.tolist() == [10_001.0] * 3


def test_one_program_serves_many_threads() -> None:
    """Concurrent calls of one program give each caller his own results."""
    graph = canonicalize(smooth_graph(8, operations=40))
    program = compiled(graph, Kind.VALUE, Kind.GRADIENT)
    matrices = [np.random.default_rng(seed).normal(size=(2_000, 3)) for seed in range(16)]
    alone = [evaluate(program, graph, matrix) for matrix in matrices]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda matrix: evaluate(program, graph, matrix), matrices))
    for left, right in zip(alone, together, strict=True):
        assert same_bits(left.arrays[1][0].array, right.arrays[1][0].array)


def test_compiling_stops_at_a_checkpoint() -> None:
    """Whoever waits for a large program may give up: compiling looks up often, and a checkpoint that raises ends it."""
    graph = canonicalize(addition_chain(20_000))
    wants = tuple(resolve_want(graph, kind, (), ()) for kind in (Kind.VALUE, Kind.GRADIENT))
    looks: list[None] = []
    compile_program(graph, wants, Options(), LIMITS, lambda: looks.append(None))
    assert len(looks) > 50
    for allowed in range(0, len(looks), len(looks) // 10):
        with pytest.raises(DeadlineExceeded):
            compile_program(graph, wants, Options(), LIMITS, Countdown(allowed))


@pytest.mark.parametrize("kind", [Kind.GRADIENT, Kind.SPARSE_JACOBIAN])
def test_compiling_a_few_large_operations_stops_at_a_checkpoint(kind: Kind) -> None:
    """One operation may become thousands; looks are counted by what arises, not by what was sent."""

    def wide(x: Value) -> Value:
        return ops.ARRAYS["sum"].apply(ops.ARRAYS["stack"].apply(*[x] * 30_000, axis=0), axes=(0,))

    def product(x: Value) -> Value:
        return ops.ARRAYS["matmul"].apply(x, x)

    graph = function(wide, "x") if kind is Kind.GRADIENT else function(product, Input("x", (20, 20)))
    wants = (resolve_want(graph, kind, (), ()),)
    looks: list[None] = []
    compile_program(graph, wants, Options(), LIMITS, lambda: looks.append(None))
    assert len(looks) > 30
    with pytest.raises(DeadlineExceeded):
        compile_program(graph, wants, Options(), LIMITS, Countdown(len(looks) - 1))
