"""Sparse Jacobians and Hessians: where they may differ from zero, and their numbers at many points."""

from __future__ import annotations

import hashlib
import importlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gradmill.errors import Failure, InvalidRequestError, MissingExtraError, invalid_response
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import FloatArray

IndexArray = npt.NDArray[np.int64]

SCIPY_COMMAND = "pip install scipy"
_MAXIMUM_REMEMBERED_BYTES = 64 * 1024 * 1024
_BYTES_OF_AN_ENTRY = 500
"""What a pattern without places occupies, its key included."""


class SparsePattern(NamedTuple):
    """Where a matrix may differ from zero, in compressed sparse row form.

    Attributes:
        shape: rows and columns.
        row_starts: int64 ``[rows + 1]``: the places of row i are ``row_starts[i]:row_starts[i + 1]``.
        column_indices: int64 ``[places]``, ascending in each row.
        digest: 32 bytes, equal for equal patterns.
    """

    shape: tuple[int, int]
    row_starts: IndexArray
    column_indices: IndexArray
    digest: bytes

    @property
    def byte_size(self) -> int:
        """About how many bytes it occupies."""
        return self.row_starts.nbytes + self.column_indices.nbytes + _BYTES_OF_AN_ENTRY


@dataclass(frozen=True, slots=True, eq=False)
class SparseMatrix:
    """Matrices that all have the same places in which they may differ from zero, in compressed sparse row form (CSR).

    The rows of a Jacobian count the elements of the output, those of a Hessian the elements of the wanted inputs; the
    columns of both count the elements of the wanted inputs. Elements are counted row-major, inputs in declared order.

    Attributes:
        shape: rows and columns of each matrix.
        row_starts: int64 ``[rows + 1]``: the places of row i are ``row_starts[i]:row_starts[i + 1]``. SciPy's indptr.
        column_indices: int64 ``[places]``, ascending in each row. SciPy's indices.
        values: ``[points, places]``, in the function's dtype; ``[places]`` for one point, or for a sum or mean over
            points.
        column_ranges: for each wanted input, the columns that are its elements.
    """

    shape: tuple[int, int]
    row_starts: IndexArray
    column_indices: IndexArray
    values: FloatArray
    column_ranges: Mapping[str, slice]

    def to_dense(self) -> FloatArray:
        """Return ``[points, rows, columns]``, or ``[rows, columns]`` where the values have no axis of points."""
        dense = np.zeros((*self.values.shape[:-1], *self.shape))
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.row_starts))
        dense[..., rows, self.column_indices] = self.values
        return dense

    def to_scipy(self, point: int | None = None) -> Any:  # noqa: ANN401 - SciPy need not be there, nor its types
        """Return the matrix of one point as a ``scipy.sparse.csr_array``.

        Args:
            point: the point's number; left out where the values have no axis of points.

        Raises:
            InvalidRequestError: a point is named but there is no axis of points, or the other way round.
            IndexError: there is no such point.
            MissingExtraError: SciPy is not installed; the message has the command to run.
        """
        if (point is None) != (self.values.ndim == 1):
            named = "no point is named" if point is None else f"point={point} is named"
            message = f"to_scipy: {named}, but the values have the shape {self.values.shape}"
            raise InvalidRequestError(message, Failure(reason="POINT_INVALID"))
        try:
            sparse = importlib.import_module("scipy.sparse")
        except ModuleNotFoundError as error:
            message = f"SparseMatrix.to_scipy() needs SciPy, which is not installed; run: {SCIPY_COMMAND}"
            raise MissingExtraError(message, Failure(metadata={"module": "scipy"})) from error
        values = self.values if point is None else self.values[point]
        return sparse.csr_array((values, self.column_indices, self.row_starts), shape=self.shape)

    def __repr__(self) -> str:
        """Show the shape, the number of places and the number of points."""
        points = "" if self.values.ndim == 1 else f", points={len(self.values)}"
        return f"SparseMatrix(shape={self.shape}, places={len(self.column_indices)}{points})"


def read_pattern(message: service.SparsePattern) -> SparsePattern | None:
    """Return the pattern of an answer; None when its places were left out.

    Raises:
        ServerError: its parts do not fit together, or not its digest.
    """
    if not message.row_starts:
        return None
    starts = np.array(message.row_starts, dtype=np.int64)
    indices = np.array(message.column_indices, dtype=np.int64)
    fits = (
        len(starts) == message.rows + 1
        and starts[0] == 0
        and starts[-1] == len(indices) == message.places
        and bool((np.diff(starts) >= 0).all())
        and bool((indices < message.columns).all())
    )
    if not fits or pattern_digest((message.rows, message.columns), starts, indices) != message.digest:
        error = "the pattern of a sparse result contradicts itself"
        raise invalid_response(error)
    return SparsePattern((message.rows, message.columns), starts, indices, message.digest)


def pattern_digest(shape: tuple[int, int], row_starts: IndexArray, column_indices: IndexArray) -> bytes:
    """Return the SHA-256 of a pattern, as the contract defines it."""
    state = hashlib.sha256()
    for part in (np.array(shape), row_starts, column_indices):
        state.update(part.astype("<u8").tobytes())
    return state.digest()


PatternKey = tuple[bytes, int, tuple[str, ...], str]
"""The function's digest, the kind's number, the wanted inputs, and the output."""


class PatternMemory:
    """Patterns that need not be sent again: those used last, up to a number of bytes. Safe to use from many threads."""

    def __init__(self, maximum_bytes: int = _MAXIMUM_REMEMBERED_BYTES) -> None:
        """Start empty."""
        self._maximum_bytes = maximum_bytes
        self._bytes = 0
        self._patterns: OrderedDict[PatternKey, SparsePattern] = OrderedDict()
        self._lock = threading.Lock()  # guards _patterns and _bytes

    def get(self, key: PatternKey) -> SparsePattern | None:
        """Return a pattern, if it is known."""
        with self._lock:
            pattern = self._patterns.get(key)
            if pattern is not None:
                self._patterns.move_to_end(key)
            return pattern

    def put(self, key: PatternKey, pattern: SparsePattern) -> None:
        """Remember a pattern, and forget those used longest ago when there are too many bytes."""
        with self._lock:
            self._drop(key)
            self._patterns[key] = pattern
            self._bytes += pattern.byte_size
            while self._bytes > self._maximum_bytes:
                self._drop(next(iter(self._patterns)))

    def forget(self, key: PatternKey) -> None:
        """Forget a pattern that holds no more."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: PatternKey) -> None:
        pattern = self._patterns.pop(key, None)
        if pattern is not None:
            self._bytes -= pattern.byte_size
