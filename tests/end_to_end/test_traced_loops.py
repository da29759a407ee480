"""Loops and reusable functions in traced Python: what they give is what Python's own loops give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradmill as gm
import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[np.float64]
SHAPES = {"a": (), "v": (3,), "rows": (5, 3)}


@pytest.fixture(scope="module")
def client() -> Iterator[gm.Client]:
    """Give a client with a server inside the process."""
    with gm.local() as client:
        yield client


def points(count: int) -> dict[str, Array]:
    """Return random points for the inputs of these tests."""
    random = np.random.default_rng(5)
    return {name: random.uniform(-1, 1, (count, *shape)) for name, shape in SHAPES.items()}


def compare(client: gm.Client, looped: gm.Expression, unrolled: gm.Expression) -> None:
    """Compare values and gradients of two functions that mean the same."""
    assert looped.shape == unrolled.shape
    batch = points(4)
    np.testing.assert_allclose(
        client.value(looped, batch).values, client.value(unrolled, batch).values, rtol=1e-12, atol=1e-14
    )
    result = client.gradient(looped.sum(), batch)
    expected = client.gradient(unrolled.sum(), batch)
    for name in SHAPES:
        np.testing.assert_allclose(result.gradient[name], expected.gradient[name], rtol=1e-11, atol=1e-13)


def python_scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: gm.Expression,
    rows: gm.Expression,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Return what gm.scan does, by writing every step out."""
    count = len(rows)
    results = [carry] * count
    for step in reversed(range(count)) if reverse else range(count):
        carry, results[step] = body(carry, rows[step])
    return carry, gm.stack(results)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_is_its_steps_written_out(client: gm.Client, reverse: bool) -> None:
    """Final carries and stacked results are those of the unrolled loop, in either direction, with their gradients."""
    a, v, rows = gm.inputs(SHAPES)

    def body(state: gm.Expression, row: gm.Expression) -> tuple[gm.Expression, gm.Expression]:
        new = gm.tanh(state * row + a)
        return new, new @ v

    for looped, unrolled in zip(
        gm.scan(body, v, rows, reverse=reverse), python_scan(body, v, rows, reverse=reverse), strict=True
    ):
        compare(client, looped, unrolled)


def test_loops_in_loops_and_calls_are_their_steps_written_out(client: gm.Client) -> None:
    """An inner loop and a reusable function that use values from all around give what the unrolled ones give."""
    a, v, rows = gm.inputs(SHAPES)

    def bend(x: gm.Expression) -> gm.Expression:
        return gm.sin(x) / (1 + x * x)

    def written_out(loop: Callable[..., Any], curve: Callable[..., Any]) -> gm.Expression:
        def outer(state: gm.Expression, row: gm.Expression) -> tuple[gm.Expression, None]:
            def inner(level: gm.Expression, element: gm.Expression) -> tuple[gm.Expression, None]:
                return level * curve(element + state) + a, None

            return curve(loop(inner, state, row)) + v[0], None

        result: gm.Expression = loop(outer, a, rows)
        return result

    def unrolled(body: Callable[..., Any], carry: Any, items: gm.Expression) -> gm.Expression:  # noqa: ANN401
        for item in items:
            carry, _ = body(carry, item)
        result: gm.Expression = carry
        return result

    looped = written_out(lambda body, carry, items: gm.scan(body, carry, items)[0], gm.reusable(bend))
    compare(client, looped, written_out(unrolled, bend))


def test_containers_keep_their_places(client: gm.Client) -> None:
    """A leapfrog step with named positions and speeds gives what it gives in NumPy."""
    v, rows = gm.inputs({"v": (3,), "rows": (5, 3)})

    def leap(state: dict[str, Any], force: Any) -> tuple[dict[str, Any], list[Any]]:  # noqa: ANN401 - of either kind
        speed = state["speed"] + 0.1 * (force - state["place"])
        place = state["place"] + 0.1 * speed
        return {"speed": speed, "place": place}, [place.sum(), speed]

    final, (sums, speeds) = gm.scan(leap, {"speed": np.zeros(3), "place": v}, rows)
    function = gm.outputs(place=final["place"], sums=sums, speeds=speeds)
    point = {name: array[0] for name, array in points(1).items() if name != "a"}
    state: dict[str, Any] = {"speed": np.zeros(3), "place": point["v"]}
    expected: dict[str, list[Any]] = {"sums": [], "speeds": []}
    for force in point["rows"]:
        state, (total, speed) = leap(state, force)
        expected["sums"].append(total)
        expected["speeds"].append(speed)
    values = client.value(function, point).values
    np.testing.assert_allclose(values["place"], state["place"], rtol=1e-14)
    np.testing.assert_allclose(values["sums"], expected["sums"], rtol=1e-14)
    np.testing.assert_allclose(values["speeds"], expected["speeds"], rtol=1e-14)


def test_map_is_a_function_of_each_row(client: gm.Client) -> None:
    """Mapping over rows and over constants beside them gives each row's own result."""
    a, rows = gm.inputs({"a": (), "rows": (5, 3)})
    weights = np.arange(5.0)
    norms = gm.map(lambda row, weight: weight * gm.norm(row) + a, rows, weights)
    point = {"a": 0.25, "rows": points(1)["rows"][0]}
    expected = weights * np.linalg.norm(point["rows"], axis=1) + 0.25
    np.testing.assert_allclose(client.value(norms, point).values, expected, rtol=1e-14)


def test_many_steps_stay_one_loop(client: gm.Client) -> None:
    """A loop of a hundred thousand steps is a handful of values, and computes."""
    x = gm.inputs("x")
    root = gm.fold(lambda guess, _: 0.5 * (guess + x / guess), 1.0, steps=100_000)
    assert len(root.as_function().graph.values) < 10
    assert client.value(root, {"x": 2.0}).values == pytest.approx(np.sqrt(2), rel=1e-15)


def test_the_gradient_of_many_steps_is_computed(client: gm.Client) -> None:
    """A hundred thousand steps run backwards: the slope of a fixed point by a parameter is 1/(1 - f'(c))."""
    x = gm.inputs("x")
    fixed = gm.fold(lambda c, _: gm.cos(c) * x, 0.5, steps=100_000)
    result = client.gradient(fixed, {"x": 0.8})
    c = float(result.values)
    assert c == pytest.approx(np.cos(c) * 0.8, rel=1e-15)
    assert result.gradient["x"] == pytest.approx(np.cos(c) / (1 + 0.8 * np.sin(c)), rel=1e-12)


@pytest.mark.parametrize("method", ["value", "gradient"])
def test_an_endless_loop_ends_at_the_deadline(client: gm.Client, method: str) -> None:
    """Two thousand million steps are stopped when the caller's time is up, and the server goes on."""
    x = gm.inputs("x")
    endless = gm.fold(lambda c, _: gm.sin(c) + x, 0.5, steps=2_000_000_000)
    with pytest.raises(gm.DeadlineExceededError):
        getattr(client, method)(endless, {"x": 0.1}, timeout=0.3)
    assert client.value(gm.fold(lambda c, _: c + x, 0.0, steps=4), {"x": 0.25}).values == 1.0
