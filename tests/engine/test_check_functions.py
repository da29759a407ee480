"""The check of bodies: each has its own place in messages, uses only those before it, and counts like a graph."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gradmill_server.engine.canonical import canonicalize, digest
from gradmill_server.engine.check import check
from gradmill_server.engine.drafts import (
    DraftConstant,
    DraftFunction,
    DraftInput,
    DraftNode,
    DraftOutput,
    DraftParameters,
    GraphDraft,
)
from gradmill_server.engine.errors import DeadlineExceeded, EngineError, InvalidGraph, LimitExceeded
from gradmill_server.engine.ir import Graph, bodies_of
from gradmill_server.engine.wants import Kind
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.building import LIMITS, Countdown, at_matrix, specify

SQUARE = GraphDraft([DraftInput("x", ())], [], ["multiply"], [DraftNode(0, [0, 0])], [DraftOutput("result", 1)])
GROWTH = GraphDraft(
    [DraftInput("level", ()), DraftInput("rate", ())],
    [DraftConstant((), np.array([1.0]))],
    ["add", "multiply"],
    [DraftNode(0, [1, 2]), DraftNode(1, [0, 3])],
    [DraftOutput("level", 4), DraftOutput("trail", 3)],
)
"""level * (1 + rate), and 1 + rate."""


def scan_node(place: int, arguments: Sequence[int] = (0, 1), **changes: Any) -> DraftNode:  # noqa: ANN401
    """Return a loop of four steps over a body of one carry and one sequence."""
    parameters: dict[str, Any] = {"function": DraftFunction(place), "steps": 4, "carries": 1, "sequences": 1} | changes
    kept = tuple((name, value) for name, value in parameters.items() if value is not None)
    return DraftNode(0, list(arguments), kept, name="loop")


def looping(node: DraftNode, *functions: GraphDraft, rates: int = 4) -> GraphDraft:
    """Return a graph of one loop."""
    inputs = [DraftInput("level", ()), DraftInput("rates", (rates,))]
    return GraphDraft(inputs, [], ["scan"], [node], [DraftOutput("value", 2)], functions)


def calling(parameters: DraftParameters, *functions: GraphDraft, arguments: Sequence[int] = (0,)) -> GraphDraft:
    """Return a graph of one call."""
    node = DraftNode(0, list(arguments), parameters)
    return GraphDraft([DraftInput("x", ())], [], ["call"], [node], [DraftOutput("value", 1)], functions)


def calls(place: int) -> DraftParameters:
    """Return the parameters of a call."""
    return (("function", DraftFunction(place)),)


def refusal(draft: GraphDraft) -> InvalidGraph:
    """Return the error with which a draft is refused."""
    with pytest.raises(InvalidGraph) as caught:
        check(draft, LIMITS)
    return caught.value


def test_a_draft_with_bodies_becomes_the_graph_it_means() -> None:
    """A loop has its body, and the shape of its flat value: the last carry and four results."""
    graph = check(looping(scan_node(1), SQUARE, GROWTH), LIMITS)
    assert graph.nodes[2].shape == (5,)
    assert [len(body.graph.nodes) for body in bodies_of(graph)] == [5]
    assert graph.labels == {2: "loop"}
    specify(bodies_of(graph)[0].graph)


def test_places_and_unused_bodies_make_no_difference() -> None:
    """The digest is that of what is computed, whatever else stands in the list."""
    variants = [looping(scan_node(0), GROWTH), looping(scan_node(2), SQUARE, SQUARE, GROWTH)]
    assert len({digest(canonicalize(check(draft, LIMITS))) for draft in variants}) == 1


MISTAKES: list[tuple[str, GraphDraft, str, str]] = [
    ("FUNCTION_OUT_OF_RANGE", looping(scan_node(1), GROWTH), "nodes[0].parameters[0]", "function 1 does not exist"),
    ("FUNCTION_OUT_OF_RANGE", looping(scan_node(2**31), GROWTH), "nodes[0].parameters[0]", "there are 1 functions"),
    ("CYCLE", calling(calls(0), calling(calls(0))), "functions[0].nodes[0].parameters[0]", "function 0 is the one"),
    (
        "FORWARD_REFERENCE",
        calling(calls(0), calling(calls(1)), SQUARE),
        "functions[0].nodes[0].parameters[0]",
        "function 1 comes after function 0",
    ),
    ("FUNCTIONS_NESTED", calling(calls(0), SQUARE._replace(functions=[SQUARE])), "functions[0].functions", "its own"),
    (
        "ARITY",
        calling(calls(0), SQUARE._replace(nodes=[DraftNode(0, [0])])),
        "functions[0].nodes[0].arguments",
        "multiply takes 2 arguments",
    ),
    ("OUTPUT_MISSING", calling(calls(0), SQUARE._replace(outputs=[])), "functions[0].outputs", "at least one"),
    ("PARAMETER_DUPLICATE", calling(calls(0) * 2, SQUARE), "nodes[0].parameters[1]", "'function' is given twice"),
    ("PARAMETER_MISSING", calling((), SQUARE), "nodes[0].parameters", "'function', a function, is missing"),
    ("PARAMETER_MISSING", looping(scan_node(0, steps=None), GROWTH), "nodes[0].parameters", "'steps'"),
    ("PARAMETER_INVALID", calling((("function", 0),), SQUARE), "nodes[0].parameters", "must be a function"),
    ("PARAMETER_INVALID", looping(scan_node(0, steps=0), GROWTH), "nodes[0].parameters", "'steps' is 0"),
    ("PARAMETER_INVALID", looping(scan_node(0, steps=2**40), GROWTH), "nodes[0].parameters", "from 1 to"),
    ("PARAMETER_INVALID", looping(scan_node(0, steps=4.0), GROWTH), "nodes[0].parameters", "must be a whole number"),
    ("PARAMETER_INVALID", looping(scan_node(0, reverse=2), GROWTH), "nodes[0].parameters", "neither 0 nor 1"),
    ("PARAMETER_INVALID", looping(scan_node(0, carries=3), GROWTH), "nodes[0].parameters", "the body has 2 outputs"),
    ("PARAMETER_INVALID", looping(scan_node(0, carries=-1), GROWTH), "nodes[0].parameters", "'carries' is -1"),
    ("PARAMETER_INVALID", looping(scan_node(0, sequences=2), GROWTH), "nodes[0].parameters", "1 carries the body has"),
    ("PARAMETER_INVALID", looping(scan_node(0, [0]), GROWTH), "nodes[0].parameters", "2 inputs, but there are 1"),
    ("PARAMETER_UNKNOWN", looping(scan_node(0, length=4), GROWTH), "nodes[0].parameters", "no parameter 'length'"),
    ("ARITY", looping(scan_node(0, []), GROWTH), "nodes[0].arguments", "scan takes"),
    ("SHAPE_MISMATCH", looping(scan_node(0), GROWTH, rates=5), "nodes[0].arguments", "length 5, but there are 4 steps"),
    ("SHAPE_MISMATCH", looping(scan_node(0, [0, 0]), GROWTH), "nodes[0].arguments", "no length, but there are 4"),
    ("SHAPE_MISMATCH", looping(scan_node(0, [1, 1]), GROWTH), "nodes[0].arguments", "scan of (4,) and ()"),
    (
        "SHAPE_MISMATCH",
        looping(scan_node(0), GROWTH._replace(inputs=[DraftInput("level", ()), DraftInput("rate", (1,))])),
        "nodes[0].arguments",
        "must have (4, 1)",
    ),
    (
        "SHAPE_MISMATCH",
        looping(
            scan_node(0),
            GROWTH._replace(constants=[DraftConstant((3,), np.ones(3))]),
        ),
        "nodes[0].arguments",
        "carry 0",
    ),
    (
        "SHAPE_MISMATCH",
        calling(calls(0), SQUARE._replace(inputs=[DraftInput("x", (2,))])),
        "nodes[0].arguments",
        "call of () and (2,)",
    ),
    ("PARAMETER_INVALID", calling(calls(0), GROWTH), "nodes[0].parameters", "2 inputs, but there are 1 arguments"),
    ("PARAMETER_INVALID", calling((*calls(0), ("output", 1)), SQUARE), "nodes[0].parameters", "'output' is 1"),
    ("PARAMETER_INVALID", calling((*calls(0), ("output", -1)), SQUARE), "nodes[0].parameters", "'output' is -1"),
]


@pytest.mark.parametrize(("reason", "draft", "path", "said"), MISTAKES)
def test_a_mistake_has_its_reason_and_names_its_place(reason: str, draft: GraphDraft, path: str, said: str) -> None:
    """Each mistake in a graph or in a body is one violation with a reason, the path of the field, and what is wrong."""
    error = refusal(draft)
    assert [(entry.reason, entry.field) for entry in error.violations] == [(reason, f"graph.{path}")]
    assert said in error.violations[0].description
    assert str(error).isprintable()


def test_a_mistake_in_a_body_is_not_reported_where_the_body_is_used() -> None:
    """Two bodies with mistakes give their own violations, and who names them none."""
    wrong = SQUARE._replace(nodes=[DraftNode(0, [0])])
    error = refusal(calling(calls(1), wrong, calling(calls(0)), wrong))
    assert [entry.field for entry in error.violations] == [
        "graph.functions[0].nodes[0].arguments",
        "graph.functions[2].nodes[0].arguments",
    ]


def test_mistakes_of_all_bodies_together_end_at_twenty() -> None:
    """Thousands of faulty bodies are answered with the first twenty mistakes."""
    wrong = SQUARE._replace(nodes=[DraftNode(0, [0])])
    error = refusal(calling(calls(0), *[wrong] * 5_000))
    assert [entry.field for entry in error.violations][-1] == "graph.functions[19].nodes[0].arguments"


@pytest.mark.parametrize(
    ("knob", "limit", "reason", "field"),
    [
        ("maximum_functions", 1, "TOO_MANY_FUNCTIONS", "graph"),
        ("maximum_nodes", 7, "GRAPH_TOO_LARGE", "graph"),
        ("maximum_constant_elements", 0, "CONSTANTS_TOO_LARGE", "graph"),
        ("maximum_inputs", 1, "TOO_MANY_INPUTS", "graph.functions[1]"),
        ("maximum_outputs", 1, "TOO_MANY_OUTPUTS", "graph.functions[1]"),
    ],
)
def test_limits_count_bodies(knob: str, limit: int, reason: str, field: str) -> None:
    """Values and constants of all bodies count together; inputs and outputs body by body."""
    graph = GraphDraft([], [], ["call"], [DraftNode(0, [], calls(0))], [DraftOutput("value", 0)], [SQUARE, GROWTH])
    with pytest.raises(LimitExceeded) as caught:
        check(graph, replace(LIMITS, **{knob: limit}))
    assert (caught.value.reason, caught.value.metadata["field"]) == (reason, field)
    assert caught.value.metadata["knob"] == knob


class Untouched(Sequence[GraphDraft]):
    """A list of a million functions that nobody may look at."""

    def __len__(self) -> int:
        """Return how many there are."""
        return 1_000_000

    def __getitem__(self, position: object) -> Any:  # noqa: ANN401
        """Fail."""
        pytest.fail(f"function {position} was looked at")


def test_a_million_bodies_are_refused_unread() -> None:
    """Too many functions are refused by their number."""
    with pytest.raises(LimitExceeded) as caught:
        check(SQUARE._replace(functions=Untouched()), LIMITS)
    assert caught.value.metadata == {
        "value": "1000000",
        "limit": "20000",
        "knob": "maximum_functions",
        "field": "graph",
    }


def outcome_of(draft: GraphDraft) -> Graph | EngineError:
    """Return the graph a draft means, or how it was refused."""
    try:
        return check(draft, LIMITS)
    except EngineError as error:
        return error


STRANGE_VALUES = st.sampled_from(
    [-1, 0, 1, 2, 3, 4, 5, 2**31, 2**62, 1.0, float("nan"), "4", (1, 2), (), DraftFunction(0), DraftFunction(9)]
)
STRANGE_PARAMETERS = st.dictionaries(
    st.sampled_from(["function", "steps", "carries", "sequences", "reverse", "output", "", "a" * 300]),
    STRANGE_VALUES,
    max_size=6,
)


@settings(max_examples=300)
@given(
    changes=STRANGE_PARAMETERS,
    arguments=st.lists(st.integers(0, 2), max_size=4),
    operation=st.sampled_from(["scan", "call"]),
    body=st.sampled_from([SQUARE, GROWTH]),
)
def test_whatever_parameters_come_they_are_refused_by_name_or_computed(
    changes: dict[str, Any], arguments: list[int], operation: str, body: GraphDraft
) -> None:
    """Strange parameters and arguments give a violation with a place, or a function with a value and derivatives."""
    usual = {"function": DraftFunction(0), "steps": 4, "carries": 1, "sequences": 1} if operation == "scan" else {}
    parameters: dict[str, Any] = usual | changes
    draft = looping(DraftNode(0, arguments, tuple(parameters.items())), body)._replace(operation_names=[operation])
    graph = outcome_of(draft)
    if isinstance(graph, EngineError):
        assert graph.metadata["field"].startswith("graph.nodes[0].")
        assert str(graph).isprintable()
        return
    specify(graph)
    if parameters.get("steps", 1) <= 5:
        evaluation = at_matrix(canonicalize(graph), [[0.5, 0.1, 0.2, 0.3, 0.4]], Kind.VALUE, Kind.JACOBIAN)
        assert np.isfinite(evaluation.arrays[0][0].array).all()


def inner_loop(place: int) -> GraphDraft:
    """Return a body that runs another one four times on its carry."""
    node = DraftNode(0, [0], (("function", DraftFunction(place)), ("steps", 4), ("carries", 1), ("sequences", 0)))
    part = DraftNode(1, [1], (("starts", (0,)), ("counts", (1,)), ("steps", (1,))))
    shaped = DraftNode(2, [2], (("shape", ()),))
    return GraphDraft(
        [DraftInput("x", ())], [], ["scan", "slice", "reshape"], [node, part, shaped], [DraftOutput("result", 3)]
    )


def test_loops_in_loops_are_limited() -> None:
    """Sixteen loops may stand in one another, and not seventeen; calls in between do not count."""
    levels = [SQUARE]
    for _ in range(15):
        levels += [inner_loop(len(levels) - 1), calling(calls(len(levels)))]
    check(calling(calls(len(levels) - 1), *levels), LIMITS)
    levels.append(inner_loop(len(levels) - 1))
    check(calling(calls(len(levels) - 1), *levels), LIMITS)
    levels.append(inner_loop(len(levels) - 1))
    error = refusal(calling(calls(len(levels) - 1), *levels))
    assert error.reason == "LOOP_TOO_DEEP"
    assert error.violations[0].field == f"graph.functions[{len(levels) - 1}].nodes[0].parameters"
    assert "maximum_loop_depth" in str(error)


def test_ten_thousand_bodies_are_checked_in_time_and_without_recursion() -> None:
    """A chain of bodies that call one another takes time in proportion to its length."""
    chain = [SQUARE, *(calling(calls(place)) for place in range(10_000))]
    started = time.process_time()
    graph = check(calling(calls(10_000), *chain), LIMITS)
    assert time.process_time() - started < 10.0
    assert len(bodies_of(graph)) == 10_001


def test_checking_bodies_stops_at_a_checkpoint() -> None:
    """Whoever waits for many bodies may give up."""
    with pytest.raises(DeadlineExceeded):
        check(calling(calls(0), *[SQUARE] * 1_000), LIMITS, checkpoint=Countdown(100))


def test_the_rank_of_every_value_is_limited() -> None:
    """Parameters may ask for shapes of any rank; beyond the limit they are refused where they stand."""
    nodes = [DraftNode(0, [0], (("shape", (1,) * 70),)), DraftNode(1, [0], (("repeats", (1,) * 9),))]
    error = refusal(GraphDraft([DraftInput("x", ())], [], ["reshape", "tile"], nodes, [DraftOutput("value", 0)]))
    assert [(entry.reason, entry.field) for entry in error.violations] == [
        ("RANK_TOO_LARGE", "graph.nodes[0]"),
        ("RANK_TOO_LARGE", "graph.nodes[1]"),
    ]
    assert "70 dimensions, limit 8" in error.violations[0].description
    assert error.violations[1].metadata == {"limit": "8", "value": "9", "node": "1"}


def test_lists_count_like_elements_of_constants() -> None:
    """Indices take memory as constants do, and count with them, in bodies as well."""
    indices = (("axis", 0), ("index_shape", (3,)), ("indices", (0, 1, 0)))
    body = GraphDraft([DraftInput("x", (2,))], [], ["take"], [DraftNode(0, [0], indices)], [DraftOutput("value", 1)])
    for draft, elements in ((body, 4), (body._replace(functions=[body, body]), 12)):
        check(draft, replace(LIMITS, maximum_constant_elements=elements))
        with pytest.raises(LimitExceeded) as caught:
            check(draft, replace(LIMITS, maximum_constant_elements=elements - 1))
        assert (caught.value.reason, caught.value.metadata["value"]) == ("CONSTANTS_TOO_LARGE", str(elements))
