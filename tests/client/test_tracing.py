"""Functions traced from Python arithmetic."""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from typing import Any

import gradmill as gm
import numpy as np
import pytest
from gradmill.canonical import canonicalize, digest
from gradmill.graph import Constant, Operation
from gradmill.sources import as_source
from gradmill.tracing import Operand
from gradmill.wire import read_graph

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "mod": operator.mod,
    "logical_and": operator.and_,
    "logical_or": operator.or_,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
}
UNARY: dict[str, Callable[[Any], Any]] = {
    "negate": operator.neg,
    "abs": abs,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "logical_not": operator.invert,
}


def constant(value: float) -> Constant:
    """Return a scalar constant."""
    return Constant((), struct.pack("<d", value))


@pytest.mark.parametrize("name", [*BINARY, *COMPARISONS])
def test_an_operator_traces_its_operation(name: str) -> None:
    """Python's operators mean the operations of the same name, operands in the order written."""
    x, y = gm.inputs("x", "y")
    f = (BINARY | COMPARISONS)[name]
    assert f(x, y).as_function().graph.values == (Operation(name, (0, 1)),)
    assert f(y, x).as_function().graph.values == (Operation(name, (1, 0)),)
    assert f(x, 2).as_function().graph.values == (constant(2.0), Operation(name, (0, 2)))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("number", [2, 2.0, np.float64(2), np.float32(2), np.int64(2)], ids=lambda n: type(n).__name__)
def test_a_number_on_the_left_stays_on_the_left(name: str, number: float) -> None:
    """`2 - x` is not `x - 2`, whatever kind of number stands there."""
    x = gm.inputs("x")
    assert BINARY[name](number, x).as_function().graph.values == (constant(2.0), Operation(name, (1, 0)))


@pytest.mark.parametrize("name", UNARY)
def test_a_unary_operator_traces_its_operation(name: str) -> None:
    """Python's unary operators and rounding functions mean the operations of the same name."""
    x = gm.inputs("x")
    assert UNARY[name](x).as_function().graph.values == (Operation(name, (0,)),)


def test_floor_division_is_the_floor_of_the_quotient() -> None:
    """`x // y` rounds down, as in Python."""
    x, y = gm.inputs("x", "y")
    assert (x // y).as_function().graph.values == (Operation("divide", (0, 1)), Operation("floor", (2,)))
    assert (7 // y).as_function().graph.values[1:] == (Operation("divide", (2, 1)), Operation("floor", (3,)))


def test_all_inputs_of_a_declaration_belong_to_the_function() -> None:
    """A function that ignores an input still has it, so that columns of points keep their places."""
    x, y = gm.inputs("x", "y")
    function = gm.exp(y).as_function()
    assert [entry.name for entry in function.inputs] == ["x", "y"]
    assert function.graph.values == (Operation("exp", (1,)),)
    assert x.inputs == y.inputs


def test_inputs_can_be_declared_by_list_and_by_mapping() -> None:
    """Programs declare any number of inputs, and shapes where they need them."""
    (x,) = gm.inputs(["x"])
    assert x.shape == ()
    x, w = gm.inputs({"x": (), "w": (2, 3)})
    assert (x.shape, w.shape, (x * w).shape) == ((), (2, 3), (2, 3))
    assert gm.inputs("v", shape=3).shape == (3,)


@pytest.mark.parametrize("name", ["", "1x", "x y", "é", "x-y"])
def test_an_input_needs_a_plain_name(name: str) -> None:
    """A name that no formula could use is refused at once, and named."""
    with pytest.raises(gm.InvalidRequestError, match="is not a letter or underscore"):
        gm.inputs(name)


def test_input_names_are_unique() -> None:
    """Two inputs of one name are refused."""
    with pytest.raises(gm.InvalidRequestError, match="'x' occurs twice"):
        gm.inputs("x", "x")


@pytest.mark.parametrize("shape", [-1, (2, -1), (1.5,), "x"])
def test_shapes_are_whole_numbers(shape: object) -> None:
    """A shape that no array could have is refused at once."""
    with pytest.raises(gm.InvalidRequestError, match="shape"):
        gm.inputs("x", shape=shape)  # type: ignore[call-overload]


def test_inputs_of_two_declarations_do_not_mix() -> None:
    """Mixing two sets of inputs is refused with both sets, the file and the line."""
    x = gm.inputs("x")
    y, z = gm.inputs("y", "z")
    with pytest.raises(gm.TracingError, match=r"inputs\(x\) and inputs\(y, z\).*test_tracing.py, line \d+"):
        _ = x + y * z


def test_shapes_that_do_not_broadcast_are_named() -> None:
    """A mistake in shapes names the operation and both shapes."""
    v, w = gm.inputs({"v": (3,), "w": (4,)})
    with pytest.raises(gm.TracingError, match=r"multiply: shapes \(3,\) and \(4,\) do not broadcast"):
        _ = v * w


def test_a_branch_on_a_traced_value_shows_the_line_and_where() -> None:
    """`if x > 0` is refused with the file, the line, and what to write instead."""
    x = gm.inputs("x")
    with pytest.raises(gm.TracingError, match=r"test_tracing.py, line \d+") as caught:
        _ = 1 if x > 0 else 2
    assert "gradmill.where(condition, a, b)" in str(caught.value)
    assert caught.value.metadata["file"] == __file__


@pytest.mark.parametrize("use", [bool, float, math.exp, iter, lambda x: 0 < x < 1, lambda x: round(x, 2), int])
def test_what_needs_a_number_is_refused_with_advice(use: Callable[[Any], object]) -> None:
    """Using a traced value as a plain number says what to do instead."""
    x = gm.inputs("x")
    with pytest.raises((gm.TracingError, TypeError)) as caught:
        use(x)
    assert isinstance(caught.value, gm.TracingError) or use is int


@pytest.mark.parametrize("other", ["a", None, 1j, [1.0], object()])
def test_foreign_operands_are_refused(other: object) -> None:
    """What is neither traced nor a real number is refused in Python's usual words."""
    x = gm.inputs("x")
    with pytest.raises(TypeError):
        _ = x + other  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = other * x  # type: ignore[operator]
    with pytest.raises(TypeError, match=r"maximum: .* is neither a traced value nor"):
        gm.maximum(x, other)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [10**400, np.array([1j]), np.array(["a"]), np.array([None])])
def test_a_constant_must_be_a_real_number(value: Operand) -> None:
    """A constant that is no binary64 number is refused, not rounded or guessed."""
    x = gm.inputs("x")
    with pytest.raises(gm.TracingError, match=r"too large|not a real number"):
        gm.add(x, value)


def test_array_constants_broadcast() -> None:
    """An array beside a traced value is a constant of its shape, on either side."""
    x = gm.inputs("x")
    array = np.array([1.0, 2.0])
    expected = (Constant((2,), array.tobytes()), Operation("multiply", (1, 0)))
    assert (array * x).as_function().graph.values == expected
    assert (x * array).shape == (2,)


def test_signed_zeros_are_two_constants() -> None:
    """0.0 and -0.0 make two functions."""
    x = gm.inputs("x")
    assert (x * 0.0).digest != (x * -0.0).digest
    assert (x * 2).digest == (x * 2.0).digest == (x * np.float32(2)).digest


def test_several_outputs_have_names_and_an_order() -> None:
    """A function of several outputs keeps their names in the order given, numbers among them."""
    x, y = gm.inputs("x", "y")
    function = gm.outputs(total=x + y, ratio=x / y, one=1)
    assert list(function.output_shapes) == ["total", "ratio", "one"]
    assert [entry.name for entry in function.outputs] == ["total", "ratio", "one"]
    assert gm.outputs({"total": x + y, "ratio": x / y}, one=1).digest == function.digest


def test_outputs_need_a_traced_value() -> None:
    """A function of nothing is refused."""
    with pytest.raises(TypeError, match="no operand is traced"):
        gm.outputs(a=1)
    with pytest.raises(gm.InvalidRequestError, match="at least one output"):
        gm.outputs()


def test_expressions_are_told_apart_by_identity() -> None:
    """Expressions can be keys of a dict although `==` is traced."""
    x, y = gm.inputs("x", "y")
    assert {x: 1, y: 2}[y] == 2
    assert x in (x, 1)
    assert isinstance(x == y, gm.Expression)
    assert x != "x"


def test_computing_the_same_again_adds_nothing() -> None:
    """A loop that traces the same expression again and again does not grow in memory."""
    x, y = gm.inputs("x", "y")
    first = gm.exp(x) * y + 1
    for _ in range(100):
        again = gm.exp(x) * y + 1
    assert len(first._trace) == 6  # noqa: SLF001 - what the user would notice is memory
    assert again.digest == first.digest


def test_the_digest_is_that_of_the_graph_sent() -> None:
    """What is sent for a traced function is the function that its digest names."""
    x, y = gm.inputs("x", "y")
    f = gm.where(x > y, gm.log1p(x) ** 2, 3.5 * y)
    source = as_source(f)
    assert digest(canonicalize(read_graph(source.message().graph))) == f.digest == source.key


def test_a_shared_value_is_traced_once() -> None:
    """Doubling a value a thousand times makes a thousand values, not two to the thousandth."""
    x = gm.inputs("x")
    for _ in range(1000):
        x = x + x
    assert len(x.as_function().graph.values) == 1000


def test_a_chain_of_a_million_operations_is_traced_sent_and_freed() -> None:
    """A very long computation needs no recursion anywhere in the client."""
    x = gm.inputs("x")
    total = x
    for _ in range(1_000_000):
        total = total + 1
    function = total.as_function()
    assert len(function.graph.values) == 1_000_001
    assert len(as_source(function).message().SerializeToString()) > 1_000_000
    del total, function


def test_an_expression_shows_what_it_is() -> None:
    """Printing an expression or a function shows where it comes from and what it takes."""
    x, w = gm.inputs({"x": (), "w": (3,)})
    assert repr(x) == "<Expression x of (x, w)>"
    assert repr(gm.exp(x) * w) == "<Expression multiply of (x, w), shape=(3,)>"
    assert repr(gm.outputs(a=x)).startswith("<TracedFunction (x, w) -> (a), digest ")
