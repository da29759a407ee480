"""Batches of points: accepted when they fit the inputs, refused by field and shape when they do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from gradmill_server.engine.errors import InvalidPoints, LimitExceeded
from gradmill_server.engine.ir import FloatArray, Input
from gradmill_server.engine.points import PointBatch

from tests.engine.building import LIMITS

INPUTS = (Input("x"), Input("w", (2, 3)), Input("y"))


def test_a_matrix_holds_each_inputs_elements_in_declared_order() -> None:
    """Columns are the inputs' elements, arrays row-major."""
    matrix = np.arange(24.0).reshape(3, 8)
    batch = PointBatch.from_matrix(INPUTS, matrix)
    assert (batch.count, batch.is_matrix) == (3, True)
    x, w, y = batch.block(1, 3)
    np.testing.assert_array_equal(x, matrix[1:, 0])
    np.testing.assert_array_equal(w, matrix[1:, 1:7].reshape(2, 2, 3))
    np.testing.assert_array_equal(y, matrix[1:, 7])


@pytest.mark.parametrize("shape", [(3, 7), (3, 9), (8,), (), (1, 3, 8), (0, 7)])
def test_a_matrix_of_another_shape_is_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    """The refusal shows what came and what was expected, and for which inputs."""
    with pytest.raises(InvalidPoints) as caught:
        PointBatch.from_matrix(INPUTS, np.zeros(shape))
    assert caught.value.reason == "POINTS_SHAPE"
    assert caught.value.violations[0].field == "points.matrix"
    assert f"has shape {shape}, expected [points, 8] for inputs 'x, w, y'" in str(caught.value)


def test_named_arrays_are_per_point_or_shared() -> None:
    """An input has a value for each point, or one for all."""
    x, w = np.arange(5.0), np.arange(6.0).reshape(2, 3)
    batch = PointBatch.from_inputs(INPUTS, {"y": x + 1, "x": x, "w": w}, shared={"w"})
    assert (batch.count, batch.is_matrix) == (5, False)
    block = batch.block(2, 4)
    np.testing.assert_array_equal(block[0], [2.0, 3.0])
    np.testing.assert_array_equal(block[1], w[np.newaxis])
    np.testing.assert_array_equal(block[2], [3.0, 4.0])


@pytest.mark.parametrize(("count", "expected"), [(None, 1), (1, 1), (7, 7), (0, 0)])
def test_shared_inputs_alone_are_one_point_unless_said(count: int | None, expected: int) -> None:
    """When nothing varies there is one point, or as many as the caller says."""
    arrays = {"x": np.array(1.0), "w": np.zeros((2, 3)), "y": np.array(2.0)}
    assert PointBatch.from_inputs(INPUTS, arrays, shared=set(arrays), count=count).count == expected


def test_no_points_are_points() -> None:
    """An empty batch is valid in both forms."""
    assert PointBatch.from_matrix(INPUTS, np.zeros((0, 8))).count == 0
    empty = {"x": np.zeros(0), "w": np.zeros((0, 2, 3)), "y": np.zeros(0)}
    assert PointBatch.from_inputs(INPUTS, empty).count == 0


GOOD: Mapping[str, FloatArray] = {"x": np.zeros(4), "w": np.zeros((4, 2, 3)), "y": np.zeros(4)}
WRONG = [
    ("missing", {"x": GOOD["x"], "w": GOOD["w"]}, (), None, "INPUT_MISSING", "y", "no values for input 'y'"),
    ("unknown", {**GOOD, "z": np.zeros(4)}, (), None, "INPUT_UNKNOWN", "'z'", "the function has no input 'z'"),
    (
        "shape",
        {**GOOD, "w": np.zeros((4, 3, 2))},
        (),
        None,
        "POINTS_SHAPE",
        "w",
        "input 'w' has shape (4, 3, 2), expected [points, 2, 3]",
    ),
    ("rank", {**GOOD, "x": np.array(1.0)}, (), None, "POINTS_SHAPE", "x", "input 'x' has shape (), expected [points]"),
    ("shared", GOOD, {"w"}, None, "POINTS_SHAPE", "w", "input 'w' has shape (4, 2, 3), expected [2, 3]"),
    ("count", {**GOOD, "y": np.zeros(5)}, (), None, "POINTS_COUNT", "y", "input 'y' has 5 points, expected 4"),
    ("one", {**GOOD, "y": np.zeros(1)}, (), None, "POINTS_COUNT", "y", "input 'y' has 1 points, expected 4"),
    ("said", {**GOOD, "x": np.zeros(3)}, (), 4, "POINTS_COUNT", "x", "input 'x' has 3 points, expected 4"),
]


@pytest.mark.parametrize(
    ("arrays", "shared", "count", "reason", "name", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_arrays_that_do_not_fit_are_refused_by_input(
    arrays: dict[str, FloatArray], shared: set[str], count: int | None, reason: str, name: str, text: str
) -> None:
    """The refusal names the input, what came, and what was expected."""
    with pytest.raises(InvalidPoints) as caught:
        PointBatch.from_inputs(INPUTS, arrays, shared, count)
    (violation,) = caught.value.violations
    assert (violation.reason, violation.metadata) == (reason, {"name": name})
    assert violation.field.startswith("points.inputs")
    assert text in str(caught.value)


def test_everything_wrong_is_reported_at_once() -> None:
    """Several inputs at fault are named in one reply."""
    with pytest.raises(InvalidPoints) as caught:
        PointBatch.from_inputs(INPUTS, {"x": np.zeros((4, 1)), "q": np.zeros(4)})
    reasons = [entry.reason for entry in caught.value.violations]
    assert reasons == ["INPUT_UNKNOWN", "POINTS_SHAPE", "INPUT_MISSING", "INPUT_MISSING"]


@pytest.mark.parametrize("is_matrix", [True, False])
def test_a_part_of_a_batch_is_a_batch(is_matrix: bool) -> None:
    """Some points in a row are a batch of the same form, with the values that all points share."""
    inputs = (Input("x"), Input("w", (2,)))
    rows = np.arange(15.0).reshape(5, 3)
    whole = (
        PointBatch.from_matrix(inputs, rows)
        if is_matrix
        else PointBatch.from_inputs(inputs, {"x": rows[:, 0], "w": rows[0, 1:]}, {"w"})
    )
    part = whole.part(1, 4)
    assert (part.count, part.is_matrix) == (3, is_matrix)
    for found, expected in zip(part.block(0, 3), whole.block(1, 4), strict=True):
        assert np.array_equal(found, expected)


def test_too_many_points_are_refused_by_name() -> None:
    """The number of points has a limit, which is inclusive."""
    batch = PointBatch.from_matrix((Input("x"),), np.zeros((5, 1)))
    batch.check_limit(replace(LIMITS, maximum_points=5))
    with pytest.raises(LimitExceeded) as caught:
        batch.check_limit(replace(LIMITS, maximum_points=4))
    assert caught.value.reason == "TOO_MANY_POINTS"
    assert caught.value.metadata == {"value": "5", "limit": "4", "knob": "maximum_points", "field": "points"}
