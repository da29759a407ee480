"""Arrays on the wire."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill.v1 import graph_pb2
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import InvalidPoints
from gradmill_server.engine.ir import FloatArray
from gradmill_server.serving.errors import RequestMalformed
from gradmill_server.serving.wire.arrays import Encoding, read_array, read_element_type, write_array

_REFUSE = InvalidPoints.from_violations


def _read(message: graph_pb2.Array, function: ElementType = ElementType.FLOAT64) -> FloatArray:
    return read_array(message, "a", _REFUSE, function).shaped()


@pytest.mark.parametrize("element_type", ElementType)
@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (0,), (2, 3), (2, 0, 3), (1, 2, 3, 4)])
def test_round_trip(encoding: Encoding, shape: tuple[int, ...], element_type: ElementType) -> None:
    """An array written either way is read back with the same shape and the same bits, and one of float32 says so."""
    array = np.asarray(np.random.default_rng(3).normal(size=shape)).astype(element_type.dtype)
    message = graph_pb2.Array()
    write_array(message, array, encoding)
    assert int(message.element_type) == element_type.value
    back = _read(graph_pb2.Array.FromString(message.SerializeToString()), element_type)
    assert back.shape == shape
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("encoding", Encoding)
def test_awkward_numbers_keep_their_bits(encoding: Encoding) -> None:
    """Signed zeros, subnormals, infinities and NaN pass bit by bit."""
    array = np.array([0.0, -0.0, 5e-324, -np.inf, np.inf, np.nan, np.finfo(float).max])
    message = graph_pb2.Array()
    write_array(message, array, encoding)
    assert _read(message).tobytes() == array.tobytes()


def test_raw_bytes_are_little_endian_and_row_major() -> None:
    """Elements written as raw bytes are little-endian with the last index varying fastest, whatever the memory."""
    message = graph_pb2.Array()
    write_array(message, np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]), Encoding.DATA)
    assert message.data == np.array([1.0, 2.0, 3.0, 4.0], dtype="<f8").tobytes()
    assert list(message.shape) == [2, 2]


@pytest.mark.parametrize(
    ("message", "field", "reason"),
    [
        (graph_pb2.Array(shape=[2], values=[1.0]), "a.values", "ARRAY_SIZE"),
        (graph_pb2.Array(values=[1.0, 2.0]), "a.values", "ARRAY_SIZE"),
        (graph_pb2.Array(), "a.data", "ARRAY_SIZE"),
        (graph_pb2.Array(shape=[2], data=b"1234567890123456789"), "a.data", "ARRAY_SIZE"),
        (graph_pb2.Array(shape=[0], data=b"12345678"), "a.data", "ARRAY_SIZE"),
        (graph_pb2.Array(shape=[1], values=[1.0], data=b"12345678"), "a", "ARRAY_AMBIGUOUS"),
        (graph_pb2.Array(shape=[2**32, 2**32], data=b""), "a.shape", "ARRAY_SIZE"),
        (graph_pb2.Array(shape=[2**64 - 1], data=b""), "a.shape", "ARRAY_SIZE"),
        (graph_pb2.Array(shape=[0, 2**63], data=b""), "a.shape", "ARRAY_SIZE"),
        (graph_pb2.Array(shape=[2**40], data=b""), "a.data", "ARRAY_SIZE"),
        (
            graph_pb2.Array(element_type="ELEMENT_TYPE_FLOAT32", data=bytes(4)),
            "a.element_type",
            "ELEMENT_TYPE_MISMATCH",
        ),
        (graph_pb2.Array(shape=[1] * 33, values=[1.0]), "a.shape", "RANK_TOO_LARGE"),
        (graph_pb2.Array(shape=[0] * 10_000), "a.shape", "RANK_TOO_LARGE"),
    ],
)
def test_disagreeing_sizes_are_refused(message: graph_pb2.Array, field: str, reason: str) -> None:
    """Elements that are not as many as the shape says are refused with their place, before anything is allocated."""
    with pytest.raises(InvalidPoints) as refused:
        _read(message)
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == (field, reason)


def test_bytes_are_not_copied() -> None:
    """Raw bytes are read in place."""
    flat = read_array(graph_pb2.Array(shape=[3], data=bytes(24)), "a", _REFUSE, ElementType.FLOAT64).elements
    assert not flat.flags.owndata
    assert not flat.flags.writeable


def test_element_types() -> None:
    """Binary64 is taken, said or not, and binary32; another number is no element type."""
    assert read_element_type(graph_pb2.ELEMENT_TYPE_UNSPECIFIED, "a") is ElementType.FLOAT64
    assert read_element_type(graph_pb2.ELEMENT_TYPE_FLOAT64, "a") is ElementType.FLOAT64
    assert read_element_type(graph_pb2.ELEMENT_TYPE_FLOAT32, "a") is ElementType.FLOAT32
    with pytest.raises(RequestMalformed, match="no value 77; this server knows 0 to 2") as unknown:
        read_element_type(77, "a")
    assert unknown.value.reason == "ELEMENT_TYPE_UNKNOWN"
