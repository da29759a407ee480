"""Answers read by a scan, beside the library's own reading; requests written by hand, beside its own writing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from gradmill.answers import read_evaluation
from gradmill.descriptions import FunctionInfo, OutputInfo
from gradmill.errors import GradmillError, ServerError
from gradmill.graph import FLOAT32, FLOAT64, Input
from gradmill.joined_plans import JoinedPlan
from gradmill.plans import ArrayKey
from gradmill.points import pack_points
from gradmill.settings import Batching
from gradmill.sources import as_source
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.v1 import graph_pb2
from gradmill.wire import array_message, read_array
from gradmill.wishes import as_wish
from hypothesis import given
from hypothesis import strategies as st


def _response() -> service.EvaluateResponse:
    response = service.EvaluateResponse(
        digest=bytes(32), point_flags=b"\0\1\2", cache=service.CACHE_OUTCOME_SHARED, stable_forms=["log1p", "expm1"]
    )
    response.timings.queue.FromMicroseconds(3)
    response.timings.encode.FromSeconds(2)
    matrix = array_message(np.arange(6.0).reshape(3, 2))
    response.results.add(derivative=service.DERIVATIVE_VALUE, output="a", array=array_message(np.arange(3.0)))
    response.results.add(derivative=service.DERIVATIVE_GRADIENT, output="a", with_respect_to="x", array=matrix)
    response.results.add(
        derivative=service.DERIVATIVE_JACOBIAN,
        output="é",
        array=array_message(np.ones((3, 1), np.float32)),
        mode=service.MODE_REVERSE,
    )
    sparse = response.results.add(derivative=service.DERIVATIVE_SPARSE_HESSIAN, array=array_message(np.empty((3, 0))))
    sparse.pattern.digest = b"abc"
    return response


def _said(body: bytes) -> Any:  # noqa: ANN401 - everything that an answer says
    answer = read_evaluation(body)
    results = {}
    for key, entry in answer.results.items():
        array = entry.array if isinstance(entry.array, np.ndarray) else read_array(entry.array, "array")
        results[key] = (array.dtype, array.shape, array.tobytes(), entry.pattern, entry.mode)
    return results, bytes(answer.point_flags), answer.cache, answer.stable_forms, answer.seconds


def test_an_answer_says_the_same_however_it_is_read() -> None:
    """Arrays, marks, patterns, modes, names and times arrive as they were sent."""
    response = _response()
    results, flags, cache, forms, seconds = _said(response.SerializeToString())
    assert list(results) == [
        ArrayKey(entry.derivative, entry.output, entry.with_respect_to, entry.second_with_respect_to)
        for entry in response.results
    ]
    for found, entry in zip(results.values(), response.results, strict=True):
        array = read_array(entry.array, "array")
        assert found == (array.dtype, array.shape, array.tobytes(), entry.pattern, entry.mode)
    assert (flags, cache, forms) == (b"\0\1\2", service.CACHE_OUTCOME_SHARED, ("log1p", "expm1"))
    assert seconds == (3e-6, 0.0, 0.0, 2.0)


def test_numbers_written_plainly_are_read_too() -> None:
    """A server may write the elements of an array as plain numbers."""
    response = service.EvaluateResponse()
    array = graph_pb2.Array(element_type=graph_pb2.ELEMENT_TYPE_FLOAT64, shape=[2], values=[1.5, 2.5])
    response.results.add(derivative=service.DERIVATIVE_VALUE, output="a", array=array)
    ((_, shape, data, _, _),) = _said(response.SerializeToString())[0].values()
    assert (shape, data) == ((2,), np.array([1.5, 2.5]).tobytes())


def test_an_array_that_lacks_elements_is_told() -> None:
    """An array whose bytes do not fill its shape is an error of the server, never a wrong result."""
    response = service.EvaluateResponse()
    array = graph_pb2.Array(element_type=graph_pb2.ELEMENT_TYPE_FLOAT64, shape=[3], data=bytes(16))
    response.results.add(derivative=service.DERIVATIVE_VALUE, output="a", array=array)
    with pytest.raises(ServerError, match="does not hold the elements of its shape"):
        _said(response.SerializeToString())


@given(st.data())
def test_damaged_answers_are_never_read_as_more_than_the_library_reads(data: st.DataObject) -> None:
    """Whatever happens to the bytes, an answer that is read says what the library says, or it is refused."""
    body = bytearray(_response().SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        said = _said(bytes(body))
    except (GradmillError, UnicodeDecodeError):
        return
    try:
        response = service.EvaluateResponse.FromString(bytes(body))
    except DecodeError:
        return  # the library also refuses what is wrong in parts that are not read here
    assert said[1:4] == (response.point_flags, response.cache, tuple(response.stable_forms))
    keys = {
        ArrayKey(entry.derivative, entry.output, entry.with_respect_to, entry.second_with_respect_to)
        for entry in response.results
    }
    assert set(said[0]) == keys


def test_a_part_of_a_joined_answer_shares_nothing_with_the_others() -> None:
    """What one caller does to its result changes no result of the callers whose calls travelled with it."""
    function = FunctionInfo(bytes(32), (Input("x"),), (OutputInfo("a", ()), OutputInfo("b", ())), 1)
    wish = as_wish("jacobian", None, None, None)
    assembler = JoinedPlan(as_source(bytes(32)), function, wish, Batching()).assembler(2)
    response = service.EvaluateResponse(digest=bytes(32))
    for output in "ab":
        response.results.add(
            derivative=service.DERIVATIVE_JACOBIAN,
            output=output,
            array=array_message(np.ones((2, 1))),
            mode=service.MODE_REVERSE,
        )
    assembler.add(0, 2, response.SerializeToString())
    first, second = (assembler.part(row, row + 1, is_one_point=True, by_name=False) for row in range(2))
    first.jacobian_mode["a"] = "changed"
    first.jacobian["a"][0] = 7.0
    assert second.jacobian_mode == {"a": "reverse", "b": "reverse"}
    assert second.jacobian["a"].tolist() == [1.0]


def _info(element_type: int) -> FunctionInfo:
    inputs = (Input("a", (), element_type), Input("b", (2,), element_type))
    return FunctionInfo(bytes(32), inputs, (), 1)


@pytest.mark.parametrize("element_type", [FLOAT64, FLOAT32])
@pytest.mark.parametrize(
    "points",
    [
        np.arange(12.0).reshape(4, 3),
        np.asfortranarray(np.arange(12.0).reshape(4, 3)),
        np.arange(24.0).reshape(4, 6)[:, ::2],
        {"a": np.arange(4.0), "b": np.ones((4, 2))},
        {"a": 2.0, "b": np.ones((4, 2))[::-1]},
        [1.0, 2.0, 3.0],
        np.empty((0, 3)),
    ],
)
def test_points_are_written_as_the_library_writes_them(points: object, element_type: int) -> None:
    """Points of any layout in memory are sent as the contract's message has them."""
    batch = pack_points(points, _info(element_type))
    for start, stop in ((0, batch.count), (min(1, batch.count), batch.count)):
        written = service.Points.FromString(b"".join(batch.parts(start, stop)))
        assert written == batch.message(start, stop)
