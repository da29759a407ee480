"""What calls for one function and one wish have in common: how their points are packed, sent and answered."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from gradmill.assembling import Assembler
from gradmill.descriptions import FunctionInfo
from gradmill.element_types import DTYPES
from gradmill.errors import InvalidRequestError
from gradmill.plans import Plan
from gradmill.points import POINTS_FIELD, Batch, pack_points
from gradmill.settings import Batching
from gradmill.sources import Source, digest_message
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import ELEMENT_FORMAT, enclosed
from gradmill.wire_format import head_of, number_field, varint
from gradmill.wishes import Wish

_SMALL_BYTES = 32 * 1024
"""A call whose points and results have more bytes gains nothing from company, and would hold it up."""


class Packed(NamedTuple):
    """The points of a call as they are sent, and how they were given."""

    rows: bytes
    points: int
    is_one_point: bool
    by_name: bool


def is_joinable(wish: Wish) -> bool:
    """Return whether the results of a wish are rows, one for each point, and nothing else."""
    return wish.reduction is None and not any(kind.directions or kind.is_sparse for kind in wish.kinds)


class JoinedPlan:
    """How calls for a function and a wish are joined.

    Attributes:
        is_digest: whether the function cannot be written out.
        maximum_points: the most points that one message may carry.
    """

    def __init__(self, source: Source, function: FunctionInfo, wish: Wish, batching: Batching) -> None:
        """Check the wish, and write what all messages start with. Raises like :class:`Plan`."""
        self.is_digest = source.is_digest
        self._source = source
        self._element_type = function.element_type
        self._dtype = DTYPES[function.element_type]
        self._elements = function.elements_per_point
        self._plan = Plan(function, self._batch(1), wish)
        bytes_per_point = self._plan.batch.bytes_per_point + self._plan.answer_bytes_per_point
        self.maximum_points = self._plan.points_per_message(batching, {})
        self._maximum_points_of_call = _SMALL_BYTES // bytes_per_point
        self._shape_of_one_point = (self._elements,) if self._maximum_points_of_call else None
        self._by_digest = self._start(digest_message(function.digest))

    def _batch(self, count: int) -> Batch:
        """Return a batch that stands for the points of a message, which are never looked at again."""
        stand_in = np.empty((count, self._elements), self._dtype)
        return Batch(count, False, stand_in, {}, frozenset(), self._element_type)  # noqa: FBT003 - as it says

    def _start(self, function: service.Function) -> bytes:
        wants = self._plan.wants(0, 1, known={})
        return service.EvaluateRequest(function=function, wants=wants).SerializeToString()

    @cached_property
    def _inline(self) -> bytes:
        return self._start(self._source.message())

    def pack(self, points: object) -> Packed | None:
        """Return the points of a call; None for those that do not fit, are too many, or are partly shared."""
        if type(points) is np.ndarray and points.dtype == self._dtype and points.shape == self._shape_of_one_point:
            return Packed(points.tobytes(), 1, is_one_point=True, by_name=False)  # the quickest way, for most
        try:
            batch = pack_points(points, self._plan.function)
        except InvalidRequestError:  # told by the ordinary road
            return None
        is_small = 0 < batch.count <= self._maximum_points_of_call
        return _packed(batch) if is_small and (batch.is_one_point or not batch.shared) else None

    def body(self, rows: Sequence[bytes], count: int, *, inline: bool) -> bytes:
        """Return the `EvaluateRequest` for the points of several calls.

        Args:
            rows: the points of each.
            count: how many they are.
            inline: whether to write the function out.
        """
        shape = varint(count) + varint(self._elements)
        size = count * self._elements * ELEMENT_FORMAT[self._element_type].itemsize
        matrix = [
            number_field(1, self._element_type) + head_of(2, len(shape)) + shape + (head_of(4, size) if size else b""),
            *rows,
        ]
        points = enclosed(POINTS_FIELD, [number_field(1, count), *enclosed(2, matrix)])
        return b"".join([self._inline if inline else self._by_digest, *points])

    def assembler(self, count: int) -> Assembler:
        """Return what reads the answer to a message of so many points."""
        plan = copy.copy(self._plan)
        plan.batch = self._batch(count)
        return Assembler(plan, count, {})


def _packed(batch: Batch) -> Packed:
    if batch.matrix is not None:
        return Packed(batch.matrix.tobytes(), batch.count, batch.is_one_point, by_name=False)
    columns = [array.reshape(batch.count, -1) for array in batch.arrays.values()]
    rows = np.concatenate(columns, axis=1).tobytes() if columns else b""
    return Packed(rows, batch.count, batch.is_one_point, by_name=True)
