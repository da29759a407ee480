"""Points on the wire."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import InvalidPoints, LimitExceeded
from gradmill_server.engine.ir import Input
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.points import PointBatch
from gradmill_server.serving.wire.points import PointsDraft

from tests.serving.support import array, matrix

_INPUTS = (Input("x"), Input("w", (2,)))
_LIMITS = Limits(maximum_points=10)


def _bind(message: service_pb2.Points, inputs: Sequence[Input] = _INPUTS) -> PointBatch:
    return PointsDraft(message).bind(inputs, _LIMITS)


def _named(count: int = 0, **values: tuple[object, bool]) -> service_pb2.Points:
    entries = [
        service_pb2.InputValues(name=name, values=array(value), shared=shared)  # type: ignore[arg-type]
        for name, (value, shared) in values.items()
    ]
    return service_pb2.Points(count=count, inputs=entries)


def test_matrix() -> None:
    """A matrix gives one point a row, with the inputs' elements side by side."""
    batch = _bind(matrix([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    x, w = batch.block(0, 2)
    assert (batch.count, batch.is_matrix) == (2, True)
    assert x.tolist() == [1.0, 4.0]
    assert w.tolist() == [[2.0, 3.0], [5.0, 6.0]]


def test_named_inputs_in_any_order_shared_or_not() -> None:
    """Named inputs come in any order, each per point or shared by all."""
    batch = _bind(_named(w=([7.0, 8.0], True), x=([1.0, 2.0, 3.0], False)))
    x, w = batch.block(0, 3)
    assert (batch.count, batch.is_matrix) == (3, False)
    assert x.tolist() == [1.0, 2.0, 3.0]
    assert w.tolist() == [[7.0, 8.0]]


def test_count_tells_how_many_points_share_everything() -> None:
    """When all points share every input, the count says how many there are; without it there is one."""
    assert _bind(_named(5, x=(1.0, True), w=([1.0, 2.0], True))).count == 5
    assert _bind(_named(x=(1.0, True), w=([1.0, 2.0], True))).count == 1


def test_no_inputs_at_all() -> None:
    """A function without inputs needs only the count."""
    assert _bind(service_pb2.Points(count=3), ()).count == 3
    assert _bind(matrix(np.empty((4, 0))), ()).count == 4


def test_no_points() -> None:
    """A matrix without rows is a batch of no points."""
    assert _bind(matrix(np.empty((0, 3)))).count == 0


_ONE = graph_pb2.Array(values=[1.0])


@pytest.mark.parametrize(
    ("message", "field", "reason"),
    [
        (service_pb2.Points(), "points", "POINTS_MISSING"),
        (service_pb2.Points(count=3), "points", "POINTS_MISSING"),
        (
            service_pb2.Points(matrix=_ONE, inputs=[service_pb2.InputValues(name="x", values=_ONE)]),
            "points",
            "POINTS_AMBIGUOUS",
        ),
        (matrix([1.0, 2.0, 3.0]), "points.matrix", "POINTS_SHAPE"),
        (matrix([[1.0, 2.0]]), "points.matrix", "POINTS_SHAPE"),
        (service_pb2.Points(count=2, matrix=array([[1.0, 2.0, 3.0]])), "points.count", "POINTS_COUNT"),
        (_named(x=([1.0], False)), "points.inputs", "INPUT_MISSING"),
        (_named(x=([1.0], False), w=([[1.0, 2.0]], False), y=(1.0, True)), "points.inputs", "INPUT_UNKNOWN"),
        (_named(x=([1.0], False), w=([[1.0, 2.0, 3.0]], False)), "points.inputs", "POINTS_SHAPE"),
        (_named(x=(1.0, False), w=([[1.0, 2.0]], False)), "points.inputs", "POINTS_SHAPE"),
        (_named(x=([1.0, 2.0], False), w=([[1.0, 2.0]], False)), "points.inputs", "POINTS_COUNT"),
        (_named(3, x=([1.0], False), w=([[1.0, 2.0]], False)), "points.inputs", "POINTS_COUNT"),
    ],
)
def test_points_that_do_not_fit(message: service_pb2.Points, field: str, reason: str) -> None:
    """Points that do not fit the function, or each other, are refused with the field at fault."""
    with pytest.raises(InvalidPoints) as refused:
        _bind(message)
    assert (refused.value.violations[0].field, refused.value.reason) == (field, reason)


def test_input_given_twice() -> None:
    """An input given twice is refused by its name and position."""
    twice = _named(x=([1.0], False))
    twice.inputs.append(twice.inputs[0])
    with pytest.raises(InvalidPoints, match=r"points\.inputs\[1\]\.name: input 'x' is given twice"):
        _bind(twice)


@pytest.mark.parametrize(
    "message",
    [
        matrix(np.zeros((11, 3))),
        service_pb2.Points(matrix=graph_pb2.Array(shape=[2**40, 0])),
        _named(11, x=(1.0, True), w=([1.0, 2.0], True)),
        _named(2**64 - 1, x=(1.0, True), w=([1.0, 2.0], True)),
        _named(x=(np.zeros(11), False), w=([1.0, 2.0], True)),
    ],
)
def test_too_many_points(message: service_pb2.Points) -> None:
    """More points than the limit are refused by the limit's name, however they are given."""
    with pytest.raises(LimitExceeded) as refused:
        _bind(message)
    assert refused.value.metadata["knob"] == "maximum_points"


@pytest.mark.parametrize("by_name", [False, True])
def test_points_of_float64_for_a_function_of_float32_are_refused(by_name: bool) -> None:
    """The server converts nothing: points that do not say float32 are refused with what to send."""
    inputs = [entry._replace(element_type=ElementType.FLOAT32) for entry in _INPUTS]
    given = _named(x=([1.0], False), w=([1.0, 2.0], True)) if by_name else matrix([[1.0, 2.0, 3.0]])
    with pytest.raises(InvalidPoints, match="float64 for a float32 function; send ELEMENT_TYPE_FLOAT32") as refused:
        _bind(given, inputs)
    assert refused.value.violations[0].reason == "ELEMENT_TYPE_MISMATCH"


def test_points_of_float32_are_read_in_place() -> None:
    """Four bytes each, or plain numbers that are rounded, become float32 points of a function of that type."""
    inputs = [entry._replace(element_type=ElementType.FLOAT32) for entry in _INPUTS]
    rows = np.array([[0.1, 2.0, 3.0]], dtype=np.float32)
    raw = graph_pb2.Array(element_type=graph_pb2.ELEMENT_TYPE_FLOAT32, shape=[1, 3], data=rows.tobytes())
    plain = graph_pb2.Array(element_type=graph_pb2.ELEMENT_TYPE_FLOAT32, shape=[1, 3], values=[0.1, 2.0, 3.0])
    for message in (raw, plain):
        batch = _bind(service_pb2.Points(matrix=message), inputs)
        assert batch.matrix is not None
        assert batch.matrix.dtype == np.float32
        assert np.array_equal(batch.matrix, rows)


def test_element_type_is_checked_in_points() -> None:
    """Points in single precision for a function in double precision are refused, with their field and both types."""
    message = service_pb2.Points(matrix=graph_pb2.Array(element_type=2, shape=[1, 3], data=bytes(12)))  # type: ignore[arg-type]
    expected = r"points\.matrix\.element_type: float32 for a float64 function; send ELEMENT_TYPE_FLOAT64"
    with pytest.raises(InvalidPoints, match=expected) as refused:
        _bind(message)
    assert refused.value.violations[0].reason == "ELEMENT_TYPE_MISMATCH"
