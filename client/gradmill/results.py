"""Answers put together: chunks of a batch, in order, in the form that the points had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from gradmill.descriptions import FunctionInfo
from gradmill.errors import Failure, InvalidRequestError, invalid_response
from gradmill.graph import Shape, size
from gradmill.points import Batch
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.v1 import graph_pb2
from gradmill.wire import FloatArray, read_array

_CACHE_OUTCOMES = {
    service.CACHE_OUTCOME_HIT: "hit",
    service.CACHE_OUTCOME_SHARED: "shared",
    service.CACHE_OUTCOME_MISS: "miss",
}
_ORDER_OF_OUTCOMES = ("", "hit", "shared", "miss")


@dataclass(frozen=True, slots=True)
class Timings:
    """Time that a server spent on a call, by stage, in seconds; summed over the messages of a long batch."""

    queue_seconds: float = 0.0
    compile_seconds: float = 0.0
    compute_seconds: float = 0.0
    encode_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """Values and gradients at a batch of points, all float64.

    Attributes:
        values: ``[points, *output shape]``; without the first axis for one point, where a scalar is a float. With
            several outputs, a mapping from output name to this.
        gradient: the derivatives of each output by the wanted inputs, in the form the points had. For a matrix of
            points ``[points, elements]``, ``[elements]`` for one point. For a mapping of points a mapping from input
            name to ``[points, *input shape]``, where one point has no first axis and a scalar is a float. With several
            outputs, a mapping from output name to this. None after ``client.value``.
        point_flags: uint8 ``[points]``: bit 0 where a value is not finite, bit 1 where a derivative is not.
        digest: the function's 32 bytes.
        cache: what the server's cache of programs held: "hit", "miss", "shared" (another call was compiling it), or ""
            when the server did not say. Of several messages, the one that waited longest counts.
        timings: the time the server spent.
        stable_forms: names of the numerically stable forms that were applied.
    """

    values: Any
    gradient: Any
    point_flags: npt.NDArray[np.uint8]
    digest: bytes
    cache: str
    timings: Timings
    stable_forms: tuple[str, ...]

    @property
    def all_finite(self) -> bool:
        """Whether every value and every derivative is finite."""
        return not self.point_flags.any()

    def __repr__(self) -> str:
        """Show values and gradient."""
        gradient = "" if self.gradient is None else f", gradient={self.gradient!r}"
        return f"Result(values={self.values!r}{gradient})"


_Key = tuple[int, str, str]


class Assembler:
    """Takes the answers to the messages of one batch, in any order, and puts the result together."""

    def __init__(
        self, function: FunctionInfo, batch: Batch, derivatives: Sequence[int], with_respect_to: Sequence[str]
    ) -> None:
        """Know what to expect.

        Raises:
            InvalidRequestError: an input in ``with_respect_to`` is unknown or named twice.
        """
        self._function = function
        self._batch = batch
        self._wanted = wanted_inputs(function, with_respect_to)
        self._shapes = self._expected_shapes(derivatives)
        self._arrays: dict[_Key, FloatArray] = {}
        self._flags = np.zeros(batch.count, dtype=np.uint8)
        self._timings = np.zeros(4)
        self._cache = ""
        self._stable_forms: tuple[str, ...] = ()

    @property
    def answer_bytes_per_point(self) -> int:
        """The bytes that each further point adds to an answer."""
        return 8 * sum(map(size, self._shapes.values())) + 1

    def add(self, start: int, stop: int, body: bytes) -> None:
        """Take the answer for the points ``start`` to ``stop``.

        Raises:
            ServerError: the answer cannot be read, or is not what was asked for.
        """
        response = service.EvaluateResponse()
        try:
            response.ParseFromString(body)
        except DecodeError as error:
            message = "the answer is not a valid EvaluateResponse"
            raise invalid_response(message) from error
        found: dict[_Key, graph_pb2.Array] = {
            (entry.derivative, entry.output, entry.with_respect_to): entry.array for entry in response.results
        }
        for key, shape in self._shapes.items():
            self._store(key, shape, (start, stop), found)
        self._add_flags(start, stop, response.point_flags)
        self._add_statistics(response)

    def result(self) -> Result:
        """Return what all answers together say."""
        if not self._flags.size and not self._arrays:
            self._arrays = {key: np.zeros((0, *shape)) for key, shape in self._shapes.items()}
        has_gradient = any(derivative == service.DERIVATIVE_GRADIENT for derivative, _, _ in self._shapes)
        return Result(
            values=self._by_output(self._values),
            gradient=self._by_output(self._gradient) if has_gradient else None,
            point_flags=self._flags,
            digest=self._function.digest,
            cache=self._cache,
            timings=Timings(*self._timings.tolist()),
            stable_forms=self._stable_forms,
        )

    def _expected_shapes(self, derivatives: Sequence[int]) -> dict[_Key, Shape]:
        """Return the shape of one point's array for each result to come."""
        shapes: dict[_Key, Shape] = {}
        for derivative in derivatives:
            for output in self._function.outputs:
                if derivative == service.DERIVATIVE_VALUE:
                    shapes[derivative, output.name, ""] = output.shape
                elif self._batch.matrix is not None:
                    shapes[derivative, output.name, ""] = (sum(size(shape) for shape in self._wanted.values()),)
                else:
                    shapes.update({(derivative, output.name, name): shape for name, shape in self._wanted.items()})
        return shapes

    def _store(self, key: _Key, shape: Shape, rows: tuple[int, int], found: Mapping[_Key, graph_pb2.Array]) -> None:
        start, stop = rows
        what = f"result for output {key[1]!r}"
        if key not in found:
            message = f"the answer lacks the {what}"
            raise invalid_response(message)
        array = read_array(found[key], what)
        if array.shape != (stop - start, *shape):
            message = f"the {what} has the shape {array.shape}; expected {(stop - start, *shape)}"
            raise invalid_response(message)
        if stop - start == self._batch.count:
            self._arrays[key] = array
            return
        if key not in self._arrays:
            self._arrays[key] = np.empty((self._batch.count, *shape))
        self._arrays[key][start:stop] = array

    def _add_flags(self, start: int, stop: int, flags: bytes) -> None:
        if len(flags) not in {0, stop - start}:
            message = f"the answer has {len(flags)} point flags for {stop - start} points"
            raise invalid_response(message)
        if flags:
            self._flags[start:stop] = np.frombuffer(flags, dtype=np.uint8)

    def _add_statistics(self, response: service.EvaluateResponse) -> None:
        spent = response.timings
        stages = (spent.queue, spent.compile, spent.compute, spent.encode)
        self._timings += [stage.ToNanoseconds() / 1e9 for stage in stages]
        outcome = _CACHE_OUTCOMES.get(response.cache, "")
        self._cache = max(self._cache, outcome, key=_ORDER_OF_OUTCOMES.index)
        self._stable_forms = tuple(response.stable_forms)

    def _by_output(self, read: Any) -> Any:  # noqa: ANN401 - a float, an array or a mapping of these, as Result documents
        outputs = self._function.outputs
        if len(outputs) == 1:
            return read(outputs[0].name)
        return {output.name: read(output.name) for output in outputs}

    def _values(self, output: str) -> float | FloatArray | None:
        key = (service.DERIVATIVE_VALUE, output, "")
        return self._final(key) if key in self._shapes else None

    def _gradient(self, output: str) -> float | FloatArray | dict[str, float | FloatArray]:
        derivative = service.DERIVATIVE_GRADIENT
        if self._batch.matrix is not None:
            return self._final((derivative, output, ""))
        return {name: self._final((derivative, output, name)) for name in self._wanted}

    def _final(self, key: _Key) -> float | FloatArray:
        array = self._arrays[key]
        if not self._batch.is_one_point:
            return _writable(array)
        return float(array[0]) if array.ndim == 1 else _writable(array[0])


def _writable(array: FloatArray) -> FloatArray:
    """Return the array itself, or a copy when its memory is the message's own."""
    return array if array.flags.writeable else array.copy()


def wanted_inputs(function: FunctionInfo, with_respect_to: Sequence[str]) -> dict[str, Shape]:
    """Return the inputs that derivatives are wanted by, in declared order, with their shapes; no names means all.

    Raises:
        InvalidRequestError: a name is unknown, or is named twice.
    """
    shapes = {entry.name: entry.shape for entry in function.inputs}
    for position, name in enumerate(with_respect_to):
        if name not in shapes or name in with_respect_to[:position]:
            problem = "is named twice" if name in shapes else f"is no input; the inputs: {', '.join(shapes)}"
            message = f"with_respect_to: {name!r} {problem}"
            raise InvalidRequestError(message, Failure(reason="WANT_INVALID", metadata={"name": name}))
    return {name: shape for name, shape in shapes.items() if not with_respect_to or name in with_respect_to}
