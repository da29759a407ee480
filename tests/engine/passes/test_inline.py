"""Calls written out: what they mean, what is shared, and how a tower of them is refused."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from gradmill_server.engine.canonical import body_of, canonicalize
from gradmill_server.engine.errors import DeadlineExceeded, LimitExceeded
from gradmill_server.engine.ir import Body, Graph, GraphBuilder, Input, Output, bodies_of
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.passes.inline import inline_calls
from gradmill_server.engine.wants import Kind

from tests.engine.building import (
    LIMITS,
    Countdown,
    addition_chain,
    at_matrix,
    function,
    plain_values,
    same_bits,
    specify,
)
from tests.engine.looping import array, scan


def called(body: Body, *operands: Value, output: int = 0) -> Value:
    """Return one output of a body for these operands."""
    parameters = {"function": body, "output": output} if output else {"function": body}
    return array("call", *operands, **parameters)


DIVISION = body_of(
    function(lambda x, y: {"quotient": x / y, "rest": apply("mod", x, y)}, "x", "y"),
)


def tower(levels: int, calls: int = 2) -> Graph:
    """Return x + 1 + 1 + ..., each level calling the one below it so many times, one after the other."""
    body = body_of(function(lambda x: x + 1.0, "x"))
    for _ in range(levels):
        body = body_of(function(lambda x, body=body: repeatedly(body, x, calls), "x"))
    return function(lambda x: called(body, x), "x")


def repeatedly(body: Body, value: Value, times: int) -> Value:
    """Call a body so many times, each on what the one before it gave."""
    for _ in range(times):
        value = called(body, value)
    return value


def names(graph: Graph) -> set[str]:
    """Return the operations that a graph and its bodies use."""
    return {name for each in (graph, *(body.graph for body in bodies_of(graph))) for name in each.nodes.operations}


def test_a_call_becomes_what_its_body_does() -> None:
    """Both outputs of a body, applied to values of the graph, are the body's own operations."""
    graph = function(lambda x, y: called(DIVISION, x + y, y) * called(DIVISION, x + y, y, output=1), "x", "y")
    flat = inline_calls(graph, LIMITS)
    specify(flat)
    assert sorted(flat.nodes.operations) == sorted(["input", "input", "add", "divide", "mod", "multiply"])
    direct = function(lambda x, y: ((x + y) / y) * apply("mod", x + y, y), "x", "y")
    assert canonicalize(flat) == canonicalize(direct)
    point = [7.5, 2.0]
    assert same_bits(plain_values(flat, point)[flat.outputs[0].node], plain_values(direct, point)[-1])


def test_a_graph_without_calls_stays_as_it_is() -> None:
    """Nothing is rebuilt for nothing."""
    graph = addition_chain(10)
    assert inline_calls(graph, LIMITS) is graph


def test_calls_of_calls_are_written_out() -> None:
    """Bodies may call bodies; a thousand and twenty-four additions stand in ten levels."""
    flat = inline_calls(tower(10), LIMITS)
    assert flat.nodes.operations.count("add") == 1024
    assert names(flat) == {"input", "constant", "add"}
    assert at_matrix(tower(10), [[0.5]], Kind.VALUE, Kind.GRADIENT).arrays[0][0].array.tolist() == [1024.5]


def test_equal_calls_are_one() -> None:
    """A body called twice with the same arguments is written once, so that a tower of such calls is as high as wide."""
    body = DIVISION
    for _ in range(60):
        body = body_of(
            function(
                lambda x, y, body=body: {
                    "one": called(body, x, y) + called(body, x, y, output=1),
                    "two": called(body, x, y) - called(body, x, y, output=1),
                },
                "x",
                "y",
            )
        )
    flat = inline_calls(function(lambda x, y: called(body, x, y), "x", "y"), LIMITS)
    assert len(flat.nodes) == 2 + 2 + 2 * 60


def test_a_very_deep_chain_of_calls_needs_no_recursion() -> None:
    """Five thousand bodies, each of which calls the one before it, are written out."""
    flat = inline_calls(tower(5_000, calls=1), LIMITS)
    assert flat.nodes.operations.count("add") == 1


def test_labels_of_the_graph_survive() -> None:
    """What people called a value in the graph, they find again; also when that value is a call."""
    builder = GraphBuilder([Input("x"), Input("y")])
    first = called(DIVISION, Value(builder, 0), Value(builder, 1))
    builder.label(first.index, "quotient")
    builder.label((first + 1.0).index, "more")
    flat = inline_calls(builder.build([Output("value", len(builder) - 1)]), LIMITS)
    assert {label: flat.nodes.operations[index] for index, label in flat.labels.items()} == {
        "quotient": "divide",
        "more": "add",
    }


def test_calls_in_the_bodies_of_loops_are_written_out() -> None:
    """A loop whose body calls, in a body that is called, has no call left anywhere."""
    looped = body_of(
        function(
            lambda x, y: scan(lambda c, _s, k: ([called(DIVISION, c[0], k[0]) + 1.0], []), [x], (), [y], steps=3)[0][0],
            "x",
            "y",
        )
    )
    graph = function(lambda x, y: called(looped, x, y), "x", "y")
    flat = inline_calls(graph, LIMITS)
    assert "call" in names(graph)
    assert "call" not in names(flat)
    assert "scan" in names(flat)
    value, y = 3.0, 2.0
    for _ in range(3):
        value = value / y + 1.0
    assert at_matrix(graph, [[3.0, 2.0]], Kind.VALUE).arrays[0][0].array.tolist() == [value]


@pytest.mark.parametrize("levels", [21, 64, 2_000])
def test_a_tower_of_calls_is_refused_before_it_is_built(levels: int) -> None:
    """Each level calls the one below it twice: what would be 2^64 operations is refused at once, by name."""
    graph = tower(levels)
    started = time.process_time()
    with pytest.raises(LimitExceeded) as caught:
        inline_calls(graph, LIMITS)
    assert time.process_time() - started < 1.0
    assert caught.value.reason == "GRAPH_TOO_LARGE"
    assert caught.value.metadata["knob"] == "maximum_nodes"
    assert int(caught.value.metadata["value"]) > int(caught.value.metadata["limit"]) == LIMITS.maximum_nodes


def test_the_limit_counts_the_values_there_will_be() -> None:
    """At the limit a graph is written out, and one value beyond it is refused; bodies of loops count as well."""
    graph = tower(5)
    count = len(inline_calls(graph, LIMITS).nodes)
    assert len(inline_calls(graph, replace(LIMITS, maximum_nodes=2 * count)).nodes) == count
    with pytest.raises(LimitExceeded):
        inline_calls(graph, replace(LIMITS, maximum_nodes=count - 1))
    looped = function(
        lambda x: scan(lambda c, _s, _k: ([repeatedly(tower_body(), c[0], 40)], []), [x], steps=2)[0][0], "x"
    )
    with pytest.raises(LimitExceeded):
        inline_calls(looped, replace(LIMITS, maximum_nodes=40))


def tower_body() -> Body:
    """Return x + 1 as a body."""
    return body_of(function(lambda x: x + 1.0, "x"))


def test_writing_out_stops_at_a_checkpoint() -> None:
    """Whoever waits for a large function may give up while its calls are written out."""
    graph = tower(15)
    looks: list[None] = []
    inline_calls(graph, LIMITS, lambda: looks.append(None))
    assert len(looks) >= 20
    for allowed in (0, len(looks) // 2):
        with pytest.raises(DeadlineExceeded):
            inline_calls(graph, LIMITS, Countdown(allowed))


def shapes(*extents: Sequence[int]) -> list[Input]:
    """Return inputs of these shapes."""
    return [Input(f"x{place}", tuple(shape)) for place, shape in enumerate(extents)]


def test_calls_on_arrays_keep_their_shapes() -> None:
    """A body of arrays is applied to arrays."""
    body = body_of(function(lambda m, v: array("matmul", m, v), *shapes((2, 3), (3,))))
    graph = function(lambda m, v: called(body, m, v), *shapes((2, 3), (3,)))
    matrix = np.arange(9.0)[np.newaxis]
    value = at_matrix(graph, matrix, Kind.VALUE).arrays[0][0].array
    assert value.tolist() == [[0 * 6 + 1 * 7 + 2 * 8, 3 * 6 + 4 * 7 + 5 * 8]]
