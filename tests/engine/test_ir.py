"""Graphs: hash-consing, constants by their bits, labels."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.ir import GraphBuilder, Input, Node, Output, Parameters, size

from tests.engine.building import random_graph, specify


def test_equal_expressions_are_one_value() -> None:
    """A value computed twice is stored once, so it is computed once."""
    builder = GraphBuilder([Input("x"), Input("y")])
    first = ops.emit(builder, "add", (0, 1))
    assert ops.emit(builder, "add", (0, 1)) == first
    assert ops.emit(builder, "add", (1, 0)) != first
    assert len(builder) == 4


@pytest.mark.parametrize("bits", [0, 1 << 63, 0x7FF8_0000_0000_0000, 0x7FF8_0000_0000_0001, 0xFFF8_0000_0000_0000])
def test_constants_keep_and_are_told_apart_by_their_bits(bits: int) -> None:
    """Zeros of both signs and NaNs with different payloads stay what the caller sent."""
    others = [0.0, -0.0, math.nan, 1.0]
    sent = np.frombuffer(struct.pack("<Q", bits), dtype="<f8").reshape(())
    builder = GraphBuilder()
    index = builder.constant(sent)
    assert builder[index].constant_array().tobytes() == struct.pack("<Q", bits)
    assert builder.constant(sent) == index
    for other in others:
        equal = struct.pack("<d", other) == sent.tobytes()
        assert (builder.constant(other) == index) == equal


def test_constants_of_different_shapes_differ() -> None:
    """The number 1.5, a vector of it and a matrix of it are three constants."""
    builder = GraphBuilder()
    assert len({builder.constant(1.5), builder.constant([1.5]), builder.constant([[1.5]])}) == 3


def test_a_constant_cannot_be_changed_from_outside() -> None:
    """Whoever reads a constant's elements cannot change the function by them."""
    builder = GraphBuilder()
    source = np.array([1.0, 2.0])
    index = builder.constant(source)
    source[0] = 9.0
    array = builder[index].constant_array()
    np.testing.assert_array_equal(array, [1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 3.0


@pytest.mark.parametrize("source", [np.array([[1, 2], [3, 4]]), np.array([[1.0, 3.0], [2.0, 4.0]]).T, [[1, 2], [3, 4]]])
def test_constants_are_row_major_binary64_whatever_they_came_as(source: object) -> None:
    """Integers, transposed arrays and lists give the same constant."""
    builder = GraphBuilder()
    assert builder.constant(np.array([[1.0, 2.0], [3.0, 4.0]])) == builder.constant(source)  # type: ignore[arg-type]


PARAMETERS: tuple[Parameters, ...] = (
    (),
    (("order", 2),),
    (("order", 2.0),),
    (("order", "2"),),
    (("order", (2,)),),
    (("order", 0.0),),
    (("order", -0.0),),
    (("other", 2),),
)


def test_parameters_are_told_apart_by_kind_and_bits() -> None:
    """An operation with the parameter 2 is another one than with 2.0, "2" or a list of 2, and 0.0 is not -0.0."""
    builder = GraphBuilder([Input("x")])
    indices = {builder.add(Node("made_up", (0,), (), parameters)) for parameters in PARAMETERS}
    assert len(indices) == len(PARAMETERS)


def test_equal_parameters_make_equal_operations() -> None:
    """The order of parameters and the identity of a NaN object make no difference."""
    builder = GraphBuilder([Input("x")])
    one = builder.add(Node("made_up", (0,), (), (("a", float("nan")), ("b", 1))))
    assert builder.add(Node("made_up", (0,), (), (("b", 1), ("a", float("nan"))))) == one
    assert GraphBuilder.extending(builder.build([])).add(builder[one]) == one


def test_only_constants_have_elements() -> None:
    """Asking an operation for its constant elements is a programming mistake and says so."""
    builder = GraphBuilder([Input("x")])
    with pytest.raises(TypeError, match="not a constant"):
        builder[ops.emit(builder, "exp", (0,))].constant_array()


def test_the_first_label_of_a_value_stays() -> None:
    """A value that people named twice keeps the first name."""
    builder = GraphBuilder([Input("x")])
    index = ops.emit(builder, "exp", (0,))
    builder.label(index, "growth")
    builder.label(index, "other")
    assert builder.build([Output("value", index)]).labels == {index: "growth"}


def test_extending_a_graph_keeps_indices_and_leaves_the_original_alone() -> None:
    """A graph that is built upon is not changed by it."""
    graph = random_graph(1)
    before = graph.nodes
    builder = GraphBuilder.extending(graph)
    assert tuple(builder) == before
    assert builder.add(before[-1]) == len(before) - 1
    ops.emit(builder, "add", (0, len(before) - 1))
    assert graph.nodes == before
    specify(builder.build(graph.outputs))


def test_a_builder_is_empty_once_finished() -> None:
    """A finished graph has the nodes, names and outputs of one that was built, and shares nothing with the builder."""
    builder = GraphBuilder.extending(random_graph(2, arrays=True))
    builder.label(3, "named")
    built = builder.build([Output("value", len(builder) - 1)])
    assert builder.finish(built.outputs) == built
    assert (len(builder), builder.inputs) == (0, ())
    assert builder.constant(1.0) == 0
    assert GraphBuilder.extending(built).add(built.nodes[5]) == 5


def test_the_nodes_of_a_graph_are_a_sequence() -> None:
    """Nodes are counted, sliced, counted from the end, compared and hashed like the tuple of them."""
    nodes = random_graph(3, arrays=True).nodes
    listed = tuple(nodes)
    assert len(nodes) == len(listed)
    assert [nodes[index] for index in range(-len(nodes), len(nodes))] == [*listed, *listed]
    assert nodes[3:-1:2] == listed[3:-1:2]
    assert nodes == listed
    assert nodes == nodes.copy()
    assert nodes != listed[:-1]
    assert nodes != list(listed)
    assert hash(nodes) == hash(listed)
    assert listed[4] in nodes
    for index in (len(nodes), -len(nodes) - 1):
        with pytest.raises(IndexError):
            nodes[index]


def test_only_scalar_constants_are_numbers() -> None:
    """A scalar constant is a number; an array, an input and an operation are none."""
    builder = GraphBuilder([Input("x")])
    places = [builder.constant(-0.5), builder.constant([1.0]), ops.emit(builder, "exp", (0,)), 0]
    assert [builder.nodes.number(place) for place in places] == [-0.5, None, None, None]


def test_a_matrix_of_points_has_a_column_for_each_element() -> None:
    """Scalars count once, arrays once for each element."""
    graph = GraphBuilder([Input("x"), Input("w", (2, 3))]).build([Output("x", 0)])
    assert graph.elements_per_point == 7
    assert (size(()), size((4,)), size((2, 0))) == (1, 4, 0)


def test_outputs_are_found_by_name() -> None:
    """An output is found by its name, and a wrong name is no other output."""
    graph = GraphBuilder([Input("x")]).build([Output("first", 0), Output("second", 0)])
    assert graph.output("second") == Output("second", 0)
    with pytest.raises(KeyError):
        graph.output("third")
