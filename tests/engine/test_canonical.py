"""The canonical form and the digest: the contract's vectors, and what must not and what must make a difference."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from gradmill.v1 import graph_pb2
from gradmill_server.engine import ops
from gradmill_server.engine.canonical import DIGEST_BYTES, body_of, canonical_bytes, canonicalize, digest
from gradmill_server.engine.check import (
    DraftConstant,
    DraftInput,
    DraftNode,
    DraftOutput,
    GraphDraft,
    check,
)
from gradmill_server.engine.checkpoints import Checkpoint
from gradmill_server.engine.element_types import ElementType, widened
from gradmill_server.engine.errors import DeadlineExceeded
from gradmill_server.engine.ir import (
    Body,
    FloatArray,
    Graph,
    GraphBuilder,
    Input,
    Node,
    Output,
    ParameterValue,
    Shape,
    bodies_of,
)
from gradmill_server.engine.shapes import broadcast

from tests import REPOSITORY
from tests.engine.building import LIMITS, Countdown, addition_chain, draft_of, function, number, random_graph, specify

VECTORS: list[dict[str, Any]] = json.loads((REPOSITORY / "proto" / "digest_vectors.json").read_text("utf-8"))["vectors"]
MESSAGES = {vector["name"]: json_format.ParseDict(vector["graph"], graph_pb2.Graph()) for vector in VECTORS}


def elements_of(array: graph_pb2.Array) -> FloatArray:
    """Return a constant's elements as float64, in whichever form it has them."""
    if not array.data:
        return np.array(array.values, dtype="<f8")
    if array.element_type == graph_pb2.ELEMENT_TYPE_FLOAT32:
        return widened(np.frombuffer(array.data, dtype="<f4"))
    return np.frombuffer(array.data, dtype="<f8")


def draft_from(message: graph_pb2.Graph) -> GraphDraft:
    """Return the draft of a message without parameters."""
    return GraphDraft(
        inputs=[DraftInput(entry.name, entry.shape, entry.element_type) for entry in message.inputs],
        constants=[DraftConstant(array.shape, elements_of(array), array.element_type) for array in message.constants],
        operation_names=message.operation_names,
        nodes=[DraftNode(node.operation, node.arguments, (), node.name) for node in message.nodes],
        outputs=[DraftOutput(entry.name, entry.value) for entry in message.outputs],
    )


def built_from(message: graph_pb2.Graph) -> Graph:
    """Return the graph of a message whose operations need not exist."""
    bodies: list[Body] = []
    for body in message.functions:
        bodies.append(body_of(built_with(body, bodies)))
    return built_with(message, bodies)


def built_with(message: graph_pb2.Graph, bodies: Sequence[Body]) -> Graph:
    """Return the graph of a message, given the bodies that it may name."""
    builder = GraphBuilder(
        [Input(entry.name, tuple(entry.shape), ElementType(entry.element_type or 1)) for entry in message.inputs]
    )
    values = list(range(len(builder)))
    values += [builder.constant(elements_of(array).reshape(tuple(array.shape))) for array in message.constants]
    for node in message.nodes:
        name = message.operation_names[node.operation]
        parameters = tuple((entry.name, parameter_value(entry, bodies)) for entry in node.parameters)
        arguments = tuple(values[argument] for argument in node.arguments)
        values.append(builder.add(Node(name, arguments, shape_of(builder, name, arguments), parameters)))
    return builder.build([Output(entry.name, values[entry.value]) for entry in message.outputs])


def shape_of(builder: GraphBuilder, name: str, arguments: tuple[int, ...]) -> Shape:
    """Return the shape of a made-up operation: that of an element-wise one."""
    return broadcast(name, [builder[argument].shape for argument in arguments])


def parameter_value(parameter: graph_pb2.Parameter, bodies: Sequence[Body]) -> ParameterValue:
    """Return a parameter as the engine holds it."""
    kind = parameter.WhichOneof("value")
    assert kind is not None
    if kind == "function":
        return bodies[parameter.function]
    return tuple(parameter.integers.values) if kind == "integers" else getattr(parameter, kind)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_the_server_agrees_with_every_digest_vector(vector: dict[str, Any]) -> None:
    """The canonical bytes and the digest are those published for other implementations."""
    canonical = canonicalize(built_from(MESSAGES[vector["name"]]))
    assert canonical_bytes(canonical).hex() == vector["canonical"]
    assert digest(canonical).hex() == vector["digest"]
    if not vector["structural"] and not any(node.parameters for node in MESSAGES[vector["name"]].nodes):
        checked = canonicalize(check(draft_from(MESSAGES[vector["name"]]), LIMITS))
        specify(checked)
        assert digest(checked).hex() == vector["digest"]


def test_nearly_all_vectors_are_functions_the_server_accepts() -> None:
    """The vectors are about functions that people send."""
    assert sum(not vector["structural"] for vector in VECTORS) > len(VECTORS) / 2


def rearranged(draft: GraphDraft, seed: int) -> GraphDraft:
    """Return the same function with values in another order, some given twice, and some that nothing needs."""
    rng = random.Random(seed)
    inputs, constants = len(draft.inputs), len(draft.constants)
    order = rng.sample(range(constants), constants)
    sent = list(range(inputs)) + [0] * (constants + len(draft.nodes))
    for position, constant in enumerate(order):
        sent[inputs + constant] = inputs + position
    new_constants = [draft.constants[constant] for constant in order] + [DraftConstant((), np.array([123.0]))]
    names = rng.sample(draft.operation_names, len(draft.operation_names))
    first = inputs + len(new_constants)
    nodes: list[DraftNode] = []
    waiting = list(range(len(draft.nodes)))
    old_first = inputs + constants
    done: set[int] = set()
    while waiting:
        ready = [
            position
            for position in waiting
            if all(argument < old_first or argument - old_first in done for argument in draft.nodes[position].arguments)
        ]
        position = rng.choice(ready)
        waiting.remove(position)
        done.add(position)
        node = draft.nodes[position]
        operation = names.index(draft.operation_names[node.operation])
        changed = DraftNode(operation, [sent[argument] for argument in node.arguments])
        nodes += [changed] * rng.choice([1, 1, 2])
        if rng.random() < 0.3:
            nodes.append(changed._replace(arguments=[rng.randrange(first) for _ in node.arguments]))
            sent[old_first + position] = first + len(nodes) - 2
        else:
            sent[old_first + position] = first + len(nodes) - 1
    outputs = [DraftOutput(entry.name, sent[entry.value]) for entry in draft.outputs]
    return GraphDraft(draft.inputs, new_constants, names, nodes, outputs)


@pytest.mark.parametrize("seed", range(60))
def test_the_way_of_writing_makes_no_difference(seed: int) -> None:
    """Another order, values given twice and values nobody needs leave the digest as it is."""
    original = random_graph(seed, operations=20)
    expected = digest(canonicalize(original))
    assert len(expected) == DIGEST_BYTES == 32
    for variant in range(3):
        graph = check(rearranged(draft_of(original), 100 * seed + variant), LIMITS)
        assert digest(canonicalize(graph)) == expected


@pytest.mark.parametrize("seed", range(60))
def test_a_canonical_graph_is_a_graph_and_its_own_canonical_form(seed: int) -> None:
    """The canonical form keeps all that a graph promises, and making it again changes nothing."""
    canonical = canonicalize(random_graph(seed, arrays=True))
    specify(canonical)
    assert canonicalize(canonical) == canonical
    needed = {entry.node for entry in canonical.outputs}
    for index in range(len(canonical.nodes) - 1, len(canonical.inputs) - 1, -1):
        assert index in needed
        needed.update(canonical.nodes[index].arguments)


def digest_of_constant(*patterns: int) -> bytes:
    """Return the digest of x + c, for a constant of these bits."""
    data = np.frombuffer(struct.pack(f"<{len(patterns)}Q", *patterns), dtype="<f8")
    return digest(canonicalize(function(lambda x: x + number(x, data), "x")))


def test_every_bit_of_a_constant_counts() -> None:
    """Zeros of both signs, neighbours, and NaNs with different payloads are different functions."""
    one = struct.unpack("<Q", struct.pack("<d", 1.0))[0]
    patterns = [0, 1 << 63, one, one + 1, 0x7FF8 << 48, (0x7FF8 << 48) + 1, 0xFFF8 << 48, 0x7FF0 << 48, 1]
    assert len({digest_of_constant(pattern) for pattern in patterns}) == len(patterns)
    assert digest_of_constant(one, 0) != digest_of_constant(one, 1 << 63)


DIFFERENT = [
    function(lambda x, y: x + y, "x", "y"),
    function(lambda x, y: y + x, "x", "y"),
    function(lambda x, y: x - y, "x", "y"),
    function(lambda x, y: x + y, "x", "z"),
    function(lambda y, x: x + y, "y", "x"),
    function(lambda x, y, _z: x + y, "x", "y", "z"),
    function(lambda x, y: x + y, Input("x", (1,)), "y"),
    function(lambda x, y: x + y, Input("x", (2,)), "y"),
    function(lambda x, y: x + y, Input("x", (2, 1)), "y"),
    function(lambda x, y: {"sum": x + y}, "x", "y"),
    function(lambda x, y: {"value": x + y, "again": x + y}, "x", "y"),
    function(lambda x, y: {"again": x + y, "value": x + y}, "x", "y"),
    function(lambda x, y: (x + y) * number(x, 1.0), "x", "y"),
    function(lambda x, y: (x + y) * number(x, [1.0]), "x", "y"),
]


def test_whatever_makes_another_function_makes_another_digest() -> None:
    """Operand order, names, input order, shapes, unused inputs, outputs and their order all count."""
    assert len({digest(canonicalize(graph)) for graph in DIFFERENT}) == len(DIFFERENT)


def applied(body: Graph) -> Graph:
    """Return a graph whose one operation has a body."""
    builder = GraphBuilder([Input("x"), Input("y")])
    index = builder.add(Node("apply", (0, 1), (), (("function", body_of(body)),)))
    return builder.build([Output("value", index)])


def test_a_body_counts_by_the_digest_of_its_own_canonical_form() -> None:
    """The bytes of a parameter that is a function are kind 5 and 32 bytes, its digest, however it was written."""
    graph = applied(DIFFERENT[0])
    written = canonical_bytes(canonicalize(graph))
    assert b"function\x05" + digest(canonicalize(DIFFERENT[0])) in written
    roundabout = function(lambda x, y: {"value": x + y, "unused": x * y}, "x", "y")
    roundabout = replace(roundabout, outputs=roundabout.outputs[:1])
    assert canonical_bytes(canonicalize(applied(roundabout))) == written
    assert len({digest(canonicalize(applied(body))) for body in DIFFERENT}) == len(DIFFERENT)


def test_equal_bodies_make_equal_nodes() -> None:
    """Two operations with bodies of one digest and the same arguments are one value; another body makes another."""
    builder = GraphBuilder([Input("x"), Input("y")])
    bodies = [body_of(DIFFERENT[0]), body_of(canonicalize(DIFFERENT[0])), body_of(DIFFERENT[1])]
    indices = [builder.add(Node("apply", (0, 1), (), (("function", body),))) for body in bodies]
    assert indices == [2, 2, 3]
    assert bodies[0] == bodies[1] != bodies[2]


def test_bodies_come_after_those_that_they_use() -> None:
    """Each body of a graph is listed once, the innermost first, however deep they stand in one another."""
    graphs = [DIFFERENT[0]]
    for _ in range(3_000):
        graphs.append(applied(graphs[-1]))
    assert [len(body.digest) for body in bodies_of(graphs[3])] == [32] * 3
    assert bodies_of(graphs[3]) == [body_of(graph) for graph in graphs[:3]]
    assert len(bodies_of(graphs[-1])) == 3_000


def test_names_of_nodes_do_not_count_but_survive() -> None:
    """Labels that people give to values are kept through the canonical form and leave the digest alone."""
    builder = GraphBuilder([Input("x")])
    ops.emit(builder, "cos", (0,))
    index = ops.emit(builder, "exp", (0,))
    plain = builder.build([Output("value", index)])
    builder.label(index, "growth")
    builder.label(index - 1, "unused")
    labelled = canonicalize(builder.build([Output("value", index)]))
    assert labelled.labels == {1: "growth"}
    assert digest(labelled) == digest(canonicalize(plain))


def test_a_chain_of_two_hundred_thousand_operations_has_a_digest() -> None:
    """Depth is no obstacle: neither recursion nor quadratic work."""
    graph = canonicalize(addition_chain(200_000))
    assert len(graph.nodes) == 200_002
    assert canonicalize(graph).nodes == graph.nodes
    assert len(canonical_bytes(graph)) > 200_000 * 20


@pytest.mark.parametrize("work", [canonicalize, digest])
def test_finding_the_canonical_form_stops_at_a_checkpoint(work: Callable[[Graph, Checkpoint], object]) -> None:
    """Whoever waits for a large function may give up: both walks over it look up often, on the way down as well."""
    graph = addition_chain(20_000)
    looks: list[None] = []
    work(graph, lambda: looks.append(None))
    assert len(looks) >= 20
    for allowed in (0, len(looks) // 2):
        with pytest.raises(DeadlineExceeded):
            work(graph, Countdown(allowed))


def test_a_wide_sum_of_shared_values_is_numbered_once_each() -> None:
    """A value used by thousands of others is visited once: sharing costs nothing."""
    builder = GraphBuilder([Input("x")])
    layer = [ops.emit(builder, "add", (0, builder.constant(float(position)))) for position in range(300)]
    total = layer[0]
    for left in layer:
        for right in layer[::10]:
            total = ops.emit(builder, "add", (total, ops.emit(builder, "multiply", (left, right))))
    graph = canonicalize(builder.build([Output("value", total)]))
    specify(graph)
    assert len(graph.nodes) == len(builder)
