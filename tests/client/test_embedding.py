"""Clients with a server inside the process."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import gradmill as gm
import numpy as np
import pytest

SEED = "3*(x1**2 + x2*x3)"


def test_the_seed_function() -> None:
    """The first example of the README gives what it says."""
    with gm.local() as client:
        result = client.gradient(SEED, {"x1": 2, "x2": 3, "x3": 4})
        assert (result.values, result.gradient) == (48.0, {"x1": 12.0, "x2": 12.0, "x3": 9.0})
        assert client.gradient(SEED, [2, 3, 4]).gradient.tolist() == [12.0, 12.0, 9.0]


def test_the_asyncio_client_gives_the_same() -> None:
    """What works with threads works with asyncio, many calls at a time."""

    async def run() -> list[gm.Result]:
        async with gm.local_async() as client:
            return await asyncio.gather(*(client.gradient(SEED, [row, 3, 4]) for row in range(20)))

    assert [result.gradient[0] for result in asyncio.run(run())] == [6.0 * row for row in range(20)]


@pytest.mark.parametrize(
    ("text", "trace"),
    [
        ("3*(x**2 + x*y)", lambda x, y: 3 * (x**2 + x * y)),
        ("-2*x - y", lambda x, y: -2 * x - y),
        ("where(x < y, exp(-x), log1p(y))", lambda x, y: gm.where(x < y, gm.exp(-x), gm.log1p(y))),
        ("x // y + x % y", lambda x, y: x // y + x % y),
        ("-x**2 + 0.5*abs(y)", lambda x, y: -(x**2) + 0.5 * abs(y)),
        ("max(x, y) - round(x)", lambda x, y: gm.max(x, y) - round(x)),
        ("(x > 0) and not (y == 1) or x != y", lambda x, y: (x > 0) & ~(y == 1) | (x != y)),
        ("pi*x + y/e", lambda x, y: gm.pi * x + y / gm.e),
        ("2**x - 1 + +y", lambda x, y: 2**x - 1 + +y),
    ],
)
def test_a_formula_and_the_same_python_are_one_function(text: str, trace: object) -> None:
    """A function has one digest, whether it is written as a formula, traced, or sent as a graph."""
    assert callable(trace)
    traced = trace(*gm.inputs("x", "y"))
    with gm.local() as client:
        assert client.register(gm.formula(text, ["x", "y"])).digest == traced.digest
        assert client.register(traced).digest == traced.digest


def test_several_outputs_come_by_name() -> None:
    """Values and gradients of several outputs are mappings from output name, in either form of points."""
    x, y = gm.inputs("x", "y")
    f = gm.outputs(total=x + y, product=x * y)
    with gm.local() as client:
        result = client.gradient(f, {"x": [1, 2], "y": 5})
        assert {name: array.tolist() for name, array in result.values.items()} == {"total": [6, 7], "product": [5, 10]}
        assert result.gradient["product"]["y"].tolist() == [1.0, 2.0]
        assert client.gradient(f, [1, 5], with_respect_to="y").gradient["product"].tolist() == [1.0]


def test_arrays_as_inputs() -> None:
    """An input with a shape takes arrays, shared or one for each point, and vector values come back as arrays."""
    x, w = gm.inputs({"x": (), "w": (3,)})
    with gm.local() as client:
        assert client.value(x * w, {"x": 2, "w": [1, 2, 3]}).values.tolist() == [2.0, 4.0, 6.0]
        shared = client.value(x * w, {"x": [1, 2], "w": [1, 2, 3]})
        assert shared.values.tolist() == [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]
        assert client.value(x * w, [[1, 1, 2, 3]]).values.tolist() == [[1.0, 2.0, 3.0]]


def test_big_batches_equal_small_ones() -> None:
    """Cutting a batch into messages changes no bit of the results."""
    points = np.random.default_rng(3).uniform(0.1, 2.0, size=(5000, 3))
    with gm.local() as whole, gm.local(batching=gm.Batching(message_bytes=4096)) as cut:
        one, many = whole.gradient("x1*exp(x2)/x3", points), cut.gradient("x1*exp(x2)/x3", points)
    assert np.array_equal(one.values, many.values)
    assert np.array_equal(one.gradient, many.gradient)


def test_non_finite_results_are_data() -> None:
    """A point at which a derivative is infinite is marked, and its neighbours are not touched."""
    with gm.local() as client:
        result = client.gradient("sqrt(x)", [[4.0], [0.0], [-1.0]])
    assert result.gradient[:2].tolist() == [[0.25], [np.inf]]
    assert np.isnan(result.values[2])
    assert result.point_flags.tolist() == [0, 2, 3]
    assert not result.all_finite


def test_a_mistake_in_a_formula_is_shown_where_it_is() -> None:
    """An error in a formula has its line and column, and a caret under the place."""
    with gm.local() as client, pytest.raises(gm.InvalidRequestError) as caught:
        client.value("x +\n* 2", [1])
    assert "^" in str(caught.value)
    assert caught.value.metadata["line"]
    assert caught.value.status == "INVALID_ARGUMENT"


def test_threads_share_a_client() -> None:
    """Many threads may use one client at a time."""
    with gm.local() as client, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda row: client.gradient(SEED, [row, 3, 4]).values, range(50)))
    assert results == [3.0 * (row**2 + 12) for row in range(50)]


def test_an_explanation_shows_every_node() -> None:
    """The forward and backward pass of the seed function are those worked out by hand."""
    with gm.local() as client:
        explanation = client.explain(SEED, {"x1": 2, "x2": 3, "x3": 4})
        values = {node.label: node.value for node in explanation.nodes}
        adjoints = {node.label: node.adjoint for node in explanation.nodes}
        assert [values[f"x{number}"] for number in range(4, 8)] == [4.0, 12.0, 16.0, 48.0]
        assert [adjoints[f"x{number}"] for number in range(1, 8)] == [12.0, 12.0, 9.0, 3.0, 3.0, 3.0, 1.0]
        assert "∂x5/∂x3 = 3" in str(explanation)
        with pytest.raises(gm.InvalidRequestError, match="explain takes one point, not 2"):
            client.explain(SEED, [[2, 3, 4], [2, 3, 4]])


def test_the_server_knows_what_the_client_offers() -> None:
    """The list of operations is the same on both sides."""
    with gm.local() as client:
        assert client.operations() == gm.functions.CATALOGUE


def test_wrong_settings_in_the_environment_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot start says why, as one of gradmill's errors."""
    monkeypatch.setenv("GRADMILL_WORKERS", "many")
    with pytest.raises(gm.ServerError, match="cannot start"):
        gm.local()
