"""Loops that contain one another run once, with the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine.autodiff import Propagation, pull_back, push_forward
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.ops.arrays.loops import SCAN
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.share_loops import share_loops

from tests.engine.building import function, same_bits, specify
from tests.engine.looping import CASES, Case, scan, total

every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def loops(graph: Graph) -> int:
    """Return how many loops a graph has, those of its bodies left out."""
    return graph.nodes.operations.count(SCAN)


def with_derivatives(case: Case, *, forward: bool, reverse: bool) -> Graph:
    """Return value, tangent and gradient of a case."""
    graph = through_bodies(case.graph(scan), expand)
    count = len(case.inputs)
    tangents = [Input(f"tangent{place}", entry.shape) for place, entry in enumerate(case.inputs)]
    builder = GraphBuilder([*case.inputs, *tangents])
    (value,) = builder.include(graph, range(count))
    nodes = [value]
    if reverse:
        nodes += pull_back(builder, {value: builder.constant(1.0)}, range(count), Propagation())[:count]
    if forward:
        nodes += push_forward(builder, [value], {place: count + place for place in range(count)}, Propagation())
    outputs = [Output(f"output{place}", node) for place, node in enumerate(nodes)]
    return canonicalize(through_bodies(builder.build(outputs), expand))


@every_case
@pytest.mark.parametrize(("forward", "reverse"), [(True, False), (False, True), (True, True)])
def test_sharing_changes_no_bit(case: Case, forward: bool, reverse: bool) -> None:
    """Value, tangent and gradient keep every bit, with fewer loops to run."""
    graph = with_derivatives(case, forward=forward, reverse=reverse)
    shared = share_loops(graph)
    specify(shared)
    assert loops(shared) < loops(graph) or case.name == "map over rows"
    rng = np.random.default_rng(0)
    points = [rng.uniform(0.3, 0.9, size=(3, *entry.shape)) for entry in graph.inputs]
    before, after = (NumpyExecutable(each).run(points, 3, never) for each in (graph, shared))
    for one, other in zip(before, after, strict=True):
        assert same_bits(one, other)


def test_value_and_gradient_run_two_loops() -> None:
    """One forwards, which stores carries and gives the value, and one backwards."""
    graph = with_derivatives(CASES[0], forward=False, reverse=True)
    assert (loops(graph), loops(share_loops(graph))) == (3, 2)


def test_value_and_tangent_run_one_loop() -> None:
    """The loop of carries and tangents gives the value as well."""
    graph = with_derivatives(CASES[0], forward=True, reverse=False)
    assert (loops(graph), loops(share_loops(graph))) == (2, 1)


def doubled(start: Value, *, first: str, second: str, steps: int = 3) -> Value:
    """Return two loops, the second of which begins with what the first one ended with, beside the start."""
    (one,), _ = scan(lambda c, _s, _k: ([apply(first, c[0])], []), [start], steps=3)
    (two, three), _ = scan(lambda c, _s, _k: ([apply(second, c[0]), c[1] + c[0]], []), [start, one], steps=steps)
    return two * three + one


@pytest.mark.parametrize(("first", "second", "steps"), [("sin", "sin", 3), ("sin", "cos", 3), ("sin", "sin", 4)])
def test_loops_that_need_one_another_or_differ_stay_apart(first: str, second: str, steps: int) -> None:
    """A loop is no part of one that begins with its result, has other steps, or does other work."""
    graph = canonicalize(function(lambda x: doubled(x, first=first, second=second, steps=steps), "x"))
    assert share_loops(graph) == graph


def test_loops_that_cross_are_not_tied_into_a_cycle() -> None:
    """Of two pairs that could each become one loop, but not both, one pair does."""

    def make(x: Value, y: Value) -> Value:
        def step(c: list[Value], _s: list[Value], _k: list[Value]) -> tuple[list[Value], list[Value]]:
            return [apply("sin", c[0])], []

        def larger(c: list[Value], _s: list[Value], _k: list[Value]) -> tuple[list[Value], list[Value]]:
            return [apply("sin", c[0]), c[1] * c[0]], []

        (by_x,), _ = scan(step, [x], steps=3)
        (by_y,), _ = scan(step, [y], steps=3)
        (_, first), _ = scan(larger, [x, by_y], steps=3)
        (_, second), _ = scan(larger, [y, by_x], steps=3)
        return by_x + by_y + first * second

    graph = canonicalize(function(make, "x", "y"))
    shared = share_loops(graph)
    specify(shared)
    assert (loops(graph), loops(shared)) == (4, 3)
    points = [np.array([0.5, 0.7]), np.array([0.2, 0.4])]
    before, after = (NumpyExecutable(each).run(points, 2, never)[0] for each in (graph, shared))
    assert same_bits(before, after)


def test_many_equal_loops_with_other_results_become_one() -> None:
    """Loops that do the same and stack other results are one loop that stacks all of them."""

    def make(x: Value) -> Value:
        sums = []
        for name in ("cos", "exp", "tanh", "cos"):

            def step(
                c: list[Value], _s: list[Value], _k: list[Value], name: str = name
            ) -> tuple[list[Value], list[Value]]:
                return [apply("sin", c[0])], [apply(name, c[0])]

            sums.append(total(scan(step, [x], steps=4)[1][0]))
        return sums[0] + sums[1] * sums[2] + sums[3]

    graph = canonicalize(function(make, "x"))
    shared = share_loops(graph)
    assert (loops(graph), loops(shared)) == (3, 1)
    points = [np.array([0.5, 0.7])]
    ready = [through_bodies(each, expand) for each in (graph, shared)]
    before, after = (NumpyExecutable(each).run(points, 2, never)[0] for each in ready)
    assert same_bits(before, after)
