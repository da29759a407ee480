"""Answers written by hand: what is the same in every answer of a program is made once, and numbers are copied once.

The bytes are those of an `EvaluateResponse`, field by field in the order of their numbers, as generated code writes it.
`responses` writes those that need more: plain numbers, and the places of sparse matrices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf import duration_pb2
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2

from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.program import Evaluation, ResultArray
from gradmill_server.engine.wants import Kind
from gradmill_server.serving.telemetry import Outcome
from gradmill_server.serving.wire.scanning import LENGTH_DELIMITED, VARINT, tag, varint

DERIVATIVE_OF = {kind: service_pb2.Derivative.Value(f"DERIVATIVE_{kind.name}") for kind in Kind}
MODE_OF = {"forward": service_pb2.MODE_FORWARD, "reverse": service_pb2.MODE_REVERSE}
OUTCOME_OF = {
    Outcome.HIT: service_pb2.CACHE_OUTCOME_HIT,
    Outcome.MISS: service_pb2.CACHE_OUTCOME_MISS,
    Outcome.SHARED: service_pb2.CACHE_OUTCOME_SHARED,
}

_MICROSECONDS = 1_000_000

Result = service_pb2.Result
Response = service_pb2.EvaluateResponse
Timings = service_pb2.Timings


class Layout(NamedTuple):
    """What is said of a program in each of its answers.

    Attributes:
        digest: that of the function.
        stable_forms: names of the stable forms applied.
        modes: by a wish's number and an output, how a Jacobian was computed.
    """

    digest: bytes
    stable_forms: tuple[str, ...]
    modes: Mapping[tuple[int, str], str]


class Spent(NamedTuple):
    """The seconds that each stage of a call took, as `Timings` has them."""

    queue: float
    compile: float
    compute: float
    encode: float


class _Frame(NamedTuple):
    """The constant bytes of a result for a number of points: before its numbers and after them."""

    before: bytes
    after: bytes


class AnswerWriter:
    """Writes the answers of one program. Immutable but for what it remembers, so threads may share it."""

    def __init__(self, layout: Layout) -> None:
        """Start with what all answers have in common."""
        self._modes = layout.modes
        self._begin = _bytes_field(Response.DIGEST_FIELD_NUMBER, layout.digest)
        self._outcomes = {
            outcome: _varint_field(Response.CACHE_FIELD_NUMBER, number)
            + b"".join(_bytes_field(Response.STABLE_FORMS_FIELD_NUMBER, name.encode()) for name in layout.stable_forms)
            for outcome, number in OUTCOME_OF.items()
        }
        # For the number of points that came last: most callers send the same number again and again.
        self._frames: tuple[int, list[_Frame]] = (-1, [])

    def write(
        self,
        arrays: Sequence[Sequence[ResultArray]],
        point_flags: npt.NDArray[np.uint8],
        outcome: Outcome,
        spent: Spent,
    ) -> bytes:
        """Return the bytes of an answer.

        Args:
            arrays: for each wish its results, each an array [points, ...].
            point_flags: uint8 [points].
            outcome: what the cache of programs held.
            spent: the time of each stage.
        """
        count = len(point_flags)
        known, frames = self._frames
        if known != count:
            frames = [self._frame(number, result) for number, wish in enumerate(arrays) for result in wish]
            self._frames = count, frames
        parts: list[Any] = [self._begin]
        each = iter(frames)
        for wish in arrays:
            for result in wish:
                before, after = next(each)
                array = result.array
                parts += (before, array if array.flags.c_contiguous else np.ascontiguousarray(array), after)
        timings = _timings(*[round(seconds * _MICROSECONDS) for seconds in spent])
        parts += (_flags(point_flags), self._outcomes[outcome], timings)
        return b"".join(parts)

    def resident(self, evaluation: Evaluation) -> Callable[[int, int], bytes]:
        """Return what writes the answers of an evaluation whose arrays stay, given two of its times.

        What it returns takes the microseconds of computing and of encoding, and gives the bytes of an answer that
        waited for nothing.
        """
        arrays, point_flags = evaluation
        parts: list[Any] = [self._begin]
        for number, wish in enumerate(arrays):
            for result in wish:
                frame = self._frame(number, result)
                parts += (frame.before, result.array, frame.after)
        parts += (b"", self._outcomes[Outcome.HIT], b"")

        def write(compute: int, encode: int) -> bytes:
            parts[-3], parts[-1] = _flags(point_flags), _timings(0, 0, compute, encode)
            return b"".join(parts)

        return write

    def _frame(self, number: int, result: ResultArray) -> _Frame:
        array = result.array
        element_type = ElementType.FLOAT32 if array.dtype == np.float32 else ElementType.FLOAT64
        sizes = b"".join(map(varint, array.shape))
        array_head = _varint_field(graph_pb2.Array.ELEMENT_TYPE_FIELD_NUMBER, element_type)
        if sizes:
            array_head += _bytes_field(graph_pb2.Array.SHAPE_FIELD_NUMBER, sizes)
        if array.nbytes:
            array_head += tag(graph_pb2.Array.DATA_FIELD_NUMBER, LENGTH_DELIMITED) + varint(array.nbytes)
        head = b"".join(
            (
                _varint_field(Result.DERIVATIVE_FIELD_NUMBER, DERIVATIVE_OF[result.kind]),
                _text_field(Result.OUTPUT_FIELD_NUMBER, result.output),
                _text_field(Result.WITH_RESPECT_TO_FIELD_NUMBER, result.with_respect_to),
                tag(Result.ARRAY_FIELD_NUMBER, LENGTH_DELIMITED) + varint(len(array_head) + array.nbytes) + array_head,
            )
        )
        after = _text_field(Result.SECOND_WITH_RESPECT_TO_FIELD_NUMBER, result.second_with_respect_to)
        if result.kind is Kind.JACOBIAN:
            after += _varint_field(Result.MODE_FIELD_NUMBER, MODE_OF[self._modes[number, result.output]])
        length = len(head) + array.nbytes + len(after)
        return _Frame(tag(Response.RESULTS_FIELD_NUMBER, LENGTH_DELIMITED) + varint(length) + head, after)


def _flags(point_flags: npt.NDArray[np.uint8]) -> bytes:
    """Return the field of the points' flags; nothing where all are zero."""
    flags = point_flags.tobytes()
    return b"" if flags.count(0) == len(flags) else _bytes_field(Response.POINT_FLAGS_FIELD_NUMBER, flags)


def _bytes_field(field: int, value: bytes) -> bytes:
    return tag(field, LENGTH_DELIMITED) + varint(len(value)) + value


def _text_field(field: int, text: str) -> bytes:
    return _bytes_field(field, text.encode()) if text else b""


def _varint_field(field: int, number: int) -> bytes:
    return tag(field, VARINT) + varint(number)


_STAGE_TAGS = (
    tag(Timings.QUEUE_FIELD_NUMBER, LENGTH_DELIMITED),
    tag(Timings.COMPILE_FIELD_NUMBER, LENGTH_DELIMITED),
    tag(Timings.COMPUTE_FIELD_NUMBER, LENGTH_DELIMITED),
    tag(Timings.ENCODE_FIELD_NUMBER, LENGTH_DELIMITED),
)
_TIMINGS = tag(Response.TIMINGS_FIELD_NUMBER, LENGTH_DELIMITED)
_SECONDS = tag(duration_pb2.Duration.SECONDS_FIELD_NUMBER, VARINT)
_NANOS = tag(duration_pb2.Duration.NANOS_FIELD_NUMBER, VARINT)


@functools.lru_cache(maxsize=4_096)
def _timings(*microseconds: int) -> bytes:
    """Return the field of `Timings`, given each stage's time in the order of `Spent`."""
    written = b"".join([mark + _duration(each) for mark, each in zip(_STAGE_TAGS, microseconds, strict=True)])
    return _TIMINGS + varint(len(written)) + written


def _duration(microseconds: int) -> bytes:
    """Return a `google.protobuf.Duration` with its length before it."""
    whole, rest = divmod(microseconds, _MICROSECONDS)
    written = _SECONDS + varint(whole) if whole else b""
    if rest:
        written += _NANOS + varint(rest * 1_000)
    return varint(len(written)) + written
