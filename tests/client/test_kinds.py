"""Every kind of derivative through a client, with a fake service: shapes, forms, chunks, sums and patterns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradmill as gm
import numpy as np
import pytest
from gradmill.kinds import KINDS
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import FloatArray

from tests.client.kinds_fake import KindsService, gradient, hessian, value
from tests.client.test_session import SMALL, call_in_asyncio, call_in_threads

POINTS = np.random.default_rng(3).normal(size=(23, 3))
NAMED = {"x": POINTS[:, 0], "w": POINTS[:, 1:]}
VECTOR = np.array([0.5, -2.0, 4.0])
VECTORS = np.random.default_rng(4).normal(size=(5, 23, 3))
Use = Callable[[Any], Any]


@pytest.fixture(params=[call_in_threads, call_in_asyncio], ids=["threads", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return what runs one call of a client of either kind; batches are cut after a few points."""

    def call(use: Use, fake: KindsService | None = None) -> Any:  # noqa: ANN401 - any result
        return request.param(fake or KindsService(), SMALL, use)

    return call


def assert_same(found: Any, expected: Any) -> None:  # noqa: ANN401 - whatever a result holds
    """Compare arrays, and mappings of them, by shape and to rounding."""
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert list(found) == list(expected)
        for name, entry in expected.items():
            assert_same(found[name], entry)
    else:
        assert np.shape(found) == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def by_input(array: FloatArray) -> dict[str, FloatArray]:
    """Take the last axis apart into the inputs."""
    return {"x": array[..., 0], "w": array[..., 1:]}


def test_a_matrix_gives_one_array_for_each_kind(run: Callable[..., Any]) -> None:
    """For a matrix of points every derivative is one array, whose last axis is over all elements."""
    result = run(
        lambda client: client.evaluate(
            "f", POINTS, want=list(KINDS), tangents=VECTORS, cotangents=np.arange(23.0), vectors=VECTOR
        )
    )
    assert_same(result.values, value(POINTS))
    assert_same(result.gradient, gradient(POINTS))
    assert_same(result.jacobian, gradient(POINTS))
    assert_same(result.vjp, np.arange(23.0)[:, np.newaxis] * gradient(POINTS))
    assert_same(result.jvp, np.einsum("kpi,pi->kp", VECTORS, gradient(POINTS)))
    assert_same(result.hvp, hessian(POINTS) @ VECTOR)
    assert_same(result.hessian, hessian(POINTS))
    assert_same(result.hessian_diagonal, np.diagonal(hessian(POINTS), axis1=1, axis2=2))
    assert_same(result.sparse_jacobian.to_dense(), gradient(POINTS)[:, np.newaxis])
    assert_same(result.sparse_hessian.to_dense(), hessian(POINTS))
    assert result.jacobian_mode == "reverse"


def test_a_mapping_gives_a_mapping_by_input_and_again_by_input(run: Callable[..., Any]) -> None:
    """For points by name derivatives come by name, second derivatives by pairs of names."""
    tangents = by_input(VECTORS)
    result = run(
        lambda client: client.evaluate(
            "f", NAMED, want=list(KINDS), tangents=tangents, cotangents={"y": 2.0}, vectors={"w": VECTOR[1:]}
        )
    )
    second = hessian(POINTS)
    assert_same(result.gradient, by_input(gradient(POINTS)))
    assert_same(result.jacobian, by_input(gradient(POINTS)))
    assert_same(result.vjp, by_input(2 * gradient(POINTS)))
    assert_same(result.jvp, np.einsum("kpi,pi->kp", VECTORS, gradient(POINTS)))
    assert_same(result.hvp, by_input(second @ [0.0, *VECTOR[1:]]))
    assert_same(result.hessian, {"x": by_input(second[:, 0]), "w": by_input(second[:, 1:])})
    assert_same(result.hessian_diagonal, by_input(np.diagonal(second, axis1=1, axis2=2)))
    assert_same(result.sparse_hessian.to_dense(), second)
    assert result.sparse_hessian.column_ranges == {"x": slice(0, 1), "w": slice(1, 3)}


@pytest.mark.parametrize("form", ["matrix", "mapping"])
def test_one_point_has_no_axis_of_points(run: Callable[..., Any], form: str) -> None:
    """For one point each kind lacks the axis of points, and a number is a float."""
    row = POINTS[0]
    is_matrix = form == "matrix"
    points: object = row if is_matrix else {"x": row[0], "w": row[1:]}
    vectors: object = VECTOR if is_matrix else by_input(VECTOR)
    many: object = VECTORS[:, 0] if is_matrix else by_input(VECTORS[:, 0])
    result = run(
        lambda client: client.evaluate("f", points, want=list(KINDS), tangents=vectors, cotangents=3.0, vectors=many)
    )
    first, second = gradient(POINTS[:1])[0], hessian(POINTS[:1])[0]
    assert isinstance(result.jvp, float)
    assert_same(result.jvp, first @ VECTOR)
    assert_same(result.jacobian, first if is_matrix else by_input(first))
    assert_same(result.vjp, 3 * first if is_matrix else by_input(3 * first))
    assert_same(result.hvp, VECTORS[:, 0] @ second if is_matrix else by_input(VECTORS[:, 0] @ second))
    expected = {"x": by_input(second[0]), "w": by_input(second[1:])}
    assert_same(result.hessian, second if is_matrix else expected)
    assert result.sparse_hessian.values.shape == (5,)
    assert_same(result.sparse_hessian.to_dense(), second)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_sums_and_means_have_no_axis_of_points(run: Callable[..., Any], reduction: str) -> None:
    """A sum or mean over a long batch is that over all its chunks, for every kind."""
    fake = KindsService()
    result = run(
        lambda client: client.evaluate(
            "f",
            POINTS,
            want=list(KINDS),
            reduction=reduction,
            tangents=VECTORS,
            cotangents=VECTORS[0, :, 0],
            vectors=VECTOR,
        ),
        fake,
    )
    reduced = np.sum if reduction == "sum" else np.mean
    assert_same(result.values, reduced(value(POINTS)))
    assert isinstance(result.values, float)
    assert_same(result.gradient, reduced(gradient(POINTS), axis=0))
    assert_same(result.vjp, reduced(VECTORS[0, :, :1] * gradient(POINTS), axis=0))
    assert_same(result.jvp, reduced(np.einsum("kpi,pi->kp", VECTORS, gradient(POINTS)), axis=1))
    assert_same(result.hvp, reduced(hessian(POINTS) @ VECTOR, axis=0))
    assert_same(result.hessian, reduced(hessian(POINTS), axis=0))
    assert_same(result.sparse_hessian.to_dense(), reduced(hessian(POINTS), axis=0))
    assert result.sparse_jacobian.values.shape == (3,)
    assert result.point_flags.shape == (23,)
    assert len(fake.rows) > 1
    assert set(fake.reductions) == {service.REDUCTION_SUM}


def test_chunks_are_added_up_in_the_order_of_one_message(run: Callable[..., Any]) -> None:
    """Chunks have a power of two of points, so that pairs of chunks continue the server's pairs of points."""
    fake = KindsService()
    run(lambda client: client.gradient("f", POINTS, reduction="sum"), fake)
    assert sorted(fake.rows) == [3, 4, 4, 4, 4, 4]


def test_a_mean_over_no_points_is_not_a_number(run: Callable[..., Any]) -> None:
    """No points have the sum zero and no mean."""
    assert run(lambda client: client.value("f", np.zeros((0, 3)), reduction="sum")).values == 0.0
    assert np.isnan(run(lambda client: client.value("f", np.zeros((0, 3)), reduction="mean")).values)


def test_only_the_wanted_inputs_count(run: Callable[..., Any]) -> None:
    """With with_respect_to, derivatives and directions are over those inputs alone."""
    result = run(
        lambda client: client.evaluate(
            "f",
            POINTS,
            want=["gradient", "hvp", "jvp", "hessian", "sparse_jacobian"],
            with_respect_to="w",
            vectors=VECTOR[1:],
            tangents={"w": VECTOR[1:]},
        )
    )
    assert_same(result.gradient, gradient(POINTS)[:, 1:])
    assert_same(result.jvp, gradient(POINTS)[:, 1:] @ VECTOR[1:])
    assert_same(result.hvp, hessian(POINTS)[:, 1:, 1:] @ VECTOR[1:])
    assert_same(result.hessian, hessian(POINTS)[:, 1:, 1:])
    assert result.sparse_jacobian.column_ranges == {"w": slice(0, 2)}
    assert result.values is None


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_has_a_method_of_its_name(run: Callable[..., Any], kind: str) -> None:
    """Each kind can be asked for by its own method, and nothing else comes but the values."""
    given: dict[str, list[Any]] = {"jvp": [VECTOR], "vjp": [1.0], "hvp": [VECTOR]}
    result = run(lambda client: getattr(client, kind)("f", POINTS, *given.get(kind, [])))
    assert_same(result.values, value(POINTS))
    others = {name for name in KINDS if name != "value" and getattr(result, name) is not None}
    assert others == {kind} - {"value"}
    assert f"{kind}=" in repr(result) or kind == "value"


def test_inputs_that_do_not_move_are_left_out_of_the_wish(run: Callable[..., Any]) -> None:
    """A tangent of some inputs alone asks the server about those alone."""
    fake = KindsService()
    run(lambda client: client.jvp("f", NAMED, {"w": [1.0, 2.0]}), fake)
    assert list(fake.wants[0][1].with_respect_to) == ["w"]
    assert fake.wants[0][1].directions.shared


@pytest.mark.parametrize(
    ("tangents", "expected"),
    [
        ({"x": 1.0}, [1.0, 0.0, 0.0]),
        ({"x": 1.0, "w": VECTORS[0, :, 1:]}, None),
        ({"x": np.ones((1, 23)), "w": VECTORS[0, :, 1:]}, None),
        ({"x": np.ones((1, 1)), "w": VECTORS[:1, :, 1:]}, None),
    ],
)
def test_what_is_shared_and_what_is_not_may_be_mixed(
    run: Callable[..., Any], tangents: dict[str, object], expected: list[float] | None
) -> None:
    """A number beside arrays holds for all points, and for all directions."""
    direction = np.array(expected) if expected else np.column_stack([np.ones(23), VECTORS[0, :, 1:]])
    found = run(lambda client: client.jvp("f", NAMED, tangents)).jvp
    single = found if found.ndim == 1 else found[0]
    assert_same(single, (gradient(POINTS) * direction).sum(axis=1))


def test_directions_that_all_points_share_travel_once(run: Callable[..., Any]) -> None:
    """Several directions without an axis of points of their own are sent without one."""
    fake = KindsService()
    result = run(lambda client: client.jvp("f", POINTS, np.eye(3)[:, np.newaxis]), fake)
    assert_same(result.jvp, gradient(POINTS).T)
    assert fake.wants[0][1].directions.shared
    assert list(fake.wants[0][1].directions.matrix.shape) == [3, 3]


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (
            lambda c: c.jvp("f", POINTS, np.ones((23, 2))),
            r"tangents has the shape \(23, 2\); expected \[23, 3\] or \[3\]",
        ),
        (
            lambda c: c.jvp("f", POINTS, np.ones((22, 3))),
            r"\(22, 3\); expected \[23, 3\] or \[3\] or \[directions, 23, 3\]",
        ),
        (lambda c: c.jvp("f", POINTS[0], np.ones((2, 2, 3))), r"expected \[3\] or \[directions, 3\] for one point"),
        (lambda c: c.jvp("f", NAMED, {"w": 1.0}), r"tangents of input 'w' has the shape \(\); expected \[23, 2\]"),
        (lambda c: c.jvp("f", NAMED, {"z": 1.0}), "tangents: 'z' is no input that is wanted; there are x, w"),
        (lambda c: c.jvp("f", NAMED, {"x": 1.0}, with_respect_to="w"), "'x' is no input that is wanted; there are w"),
        (lambda c: c.jvp("f", NAMED, {}), "tangents: no input is named"),
        (lambda c: c.jvp("f", NAMED, VECTOR), "tangents: expected a mapping from input to array; the inputs: x, w"),
        (lambda c: c.jvp("f", POINTS, np.ones((0, 23, 3))), "has no direction"),
        (
            lambda c: c.hvp("f", NAMED, {"x": np.ones((4, 1)), "w": np.ones((5, 1, 2))}),
            "vectors of input 'w' has 5 directions, but that of input 'x' has 4",
        ),
        (lambda c: c.vjp("f", NAMED, {"z": 1.0}), "cotangents: 'z' is no output that is wanted; there are y"),
        (
            lambda c: c.vjp("f", NAMED, [1j]),
            "cotangents of output 'y': elements of type complex128 are not real numbers",
        ),
        (
            lambda c: c.vjp("f", NAMED, [1.0, 2.0]),
            r"cotangents of output 'y' has the shape \(2,\); expected \[23\] or a number",
        ),
        (lambda c: c.evaluate("f", POINTS, want="jvp"), "jvp needs tangents="),
        (lambda c: c.evaluate("f", POINTS, want="value", vectors=VECTOR), "vectors= is given, but 'hvp' is not wanted"),
    ],
)
def test_directions_that_do_not_fit_are_refused_by_name(run: Callable[..., Any], use: Use, words: str) -> None:
    """A mistake in directions names the argument, the input or output, and what was expected."""
    with pytest.raises(gm.InvalidRequestError, match=words) as caught:
        run(use)
    assert caught.value.reason == "DIRECTIONS_INVALID"


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (
            lambda c: c.evaluate("f", POINTS, want="slope"),
            "want: 'slope' is no kind of result; there are value, gradient",
        ),
        (lambda c: c.evaluate("f", POINTS, want=[]), "want is empty"),
        (lambda c: c.evaluate("f", POINTS, want=["value", "value"]), "want: 'value' is named twice"),
        (
            lambda c: c.gradient("f", POINTS, reduction="max"),
            "reduction='max' is not known; use 'sum', 'mean', or None",
        ),
        (lambda c: c.hessian("f", POINTS, with_respect_to="v"), "with_respect_to: 'v' is no input; the inputs: x, w"),
    ],
)
def test_a_wish_that_means_nothing_is_refused(run: Callable[..., Any], use: Use, words: str) -> None:
    """An unknown kind, reduction or input is refused before anything is evaluated."""
    with pytest.raises(gm.InvalidRequestError, match=words) as caught:
        run(use)
    assert caught.value.reason == "WANT_INVALID"


def test_a_pattern_travels_once_for_a_client() -> None:
    """The first message of the first batch brings the pattern, no other message does."""
    fake = KindsService()

    def use(client: Any) -> Any:  # noqa: ANN401 - a client
        return client.sparse_hessian("f", POINTS), client.sparse_hessian("f", POINTS[:2])

    first, second = call_in_threads(fake, SMALL, use)
    assert_same(first.sparse_hessian.to_dense(), hessian(POINTS))
    assert_same(second.sparse_hessian.to_dense(), hessian(POINTS[:2]))
    omitted = [wants[1].omit_pattern for wants in fake.wants]
    assert omitted.count(False) == 1
    assert len(omitted) > 4


def test_a_pattern_that_changed_is_fetched_again_unseen() -> None:
    """A server of another version, with another pattern, costs one repetition and no error."""
    fake = KindsService()

    def use(client: Any) -> Any:  # noqa: ANN401 - a client
        client.sparse_hessian("f", POINTS)
        fake.version = 2
        return client.sparse_hessian("f", POINTS)

    result = call_in_threads(fake, SMALL, use)
    assert_same(result.sparse_hessian.to_dense(), hessian(POINTS))
    assert len(result.sparse_hessian.column_indices) == 6


def test_patterns_that_never_agree_are_an_error() -> None:
    """Two servers that take turns and have different patterns are found out."""
    fake = KindsService()
    evaluate = fake._evaluate  # noqa: SLF001 - the fake's own

    def alternate(request: service.EvaluateRequest) -> service.EvaluateResponse:
        fake.version = 1 + len(fake.rows) % 2
        return evaluate(request)

    fake._evaluate = alternate  # type: ignore[method-assign]  # noqa: SLF001 - the fake's own
    with pytest.raises(gm.ServerError, match="different patterns"):
        call_in_threads(fake, SMALL, lambda client: client.sparse_hessian("f", POINTS))
