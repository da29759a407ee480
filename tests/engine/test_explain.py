"""Explanations: the forward and the backward pass as the textbooks print them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.errors import DeadlineExceeded, InvalidPoints, InvalidWant, LimitExceeded
from gradmill_server.engine.explain import (
    MAXIMUM_EXPLAINED_ELEMENTS,
    MAXIMUM_EXPLAINED_NODES,
    ExplainedNode,
    Explanation,
    explain,
)
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.points import PointBatch

from tests.engine.building import (
    LIMITS,
    Countdown,
    addition_chain,
    function,
    number,
    smooth_graph,
    value_and_gradient,
)
from tests.engine.looping import array, scan

SEED = function(lambda x1, x2, x3: 3.0 * (apply("power", x1, 2.0) + x2 * x3), "x1", "x2", "x3")


def explained(graph: Graph, *point: float, output: str = "") -> Explanation:
    """Explain at a point of scalars."""
    return explain(graph, PointBatch.from_matrix(graph.inputs, np.array([point])), output)


def by_label(explanation: Explanation) -> Mapping[str, ExplainedNode]:
    """Return the nodes by their labels, each of which is there once."""
    nodes = {node.label: node for node in explanation.nodes}
    assert len(nodes) == len(explanation.nodes)
    return nodes


def test_the_seed_function_is_explained_as_on_paper() -> None:
    """3*(x1**2 + x2*x3) at (2, 3, 4): every value, local partial and adjoint of the textbook table."""
    explanation = explained(SEED, 2.0, 3.0, 4.0)
    assert explanation.output == "value"
    rows = [
        (
            node.label,
            node.expression,
            float(node.value),
            float(node.adjoint),
            {entry.argument: float(entry.partial) for entry in node.local_partials},
        )
        for node in explanation.nodes
    ]
    assert rows == [
        ("x1", "x1", 2.0, 12.0, {}),
        ("x2", "x2", 3.0, 12.0, {}),
        ("x3", "x3", 4.0, 9.0, {}),
        ("x4", "x1**2", 4.0, 3.0, {"x1": 4.0}),
        ("x5", "x2*x3", 12.0, 3.0, {"x2": 4.0, "x3": 3.0}),
        ("x6", "x4 + x5", 16.0, 3.0, {"x4": 1.0, "x5": 1.0}),
        ("x7", "3*x6", 48.0, 1.0, {"x6": 3.0}),
    ]
    assert [node.operation for node in explanation.nodes[2:]] == ["input", "power", "multiply", "add", "multiply"]


def test_names_that_people_gave_are_shown() -> None:
    """A value is called what its author called it, everywhere in the explanation."""
    builder = GraphBuilder([Input("spot"), Input("strike")])
    ratio = ops.emit(builder, "divide", (0, 1))
    builder.label(ratio, "moneyness")
    graph = builder.build([Output("value", ops.emit(builder, "log", (ratio,)))])
    nodes = by_label(explained(graph, 110.0, 100.0))
    assert list(nodes) == ["spot", "strike", "moneyness", "v2"]
    assert nodes["moneyness"].expression == "spot/strike"
    assert nodes["v2"].expression == "log(moneyness)"
    assert [entry.argument for entry in nodes["v2"].local_partials] == ["moneyness"]


def test_made_up_labels_never_collide_with_given_ones() -> None:
    """Where an input or a person's label is already called v1 or x2, the numbering goes on."""
    graph = function(lambda v1, v2: apply("sin", v1) + apply("cos", v2), "v1", "v2")
    assert list(by_label(explained(graph, 0.1, 0.2))) == ["v1", "v2", "v3", "v4", "v5"]
    builder = GraphBuilder([Input("x1")])
    first = ops.emit(builder, "sin", (0,))
    second = ops.emit(builder, "cos", (first,))
    builder.label(second, "x2")
    graph = builder.build([Output("value", ops.emit(builder, "exp", (second,)))])
    assert list(by_label(explained(graph, 0.1))) == ["x1", "x3", "x2", "x5"]


def test_numbering_goes_on_after_a_value_that_people_numbered_themselves() -> None:
    """A value that its author called by the name it would have had anyway moves no other one's."""
    builder = GraphBuilder([Input("x1"), Input("x2")])
    total = ops.emit(builder, "add", (0, 1))
    builder.label(total, "x3")
    graph = builder.build([Output("value", ops.emit(builder, "exp", (total,)))])
    assert list(by_label(explained(graph, 0.1, 0.2))) == ["x1", "x2", "x3", "x4"]


KINKS: list[tuple[str, Callable[..., Value], tuple[float, ...], list[float]]] = [
    ("abs", lambda x, y: apply("abs", x) + y, (0.0, 1.0), [0.0]),
    ("maximum", lambda x, y: apply("maximum", x, y), (1.0, 1.0), [0.5, 0.5]),
    ("relu", lambda x, y: apply("relu", x) * y, (0.0, 1.0), [0.0]),
    ("hypot", lambda x, y: apply("hypot", x, y), (0.0, 0.0), [0.0, 0.0]),
    ("sqrt", lambda x, y: apply("sqrt", x) + y, (0.0, 1.0), [np.inf]),
    ("log", lambda x, y: apply("log", x) + y, (0.0, 1.0), [np.inf]),
    ("floor", lambda x, y: apply("floor", x) + y, (1.0, 1.0), []),
    ("less", lambda x, y: apply("less", x, y), (1.0, 1.0), []),
]


@pytest.mark.parametrize(("operation", "make", "point", "partials"), KINKS, ids=[row[0] for row in KINKS])
def test_kinks_show_the_convention(
    operation: str, make: Callable[..., Value], point: tuple[float, ...], partials: list[float]
) -> None:
    """At a point without a derivative the local partial shown is the one the gradient uses."""
    explanation = explained(function(make, "x", "y"), *point)
    (node,) = [node for node in explanation.nodes if node.operation == operation]
    assert [float(entry.partial) for entry in node.local_partials] == partials


def test_a_masked_branch_has_adjoint_zero() -> None:
    """A branch that was not taken has adjoint zero, although its own partial is infinite."""
    graph = function(lambda x: apply("where", apply("greater", x, 0.0), apply("sqrt", x), 0.0), "x")
    root = next(node for node in explained(graph, 0.0).nodes if node.operation == "sqrt")
    assert (float(root.adjoint), float(root.local_partials[0].partial)) == (0.0, np.inf)


@pytest.mark.parametrize("seed", range(25))
def test_an_explanation_adds_up(seed: int) -> None:
    """Values and input adjoints are those of an evaluation, and adjoints are sums of adjoints times partials."""
    graph = smooth_graph(seed, operations=8, outputs=1)
    point = (0.3, -0.8, 1.2)
    nodes = by_label(explained(graph, *point))
    value, gradient = value_and_gradient(graph, *point)
    assert float(list(nodes.values())[-1].value) == pytest.approx(value, rel=1e-14)
    assert [float(nodes[name].adjoint) for name in ("x", "y", "z")] == pytest.approx(gradient.tolist(), rel=1e-12)
    collected = dict.fromkeys(nodes, 0.0)
    for node in nodes.values():
        for entry in node.local_partials:
            collected[entry.argument] += float(node.adjoint) * float(entry.partial)
    for label, total in list(collected.items())[:-1]:
        assert float(nodes[label].adjoint) == pytest.approx(total, rel=1e-12, abs=1e-15)


def test_an_explanation_agrees_with_an_evaluation_and_says_how() -> None:
    """Where a spelling is computed by its stable form, the explanation shows that form, by name, and its numbers."""
    graph = function(lambda x: apply("log", 1.0 + apply("exp", x)), "x")
    explanation = explain(graph, PointBatch.from_matrix(graph.inputs, np.array([[1000.0]])))
    assert explanation.stable_forms == ("softplus",)
    assert [(node.operation, float(node.value), float(node.adjoint)) for node in explanation.nodes] == [
        ("input", 1000.0, 1.0),
        ("softplus", 1000.0, 1.0),
    ]


def test_only_what_the_output_needs_is_shown() -> None:
    """Of several outputs one is explained, with all inputs and nothing that belongs to the others."""
    graph = function(lambda x, y: {"growth": apply("exp", x), "wave": apply("sin", y)}, "x", "y")
    nodes = by_label(explained(graph, 0.0, 1.0, output="growth"))
    assert [node.operation for node in nodes.values()] == ["input", "input", "exp"]
    assert float(nodes["y"].adjoint) == 0.0


def test_arrays_that_do_not_matter_have_an_adjoint_of_their_shape() -> None:
    """An array input that a scalar output does not need has zeros in its shape as adjoint."""
    graph = function(lambda x, w: {"wide": x * w, "narrow": x * x}, "x", Input("w", (2, 2)))
    point = PointBatch.from_inputs(graph.inputs, {"x": np.array([2.0]), "w": np.ones((1, 2, 2))})
    nodes = by_label(explain(graph, point, "narrow"))
    assert nodes["w"].value.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert nodes["w"].adjoint.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_outputs_that_are_inputs_or_constants_are_explained() -> None:
    """The trivial functions have trivial explanations."""
    graph = function(lambda x: {"same": x, "fixed": number(x, 2.5)}, "x")
    (same,) = explained(graph, 7.0, output="same").nodes
    assert (float(same.value), float(same.adjoint)) == (7.0, 1.0)
    (fixed,) = explained(graph, 7.0, output="fixed").nodes
    assert (float(fixed.value), float(fixed.adjoint)) == (7.0, 0.0)


@pytest.mark.parametrize(
    ("output", "reason"),
    [("", "OUTPUT_AMBIGUOUS"), ("total", "OUTPUT_UNKNOWN"), ("wide", "OUTPUT_NOT_SCALAR")],
)
def test_an_output_that_cannot_be_explained_is_refused_by_name(output: str, reason: str) -> None:
    """Several outputs need a name, and it must be that of a scalar."""
    graph = function(lambda x: {"narrow": x, "wide": x * number(x, [1.0, 2.0])}, "x")
    with pytest.raises(InvalidWant) as caught:
        explained(graph, 1.0, output=output)
    assert caught.value.reason == reason
    assert caught.value.metadata["field"] == "output"


@pytest.mark.parametrize("count", [0, 2])
def test_an_explanation_is_of_one_point(count: int) -> None:
    """None and several points are refused."""
    with pytest.raises(InvalidPoints) as caught:
        explain(SEED, PointBatch.from_matrix(SEED.inputs, np.zeros((count, 3))))
    assert caught.value.reason == "POINTS_COUNT"


def test_what_nobody_would_read_is_refused() -> None:
    """A thousand values are explained, more are refused by a named limit."""
    assert len(explained(addition_chain(MAXIMUM_EXPLAINED_NODES - 2), 1.0, 2.0).nodes) == MAXIMUM_EXPLAINED_NODES
    with pytest.raises(LimitExceeded) as caught:
        explained(addition_chain(MAXIMUM_EXPLAINED_NODES - 1), 1.0, 2.0)
    assert caught.value.reason == "EXPLANATION_TOO_LARGE"
    assert caught.value.metadata["value"] == str(MAXIMUM_EXPLAINED_NODES + 1)
    assert "knob" not in caught.value.metadata
    assert "no setting moves it" in caught.value.message


def test_long_arrays_are_not_explained() -> None:
    """Values of a hundred thousand elements are refused as well, however few they are."""
    graph = function(lambda x: array("sum", x, axes=(0,)), Input("x", (MAXIMUM_EXPLAINED_ELEMENTS,)))
    with pytest.raises(LimitExceeded) as caught:
        explained(graph, *[0.0] * MAXIMUM_EXPLAINED_ELEMENTS)
    assert caught.value.metadata["limit"] == str(MAXIMUM_EXPLAINED_ELEMENTS)


def test_calls_are_explained_by_what_they_do_and_a_loop_is_one_value() -> None:
    """The operations of a body that is called are shown; a loop is one value, with its adjoint."""
    square = body_of(function(lambda x: x * x, "x"))

    def make(x: Value, rates: Value) -> Value:
        (last,), _ = scan(lambda c, s, _k: ([c[0] * s[0]], []), [array("call", x, function=square)], [rates], steps=3)
        return last

    graph = function(make, "x", Input("rates", (3,)))
    nodes = {node.operation: node for node in explained(graph, 3.0, 2.0, 0.5, 5.0).nodes}
    assert "call" not in nodes
    assert (float(nodes["multiply"].value), float(nodes["multiply"].adjoint)) == (9.0, 5.0)
    assert nodes["scan"].value.tolist() == [45.0]
    assert nodes["scan"].expression == "scan(v1, rates)"


def test_explaining_a_long_loop_is_bounded_in_memory_and_time() -> None:
    """Ten million steps whose carries do not fit in scratch are refused; where they do, a checkpoint can end it."""
    graph = function(lambda x: scan(lambda c, _s, _k: ([apply("sin", c[0])], []), [x], steps=10**7)[0][0], "x")
    point = PointBatch.from_matrix(graph.inputs, np.array([[1.0]]))
    with pytest.raises(LimitExceeded) as caught:
        explain(graph, point, limits=replace(LIMITS, maximum_scratch_bytes=10**6))
    assert caught.value.reason == "SCRATCH_TOO_LARGE"
    with pytest.raises(DeadlineExceeded):
        explain(graph, point, limits=replace(LIMITS, maximum_scratch_bytes=10**9), checkpoint=Countdown(20))
