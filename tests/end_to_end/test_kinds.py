"""Every kind of derivative through a client and a server, against formulas by hand and against differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradmill as gm
import numpy as np
import pytest
from gradmill.settings import Batching, Settings
from gradmill.wire import FloatArray

from tests.end_to_end.server_process import ServerProcess

MATRIX = np.array([[1.0, -2.0, 0.5], [3.0, 1.0, -1.0]])
POINTS = np.random.default_rng(11).normal(size=(17, 4))
"""Rows of (x, w[0], w[1], w[2])."""
NAMED = {"x": POINTS[:, 0], "w": POINTS[:, 1:]}
VECTORS = np.random.default_rng(12).normal(size=(5, 17, 4))
COTANGENTS = np.random.default_rng(13).normal(size=(5, 17, 2))
STEP = 1e-4


@pytest.fixture(scope="module")
def client() -> Iterator[gm.Client]:
    """Give a client with a server inside this process."""
    with gm.local() as opened:
        yield opened


def loss() -> gm.Expression:
    """Return exp(x) * sum((M w)**2): a scalar of a scalar and a vector."""
    x, w = gm.inputs({"x": (), "w": (3,)})
    residual = MATRIX @ w
    return gm.exp(x) * gm.sum(residual * residual)


def fields() -> gm.TracedFunction:
    """Return a vector and a scalar: v = sin(x) * (M w) and s = x * w[0] * w[2]."""
    x, w = gm.inputs({"x": (), "w": (3,)})
    return gm.outputs(v=gm.sin(x) * (MATRIX @ w), s=x * w[0] * w[2])


def chain(count: int) -> gm.Expression:
    """Return Rosenbrock's function of many variables, whose Hessian has three diagonals."""
    w = gm.inputs("w", shape=count)
    return gm.sum(100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2)


def loss_by_hand(rows: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return values, gradients and Hessians of the loss."""
    x, w = rows[:, 0], rows[:, 1:]
    gram = MATRIX.T @ MATRIX
    squares = np.einsum("pi,ij,pj->p", w, gram, w)
    scale = np.exp(x)
    gradient = np.concatenate([(scale * squares)[:, np.newaxis], 2 * scale[:, np.newaxis] * (w @ gram)], axis=1)
    hessian = np.empty((len(rows), 4, 4))
    hessian[:, 0] = hessian[:, :, 0] = gradient
    hessian[:, 1:, 1:] = 2 * scale[:, np.newaxis, np.newaxis] * gram
    return scale * squares, gradient, hessian


def fields_by_hand(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the Jacobians of v, [points, 2, 4], and of s, [points, 4]."""
    x, w = rows[:, 0], rows[:, 1:]
    of_v = np.empty((len(rows), 2, 4))
    of_v[:, :, 0] = np.cos(x)[:, np.newaxis] * (w @ MATRIX.T)
    of_v[:, :, 1:] = np.sin(x)[:, np.newaxis, np.newaxis] * MATRIX
    zero = np.zeros(len(rows))
    of_s = np.stack([w[:, 0] * w[:, 2], x * w[:, 2], zero, x * w[:, 0]], axis=1)
    return of_v, of_s


def by_input(array: FloatArray) -> dict[str, FloatArray]:
    """Take the last axis apart into the inputs."""
    return {"x": array[..., 0], "w": array[..., 1:]}


def assert_same(found: Any, expected: Any, tolerance: float = 1e-12) -> None:  # noqa: ANN401 - whatever a result holds
    """Compare arrays, and mappings of them, by shape and to a tolerance relative to the largest element."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, entry in expected.items():
            assert_same(found[name], entry, tolerance)
        return
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(
        found, expected, rtol=tolerance, atol=tolerance * max(1.0, float(np.max(np.abs(expected), initial=0)))
    )


@pytest.mark.parametrize("form", ["matrix", "mapping"])
def test_every_kind_of_a_scalar_function_is_the_formula_by_hand(client: gm.Client, form: str) -> None:
    """All kinds in one call agree with the formulas by hand, in the form of the points."""
    is_matrix = form == "matrix"
    shaped: Callable[[FloatArray], Any] = (lambda array: array) if is_matrix else by_input
    result = client.evaluate(
        loss(),
        POINTS if is_matrix else NAMED,
        want=[
            "value", "gradient", "jacobian", "vjp", "jvp", "hvp", "hessian", "hessian_diagonal", "sparse_jacobian",
            "sparse_hessian",
        ],
        tangents=shaped(VECTORS),
        cotangents=COTANGENTS[..., 0],
        vectors=shaped(VECTORS[0]),
    )  # fmt: skip
    value, gradient, hessian = loss_by_hand(POINTS)
    assert_same(result.values, value)
    assert_same(result.gradient, shaped(gradient))
    assert_same(result.jacobian, shaped(gradient))
    assert_same(result.vjp, shaped(COTANGENTS[..., :1] * gradient))
    assert_same(result.jvp, np.einsum("kpi,pi->kp", VECTORS, gradient))
    assert_same(result.hvp, shaped(np.einsum("pij,pj->pi", hessian, VECTORS[0])))
    assert_same(result.hessian, hessian if is_matrix else {"x": by_input(hessian[:, 0]), "w": by_input(hessian[:, 1:])})
    assert_same(result.hessian_diagonal, shaped(np.diagonal(hessian, axis1=1, axis2=2)))
    assert_same(result.sparse_jacobian.to_dense(), gradient[:, np.newaxis])
    assert_same(result.sparse_hessian.to_dense(), hessian)
    assert result.jacobian_mode in {"forward", "reverse"}
    assert result.all_finite


@pytest.mark.parametrize("form", ["matrix", "mapping"])
def test_every_kind_of_a_function_with_several_outputs_is_the_formula_by_hand(client: gm.Client, form: str) -> None:
    """Each output has its own Jacobian; cotangents of all outputs act together."""
    is_matrix = form == "matrix"
    shaped: Callable[[FloatArray], Any] = (lambda array: array) if is_matrix else by_input
    result = client.evaluate(
        fields(),
        POINTS if is_matrix else NAMED,
        want=["jacobian", "vjp", "jvp", "sparse_jacobian"],
        tangents=shaped(VECTORS),
        cotangents={"v": COTANGENTS, "s": 2.0},
    )
    of_v, of_s = fields_by_hand(POINTS)
    assert_same(result.jacobian, {"v": shaped(of_v), "s": shaped(of_s)})
    assert_same(result.vjp, shaped(np.einsum("kpo,poi->kpi", COTANGENTS, of_v) + 2 * of_s))
    assert_same(
        result.jvp, {"v": np.einsum("poi,kpi->kpo", of_v, VECTORS), "s": np.einsum("pi,kpi->kp", of_s, VECTORS)}
    )
    assert_same(result.sparse_jacobian["v"].to_dense(), of_v)
    assert_same(result.sparse_jacobian["s"].to_dense(), of_s[:, np.newaxis])
    assert len(result.sparse_jacobian["s"].column_indices) == 3


def test_cotangents_may_be_a_matrix_and_may_leave_outputs_out(client: gm.Client) -> None:
    """A matrix of cotangents runs over the elements of all outputs; an output that is not named has no weight."""
    of_v, of_s = fields_by_hand(POINTS)
    weights = VECTORS[0, :, :3]
    whole = client.vjp(fields(), POINTS, weights).vjp
    assert_same(whole, np.einsum("po,poi->pi", weights[:, :2], of_v) + weights[:, 2:] * of_s)
    assert_same(client.vjp(fields(), POINTS, {"s": 1.0}).vjp, of_s)


def test_a_gradient_of_an_array_is_refused_with_its_shape(client: gm.Client) -> None:
    """Kinds of scalar outputs say which output is none."""
    for kind in ("gradient", "hessian", "hessian_diagonal", "sparse_hessian"):
        with pytest.raises(gm.InvalidRequestError, match=r"output 'v' has shape \(2,\)"):
            getattr(client, kind)(fields(), POINTS)


def differences(function: Callable[[FloatArray], FloatArray], rows: FloatArray) -> FloatArray:
    """Return central differences along each element of the points, as a last axis."""
    columns = []
    for element in range(rows.shape[1]):
        shift = STEP * np.eye(rows.shape[1])[element]
        columns.append((function(rows + shift) - function(rows - shift)) / (2 * STEP))
    return np.stack(columns, axis=-1)


FORMULAS = [
    "x*exp(y) + sin(x*y)",
    "sqrt(1 + x**2 + y**4) / (2 + cos(y))",
    "log1p(x**2) * tanh(y) + erf(x - y)",
    "where(x > y, x**3, y**2 * x)",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_derivatives_agree_with_differences(client: gm.Client, text: str) -> None:
    """First derivatives agree with differences of values, second ones with differences of gradients."""
    rows = np.random.default_rng(14).uniform(-1, 1, size=(40, 2))
    result = client.evaluate(
        text,
        rows,
        want=["jacobian", "jvp", "vjp", "hvp", "hessian", "hessian_diagonal", "sparse_hessian"],
        tangents=[1.0, -2.0],
        vectors=[1.0, -2.0],
        cotangents=3.0,
    )
    gradient = differences(lambda each: np.asarray(client.value(text, each).values), rows)
    hessian = differences(lambda each: np.asarray(client.gradient(text, each).gradient), rows)
    tolerance = 1e-6
    assert_same(result.jacobian, gradient, tolerance)
    assert_same(result.jvp, gradient @ [1.0, -2.0], tolerance)
    assert_same(result.vjp, 3 * gradient, tolerance)
    assert_same(result.hessian, hessian, tolerance)
    assert_same(result.hvp, hessian @ [1.0, -2.0], tolerance)
    assert_same(result.hessian_diagonal, np.diagonal(hessian, axis1=1, axis2=2), tolerance)
    assert_same(result.sparse_hessian.to_dense(), hessian, tolerance)


@pytest.mark.parametrize("text", FORMULAS)
def test_kinds_agree_with_one_another(client: gm.Client, text: str) -> None:
    """Products with unit directions are rows and columns of the Jacobian and the Hessian."""
    rows = np.random.default_rng(15).uniform(-1, 1, size=(9, 2))
    units = np.eye(2)[:, np.newaxis]
    result = client.evaluate(text, rows, want=["gradient", "jvp", "hvp", "hessian"], tangents=units, vectors=units)
    assert_same(result.jvp.T, result.gradient, 1e-13)
    assert_same(np.moveaxis(result.hvp, 0, 2), result.hessian, 1e-13)
    assert_same(result.hessian, np.swapaxes(result.hessian, 1, 2), 1e-13)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("form", ["matrix", "mapping"])
def test_sums_and_means_of_every_kind(client: gm.Client, reduction: str, form: str) -> None:
    """A sum or a mean is that of the results of all points, for every kind."""
    is_matrix = form == "matrix"
    shaped: Callable[[FloatArray], Any] = (lambda array: array) if is_matrix else by_input
    reduced = np.sum if reduction == "sum" else np.mean
    points: Any = POINTS if is_matrix else NAMED
    result = client.evaluate(
        loss(),
        points,
        want=["value", "gradient", "vjp", "jvp", "hvp", "hessian", "sparse_hessian"],
        reduction=reduction,
        tangents=shaped(VECTORS),
        cotangents=COTANGENTS[..., 0],
        vectors=shaped(VECTORS[0]),
    )
    value, gradient, hessian = loss_by_hand(POINTS)
    assert_same(result.values, reduced(value))
    assert isinstance(result.values, float)
    assert_same(result.gradient, shaped(reduced(gradient, axis=0)))
    assert_same(result.vjp, shaped(reduced(COTANGENTS[..., :1] * gradient, axis=1)))
    assert_same(result.jvp, reduced(np.einsum("kpi,pi->kp", VECTORS, gradient), axis=1))
    assert_same(result.hvp, shaped(reduced(np.einsum("pij,pj->pi", hessian, VECTORS[0]), axis=0)))
    assert_same(result.sparse_hessian.to_dense(), reduced(hessian, axis=0))
    total = reduced(hessian, axis=0)
    assert_same(result.hessian, total if is_matrix else {"x": by_input(total[0]), "w": by_input(total[1:])})


def test_the_gradient_of_a_loss_over_many_points_has_one_order(server: ServerProcess) -> None:
    """The gradient of a loss over a shared parameter has the same bits in one message and in many, near and far."""
    loss_of_row = "log1p(exp(-y*(a*x + b)))"
    rng = np.random.default_rng(16)
    rows = {"x": rng.normal(size=100_003), "y": rng.choice([-1.0, 1.0], size=100_003), "a": 0.3, "b": -0.1}
    small = Settings(batching=Batching(message_bytes=20_000))
    found = []
    with gm.local() as near, gm.connect(server.address) as far:
        for client in (near, far):
            found += [client.gradient(loss_of_row, rows, reduction="mean", with_respect_to=["a", "b"])]
        far._session._settings = small  # noqa: SLF001 - no caller cuts so finely
        found.append(far.gradient(loss_of_row, rows, reduction="mean", with_respect_to=["a", "b"]))
        plain = near.gradient(loss_of_row, rows, with_respect_to=["a", "b"])
    for result in found:
        assert result.values == found[0].values
        assert result.gradient == found[0].gradient
    np.testing.assert_allclose(found[0].gradient["a"], plain.gradient["a"].mean(), rtol=1e-13)


def test_one_point_and_shared_inputs(client: gm.Client) -> None:
    """One point has results without an axis of points, and shared inputs a derivative at each point."""
    value, gradient, hessian = loss_by_hand(POINTS[:1])
    one = client.evaluate(
        loss(), {"x": POINTS[0, 0], "w": POINTS[0, 1:]}, want=["value", "jacobian", "jvp", "hvp"],
        tangents={"x": 1.0}, vectors={"w": np.eye(3)},
    )  # fmt: skip
    assert_same(one.values, value[0])
    assert_same(one.jacobian, by_input(gradient[0]))
    assert_same(one.jvp, gradient[0, 0])
    assert_same(one.hvp, by_input(hessian[0, 1:]))
    shared = client.hessian(loss(), {"x": POINTS[:, 0], "w": POINTS[0, 1:]})
    rows = np.concatenate([POINTS[:, :1], np.tile(POINTS[0, 1:], (17, 1))], axis=1)
    expected = loss_by_hand(rows)[2]
    assert_same(shared.hessian, {"x": by_input(expected[:, 0]), "w": by_input(expected[:, 1:])})


@pytest.mark.parametrize("form", ["matrix", "mapping"])
def test_no_points_are_no_mistake(client: gm.Client, form: str) -> None:
    """A batch without points gives empty results of every kind, whose sum is zero."""
    is_matrix = form == "matrix"
    shaped: Callable[[FloatArray], Any] = (lambda array: array) if is_matrix else by_input
    given = {"tangents": shaped(VECTORS[:, :0]), "cotangents": 1.0, "vectors": shaped(VECTORS[0, :0])}
    kinds = ["value", "jacobian", "vjp", "jvp", "hvp", "hessian", "hessian_diagonal", "sparse_hessian"]
    result = client.evaluate(loss(), shaped(POINTS[:0]), want=kinds, **given)
    assert result.jvp.shape == (5, 0)
    assert result.sparse_hessian.to_dense().shape == (0, 4, 4)
    assert_same(result.hvp, shaped(np.zeros((0, 4))))
    summed = client.evaluate(loss(), shaped(POINTS[:0]), want=kinds, reduction="sum", **given)
    assert summed.values == 0.0
    assert_same(summed.jacobian, shaped(np.zeros(4)))


def test_some_inputs_only(client: gm.Client) -> None:
    """Derivatives by some inputs are those parts of the derivatives by all, in declared order."""
    result = client.evaluate(
        loss(), POINTS, want=["jacobian", "hessian", "hvp", "sparse_hessian"], with_respect_to="w", vectors=np.ones(3)
    )
    _, gradient, hessian = loss_by_hand(POINTS)
    assert_same(result.jacobian, gradient[:, 1:])
    assert_same(result.hessian, hessian[:, 1:, 1:])
    assert_same(result.hvp, hessian[:, 1:, 1:].sum(axis=2))
    assert_same(result.sparse_hessian.to_dense(), hessian[:, 1:, 1:])
    assert result.sparse_hessian.column_ranges == {"w": slice(0, 3)}


def test_a_sparse_hessian_has_its_diagonals_and_nothing_else(client: gm.Client) -> None:
    """Of a chain of fifty variables three diagonals come, with the numbers of the formula by hand."""
    count = 50
    rows = np.random.default_rng(17).normal(size=(6, count))
    found = client.sparse_hessian(chain(count), rows).sparse_hessian
    expected = np.zeros((6, count, count))
    for place in range(count - 1):
        w, following = rows[:, place], rows[:, place + 1]
        expected[:, place, place] += 1200 * w**2 - 400 * following + 2
        expected[:, place + 1, place + 1] += 200
        expected[:, place, place + 1] -= 400 * w
        expected[:, place + 1, place] -= 400 * w
    assert_same(found.to_dense(), expected)
    assert found.shape == (count, count)
    assert len(found.column_indices) == 3 * count - 2
    assert_same(client.hessian(chain(count), rows).hessian, expected)


def test_a_sparse_jacobian_has_two_diagonals(client: gm.Client) -> None:
    """Neighbours' products depend on two inputs each."""
    w = gm.inputs("w", shape=30)
    rows = np.random.default_rng(18).normal(size=(4, 30))
    found = client.sparse_jacobian(w[1:] * w[:-1], rows).sparse_jacobian
    expected = np.zeros((4, 29, 30))
    for place in range(29):
        expected[:, place, place] = rows[:, place + 1]
        expected[:, place, place + 1] = rows[:, place]
    assert_same(found.to_dense(), expected)
    assert len(found.column_indices) == 58


def test_jacobians_say_how_they_were_computed(client: gm.Client) -> None:
    """Few inputs and many outputs are computed forward, many inputs and few outputs in reverse."""
    t = gm.inputs("t")
    assert client.jacobian(gm.stack([t**power for power in range(1, 9)]), [0.5]).jacobian_mode == "forward"
    w = gm.inputs("w", shape=8)
    assert client.jacobian(gm.sum(w * w), np.ones(8)).jacobian_mode == "reverse"
    modes = client.jacobian(fields(), POINTS).jacobian_mode
    assert set(modes) == {"v", "s"}


def test_points_where_a_derivative_is_not_finite_are_marked(client: gm.Client) -> None:
    """Derivatives that are not finite are data, and marked, for every kind."""
    rows = [[0.0], [1.0]]
    kinds = ["jacobian", "hessian", "hessian_diagonal", "sparse_hessian", "jvp", "vjp", "hvp"]
    given: dict[str, list[Any]] = {"jvp": [[1.0]], "vjp": [1.0], "hvp": [[1.0]]}
    for kind in kinds:
        result = getattr(client, kind)("sqrt(x)", rows, *given.get(kind, []))
        assert result.point_flags.tolist() == [2, 0], kind


def test_too_many_directions_are_refused_with_the_knob(client: gm.Client) -> None:
    """The number of directions of a call has a limit, which is named."""
    with pytest.raises(gm.LimitError, match="number of directions 1001, limit 1000; knob: maximum_directions"):
        client.jvp("x*y", [1.0, 2.0], np.ones((1001, 2)))


def test_a_real_server_gives_the_same_bits(server: ServerProcess, client: gm.Client) -> None:
    """Every kind over the network has the bits of the server inside the process, in chunks as at once."""
    kinds = ["value", "gradient", "jacobian", "vjp", "jvp", "hvp", "hessian", "hessian_diagonal", "sparse_hessian"]
    given: dict[str, Any] = {"tangents": VECTORS, "cotangents": COTANGENTS[..., 0], "vectors": VECTORS[0]}
    near = client.evaluate(loss(), POINTS, want=kinds, **given)
    with gm.connect(server.address, batching=Batching(message_bytes=500)) as far:
        for _ in range(2):
            result = far.evaluate(loss(), POINTS, want=kinds, **given)
            assert result.sparse_hessian.to_dense().tobytes() == near.sparse_hessian.to_dense().tobytes()
            for kind in kinds[1:-1]:
                assert getattr(result, kind).tobytes() == getattr(near, kind).tobytes(), kind


def test_results_of_some_outputs_only() -> None:
    """Beside an array a scalar output has a gradient; names that are unknown, twice or none at all are refused."""
    x = gm.inputs("x", shape=3)
    function = gm.outputs(total=gm.sum(x * x), terms=x * x)
    point = np.array([1.0, 2.0, 3.0])
    with gm.local() as client:
        result = client.evaluate(function, point, want=["value", "gradient", "sparse_hessian"], outputs="total")
        assert result.values == 14.0
        assert result.gradient.tolist() == [2.0, 4.0, 6.0]
        assert result.sparse_hessian.to_dense().tolist() == np.diag([2.0, 2.0, 2.0]).tolist()
        both = client.evaluate(function, point, want="jacobian", outputs=["terms", "total"])
        assert list(both.jacobian) == ["total", "terms"]
        with pytest.raises(gm.InvalidRequestError, match="only a scalar output has a gradient"):
            client.gradient(function, point)
        for outputs, problem in (("sum", "is no output; the outputs: total, terms"), ([], "outputs is empty")):
            with pytest.raises(gm.InvalidRequestError, match=problem):
                client.evaluate(function, point, want="value", outputs=outputs)
