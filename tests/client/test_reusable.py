"""Functions whose calls share one body."""

from __future__ import annotations

from typing import Any

import gradmill as gm
import numpy as np
import pytest
from gradmill.canonical import canonicalize, digest
from gradmill.graph import Body, Operation, bodies_of
from gradmill.reusable import MAXIMUM_REMEMBERED
from gradmill.sources import as_source
from gradmill.wire import read_graph


def calls(value: gm.Expression) -> list[Operation]:
    """Return the calls of a function."""
    graph = value.as_function().graph
    return [entry for entry in graph.values if isinstance(entry, Operation) and entry.name == "call"]


def test_calls_share_a_body() -> None:
    """A function is traced and sent once, however often it is called."""
    runs = 0

    @gm.reusable
    def bump(x: Any, width: Any = 1.0) -> Any:  # noqa: ANN401 - a number or an expression
        nonlocal runs
        runs += 1
        return gm.exp(-((x / width) ** 2))

    x, y = gm.inputs("x", "y")
    value = bump(x, 2.0) + bump(y, x) * bump(bump(x, 1), y)
    assert runs == 1
    assert len(calls(value)) == 4
    assert len(bodies_of(value.as_function().graph)) == 1
    message = as_source(value).message()
    assert len(message.graph.functions) == 1
    assert digest(canonicalize(read_graph(message.graph))) == value.digest
    assert repr(bump) == "<Reusable bump>"


def test_each_set_of_shapes_has_a_body() -> None:
    """What is called with other shapes is another body."""
    total = gm.reusable(lambda x: x.sum())
    x, v = gm.inputs({"x": (2, 2), "v": (3,)})
    assert total(x).shape == total(v).shape == ()
    assert len(bodies_of((total(x) + total(v)).as_function().graph)) == 2


def test_the_outputs_of_a_call_are_numbered_from_zero() -> None:
    """Several results are several calls of one body; the number of the first is left out."""

    @gm.reusable
    def both(x: gm.Expression) -> dict[str, Any]:
        return {"sine": gm.sin(x), "rest": [gm.cos(x), 1.0]}

    x = gm.inputs("x", shape=3)
    result = both(x)
    assert [result["rest"][0].shape, result["rest"][1].shape, result["sine"].shape] == [(3,), (), (3,)]
    found = [
        {entry.name: entry.value for entry in call.parameters}
        for call in calls(gm.stack([result["sine"], result["rest"][0]]))
    ]
    assert [entry.get("output") for entry in found] == [2, None]
    assert all(isinstance(entry["function"], Body) for entry in found)


def test_arguments_come_by_position_by_name_and_in_containers() -> None:
    """Arguments are arranged as for any Python function."""

    @gm.reusable
    def line(point: tuple[Any, Any], *, slope: Any = 1.0, offset: Any = None) -> Any:  # noqa: ANN401 - as above
        x, y = point
        return y - slope * x if offset is None else y - slope * x - offset

    x, y = gm.inputs("x", "y")
    assert len(calls(line((x, y)))[0].arguments) == 2
    assert len(calls(line((x, y), slope=x))[0].arguments) == 3
    assert len(calls(line((x, 2.0), offset=y, slope=3.0))[0].arguments) == 4


def test_values_from_outside_become_arguments() -> None:
    """A function that uses a traced value from outside is traced at each call, and passes it on."""
    x, y = gm.inputs("x", "y")
    shifted = gm.reusable(lambda value: value + y)
    (call,) = calls(shifted(x))
    assert call.arguments == (0, 1)
    assert len(bodies_of((shifted(x) * shifted(y)).as_function().graph)) == 1
    u, v = gm.inputs("u", "v")
    with pytest.raises(gm.TracingError, match="two different sets"):
        shifted(u * v)


def test_a_reusable_function_is_called_in_loops_and_in_others() -> None:
    """Calls nest in loops and in each other, and each body is sent once."""
    square = gm.reusable(lambda x: x * x)
    fourth = gm.reusable(lambda x: square(square(x)))
    rows = gm.inputs("rows", shape=4)
    value = gm.fold(lambda c, row: c + fourth(row) + square(c), 0.0, rows)
    assert len(bodies_of(value.as_function().graph)) == 3
    assert len(as_source(value).message().graph.functions) == 3


def test_doubling_calls_grow_by_one_body_each() -> None:
    """Sixty levels of functions that call the one below twice are sixty bodies, not two to the sixtieth operations."""
    function = gm.reusable(lambda x: x * 0.5 + 1.0)
    for _ in range(60):
        function = gm.reusable(lambda x, below=function: below(below(x)))
    x = gm.inputs("x")
    assert len(bodies_of(function(x).as_function().graph)) == 61


def test_a_function_that_calls_itself_is_refused_unless_its_shapes_end() -> None:
    """Recursion on shapes ends by itself; on values it cannot, and is refused."""

    @gm.reusable
    def halves(x: gm.Expression) -> object:
        if len(x) == 1:
            return x[0]
        return halves(x[: len(x) // 2]) * halves(x[len(x) // 2 :])

    @gm.reusable
    def endless(x: gm.Expression) -> object:
        return endless(x) * x

    v = gm.inputs("v", shape=8)
    assert len(bodies_of(halves(v).as_function().graph)) == 4
    with pytest.raises(gm.TracingError, match="endless calls itself with the same shapes"):
        endless(v)


def test_mistakes_in_calls_are_refused() -> None:
    """A call of numbers alone, of what is no value, or of what returns nothing says so."""
    x = gm.inputs("x")
    double = gm.reusable(lambda x: 2 * x)
    with pytest.raises(TypeError, match="no operand is traced"):
        double(np.ones(3))
    with pytest.raises(TypeError, match="str is neither a traced value"):
        double("x")
    with pytest.raises(gm.TracingError, match="<lambda> returns nothing"):
        gm.reusable(lambda _: None)(x)


def test_what_a_function_remembers_is_bounded() -> None:
    """A function called with ever new shapes goes on working without keeping all bodies."""
    total = gm.reusable(lambda x: x.sum())
    x = gm.inputs("x", shape=2 * MAXIMUM_REMEMBERED)
    values = [total(x[:count]) for count in range(1, 2 * MAXIMUM_REMEMBERED)]
    assert len(total._known) == MAXIMUM_REMEMBERED  # noqa: SLF001 - what the user would notice is memory
    assert total(x[:-1]).digest == values[-1].digest
