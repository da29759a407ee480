"""A service that grants every kind of wish for one function of x and w, by hand-written formulas.

y = x * (w[0]**2 + 3*w[1]); the elements of a point are (x, w[0], w[1]).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from gradmill.sparse import pattern_digest
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wire import FloatArray, array_message, read_array

from tests.client.fakes import FakeService

ELEMENTS = {"x": [0], "w": [1, 2]}
PLACES = [[1, 2], [0, 1], [0]]
"""The columns of each row of the Hessian."""


def value(points: FloatArray) -> FloatArray:
    """Return y at points [points, 3]."""
    x, w0, w1 = points.T
    y: FloatArray = x * (w0**2 + 3 * w1)
    return y


def gradient(points: FloatArray) -> FloatArray:
    """Return [points, 3]."""
    x, w0, w1 = points.T
    return np.stack([w0**2 + 3 * w1, 2 * x * w0, 3 * x], axis=1)


def hessian(points: FloatArray) -> FloatArray:
    """Return [points, 3, 3]."""
    x, w0, _ = points.T
    zero, three = 0 * x, 0 * x + 3
    rows = [[zero, 2 * w0, three], [2 * w0, 2 * x, zero], [three, zero, zero]]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


class KindsService(FakeService):
    """The service.

    Attributes:
        wants: those of each evaluation.
        reductions: that of each evaluation.
        version: changed, the Hessian's pattern has one place more.
    """

    def __init__(self) -> None:
        """Start with nothing asked."""
        super().__init__()
        self.wants: list[list[service.Want]] = []
        self.reductions: list[int] = []
        self.version = 1

    def _register(self, body: bytes) -> service.RegisterFunctionResponse:
        self._find(service.RegisterFunctionRequest.FromString(body).function)
        response = service.RegisterFunctionResponse(digest=self.digest, value_count=9)
        response.inputs.add(name="x")
        response.inputs.add(name="w", shape=[2])
        response.outputs.add(name="y")
        return response

    def _evaluate(self, request: service.EvaluateRequest) -> service.EvaluateResponse:
        self.forms.append(self._find(request.function))
        self.rows.append(request.points.count)
        self.wants.append(list(request.wants))
        self.reductions.append(request.reduction)
        response = service.EvaluateResponse(digest=self.digest)
        points = _matrix(request.points)
        for want in request.wants:
            for result, array, points_axis in self._results(want, points, by_name=bool(request.points.inputs)):
                summed = array.sum(axis=points_axis) if request.reduction == service.REDUCTION_SUM else array
                result.array.CopyFrom(array_message(summed))
                response.results.append(result)
        return response

    def _results(
        self, want: service.Want, points: FloatArray, *, by_name: bool
    ) -> Iterator[tuple[service.Result, FloatArray, int]]:
        """Yield each result without its array, its array, and which of the array's axes is that of points."""
        wanted = [name for name in ELEMENTS if not want.with_respect_to or name in want.with_respect_to]
        columns = list(itertools.chain.from_iterable(ELEMENTS[name] for name in wanted))
        kind = service.Derivative.Name(want.derivative).removeprefix("DERIVATIVE_")
        output = "" if kind == "VJP" else "y"
        base = service.Result(derivative=want.derivative, output=output)
        if kind == "JACOBIAN":
            base.mode = service.MODE_REVERSE
        if kind.startswith("SPARSE"):
            dense = gradient(points)[:, np.newaxis, columns] if kind == "SPARSE_JACOBIAN" else hessian(points)
            places = [list(range(len(columns)))] if kind == "SPARSE_JACOBIAN" else PLACES
            yield (*self._sparse(base, dense, places, want.omit_pattern), 0)
            return
        array = _dense(kind, want, points, columns)
        points_axis = 1 if kind in {"VJP", "JVP", "HVP"} else 0
        if not by_name or kind in {"VALUE", "JVP"}:
            yield base, array, points_axis
            return
        for names in itertools.product(wanted, repeat=2 if kind == "HESSIAN" else 1):
            part = array
            for axis, name in zip((-1, -2)[: len(names)], reversed(names), strict=True):
                part = np.take(part, [columns.index(column) for column in ELEMENTS[name]], axis=axis)
            if names[-1] == "x":
                part = part[..., 0]
            if len(names) > 1 and names[0] == "x":
                part = part[:, 0]
            result = service.Result()
            result.CopyFrom(base)
            result.with_respect_to = names[0]
            result.second_with_respect_to = names[1] if len(names) > 1 else ""
            yield result, part, points_axis

    def _sparse(
        self, result: service.Result, dense: FloatArray, places: Sequence[Sequence[int]], omit: bool
    ) -> tuple[service.Result, FloatArray]:
        rows = [list(row) for row in places]
        if self.version > 1 and len(rows) > 1:
            rows[2].append(2)
        starts = np.array([0, *itertools.accumulate(map(len, rows))])
        indices = np.array(list(itertools.chain.from_iterable(rows)))
        pattern = result.pattern
        pattern.rows, pattern.columns, pattern.places = len(rows), dense.shape[-1], len(indices)
        pattern.digest = pattern_digest((pattern.rows, pattern.columns), starts, indices)
        if not omit:
            pattern.row_starts.extend(starts.tolist())
            pattern.column_indices.extend(indices.tolist())
        return result, dense[:, np.repeat(np.arange(len(rows)), np.diff(starts)), indices]


def _dense(kind: str, want: service.Want, points: FloatArray, columns: list[int]) -> FloatArray:
    """Return an array over the elements of the wanted inputs."""
    first = gradient(points)[:, columns]
    second = hessian(points)[np.ix_(range(len(points)), columns, columns)]
    plain = {
        "VALUE": value(points),
        "GRADIENT": first,
        "JACOBIAN": first,
        "HESSIAN": second,
        "HESSIAN_DIAGONAL": np.diagonal(second, axis1=1, axis2=2),
    }
    if kind in plain:
        return plain[kind]
    over = {"y": [0]} if kind == "VJP" else ELEMENTS
    directions = _directions(want, over, len(points))
    if kind == "VJP":
        return np.multiply(directions, first)
    directions = directions[..., columns]
    if kind == "JVP":
        return np.asarray(np.einsum("kpi,pi->kp", directions, first))
    return np.asarray(np.einsum("pij,kpj->kpi", second, directions))


def _directions(want: service.Want, elements: dict[str, list[int]], points: int) -> FloatArray:
    """Return directions as [directions, points, elements], zero where nothing is said."""
    message = want.directions
    if message.HasField("matrix"):
        whole = read_array(message.matrix, "matrix")
        whole = whole[:, np.newaxis] if message.shared else whole
        names = list(want.with_respect_to) or list(elements)
        parts, offset = {}, 0
        for name in (entry for entry in elements if entry in names):
            parts[name] = whole[..., offset : offset + len(elements[name])]
            offset += len(elements[name])
    else:
        parts = {}
        for entry in message.arrays:
            array = read_array(entry.array, entry.name)
            array = array[:, np.newaxis] if message.shared else array
            parts[entry.name] = array.reshape(*array.shape[:2], -1)
    count = next(iter(parts.values())).shape[0]
    full = np.zeros((count, points, sum(map(len, elements.values()))))
    for name, part in parts.items():
        full[..., elements[name]] = part
    return full


def _matrix(points: service.Points) -> FloatArray:
    if not points.inputs:
        return read_array(points.matrix, "points")
    arrays = {entry.name: (read_array(entry.values, entry.name), entry.shared) for entry in points.inputs}
    columns = []
    for name, elements in ELEMENTS.items():
        array, shared = arrays[name]
        rows = array[np.newaxis] if shared else array
        columns.append(np.broadcast_to(rows.reshape(len(rows), len(elements)), (points.count, len(elements))))
    return np.concatenate(columns, axis=1)
