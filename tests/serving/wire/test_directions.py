"""Directions on the wire."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import EngineError, LimitExceeded
from gradmill_server.engine.limits import Limits
from gradmill_server.serving.wire.directions import Directions, Target, part, read_directions

from tests.serving.support import array

FIELD = "wants[1].directions"
INPUTS = Target("input", {"x": (), "w": (2,)})
POINTS = 4


def _named(*, shared: bool = False, **values: object) -> service_pb2.Direction:
    arrays = [service_pb2.NamedArray(name=name, array=array(value)) for name, value in values.items()]  # type: ignore[arg-type]
    return service_pb2.Direction(arrays=arrays, shared=shared)


def _bound(message: service_pb2.Direction, target: Target = INPUTS) -> Directions:
    return read_directions(message, FIELD).bind(target, POINTS)


def test_directions_of_each_point() -> None:
    """Named arrays [directions, points, ...] come with points first; what is not named is not there."""
    numbers = np.arange(24.0).reshape(3, POINTS, 2)
    bound = _bound(_named(w=numbers))
    assert list(bound) == ["w"]
    assert bound["w"].shape == (POINTS, 3, 2)
    assert np.array_equal(bound["w"][2, 1], numbers[1, 2])


def test_shared_directions() -> None:
    """Arrays [directions, ...] that all points share have one row."""
    bound = _bound(_named(shared=True, w=[[1.0, 2.0]] * 3, x=[1.0, 2.0, 3.0]))
    assert (bound["w"].shape, bound["x"].shape) == ((1, 3, 2), (1, 3))
    assert bound["x"].tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize("shared", [False, True])
def test_matrix_is_taken_apart(shared: bool) -> None:
    """A matrix over all elements gives each input its own, row-major, in the order of the wish."""
    rows = np.arange(3.0 * POINTS * 3).reshape(3, POINTS, 3)
    sent = rows[:, 0] if shared else rows
    bound = _bound(service_pb2.Direction(matrix=array(sent), shared=shared))
    expected = np.moveaxis(rows[:, :1] if shared else rows, 0, 1)
    assert np.array_equal(bound["x"], expected[..., 0])
    assert np.array_equal(bound["w"], expected[..., 1:])


def test_directions_have_the_type_of_the_function() -> None:
    """Directions of float64 for a function of float32 are refused, those of float32 are taken as they are."""
    target = replace(INPUTS, element_type=ElementType.FLOAT32)
    with pytest.raises(EngineError, match="float64 for a float32 function") as refused:
        _bound(_named(shared=True, x=[1.0, 2.0]), target)
    assert refused.value.violations[0].reason == "ELEMENT_TYPE_MISMATCH"
    numbers = np.array([0.1, 2.0], dtype=np.float32)
    sent = graph_pb2.Array(element_type=graph_pb2.ELEMENT_TYPE_FLOAT32, shape=[2], data=numbers.tobytes())
    message = service_pb2.Direction(arrays=[service_pb2.NamedArray(name="x", array=sent)], shared=True)
    assert np.array_equal(_bound(message, target)["x"], numbers[np.newaxis])


def test_matrices_inside_a_matrix() -> None:
    """An output with two dimensions has its elements row-major."""
    target = Target("output", {"a": (2, 2), "b": ()})
    rows = np.arange(2.0 * POINTS * 5).reshape(2, POINTS, 5)
    bound = _bound(service_pb2.Direction(matrix=array(rows)), target)
    assert np.array_equal(bound["a"][3, 1], rows[1, 3, :4].reshape(2, 2))
    assert np.array_equal(bound["b"][3, 1], rows[1, 3, 4])


def test_part_is_that_of_the_same_points() -> None:
    """A block of points has its own directions, and those that all points share."""
    bound = _bound(_named(x=np.arange(8.0).reshape(2, POINTS)))
    assert part(bound, 1, 3)["x"].tolist() == [[1.0, 5.0], [2.0, 6.0]]
    shared = _bound(_named(shared=True, x=[1.0, 2.0]))
    assert part(shared, 1, 3)["x"].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("message", "reason", "text"),
    [
        (service_pb2.Direction(), "DIRECTIONS_MISSING", f"{FIELD}: neither matrix nor arrays"),
        (
            service_pb2.Direction(matrix=array(np.ones((1, 4, 3))), arrays=_named(x=[[1.0]]).arrays),
            "DIRECTIONS_AMBIGUOUS",
            "both matrix and arrays",
        ),
        (_named(x=1.0), "DIRECTIONS_COUNT", f"{FIELD}.arrays[0].array: shape () has no directions"),
        (_named(x=np.ones((0, 4))), "DIRECTIONS_COUNT", "shape (0, 4) has no directions"),
        (
            _named(x=np.ones((2, 4)), w=np.ones((3, 4, 2))),
            "DIRECTIONS_COUNT",
            f"{FIELD}.arrays[1].array: has 3 directions, but {FIELD}.arrays[0].array has 2",
        ),
        (
            _named(w=np.ones((2, 4, 3))),
            "DIRECTIONS_SHAPE",
            f"{FIELD}.arrays[0]: input 'w' has shape (2, 4, 3), expected [2 directions, 4 points, 2]",
        ),
        (_named(w=np.ones((2, 5, 2))), "DIRECTIONS_SHAPE", "(2, 5, 2), expected [2 directions, 4 points, 2]"),
        (_named(shared=True, w=np.ones((2, 4, 2))), "DIRECTIONS_SHAPE", "(2, 4, 2), expected [2 directions, 2]"),
        (
            service_pb2.Direction(matrix=array(np.ones((2, 4, 2)))),
            "DIRECTIONS_SHAPE",
            f"{FIELD}.matrix: the matrix over inputs 'x, w' has shape (2, 4, 2), expected [2 directions, 4 points, 3]",
        ),
        (_named(z=np.ones((2, 4))), "INPUT_UNKNOWN", "the wish is not about input 'z', but about 'x, w'"),
        (
            service_pb2.Direction(arrays=[*_named(x=np.ones((2, 4))).arrays, *_named(x=np.ones((2, 4))).arrays]),
            "NAME_DUPLICATE",
            f"{FIELD}.arrays[1]: input 'x' is given twice",
        ),
        (
            service_pb2.Direction(arrays=[service_pb2.NamedArray(name="x", array=graph_pb2.Array(shape=[1, 4]))]),
            "ARRAY_SIZE",
            f"{FIELD}.arrays[0].array",
        ),
    ],
)
def test_what_does_not_fit(message: service_pb2.Direction, reason: str, text: str) -> None:
    """Wrong directions are refused with the field, the name, and both shapes."""
    with pytest.raises(EngineError) as refused:
        _bound(message)
    assert (refused.value.status, refused.value.reason) == ("INVALID_ARGUMENT", reason)
    assert text in refused.value.message


def test_their_number_is_bounded() -> None:
    """More directions than one wish may have are refused with the knob."""
    draft = read_directions(_named(shared=True, x=[1.0] * 5), FIELD)
    draft.check_limit(Limits(maximum_directions=5))
    with pytest.raises(LimitExceeded, match="number of directions 5, limit 4; knob: maximum_directions"):
        draft.check_limit(Limits(maximum_directions=4))
