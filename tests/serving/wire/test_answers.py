"""Answers written by hand: the same messages as those that generated code writes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill_server.engine.program import ResultArray
from gradmill_server.engine.wants import Kind
from gradmill_server.serving.telemetry import Outcome, Stage
from gradmill_server.serving.wire.answers import AnswerWriter, Layout, Spent
from gradmill_server.serving.wire.arrays import Encoding
from gradmill_server.serving.wire.responses import EvaluateAnswer, write_evaluate

_DIGEST = bytes(range(32))
_SECONDS = {Stage.QUEUE: 0.0, Stage.COMPILE: 2.5, Stage.COMPUTE: 1e-6, Stage.ENCODE: 0.25}
_SPENT = Spent(0.0, 2.5, 1e-6, 0.25)
_MODES = {(2, "f"): "forward"}


def _arrays(points: int, dtype: npt.DTypeLike) -> list[list[ResultArray]]:
    def numbers(*shape: int) -> npt.NDArray[np.generic]:
        return np.arange(points * int(np.prod(shape)), dtype=dtype).reshape(points, *shape) / 7

    return [
        [ResultArray(Kind.VALUE, "f", "", numbers()), ResultArray(Kind.VALUE, "g", "", numbers(0))],  # type: ignore[arg-type]
        [ResultArray(Kind.GRADIENT, "f", "x", numbers(300))],  # type: ignore[arg-type]
        [ResultArray(Kind.JACOBIAN, "f", "", numbers(2, 3).transpose(0, 2, 1))],  # type: ignore[arg-type]
        [ResultArray(Kind.HESSIAN, "f", "x", numbers(2, 2), "y")],  # type: ignore[arg-type]
    ]


def _parsed(body: bytes) -> service_pb2.EvaluateResponse:
    message = service_pb2.EvaluateResponse.FromString(body)
    message.timings.encode.Clear()
    return message


@pytest.mark.parametrize("points", [0, 1, 3, 200])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("flagged", [False, True])
def test_written_by_hand_is_written_right(points: int, dtype: npt.DTypeLike, flagged: bool) -> None:
    """An answer of every kind, size and type is the message that generated code would have written."""
    arrays, flags = _arrays(points, dtype), np.full(points, flagged, dtype=np.uint8)
    forms = ("log1p", "expm1")
    writer = AnswerWriter(Layout(_DIGEST, forms, _MODES))
    expected, _ = write_evaluate(
        EvaluateAnswer(_DIGEST, arrays, flags, {}, (), _MODES, Outcome.MISS, forms, _SECONDS), Encoding.DATA
    )
    for _ in range(2):
        written = writer.write(arrays, flags, Outcome.MISS, _SPENT)
        assert _parsed(written) == _parsed(expected)
        assert service_pb2.EvaluateResponse.FromString(written).timings.encode.nanos == 250_000_000
