"""The check of drafts: each kind of mistake has its own reason and names the place; valid drafts keep their meaning."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np
import pytest
from gradmill_server.engine.canonical import canonicalize, digest
from gradmill_server.engine.check import (
    DraftConstant,
    DraftInput,
    DraftNode,
    DraftOutput,
    GraphDraft,
    check,
    check_inputs,
)
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import DeadlineExceeded, InvalidGraph, LimitExceeded, UnsupportedWish
from gradmill_server.engine.ir import FloatArray, Input

from tests.engine.building import LIMITS, draft_of, plain_values, random_graph, same_bits, specify, wire_order

HUGE = 2**63


def array(*elements: float) -> FloatArray:
    """Return flat elements, as they come from the wire."""
    return np.array(elements, dtype=np.float64)


SEED = GraphDraft(
    inputs=[DraftInput("x1", ()), DraftInput("x2", ()), DraftInput("x3", ())],
    constants=[DraftConstant((), array(3.0)), DraftConstant((), array(2.0))],
    operation_names=["power", "multiply", "add"],
    nodes=[
        DraftNode(0, [0, 4], name="square"),
        DraftNode(1, [1, 2], name="product"),
        DraftNode(2, [5, 6]),
        DraftNode(1, [3, 7]),
    ],
    outputs=[DraftOutput("value", 8)],
)
"""3*(x1**2 + x2*x3); values 0..2 are inputs, 3 and 4 constants, 5..8 operations."""


def with_node(position: int, **changes: Any) -> GraphDraft:  # noqa: ANN401 - whatever a hostile caller sends
    """Return the seed with one node changed."""
    nodes = list(SEED.nodes)
    nodes[position] = nodes[position]._replace(**changes)
    return SEED._replace(nodes=nodes)


def refusal(draft: GraphDraft) -> InvalidGraph:
    """Return the error with which a draft is refused."""
    with pytest.raises(InvalidGraph) as caught:
        check(draft, LIMITS)
    return caught.value


def chain(length: int) -> GraphDraft:
    """Return x + x + x + ..., ``length`` additions on top of one another."""
    nodes = [DraftNode(0, [position, 0]) for position in range(length)]
    return GraphDraft([DraftInput("x", ())], [], ["add"], nodes, [DraftOutput("value", length)])


def test_a_valid_draft_becomes_the_graph_it_means() -> None:
    """The seed function is read with its names, its outputs and its value."""
    graph = check(SEED, LIMITS)
    specify(graph)
    assert graph.inputs == (Input("x1"), Input("x2"), Input("x3"))
    assert sorted(graph.labels.values()) == ["product", "square"]
    values = plain_values(graph, [2.0, 3.0, 4.0])
    assert values[graph.output("value").node] == 48.0


MISTAKES: list[tuple[str, GraphDraft, str, dict[str, str]]] = [
    ("OPERATION_INDEX", with_node(1, operation=3), "nodes[1].operation", {"node": "1", "name": "product"}),
    ("OPERATION_INDEX", with_node(1, operation=-1), "nodes[1].operation", {"node": "1", "name": "product"}),
    ("ARITY", with_node(2, arguments=[5]), "nodes[2].arguments", {"node": "2"}),
    ("ARITY", with_node(0, arguments=[0, 4, 4]), "nodes[0].arguments", {"node": "0", "name": "square"}),
    ("ARITY", with_node(0, arguments=[]), "nodes[0].arguments", {"node": "0", "name": "square"}),
    ("CYCLE", with_node(2, arguments=[5, 7]), "nodes[2].arguments[1]", {"node": "2"}),
    ("CYCLE", with_node(0, arguments=[8, 4]), "nodes[0].arguments[0]", {"node": "0", "name": "square"}),
    ("FORWARD_REFERENCE", with_node(0, arguments=[6, 4]), "nodes[0].arguments[0]", {"node": "0", "name": "square"}),
    ("ARGUMENT_OUT_OF_RANGE", with_node(3, arguments=[3, 9]), "nodes[3].arguments[1]", {"node": "3"}),
    ("ARGUMENT_OUT_OF_RANGE", with_node(3, arguments=[-1, 7]), "nodes[3].arguments[0]", {"node": "3"}),
    ("ARGUMENT_OUT_OF_RANGE", with_node(3, arguments=[HUGE, 7]), "nodes[3].arguments[0]", {"node": "3"}),
    (
        "PARAMETER_UNKNOWN",
        with_node(1, parameters=(("axis", 0),)),
        "nodes[1].parameters[0]",
        {"node": "1", "name": "product"},
    ),
    (
        "OPERATION_UNKNOWN",
        SEED._replace(operation_names=["power", "multiply", "ad"]),
        "operation_names[2]",
        {"name": "ad"},
    ),
    (
        "OPERATION_UNKNOWN",
        SEED._replace(operation_names=["power", "strong_product", "add"]),
        "operation_names[1]",
        {"name": "strong_product"},
    ),
    (
        "OPERATION_UNKNOWN",
        SEED._replace(operation_names=["power", "input", "add"]),
        "operation_names[1]",
        {"name": "input"},
    ),
    (
        "CONSTANT_SIZE",
        SEED._replace(constants=[DraftConstant((2,), array(3.0)), SEED.constants[1]]),
        "constants[0]",
        {},
    ),
    ("CONSTANT_SIZE", SEED._replace(constants=[SEED.constants[0], DraftConstant((), array())]), "constants[1]", {}),
    ("OUTPUT_MISSING", SEED._replace(outputs=[]), "outputs", {}),
    (
        "OUTPUT_OUT_OF_RANGE",
        SEED._replace(outputs=[DraftOutput("value", 9)]),
        "outputs[0].value",
        {"name": "value"},
    ),
    (
        "OUTPUT_OUT_OF_RANGE",
        SEED._replace(outputs=[DraftOutput("value", -1)]),
        "outputs[0].value",
        {"name": "value"},
    ),
    (
        "NAME_DUPLICATE",
        SEED._replace(outputs=[DraftOutput("value", 8), DraftOutput("value", 7)]),
        "outputs[1].name",
        {"name": "value"},
    ),
    ("NAME_MISSING", SEED._replace(outputs=[DraftOutput("", 8)]), "outputs[0].name", {}),
    ("NAME_MISSING", SEED._replace(inputs=[DraftInput("", ()), *SEED.inputs[1:]]), "inputs[0].name", {}),
    (
        "NAME_DUPLICATE",
        SEED._replace(inputs=[*SEED.inputs[:2], DraftInput("x1", ())]),
        "inputs[2].name",
        {"name": "x1"},
    ),
    (
        "NAME_INVALID",
        SEED._replace(inputs=[*SEED.inputs[:2], DraftInput("3x", ())]),
        "inputs[2].name",
        {"name": "3x"},
    ),
    (
        "NAME_INVALID",
        SEED._replace(inputs=[*SEED.inputs[:2], DraftInput("x\n", ())]),
        "inputs[2].name",
        {"name": "'x\\n'"},
    ),
    (
        "NAME_TOO_LONG",
        SEED._replace(inputs=[*SEED.inputs[:2], DraftInput("x" * 129, ())]),
        "inputs[2].name",
        {"limit": "128", "value": "129"},
    ),
    (
        "RANK_TOO_LARGE",
        SEED._replace(inputs=[*SEED.inputs[:2], DraftInput("x3", [1] * 9)]),
        "inputs[2].shape",
        {"limit": "8", "value": "9", "name": "x3"},
    ),
    (
        "SHAPE_INVALID",
        SEED._replace(inputs=[*SEED.inputs[:2], DraftInput("x3", [2, 0])]),
        "inputs[2].shape",
        {"name": "x3"},
    ),
    (
        "SHAPE_INVALID",
        SEED._replace(constants=[DraftConstant([-1], array(3.0)), SEED.constants[1]]),
        "constants[0].shape",
        {},
    ),
    (
        "SHAPE_TOO_LARGE",
        SEED._replace(inputs=[*SEED.inputs[:2], DraftInput("x3", [HUGE, HUGE])]),
        "inputs[2].shape",
        {"limit": "1000000", "value": str(HUGE**2), "name": "x3"},
    ),
    (
        "SHAPE_TOO_LARGE",
        SEED._replace(constants=[DraftConstant([HUGE, 2], array(3.0)), SEED.constants[1]]),
        "constants[0].shape",
        {"limit": "1000000", "value": str(2 * HUGE)},
    ),
    (
        "SHAPE_TOO_LARGE",
        SEED._replace(inputs=[SEED.inputs[0], DraftInput("x2", [2000, 1]), DraftInput("x3", [2000])]),
        "nodes[1]",
        {"limit": "1000000", "value": "4000000", "node": "1", "name": "product"},
    ),
    (
        "SHAPE_MISMATCH",
        SEED._replace(inputs=[SEED.inputs[0], DraftInput("x2", [2]), DraftInput("x3", [3])]),
        "nodes[1].arguments",
        {"node": "1", "name": "product"},
    ),
]


@pytest.mark.parametrize(
    ("reason", "draft", "path", "metadata"), MISTAKES, ids=[f"{reason}-{path}" for reason, _, path, _ in MISTAKES]
)
def test_a_mistake_has_its_reason_and_names_its_place(
    reason: str, draft: GraphDraft, path: str, metadata: dict[str, str]
) -> None:
    """One mistake gives one violation with its own reason, the path of the field, and the node's number and name."""
    error = refusal(draft)
    assert [(entry.reason, entry.field) for entry in error.violations] == [(reason, f"graph.{path}")]
    assert error.violations[0].metadata == metadata
    assert error.reason == reason
    assert error.metadata == {"field": f"graph.{path}", **metadata}
    assert str(error) == f"graph.{path}: {error.violations[0].description}"
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("sinn", "sin"), ("sigmoyd", "sigmoid"), ("arctan2", "atan2"), ("Exp", "exp"), ("logical_an", "logical_and")],
)
def test_an_unknown_operation_is_answered_with_the_nearest_name(name: str, nearest: str) -> None:
    """A misspelt operation is answered with the one probably meant."""
    draft = SEED._replace(operation_names=[*SEED.operation_names, name])
    assert f"did you mean '{nearest}'?" in str(refusal(draft))


def test_hostile_names_are_cut_and_quoted() -> None:
    """A name of a million control characters makes neither the message nor its metadata long or unprintable."""
    nasty = "\x1b[31m" * 200_000
    draft = with_node(0, arguments=[], name=nasty)._replace(
        operation_names=[*SEED.operation_names, nasty], inputs=[DraftInput(nasty, [0]), *SEED.inputs[1:]]
    )
    error = refusal(draft)
    assert len(error.violations) == 4
    for entry in error.violations:
        for text in (entry.description, *entry.metadata.values()):
            assert len(text) < 200
            assert text.isprintable()


def test_all_mistakes_are_reported_at_once_up_to_twenty() -> None:
    """A draft full of mistakes is answered with the first twenty in one reply."""
    nodes = [DraftNode(0, [0]) for _ in range(100)]
    error = refusal(GraphDraft([DraftInput("x", ())], [], ["add"], nodes, [DraftOutput("value", 1)]))
    assert [entry.field for entry in error.violations] == [f"graph.nodes[{n}].arguments" for n in range(20)]


def test_different_mistakes_are_reported_together() -> None:
    """Inputs, constants, operations, nodes and outputs are all looked at before the answer."""
    draft = GraphDraft(
        inputs=[DraftInput("1x", ()), DraftInput("y", [0])],
        constants=[DraftConstant([3], array(1.0))],
        operation_names=["add", "nonsense"],
        nodes=[DraftNode(0, [0]), DraftNode(7, [0])],
        outputs=[DraftOutput("value", 77)],
    )
    assert [entry.reason for entry in refusal(draft).violations] == [
        "NAME_INVALID",
        "SHAPE_INVALID",
        "CONSTANT_SIZE",
        "OPERATION_UNKNOWN",
        "ARITY",
        "OPERATION_INDEX",
        "OUTPUT_OUT_OF_RANGE",
    ]


@pytest.mark.parametrize(
    "draft",
    [
        with_node(0, arguments=[0]),
        SEED._replace(operation_names=["pow_", "multiply", "add"]),
        SEED._replace(constants=[SEED.constants[0], DraftConstant((), array())]),
    ],
)
def test_what_follows_from_a_mistake_is_not_reported_again(draft: GraphDraft) -> None:
    """Nodes and outputs that use a faulty value are not blamed for it."""
    assert len(refusal(draft).violations) == 1


def test_a_long_cycle_is_told_from_a_forward_reference() -> None:
    """A node that depends on itself through 50,000 others is a cycle; one that only comes too early is not."""
    length = 50_000
    nodes = [DraftNode(0, [position, 0]) for position in range(length)]
    nodes[0] = DraftNode(0, [length, 0])
    cyclic = GraphDraft([DraftInput("x", ())], [], ["add"], nodes, [DraftOutput("value", length)])
    assert [entry.reason for entry in refusal(cyclic).violations] == ["CYCLE"]
    backwards = [DraftNode(0, [position + 2, 0]) for position in range(length - 1)] + [DraftNode(0, [0, 0])]
    assert {entry.reason for entry in refusal(cyclic._replace(nodes=backwards)).violations} == {"FORWARD_REFERENCE"}


def test_a_loop_elsewhere_is_no_cycle_of_this_node() -> None:
    """A node that refers to a later loop without being part of it is told of the forward reference only."""
    nodes = [DraftNode(0, [2, 0]), DraftNode(0, [3, 0]), DraftNode(0, [2, 0])]
    draft = GraphDraft([DraftInput("x", ())], [], ["add"], nodes, [DraftOutput("value", 1)])
    found = [(entry.reason, entry.field) for entry in refusal(draft).violations]
    assert found == [("FORWARD_REFERENCE", "graph.nodes[0].arguments[0]"), ("CYCLE", "graph.nodes[1].arguments[0]")]


LIMIT_CASES = [
    ("maximum_nodes", 8, 9, "GRAPH_TOO_LARGE"),
    ("maximum_inputs", 2, 3, "TOO_MANY_INPUTS"),
    ("maximum_outputs", 0, 1, "TOO_MANY_OUTPUTS"),
    ("maximum_constant_elements", 1, 2, "CONSTANTS_TOO_LARGE"),
]


@pytest.mark.parametrize(("knob", "limit", "value", "reason"), LIMIT_CASES)
def test_a_limit_passed_is_named_with_value_limit_and_knob(knob: str, limit: int, value: int, reason: str) -> None:
    """What is too large is refused with its size, the limit, and how to move it; at the limit it is accepted."""
    check(SEED, replace(LIMITS, **{knob: value}))
    with pytest.raises(LimitExceeded) as caught:
        check(SEED, replace(LIMITS, **{knob: limit}))
    assert caught.value.reason == reason
    assert caught.value.metadata == {"value": str(value), "limit": str(limit), "knob": knob, "field": "graph"}


def test_limits_are_checked_before_anything_is_built() -> None:
    """A draft that is too large is refused for that, whatever else is wrong with it."""
    nodes = [DraftNode(99, [-5])] * 11
    with pytest.raises(LimitExceeded):
        check(SEED._replace(nodes=nodes), replace(LIMITS, maximum_nodes=15))


@pytest.mark.parametrize("element_type", [3, -1])
def test_other_element_types_are_refused_as_not_available(element_type: int) -> None:
    """A type that this server does not compute in is answered as unsupported, not as invalid."""
    draft = SEED._replace(inputs=[*SEED.inputs[:2], DraftInput("x3", (), element_type)])
    with pytest.raises(UnsupportedWish) as caught:
        check(draft, LIMITS)
    assert caught.value.reason == "ELEMENT_TYPE_UNSUPPORTED"
    assert caught.value.metadata == {"field": "graph.inputs[2].element_type"}


def test_inputs_of_two_element_types_are_refused_with_both_names() -> None:
    """All inputs of a function have one element type: a mistake names the input, the first one, and both types."""
    inputs = [SEED.inputs[0], SEED.inputs[1]._replace(element_type=2), SEED.inputs[2]]
    with pytest.raises(InvalidGraph, match="input 'x2' is float32, but input 'x1' is float64") as caught:
        check(SEED._replace(inputs=inputs), LIMITS)
    (violation,) = caught.value.violations
    assert (violation.field, violation.reason) == ("graph.inputs[1].element_type", "ELEMENT_TYPE_MIXED")


def test_constants_have_the_element_type_of_the_inputs() -> None:
    """A constant of another type is refused where it stands; without inputs constants are float64."""
    mixed = [SEED.constants[0]._replace(element_type=2), *SEED.constants[1:]]
    with pytest.raises(InvalidGraph, match="the constant is float32, but input 'x1' is float64") as caught:
        check(SEED._replace(constants=mixed), LIMITS)
    assert caught.value.violations[0].field == "graph.constants[0].element_type"
    alone = GraphDraft((), [DraftConstant((), array(1.0), 2)], (), (), [DraftOutput("value", 0)])
    with pytest.raises(InvalidGraph, match="a function without inputs is float64"):
        check(alone, LIMITS)


def test_a_function_of_float32_is_another_one_with_its_constants_rounded() -> None:
    """Inputs and constants of float32 make a graph of that type, and the digest tells it from that of float64."""
    inputs = [entry._replace(element_type=2) for entry in SEED.inputs]
    constants = [entry._replace(element_type=2, values=entry.values + 1e-12) for entry in SEED.constants]
    graph = check(SEED._replace(inputs=inputs, constants=constants), LIMITS)
    wide = check(SEED, LIMITS)
    assert (graph.element_type, wide.element_type) == (ElementType.FLOAT32, ElementType.FLOAT64)
    assert graph.nodes == wide.nodes
    assert digest(canonicalize(graph)) != digest(canonicalize(wide))


def test_an_element_type_left_out_means_binary64() -> None:
    """Inputs need not say their element type."""
    inputs = [DraftInput(entry.name, entry.shape, 0) for entry in SEED.inputs]
    assert check(SEED._replace(inputs=inputs), LIMITS) == check(SEED, LIMITS)


def test_declared_inputs_alone_are_checked_alike() -> None:
    """The inputs declared for a formula obey the rules of those of a graph, under their own path."""
    assert check_inputs([DraftInput("x", [2, 3])], LIMITS, field="formula") == (Input("x", (2, 3)),)
    with pytest.raises(InvalidGraph) as caught:
        check_inputs([DraftInput("x", ()), DraftInput("x", ())], LIMITS, field="formula")
    assert caught.value.violations[0].field == "formula.inputs[1].name"
    few = replace(LIMITS, maximum_inputs=1)
    with pytest.raises(LimitExceeded) as passed:
        check_inputs([DraftInput("x", ()), DraftInput("y", ())], few, field="formula")
    assert passed.value.metadata == {"value": "2", "limit": "1", "knob": "maximum_inputs", "field": "formula"}


def test_names_of_nodes_are_free_but_not_endless() -> None:
    """People may call a node anything; a long name is cut, not refused."""
    graph = check(with_node(0, name="größe " * 100), LIMITS)
    assert {len(label) for label in graph.labels.values()} == {LIMITS.maximum_name_characters, len("product")}


def test_equal_values_and_constants_are_merged() -> None:
    """What a client sends twice is one value."""
    nodes = [DraftNode(0, [0, 1]), DraftNode(0, [0, 2]), DraftNode(0, [3, 4])]
    constants = [DraftConstant((), array(2.0))] * 2
    draft = GraphDraft([DraftInput("x", ())], constants, ["add"], nodes, [DraftOutput("value", 5)])
    assert len(check(draft, LIMITS).nodes) == 4


@pytest.mark.parametrize("seed", range(40))
def test_any_valid_graph_survives_being_sent(seed: int) -> None:
    """A random graph of arrays means the same after it was written as a draft and read."""
    graph = random_graph(seed, arrays=True)
    received = check(draft_of(graph), LIMITS)
    specify(received)
    rng = np.random.default_rng(seed)
    point = [rng.normal(size=entry.shape) for entry in graph.inputs]
    sent, back = plain_values(graph, point), plain_values(received, point)
    for entry in graph.outputs:
        assert same_bits(sent[entry.node], back[received.output(entry.name).node])


def count_calls(call: Callable[[], object]) -> int:
    """Return how many functions are called, in Python and in C: a measure of work that no busy machine changes."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(None)
    return calls


def backwards_chain(length: int) -> GraphDraft:
    """Return a chain whose every node refers forward, the worst case for telling cycles."""
    nodes = [DraftNode(0, [min(position + 2, length), 0]) for position in range(length)]
    return GraphDraft([DraftInput("x", ())], [], ["add"], nodes, [DraftOutput("value", 1)])


@pytest.mark.parametrize("make", [chain, backwards_chain])
def test_the_work_of_a_check_grows_with_the_size_of_the_draft(make: Callable[[int], GraphDraft]) -> None:
    """Twice the nodes take about twice the work, also when all of them are wrong."""

    def work(length: int) -> int:
        draft = make(length)

        def run() -> None:
            with contextlib.suppress(InvalidGraph):
                check(draft, LIMITS)

        return count_calls(run)

    assert work(4_000) < 2.2 * work(2_000)


def test_a_very_deep_draft_is_checked_without_recursion() -> None:
    """Two hundred thousand operations on top of one another are as good as ten."""
    graph = check(chain(200_000), LIMITS)
    assert len(graph.nodes) == 200_001


def test_checking_stops_at_a_checkpoint() -> None:
    """Whoever waits for a large graph may give up: the check looks up often, also while it tells what a cycle is."""

    def give_up() -> None:
        message = "enough"
        raise DeadlineExceeded(message)

    looks: list[None] = []
    check(chain(20_000), LIMITS, checkpoint=lambda: looks.append(None))
    assert len(looks) >= 20
    with pytest.raises(DeadlineExceeded):
        check(chain(20_000), LIMITS, checkpoint=give_up)


def test_wire_order_counts_inputs_then_constants_then_operations() -> None:
    """The tests' own drafts number values as the contract says."""
    graph = check(SEED, LIMITS)
    assert sorted(wire_order(graph)) == list(range(len(graph.nodes)))
    assert draft_of(graph).nodes[0].arguments == [0, 4]
