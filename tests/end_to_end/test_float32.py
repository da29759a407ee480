"""Functions of float32 from the client's side: declared, sent, computed, and given back in that type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradmill as gm
import numpy as np
import numpy.typing as npt
import pytest
from gradmill.graph import FLOAT32, FLOAT64, Constant, bodies_of
from gradmill.v1 import graph_pb2
from gradmill.wire import array_message

_TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def client() -> Iterator[gm.Client]:
    """Return a client of a server inside this process."""
    with gm.local() as local:
        yield local


def test_values_and_derivatives_come_as_float32(client: gm.Client) -> None:
    """Whatever dtype the points have, results are float32 and those of the function's float32 numbers."""
    x, y = gm.inputs("x", "y", dtype="float32")
    points = np.random.default_rng(1).uniform(0.5, 2.0, (50, 2))
    result = client.gradient(gm.exp(x) * gm.sin(y) + 0.1, points)
    rounded = points.astype(np.float32)
    expected = np.exp(rounded[:, 0]) * np.sin(rounded[:, 1]) + np.float32(0.1)
    assert result.values.dtype == result.gradient.dtype == np.float32
    np.testing.assert_allclose(result.values, expected, rtol=_TOLERANCE)
    np.testing.assert_allclose(result.gradient[:, 0], expected - np.float32(0.1), rtol=_TOLERANCE)
    by_name = client.gradient(gm.exp(x) * gm.sin(y) + 0.1, {"x": points[:, 0], "y": points[:, 1]})
    np.testing.assert_array_equal(by_name.gradient["x"], result.gradient[:, 0])


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("f4")], ids=str)
def test_a_formula_and_a_traced_function_are_one(client: gm.Client, dtype: npt.DTypeLike) -> None:
    """Both have one digest in float32, which is another one than in float64, and the server agrees."""
    x, w = gm.inputs({"x": (3,), "w": ()}, dtype=dtype)
    traced = gm.sum(0.1 * x**2) / w
    written = gm.formula("sum(0.1*x**2)/w", {"x": 3, "w": ()}, dtype=dtype)
    described = client.register(written)
    assert described.digest == traced.digest
    assert [entry.element_type for entry in described.inputs] == [FLOAT32, FLOAT32]
    v, u = gm.inputs({"x": (3,), "w": ()})
    assert (gm.sum(0.1 * v**2) / u).digest != traced.digest


@pytest.mark.parametrize("dtype", ["int32", "float16", "float128", "no such type", np.complex64, None, int], ids=str)
def test_other_dtypes_are_refused_by_name(dtype: Any) -> None:  # noqa: ANN401 - whatever people try
    """Inputs are float64 or float32; the refusal names what was asked for and what there is."""
    for declare in (lambda: gm.inputs("x", dtype=dtype), lambda: gm.formula("x", ["x"], dtype=dtype)):
        with pytest.raises(gm.InvalidRequestError, match="there are float64 and float32") as refused:
            declare()
        assert refused.value.reason == "ELEMENT_TYPE_UNSUPPORTED"


def test_a_formula_of_float32_needs_its_inputs() -> None:
    """The types of free names could not be told to a server."""
    with pytest.raises(gm.InvalidRequestError, match="needs its inputs"):
        gm.formula("2*x", dtype="float32")


def test_numbers_are_rounded_and_those_beyond_the_range_refused() -> None:
    """A traced function's constants are float32, four bytes each; 1e39 is not turned into infinity."""
    x = gm.inputs("x", dtype="float32")
    constants = [value for value in (x * 0.1).as_function().graph.values if isinstance(value, Constant)]
    assert constants == [Constant((), np.float32(0.1).tobytes(), FLOAT32)]
    with pytest.raises(gm.TracingError, match=r"1e\+39 is beyond the largest float32"):
        _ = (x * 1e39).digest
    assert (x * float("inf")).digest


def test_loops_and_shared_bodies_compute_in_float32(client: gm.Client) -> None:
    """Bodies have the function's type, also one that begins with numbers only, and so have derivatives of loops."""
    x, rate = gm.inputs({"x": (5,), "rate": ()}, dtype="float32")

    @gm.reusable
    def grown(balance: Any, deposit: Any) -> Any:  # noqa: ANN401 - traced values
        return balance * (1 + rate) + deposit * 0.1

    final, history = gm.scan(lambda carry, element: (grown(carry, element), carry), 0.5, x)
    function = gm.outputs(final=final, last=history[-1])
    bodies = bodies_of(function.graph).values()
    assert bodies
    assert {entry.element_type for body in bodies for entry in body.graph.inputs} == {FLOAT32}
    point = {"x": np.arange(5) / 7, "rate": 0.25}
    result = client.gradient(function, point)
    factor = np.float32(1.25)
    np.testing.assert_allclose(
        result.gradient["final"]["x"], np.float32(0.1) * factor ** np.arange(4, -1, -1), rtol=_TOLERANCE
    )
    assert result.gradient["final"]["x"].dtype == np.float32
    y, rate = gm.inputs({"x": (5,), "rate": ()})  # the same Python function, in float64
    again, _ = gm.scan(lambda carry, element: (grown(carry, element), carry), 0.5, y)
    wide = client.gradient(again, point)
    assert wide.gradient["x"].dtype == np.float64
    np.testing.assert_allclose(result.gradient["final"]["x"], wide.gradient["x"], rtol=_TOLERANCE)


def test_directions_and_reductions_are_float32(client: gm.Client) -> None:
    """Products with directions, Hessians and sums over points keep the type, also where a batch is cut."""
    x = gm.inputs("x", shape=3, dtype="float32")
    function = gm.sum(gm.tanh(x) * x[::-1])
    points = np.random.default_rng(2).normal(size=(1000, 3))
    pushed = client.jvp(function, points, np.ones((2, 1, 3)))
    assert pushed.jvp.dtype == np.float32
    assert pushed.jvp.shape == (2, 1000)
    gradient = client.gradient(function, points).gradient
    np.testing.assert_allclose(pushed.jvp[0], gradient.sum(axis=1), rtol=1e-4, atol=1e-5)
    assert client.hessian(function, points[:5]).hessian.dtype == np.float32
    mean = client.gradient(function, points, reduction="mean")
    assert mean.gradient.dtype == np.float32
    np.testing.assert_allclose(mean.gradient, gradient.mean(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-6)


def test_inputs_of_two_types_are_refused_with_both_names(client: gm.Client) -> None:
    """A graph written by hand cannot mix types: the server names both inputs and both types."""
    graph = graph_pb2.Graph(
        inputs=[
            graph_pb2.Input(name="x", element_type=graph_pb2.ELEMENT_TYPE_FLOAT32),
            graph_pb2.Input(name="y", element_type=graph_pb2.ELEMENT_TYPE_FLOAT64),
        ],
        operation_names=["add"],
        nodes=[graph_pb2.Node(arguments=[0, 1])],
        outputs=[graph_pb2.Output(name="value", value=2)],
    )
    with pytest.raises(gm.InvalidRequestError, match="input 'y' is float64, but input 'x' is float32") as refused:
        client.register(graph)
    assert refused.value.violations[0].reason == "ELEMENT_TYPE_MIXED"


def test_messages_of_float32_are_half_as_long() -> None:
    """Arrays travel in their own type, four bytes an element."""
    array = np.arange(100, dtype=np.float32)
    message = array_message(array)
    assert (message.element_type, len(message.data)) == (FLOAT32, 400)
    assert array_message(array.astype(np.float64)).element_type == FLOAT64
    assert len(array_message(range(100)).data) == 800
