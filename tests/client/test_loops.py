"""Loops that stay loops: how a body becomes a function of its own, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gradmill as gm
import numpy as np
import pytest
from gradmill.canonical import canonicalize, digest
from gradmill.graph import Body, Constant, Input, Operation, bodies_of
from gradmill.sources import as_source
from gradmill.structures import MAXIMUM_DEPTH
from gradmill.wire import read_graph


def loops(value: gm.Expression) -> list[Operation]:
    """Return the loops of a function."""
    return [
        entry for entry in value.as_function().graph.values if isinstance(entry, Operation) and entry.name == "scan"
    ]


def parameters(operation: Operation) -> dict[str, Any]:
    """Return an operation's parameters by name."""
    return {parameter.name: parameter.value for parameter in operation.parameters}


def body_of(value: gm.Expression) -> Body:
    """Return the body of a function's only loop."""
    (loop,) = loops(value)
    body = parameters(loop)["function"]
    assert isinstance(body, Body)
    return body


def test_a_scan_is_one_operation_and_its_parts() -> None:
    """The last carry and the stacked results are cut out of the loop's flat result, in the normal form of slices."""
    level, rates = gm.inputs({"level": (), "rates": (4,)})
    final, history = gm.scan(lambda state, rate: (state * (1 + rate), state), level, rates)
    assert (final.shape, history.shape) == ((), (4,))
    loop, part, shaped = final.as_function().graph.values
    assert isinstance(loop, Operation)
    assert (loop.name, loop.arguments) == ("scan", (0, 1))
    assert {name: value for name, value in parameters(loop).items() if name != "function"} == {
        "steps": 4, "carries": 1, "sequences": 1,
    }  # fmt: skip
    assert isinstance(part, Operation)
    assert parameters(part) == {"starts": (0,), "counts": (1,), "steps": (1,)}
    assert isinstance(shaped, Operation)
    assert parameters(shaped) == {"shape": ()}
    (_, stacked) = history.as_function().graph.values
    assert isinstance(stacked, Operation)
    assert parameters(stacked) == {"starts": (1,), "counts": (4,), "steps": (1,)}


def test_a_body_is_a_function_of_carries_elements_and_constants() -> None:
    """A body has an input for each carry, each element, and each value from outside, in the order of their need."""
    a, b, rows = gm.inputs({"a": (), "b": (2,), "rows": (5, 2)})
    value = gm.fold(lambda state, row: state * b + row * (a + 0), np.zeros(2), rows)
    body = body_of(value)
    assert body.graph.inputs == (
        Input("carry0", (2,)), Input("element0", (2,)), Input("constant0", (2,)), Input("constant1", ()),
    )  # fmt: skip
    assert [entry.name for entry in body.graph.outputs] == ["carry0"]
    assert body.output_shapes == ((2,),)
    (loop,) = loops(value)
    graph = value.as_function().graph
    assert [graph.values[number - 3] if number > 2 else graph.inputs[number].name for number in loop.arguments] == [
        Constant((2,), bytes(16)), "rows", "b", graph.values[loop.arguments[3] - 3],
    ]  # fmt: skip


def test_values_nobody_needs_are_no_constants_of_a_body() -> None:
    """What a body computes and drops is left out, with all that it would have needed."""
    a, b, x = gm.inputs({"a": (), "b": (), "x": (3,)})

    def body(state: gm.Expression, element: gm.Expression) -> gm.Expression:
        gm.exp(a)
        return state * b + element

    assert len(body_of(gm.fold(body, 0.0, x)).graph.inputs) == 3


def test_equal_loops_are_one_loop() -> None:
    """The same loop written twice, with constants used in another order of tracing, is one value."""
    a, x = gm.inputs({"a": (), "x": (3,)})

    def other_way(state: gm.Expression, element: gm.Expression) -> gm.Expression:
        _ = element * 2
        shift = a + 1
        return state * element + shift

    first = gm.fold(lambda state, element: state * element + (a + 1), 0.0, x)
    second = gm.fold(other_way, 0.0, x)
    assert first.digest == second.digest
    assert len(loops(first + second)) == 1


def test_a_loop_needs_no_traced_argument_when_its_body_has_one() -> None:
    """A loop whose only traced value is one that its body uses from outside belongs to that value's function."""
    x = gm.inputs("x")
    power = gm.fold(lambda state, _: state * x, 1.0, steps=5)
    assert power.inputs == x.inputs
    assert parameters(loops(power)[0])["steps"] == 5
    with pytest.raises(TypeError, match="scan: no operand is traced"):
        gm.fold(lambda state, _: state * 2, 1.0, steps=5)


def test_carries_sequences_and_results_can_be_containers() -> None:
    """Tuples, named tuples, lists and dicts are taken apart, and results come arranged like them."""

    class State(NamedTuple):
        place: Any
        speeds: Any

    x, v, forces = gm.inputs({"x": (), "v": (2,), "forces": (6, 2)})

    def body(state: State, element: dict[str, gm.Expression]) -> tuple[State, list[Any]]:
        speeds = state.speeds + element["force"] * element["weight"]
        return State(state.place + speeds.sum(), speeds), [state.place, {"fast": speeds.max(), "none": None}]

    final, [places, named] = gm.scan(body, State(x, v), {"force": forces, "weight": np.arange(6.0)})
    assert isinstance(final, State)
    assert (final.place.shape, final.speeds.shape, places.shape, named["fast"].shape) == ((), (2,), (6,), (6,))
    assert named["none"] is None


def test_the_order_of_a_dict_makes_no_difference() -> None:
    """A dict is taken apart in the order of its keys, however it was put together."""
    x, y = gm.inputs("x", "y")
    one = gm.fold(lambda state, _: {"b": state["a"], "a": state["b"] * 2}, {"a": x, "b": y}, steps=3)
    other = gm.fold(lambda state, _: {"a": state["b"] * 2, "b": state["a"]}, {"b": y, "a": x}, steps=3)
    assert one["a"].digest == other["a"].digest


def test_reverse_is_written_only_when_set() -> None:
    """A loop from the last element to the first is another function."""
    rows = gm.inputs("rows", shape=(4,))
    forward, _ = gm.scan(lambda state, row: (state * row, None), 1.0, rows)
    backward, _ = gm.scan(lambda state, row: (state * row, None), 1.0, rows, reverse=True)
    assert "reverse" not in parameters(loops(forward)[0])
    assert parameters(loops(backward)[0])["reverse"] == 1


def test_map_stacks_what_its_body_returns() -> None:
    """A function of the elements is a loop without carries."""
    a, rows, scales = gm.inputs({"a": (), "rows": (4, 3), "scales": (4,)})
    total, scaled = gm.map(lambda row, scale: (row.sum() + a, row * scale), rows, scales)
    assert (total.shape, scaled.shape) == ((4,), (4, 3))
    assert parameters(loops(total)[0])["carries"] == 0
    assert gm.map(lambda row: row @ row, rows).shape == (4,)


def test_loops_stand_in_loops() -> None:
    """An inner loop may use what the outer body and what lies around both have traced."""
    a, rows = gm.inputs({"a": (), "rows": (4, 3)})

    def outer(state: gm.Expression, row: gm.Expression) -> object:
        return gm.fold(lambda inner, element: inner * element + state + a, 0.0, row)

    value = gm.fold(outer, 0.0, rows)
    body = body_of(value)
    (inner,) = [entry for entry in body.graph.values if isinstance(entry, Operation) and entry.name == "scan"]
    assert [entry.name for entry in body.graph.inputs] == ["carry0", "element0", "constant0"]
    assert len(inner.arguments) == 4
    assert len(bodies_of(value.as_function().graph)) == 2


def test_inner_loops_find_what_lies_around_through_bodies_without_arguments() -> None:
    """The function that all belong to may turn up only in the innermost body."""
    x = gm.inputs("x")
    value = gm.fold(lambda c, _: gm.fold(lambda d, _: d * x + c, 0.0, steps=2), 1.0, steps=3)
    assert value.inputs == x.inputs
    assert len(bodies_of(value.as_function().graph)) == 2


def test_a_loop_is_sent_as_it_was_traced() -> None:
    """What is sent for a function with loops is the function that its digest names."""
    a, rows = gm.inputs({"a": (), "rows": (4, 3)})
    value = gm.fold(lambda c, row: gm.fold(lambda d, e: d * e + c * a, c, row), 0.0, rows)
    message = as_source(value).message()
    assert len(message.graph.functions) == 2
    assert digest(canonicalize(read_graph(message.graph))) == value.digest


def test_the_digest_of_a_loop_does_not_depend_on_the_names_around_it() -> None:
    """A body's inputs are named by what they are, whatever the user calls them."""
    one, other = gm.inputs("rows", shape=(4,)), gm.inputs("zeilen", shape=(4,))
    first = body_of(gm.fold(lambda c, e: c * e, 1.0, one))
    second = body_of(gm.fold(lambda anders, wert: anders * wert, 1.0, other))
    assert first == second
    assert hash(first) == hash(second)


def two_lengths(x: gm.Expression) -> object:
    """Give a loop two sequences of different lengths."""
    return gm.fold(lambda c, e: c + e[0] + e[1], 0.0, (x, np.ones(2)))


MISTAKES: list[tuple[Callable[[gm.Expression], object], str]] = [
    (lambda x: gm.fold(lambda c, _: c + x, 0.0, steps=2), r"fold: the carry changes its shape from \(\) to \(3,\)"),
    (
        lambda x: gm.scan(lambda c, _: ((c, c), None), x, steps=2),
        r"scan: the carry is \* before a step, and \(\*, \*\) a",
    ),
    (
        lambda x: gm.fold(lambda c, _: {"b": c["a"]}, {"a": x}, steps=2),
        r"carry is {'a': \*} before a step, and {'b': \*}",
    ),
    (two_lengths, r"fold: shapes \(3,\) and \(2,\) of sequences have different lengths"),
    (
        lambda x: gm.fold(lambda c, e: c + e, 0.0, x, steps=4),
        r"fold: shape \(3,\) of a sequence does not have .*steps=4",
    ),
    (lambda x: gm.fold(lambda c, e: c + e, 0.0, x[0]), r"fold: shape \(\) is that of a scalar, not of a sequence"),
    (lambda x: gm.fold(lambda c, _: c, x), "fold: the number of steps is missing"),
    (lambda x: gm.fold(lambda c, _: c, x, steps=0), "fold: steps=0, but a loop has at least one step"),
    (lambda x: gm.fold(lambda c, _: c, x, steps=2**63), "scan: .* came with a number beyond 64 bits as 'steps'"),
    (lambda x: gm.scan(lambda c, _: c, x, steps=2), "scan: the body returned Expression, not a pair"),
    (lambda x: gm.scan(lambda *_: (None, None), None, x), "scan: the body returns nothing"),
    (lambda x: gm.fold(lambda c, _: c if c[0] > 0 else -c, x, steps=2), "neither true nor false"),
    (lambda x: gm.fold(lambda c, _: c @ np.eye(4), x, steps=2), r"matmul: shapes \(3,\) and \(4, 4\) do not multiply"),
    (lambda x: gm.fold(lambda c, _: c * gm.inputs("y"), x, steps=2), "operands come from two different sets"),
    (lambda x: gm.fold(lambda c, _: c * 1.0, x, steps=2) + gm.inputs("y"), "operands come from two different sets"),
]


@pytest.mark.parametrize(("mistake", "problem"), MISTAKES)
def test_a_mistake_is_shown_with_the_line(mistake: Callable[[gm.Expression], object], problem: str) -> None:
    """Whatever does not fit is told at once, with the shapes, the file and the line."""
    x = gm.inputs("x", shape=(3,))
    with pytest.raises(gm.TracingError, match=problem) as caught:
        mistake(x)
    assert f"test_loops.py, line {caught.value.metadata['line']}" in str(caught.value)


@pytest.mark.parametrize("foreign", ["text", {1: 2.0}, {2.0, 3.0}, 1j])
def test_what_is_no_value_is_no_carry(foreign: object) -> None:
    """A carry holds numbers, arrays, traced values and containers of these; what else is there is named by its type."""
    with pytest.raises(TypeError, match=f"fold: {type(foreign).__name__} is neither a traced value nor"):
        gm.fold(lambda c, _: c, foreign, steps=2)


def test_containers_end_somewhere() -> None:
    """Containers in containers without end are refused, not walked until the stack overflows."""
    nested: list[Any] = [gm.inputs("x")]
    for _ in range(MAXIMUM_DEPTH):
        nested = [nested]
    with pytest.raises(gm.TracingError, match="containers stand in each other more than 32 deep"):
        gm.fold(lambda c, _: c, nested, steps=2)


def test_a_value_of_a_body_stays_in_it() -> None:
    """A value kept from a body by other means than returning it is refused, wherever it is used."""
    x = gm.inputs("x", shape=(3,))
    kept: list[gm.Expression] = []

    def keeping(state: gm.Expression, element: gm.Expression) -> gm.Expression:
        kept.append(element)
        return state * element

    gm.fold(keeping, 1.0, x)
    for use in (lambda: kept[0] + x, lambda: gm.exp(kept[0]), lambda: gm.fold(lambda c, e: c * e * kept[0], 1.0, x)):
        with pytest.raises(gm.TracingError, match="inside the body of fold is used outside of it"):
            use()
    with pytest.raises(gm.TracingError, match="inside the body of fold is no function by itself"):
        _ = kept[0].digest


def test_a_body_that_fails_leaves_nothing_behind() -> None:
    """After an error inside a body, tracing goes on as if the loop had not been."""
    x = gm.inputs("x", shape=(3,))

    def body(_state: object, _element: object) -> None:
        message = "the user's own"
        raise LookupError(message)

    with pytest.raises(LookupError, match="the user's own"):
        gm.fold(body, 1.0, x)
    assert gm.fold(lambda c, e: c * e, 1.0, x).shape == ()
    assert (x + 1).shape == (3,)
