"""Answers put together: chunks of a batch, in order, in the form that the points had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradmill.answers import Answer, ResultEntry, read_evaluation
from gradmill.dividing import Division
from gradmill.errors import invalid_response
from gradmill.graph import Shape
from gradmill.kinds import KINDS, Kind
from gradmill.plans import ArrayKey, Expected, Plan
from gradmill.results import Result, Timings
from gradmill.sparse import SparseMatrix, SparsePattern, read_pattern
from gradmill.sums import OrderedSums
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import FloatArray, read_array
from gradmill.wire_format import Buffer

_CACHE_OUTCOMES: Mapping[int, str] = {
    service.CACHE_OUTCOME_HIT: "hit",
    service.CACHE_OUTCOME_SHARED: "shared",
    service.CACHE_OUTCOME_MISS: "miss",
}
_ORDER_OF_OUTCOMES = ("", "hit", "shared", "miss")
_MODES: Mapping[int, str] = {service.MODE_FORWARD: "forward", service.MODE_REVERSE: "reverse"}
_JACOBIAN = KINDS["jacobian"]


class Assembler:
    """Takes the answers to the messages of one batch, in any order, and puts the result together."""

    def __init__(self, plan: Plan, points_per_message: int, known: Mapping[ArrayKey, SparsePattern]) -> None:
        """Know what to expect, and the patterns of sparse matrices that will not be sent."""
        self._plan = plan
        self._points_per_message = points_per_message
        self._arrays: dict[ArrayKey, FloatArray] = {}
        self._sums = OrderedSums()
        self._patterns = dict(known)
        self._pattern_digests: dict[ArrayKey, set[bytes]] = {}
        self._modes: dict[str, str] = {}
        self._flags = np.zeros(plan.batch.count, dtype=np.uint8)
        self._timings = np.zeros(4)
        self._cache = ""
        self._stable_forms: tuple[str, ...] = ()
        self._columns: list[tuple[Kind, dict[str, FloatArray]]] | None = None
        self._division: Division
        self._common: dict[str, Any] = {}

    @property
    def compute_seconds(self) -> float:
        """What computing took the server."""
        return float(self._timings[2])

    @property
    def patterns(self) -> dict[ArrayKey, SparsePattern]:
        """The patterns of the sparse matrices, those that were known and those that came."""
        return self._patterns

    @property
    def patterns_agree(self) -> bool:
        """Whether every answer was about the patterns that are known; else the arrays mean nothing."""
        return all(
            key in self._patterns and digests == {self._patterns[key].digest}
            for key, digests in self._pattern_digests.items()
        )

    def add(self, start: int, stop: int, body: Buffer) -> None:
        """Take the answer for the points ``start`` to ``stop``.

        Raises:
            ServerError: the answer cannot be read, or is not what was asked for.
        """
        answer = read_evaluation(body)
        arrays = {
            key: self._read(key, expected, stop - start, answer.results) for key, expected in self._plan.arrays.items()
        }
        if self._plan.wish.reduction is None:
            for key, array in arrays.items():
                self._store(key, array, start, stop)
        else:
            self._sums.add(start // self._points_per_message, list(arrays.values()))
        self._add_flags(start, stop, answer.point_flags)
        self._add_statistics(answer)

    def _read(
        self, key: ArrayKey, expected: Expected, points: int, found: Mapping[ArrayKey, ResultEntry]
    ) -> FloatArray:
        """Return an array of an answer, checked."""
        what = f"{expected.kind.name} of output {key.output!r}" if key.output else expected.kind.name
        if key not in found:
            message = f"the answer lacks the {what}"
            raise invalid_response(message)
        entry = found[key]
        array = entry.array if isinstance(entry.array, np.ndarray) else read_array(entry.array, what)
        shape = expected.shape
        if shape is None:
            self._note_pattern(key, entry.pattern)
            shape = (entry.pattern.places,)
        elif entry.mode in _MODES:
            self._modes[key.output] = _MODES[entry.mode]
        wanted = self._full_shape(expected, shape, points)
        if array.shape != wanted:
            message = f"the {what} has the shape {array.shape}; expected {wanted}"
            raise invalid_response(message)
        return array

    def _full_shape(self, expected: Expected, shape: Shape, points: int) -> Shape:
        directions = (expected.directions,) if expected.directions else ()
        return (*directions, *((points,) if self._plan.wish.reduction is None else ()), *shape)

    def _note_pattern(self, key: ArrayKey, message: service.SparsePattern) -> None:
        pattern = read_pattern(message)
        if pattern is not None:
            self._patterns[key] = pattern
        self._pattern_digests.setdefault(key, set()).add(message.digest)

    def _store(self, key: ArrayKey, array: FloatArray, start: int, stop: int) -> None:
        """Keep the rows of a message: the array itself where it is the only one."""
        count = self._plan.batch.count
        if stop - start == count:
            self._arrays[key] = array
            return
        directions = array.shape[:1] if self._plan.arrays[key].directions else ()
        rest = array.shape[len(directions) + 1 :]
        whole = self._arrays.get(key)
        if whole is None:
            whole = self._arrays[key] = np.empty((*directions, count, *rest), array.dtype)
        if whole.shape == (*directions, count, *rest):  # else patterns differ, which is found out at the end
            whole[(slice(None),) * len(directions) + (slice(start, stop),)] = array

    def _add_flags(self, start: int, stop: int, flags: Buffer) -> None:
        if len(flags) not in {0, stop - start}:
            message = f"the answer has {len(flags)} point flags for {stop - start} points"
            raise invalid_response(message)
        if flags:
            self._flags[start:stop] = np.frombuffer(flags, dtype=np.uint8)

    def _add_statistics(self, answer: Answer) -> None:
        self._timings += answer.seconds
        outcome = _CACHE_OUTCOMES.get(answer.cache, "")
        self._cache = max(self._cache, outcome, key=_ORDER_OF_OUTCOMES.index)
        self._stable_forms = answer.stable_forms

    def result(self) -> Result:
        """Return what all answers together say."""
        if self._plan.wish.reduction is not None:
            self._take_totals()
        kinds = {kind.name: self._of_kind(kind) for kind in self._plan.wish.kinds}
        return Result(values=kinds.pop("value", None), point_flags=self._flags, **self._common_parts(), **kinds)

    def part(self, start: int, stop: int, *, is_one_point: bool, by_name: bool) -> Result:
        """Return what the answer to the only message says of some of its points, as if they had come alone.

        For points that were sent as a matrix, and kinds without directions and without patterns, with no reduction.

        Args:
            start: the first point.
            stop: the one after the last.
            is_one_point: whether the results are to have no axis of points.
            by_name: whether the points were given by name, so that results are by input.
        """
        if self._columns is None:
            self._prepare_parts()
        rows = start if is_one_point else slice(start, stop)
        kinds: dict[str, Any] = {}
        for kind, arrays in self._columns or ():
            axes = kind.input_axes if by_name else 0
            found = {name: self._division.divided(array[rows], axes) for name, array in arrays.items()}
            kinds[kind.name] = found if len(found) > 1 else next(iter(found.values()))
        flags = self._flags[start:stop].copy()
        common = dict(self._common)
        if isinstance(common["jacobian_mode"], dict):  # each caller's own, which it may change
            common["jacobian_mode"] = dict(common["jacobian_mode"])
        return Result(values=kinds.pop("value", None), point_flags=flags, **common, **kinds)

    def _prepare_parts(self) -> None:
        """Make once what all parts need; several threads may, at a time, so what says that it is there comes last."""
        names = [output.name for output in self._plan.outputs]
        self._common = self._common_parts()
        self._division = Division(self._plan.wanted, self._plan.column_ranges)
        self._columns = [
            (kind, {name: self._arrays[ArrayKey(kind.number, name)] for name in names})
            for kind in self._plan.wish.kinds
        ]

    def _common_parts(self) -> dict[str, Any]:
        """Return what is the same for all points."""
        wants_jacobian = _JACOBIAN in self._plan.wish.kinds
        return {
            "digest": self._plan.function.digest,
            "cache": self._cache,
            "timings": Timings(*self._timings.tolist()),
            "stable_forms": self._stable_forms,
            "jacobian_mode": self._by_output(lambda output: self._modes.get(output, "")) if wants_jacobian else None,
        }

    def _take_totals(self) -> None:
        totals = self._sums.totals()
        if self._plan.wish.reduction == "mean":
            with np.errstate(all="ignore"):
                count = np.float64(self._plan.batch.count)
                totals = [np.asarray(total / count).astype(total.dtype, copy=False) for total in totals]
        self._arrays = dict(zip(self._plan.arrays, totals, strict=True))

    def _of_kind(self, kind: Kind) -> Any:  # noqa: ANN401 - a float, an array or a mapping of these, as Result documents
        if kind.is_sparse:
            return self._by_output(lambda output: self._sparse(kind, output))
        if kind.by_output:
            return self._by_output(lambda output: self._by_inputs(kind, output))
        return self._by_inputs(kind, "")

    def _by_output(self, read: Callable[[str], Any]) -> Any:  # noqa: ANN401 - as _of_kind
        outputs = self._plan.outputs
        if len(outputs) == 1:
            return read(outputs[0].name)
        return {output.name: read(output.name) for output in outputs}

    def _by_inputs(self, kind: Kind, output: str) -> Any:  # noqa: ANN401 - as _of_kind
        key = ArrayKey(kind.number, output)
        if key in self._arrays:
            return self._final(kind, key)
        wanted = self._plan.wanted
        if kind.input_axes == 1:
            return {name: self._final(kind, ArrayKey(kind.number, output, name)) for name in wanted}
        return {
            name: {second: self._final(kind, ArrayKey(kind.number, output, name, second)) for second in wanted}
            for name in wanted
        }

    def _sparse(self, kind: Kind, output: str) -> SparseMatrix:
        key = ArrayKey(kind.number, output)
        shape, starts, indices, _ = self._patterns[key]
        values = np.asarray(self._final(kind, key))
        return SparseMatrix(shape, starts, indices, values, self._plan.column_ranges)

    def _final(self, kind: Kind, key: ArrayKey) -> float | FloatArray:
        """Return an array without the axes that were left out of the points and of the directions."""
        array = self._arrays[key]
        if self._plan.batch.is_one_point and self._plan.wish.reduction is None:
            array = array[:, 0] if kind.directions else array[0]
        if kind.directions and self._plan.directions[kind.name].is_single:
            array = array[0]
        return float(array) if array.ndim == 0 else _writable(array)


def _writable(array: FloatArray) -> FloatArray:
    """Return the array itself, or a copy when its memory is the message's own."""
    return array if array.flags.writeable else array.copy()
