"""The check of drafts under mutation: a named refusal or the right meaning, whatever is sent."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from gradmill_server.engine import ops
from gradmill_server.engine.check import DraftConstant, DraftInput, DraftOutput, GraphDraft, check
from gradmill_server.engine.errors import EngineError, InvalidGraph
from gradmill_server.engine.ir import FloatArray, Graph
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.building import LIMITS, draft_of, plain_values, random_graph, same_bits, specify

Entry = TypeVar("Entry")
STRANGE_INTEGERS = st.sampled_from([-1, 0, 1, 2, 3, 5, 8, 13, 40, 2**31, 2**63, 2**64 - 1])
STRANGE_NAMES = st.sampled_from(["", "x", "y", "out_0", "1x", "x y", "x" * 200, "é", "\0", "strong_product", "exp"])
STRANGE_SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 2**63]), max_size=10)


def replaced(entries: Sequence[Entry], position: int, entry: Entry) -> list[Entry]:
    """Return the entries with one of them exchanged, or this one alone where there is none."""
    changed = list(entries)
    changed[position % len(entries) if entries else 0 : position % len(entries) + 1 if entries else 1] = [entry]
    return changed


@st.composite
def mutated(draw: st.DrawFn) -> GraphDraft:
    """Draw a valid draft with a few strange changes, some of which leave it valid."""
    draft = draft_of(random_graph(draw(st.integers(0, 30)), operations=8, arrays=draw(st.booleans())))
    for _ in range(draw(st.integers(1, 4))):
        draft = draw(st.sampled_from(MUTATIONS))(draw, draft)
    return draft


def mutate_argument(draw: st.DrawFn, draft: GraphDraft) -> GraphDraft:
    """Send one argument somewhere else."""
    position = draw(st.integers(0, 20))
    node = draft.nodes[position % len(draft.nodes)]
    arguments = replaced(node.arguments, draw(st.integers(0, 3)), draw(STRANGE_INTEGERS))
    return draft._replace(nodes=replaced(draft.nodes, position, node._replace(arguments=arguments)))


def mutate_node(draw: st.DrawFn, draft: GraphDraft) -> GraphDraft:
    """Change a node's operation, number of arguments, parameters or name."""
    position = draw(st.integers(0, 20))
    node = draft.nodes[position % len(draft.nodes)]
    changed = draw(
        st.sampled_from(
            [
                node._replace(operation=draw(STRANGE_INTEGERS)),
                node._replace(arguments=list(node.arguments)[1:]),
                node._replace(arguments=[*node.arguments, draw(STRANGE_INTEGERS)]),
                node._replace(parameters=(("axis", 0),)),
                node._replace(name=draw(STRANGE_NAMES)),
            ]
        )
    )
    return draft._replace(nodes=replaced(draft.nodes, position, changed))


def mutate_order(draw: st.DrawFn, draft: GraphDraft) -> GraphDraft:
    """Shuffle, repeat or drop nodes, or the names of operations."""
    rng = random.Random(draw(st.integers(0, 1000)))
    nodes, names = list(draft.nodes), list(draft.operation_names)
    shuffled = rng.sample(nodes, len(nodes))
    return draw(
        st.sampled_from(
            [
                draft._replace(nodes=shuffled),
                draft._replace(nodes=nodes + nodes[-1:]),
                draft._replace(nodes=nodes[:-1]),
                draft._replace(operation_names=rng.sample(names, len(names))),
                draft._replace(operation_names=replaced(names, rng.randrange(9), draw(STRANGE_NAMES))),
            ]
        )
    )


def mutate_constant(draw: st.DrawFn, draft: GraphDraft) -> GraphDraft:
    """Give a constant another shape or another number of elements."""
    constant = DraftConstant(draw(STRANGE_SHAPES), np.ones(draw(st.integers(0, 6))))
    return draft._replace(constants=replaced(draft.constants, draw(st.integers(0, 3)), constant))


def mutate_ends(draw: st.DrawFn, draft: GraphDraft) -> GraphDraft:
    """Change, repeat or drop inputs and outputs."""
    entry = DraftInput(draw(STRANGE_NAMES), draw(STRANGE_SHAPES), draw(st.integers(0, 2)))
    output = DraftOutput(draw(STRANGE_NAMES), draw(STRANGE_INTEGERS))
    return draw(
        st.sampled_from(
            [
                draft._replace(inputs=replaced(draft.inputs, draw(st.integers(0, 3)), entry)),
                draft._replace(inputs=[*draft.inputs, entry]),
                draft._replace(inputs=draft.inputs[1:]),
                draft._replace(outputs=[*draft.outputs, output]),
                draft._replace(outputs=replaced(draft.outputs, draw(st.integers(0, 3)), output)),
                draft._replace(outputs=[]),
            ]
        )
    )


MUTATIONS: list[Callable[[st.DrawFn, GraphDraft], GraphDraft]] = [
    mutate_argument,
    mutate_node,
    mutate_order,
    mutate_constant,
    mutate_ends,
]


def values_of(draft: GraphDraft, point: Sequence[FloatArray]) -> list[FloatArray]:
    """Return every value of a draft at a point, straight from what was sent."""
    values = [*point, *(np.reshape(entry.values, tuple(entry.shape)) for entry in draft.constants)]
    with np.errstate(all="ignore"):
        for node in draft.nodes:
            row = ops.TABLE[draft.operation_names[node.operation]]
            values.append(np.asarray(row.value(*(values[argument] for argument in node.arguments))))
    return values


def outcome_of(draft: GraphDraft) -> Graph | EngineError:
    """Return the graph a draft means, or how it was refused."""
    try:
        return check(draft, LIMITS)
    except EngineError as error:
        return error


@settings(max_examples=400)
@given(draft=mutated())
def test_a_mutated_draft_is_refused_by_name_or_means_what_it_says(draft: GraphDraft) -> None:
    """Whatever is sent, the answer is the graph it means or a refusal that names the mistake, and never a crash."""
    outcome = outcome_of(draft)
    if isinstance(outcome, EngineError):
        assert outcome.reason.isupper()
        assert outcome.reason != "GRAPH_INVALID"
        assert outcome.metadata["field"].startswith("graph")
        assert 0 < len(outcome.violations) <= 20 or not isinstance(outcome, InvalidGraph)
        assert str(outcome).isprintable()
        return
    specify(outcome)
    rng = np.random.default_rng(0)
    point = [rng.normal(size=entry.shape) for entry in outcome.inputs]
    sent, received = values_of(draft, point), plain_values(outcome, point)
    for entry in draft.outputs:
        assert same_bits(sent[entry.value], received[outcome.output(entry.name).node])
