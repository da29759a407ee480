"""Long loops cut into segments: the same bits, memory within the limit, and a refusal where that cannot be."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from gradmill_server.engine import program
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.errors import DeadlineExceeded, LimitExceeded
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Node, bodies_of
from gradmill_server.engine.ops.arrays.loops import SCAN, Loop
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.rewrite import rebuild
from gradmill_server.engine.passes.segment_loops import in_segments, segment_loops
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Program
from gradmill_server.engine.wants import Kind

from tests.engine.building import LIMITS, Countdown, compiled, function, no_checkpoint, same_bits, specify
from tests.engine.looping import CASES, Case, Step, array, scan, total


@pytest.fixture(autouse=True)
def _loops_stay_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the small loops of these tests from being written out."""
    monkeypatch.setattr(program, "_LARGEST_UNROLLED_LOOPS", 0)


every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def growth(steps: int, *, reverse: bool = False) -> Graph:
    """Return a loop over a sequence, with a stacked result, of so many steps."""

    def make(start: Value, rates: Value) -> Value:
        (last,), (trail,) = scan(
            lambda c, s, _k: ([apply("sin", c[0]) + s[0]], [c[0] * s[0]]),
            [start],
            [rates],
            steps=steps,
            reverse=reverse,
        )
        return last + total(trail)

    return canonicalize(function(make, "start", Input("rates", (steps,))))


def loops_of(graph: Graph) -> list[Loop]:
    """Return all loops of a graph and of its bodies."""
    graphs = [graph, *(body.graph for body in bodies_of(graph))]
    return [Loop.of(dict(node.parameters)) for each in graphs for node in each.nodes if node.operation == SCAN]


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays agree to thirteen digits of the largest element."""
    return bool(np.allclose(one, other, rtol=1e-13, atol=1e-13 * np.abs(other).max()))


def evaluated(compiled_graph: Program, graph: Graph, matrix: np.ndarray) -> list[np.ndarray]:
    """Return value and gradient at a matrix of points."""
    evaluation = compiled_graph.evaluate(PointBatch.from_matrix(graph.inputs, matrix), LIMITS, no_checkpoint)
    return [results[0].array for results in evaluation.arrays]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [5, 6, 7, 16, 17, 29, 64, 100, 1_000])
def test_segments_change_no_bit_of_value_and_gradient(steps: int, reverse: bool) -> None:
    """Whatever the number of steps, with steps left over and without, a loop in segments gives the same bits."""
    graph = growth(steps, reverse=reverse)
    least = 8 * min(levels * ceil(steps ** (1 / levels) - 1e-9) for levels in range(2, 6))
    for limits in (replace(LIMITS, maximum_loop_bytes=room) for room in (8 * steps // 2, least) if room >= least):
        segmented = segment_loops(graph, limits)
        assert max(loop.steps for loop in loops_of(segmented)) <= limits.maximum_loop_bytes // 8
        matrix = np.random.default_rng(0).uniform(size=(3, steps + 1))
        whole = evaluated(compiled(graph, Kind.VALUE, Kind.GRADIENT), graph, matrix)
        parts = evaluated(compiled(graph, Kind.VALUE, Kind.GRADIENT, limits=limits), graph, matrix)
        for one, other in zip(whole, parts, strict=True):
            assert same_bits(one, other)


def cut(graph: Graph, levels: int) -> Graph:
    """Return a graph whose every loop, those of bodies as well, stands in so many levels."""

    def rule(builder: GraphBuilder, node: Node) -> int | None:
        if node.operation != SCAN:
            return None
        arguments = [Value(builder, argument) for argument in node.arguments]
        return in_segments(Loop.of(dict(node.parameters)), arguments, levels).index

    return through_bodies(graph, lambda each: rebuild(each, rule))


@every_case
@pytest.mark.parametrize("levels", [2, 3])
def test_every_loop_may_be_cut(case: Case, levels: int) -> None:
    """Loops with several carries, with arrays, and loops in loops have the same value and gradient in segments."""
    graph = canonicalize(case.graph(scan))
    parts = canonicalize(cut(graph, levels))
    specify(parts)
    assert len(loops_of(parts)) > len(loops_of(graph))
    matrix = np.random.default_rng(0).uniform(0.3, 0.9, size=(3, graph.elements_per_point))
    before, after = (evaluated(compiled(each, Kind.VALUE, Kind.GRADIENT), each, matrix) for each in (graph, parts))
    for one, other in zip(before, after, strict=True):
        assert close(one, other)
    assert same_bits(before[0], after[0])


def test_as_few_levels_are_used_as_fit() -> None:
    """A loop stays whole while it fits; a million steps fit in two levels of a thousand, and in five of sixteen."""
    million = growth_without_results(1_000_000)
    assert [loop.steps for loop in loops_of(segment_loops(growth(100), LIMITS))] == [100]
    assert sorted(loop.steps for loop in loops_of(segment_loops(million, LIMITS))) == [1_000, 1_000]
    least = segment_loops(million, replace(LIMITS, maximum_loop_bytes=8 * 5 * 16))
    assert max(loop.steps for loop in loops_of(least)) == 16
    with pytest.raises(LimitExceeded):
        segment_loops(million, replace(LIMITS, maximum_loop_bytes=8 * 5 * 16 - 1))


def growth_without_results(steps: int) -> Graph:
    """Return a long loop of one carry."""
    return canonicalize(
        function(lambda x: scan(lambda c, _s, _k: ([apply("sin", c[0]) * 1.5], []), [x], steps=steps)[0][0], "x")
    )


def test_what_is_stored_is_no_larger_than_a_value_may_be() -> None:
    """A hundred states of twenty thousand elements fit in the bytes, but not in one value; those of segments do."""

    def make(start: Value) -> Value:
        (last,), _ = scan(lambda c, _s, _k: ([apply("sin", c[0])], []), [start], steps=100)
        return array("sum", last, axes=(0,))

    graph = canonicalize(function(make, Input("start", (20_000,))))
    assert sorted(loop.steps for loop in loops_of(segment_loops(graph, LIMITS))) == [10, 10]
    compiled(graph, Kind.GRADIENT)
    whole = replace(LIMITS, maximum_elements_per_value=2_000_000)
    assert [loop.steps for loop in loops_of(segment_loops(graph, whole))] == [100]


def test_sequences_as_large_as_a_value_may_be_have_gradients() -> None:
    """The cotangents of a sequence of a million elements are one part of a loop's result beside others."""

    def make(start: Value, rows: Value) -> Value:
        (last,), _ = scan(lambda c, s, _k: ([c[0] * total(s[0])], []), [start], [rows], steps=1_000)
        return last

    graph = canonicalize(function(make, "start", Input("rows", (1_000, 1_000))))
    assert compiled(graph, Kind.GRADIENT).node_count < 100


def test_a_value_alone_stays_in_one_piece() -> None:
    """Only reverse mode stores carries, so that a value has no limit on its steps."""
    graph = growth_without_results(1_000)
    limits = replace(LIMITS, maximum_loop_bytes=1)
    compiled(graph, Kind.VALUE, limits=limits)
    with pytest.raises(LimitExceeded):
        compiled(graph, Kind.GRADIENT, limits=limits)


def test_a_loop_that_cannot_fit_is_refused_by_name() -> None:
    """A carry that is larger than the limit allows for two steps is refused with what it would take at least."""

    def make(start: Value) -> Value:
        (last,), _ = scan(lambda c, _s, _k: ([apply("sin", c[0])], []), [start], steps=1_000)
        return array("sum", last, axes=(0,))

    graph = canonicalize(function(make, Input("start", (100,))))
    with pytest.raises(LimitExceeded) as caught:
        segment_loops(graph, replace(LIMITS, maximum_loop_bytes=800 * 19))
    assert caught.value.reason == "LOOP_TOO_LARGE"
    assert caught.value.metadata == {"value": str(800 * 20), "limit": str(800 * 19), "knob": "maximum_loop_bytes"}
    segment_loops(graph, replace(LIMITS, maximum_loop_bytes=800 * 20))


def test_loops_in_loops_in_segments_need_no_deep_recursion() -> None:
    """Sixteen loops in one another, each in five levels, are differentiated, made ready and run."""

    def around(inner: Step) -> Step:
        return lambda c, s, k: (scan(inner, c, s, k, steps=2)[0], [])

    def sine(c: list[Value], _s: list[Value], _k: list[Value]) -> tuple[list[Value], list[Value]]:
        return [apply("sin", c[0])], []

    step: Step = sine
    for _ in range(15):
        step = around(step)
    nested = cut(canonicalize(function(lambda x: scan(step, [x], steps=2)[0][0], "x")), 5)
    deepest = compiled(nested, Kind.VALUE, Kind.GRADIENT)
    points = PointBatch.from_matrix(nested.inputs, np.array([[0.5]]))
    with pytest.raises(DeadlineExceeded):
        deepest.evaluate(points, LIMITS, Countdown(100))


def test_the_size_of_a_program_does_not_depend_on_the_steps() -> None:
    """Ten steps, ten thousand or a million: nearly the same program, and memory far below that of all carries."""
    programs = {
        steps: compiled(growth_without_results(steps), Kind.VALUE, Kind.GRADIENT) for steps in (10, 10**4, 10**6)
    }
    assert max(each.byte_size for each in programs.values()) < 100_000
    assert max(each.node_count for each in programs.values()) < 50


def test_a_million_steps_run_backwards_in_little_memory() -> None:
    """Value and slope of a million steps need kilobytes at a point; near a fixed point no slope is left."""
    graph = growth_without_results(1_000_000)
    slope = compiled(graph, Kind.VALUE, Kind.GRADIENT)
    little = replace(LIMITS, maximum_scratch_bytes=100_000)
    points = PointBatch.from_matrix(graph.inputs, np.array([[0.5]]))
    values, gradients = slope.evaluate(points, little, no_checkpoint).arrays
    fixed = float(values[0].array[0])
    assert fixed == pytest.approx(1.5 * np.sin(fixed), abs=1e-15)
    assert gradients[0].array[0, 0] == 0.0


def test_loops_in_bodies_are_cut_as_well() -> None:
    """The inner loop of a loop is cut when its own carries do not fit."""

    def make(start: Value) -> Value:
        def inner(c: list[Value], _s: list[Value], _k: list[Value]) -> tuple[list[Value], list[Value]]:
            return [apply("sin", c[0])], []

        def outer(c: list[Value], _s: list[Value], _k: list[Value]) -> tuple[list[Value], list[Value]]:
            return scan(inner, c, steps=100)[0], []

        return scan(outer, [start], steps=4)[0][0]

    graph = canonicalize(function(make, "start"))
    assert sorted(loop.steps for loop in loops_of(graph)) == [4, 100]
    assert max(loop.steps for loop in loops_of(segment_loops(graph, replace(LIMITS, maximum_loop_bytes=160)))) == 10
