"""Rebuilding and pruning: the walks that passes are made of."""

from __future__ import annotations

import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Node, Output
from gradmill_server.engine.passes.rewrite import needed, prune, rebuild

from tests.engine.building import plain_values, random_graph, same_bits, specify


def keep(_builder: GraphBuilder, _node: Node) -> int | None:
    """Change nothing."""
    return None


def show_all(graph: Graph) -> list[tuple[str, object]]:
    """Return each output's name and value at a fixed point."""
    values = plain_values(graph, [0.3, -1.2, 2.5])
    return [(entry.name, values[entry.node]) for entry in graph.outputs]


@pytest.mark.parametrize("seed", range(30))
def test_pruning_and_rebuilding_keep_the_function(seed: int) -> None:
    """What no output needs goes away, everything else keeps its value, and the result is a graph again."""
    graph = random_graph(seed)
    for changed in (prune(graph), rebuild(graph, keep)):
        specify(changed)
        for (name, value), (old_name, old_value) in zip(show_all(changed), show_all(graph), strict=True):
            assert name == old_name
            assert same_bits(value, old_value)  # type: ignore[arg-type]
        marks = needed(changed)
        assert all(marks[len(changed.inputs) :])


def test_unused_inputs_stay() -> None:
    """A point still has a place for an input that the function ignores."""
    builder = GraphBuilder([Input("x"), Input("unused")])
    graph = prune(builder.build([Output("value", ops.emit(builder, "exp", (0,)))]))
    assert [node.is_input for node in graph.nodes] == [True, True, False]


def test_labels_follow_their_values() -> None:
    """A name that people gave stays with its value when others are dropped or replaced."""
    builder = GraphBuilder([Input("x")])
    dead = ops.emit(builder, "cos", (0,))
    inner = ops.emit(builder, "negate", (0,))
    outer = ops.emit(builder, "exp", (inner,))
    for index, name in ((dead, "dead"), (inner, "inner"), (outer, "outer")):
        builder.label(index, name)
    graph = builder.build([Output("value", outer)])
    assert prune(graph).labels == {1: "inner", 2: "outer"}

    def exp_to_sin(builder: GraphBuilder, node: Node) -> int | None:
        return ops.emit(builder, "sin", node.arguments) if node.operation == "exp" else None

    changed = rebuild(graph, exp_to_sin)
    assert [changed.nodes[index].operation for index, name in changed.labels.items() if name == "outer"] == ["sin"]


def test_a_rule_is_tried_only_where_it_is_triggered() -> None:
    """A pass that says what it looks for is asked about those operations alone, whichever operand it is."""
    builder = GraphBuilder([Input("x"), Input("y")])
    growth, wave = ops.emit(builder, "exp", (0,)), ops.emit(builder, "sin", (1,))
    pairs = [("add", (0, growth)), ("add", (growth, wave)), ("add", (wave, 0)), ("multiply", (growth, growth))]
    outputs = [Output(f"out_{place}", ops.emit(builder, *pair)) for place, pair in enumerate(pairs)]
    tried: list[tuple[str, tuple[int, ...]]] = []

    def note(_builder: GraphBuilder, node: Node) -> int | None:
        tried.append((node.operation, node.arguments))
        return None

    graph = builder.build(outputs)
    assert rebuild(graph, note, triggers={"add": {"exp"}, "negate": {"sin"}}) == graph
    assert tried == pairs[:2]
    rebuild(graph, note)
    assert len(tried) == 2 + 6


def test_values_that_become_equal_become_one() -> None:
    """Common subexpressions that appear by a rewrite are computed once."""
    builder = GraphBuilder([Input("x")])
    double = ops.emit(builder, "negate", (ops.emit(builder, "negate", (0,)),))
    total = ops.emit(builder, "multiply", (ops.emit(builder, "exp", (0,)), ops.emit(builder, "exp", (double,))))

    def cancel(builder: GraphBuilder, node: Node) -> int | None:
        inner = builder[node.arguments[0]]
        return inner.arguments[0] if node.operation == inner.operation == "negate" else None

    graph = rebuild(builder.build([Output("value", total)]), cancel)
    assert [node.operation for node in graph.nodes] == ["input", "exp", "multiply"]
    specify(graph)
