"""Programs: a function together with the derivatives wanted of it, ready to run at any number of points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradmill_server.engine.autodiff import Propagation
from gradmill_server.engine.backends.choice import Road, executable, loops_run_natively, road
from gradmill_server.engine.backends.results import ResidentExecutable, ResultGroup, SummingExecutable
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.derivatives.differentiation import Differentiated, DirectionInput, Part, differentiate
from gradmill_server.engine.errors import InvalidPoints, LimitExceeded
from gradmill_server.engine.ir import Graph, size
from gradmill_server.engine.ops.arrays.loops import SCAN
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.inline import inline_calls
from gradmill_server.engine.passes.segment_loops import segment_loops
from gradmill_server.engine.passes.share_loops import share_loops
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.passes.stable_forms import with_stable_forms
from gradmill_server.engine.passes.unroll_loops import unroll_loops
from gradmill_server.engine.wants import SPARSE, Kind, Want

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from gradmill_server.engine.ir import FloatArray
    from gradmill_server.engine.limits import Limits
    from gradmill_server.engine.points import PointBatch

VALUE_NOT_FINITE = 1
"""Bit of a point's flags: a wanted value is not finite."""

DERIVATIVE_NOT_FINITE = 2
"""Bit of a point's flags: a wanted derivative is not finite."""

_FLAG_OF = {kind: VALUE_NOT_FINITE if kind is Kind.VALUE else DERIVATIVE_NOT_FINITE for kind in Kind}


@dataclass(frozen=True, slots=True)
class Options:
    """How derivatives and stable forms are treated.

    Attributes:
        parity: plain IEEE propagation, without strong zeros or stable forms.
        disabled_stable_forms: names of stable forms to leave alone.
    """

    parity: bool = False
    disabled_stable_forms: frozenset[str] = frozenset()


class ResultArray(NamedTuple):
    """One array of results, of the function's element type, [points, ...].

    Of derivatives with respect to several inputs there is an array for each, or, when the points came as a matrix, one
    whose last axis runs over the elements of all wanted inputs in declared order. With E for these elements, K for the
    number of directions:

    - VALUE [points, *output shape];
    - GRADIENT, HESSIAN_DIAGONAL [points, *input shape], or [points, E];
    - VJP [points, K, *input shape], or [points, K, E], of all wanted outputs together;
    - JVP [points, K, *output shape], by all wanted inputs together;
    - JACOBIAN [points, *output shape, *input shape], or [points, *output shape, E];
    - HVP [points, K, *input shape], or [points, K, E];
    - HESSIAN [points, *input shape, *second input's shape], or [points, E, E];
    - SPARSE_JACOBIAN, SPARSE_HESSIAN [points, nonzeros], in the order of `Program.patterns`.

    Attributes:
        kind: what it holds.
        output: the output it belongs to; empty for a VJP.
        with_respect_to: the input; empty for values, JVP and sparse results, and for points that came as a matrix.
        array: the numbers.
        second_with_respect_to: the second input of a Hessian.
    """

    kind: Kind
    output: str
    with_respect_to: str
    array: FloatArray
    second_with_respect_to: str = ""


class Evaluation(NamedTuple):
    """What an evaluation gives.

    Attributes:
        arrays: for each want, its results, by output and then by input.
        point_flags: uint8 [points], a sum of VALUE_NOT_FINITE and DERIVATIVE_NOT_FINITE.
    """

    arrays: list[list[ResultArray]]
    point_flags: npt.NDArray[np.uint8]


class Resident(NamedTuple):
    """An evaluation at a fixed number of points, in memory that stays.

    Attributes:
        run: evaluates at points [points, inputs], as bytes of the function's element type in this machine's order.
        evaluation: the results of the last run, in the same arrays each time.
    """

    run: Callable[[bytes], None]
    evaluation: Evaluation


_FORWARD_ONLY = frozenset({Kind.VALUE, Kind.JVP})
"""Kinds that need no reverse mode, so that nothing is stored for it."""

_LARGEST_UNROLLED_LOOPS = 2_000
"""Operations up to which loops are written out, where that makes a function native.

Measured for 150 steps of a logistic map with results: value and gradient take 0.15 s to compile instead of 2 ms, and
then 0.03 ms at four points instead of 8, and 0.6 ms at a thousand instead of 25.
"""

_BYTES_PER_PROGRAM = 4_500
_BYTES_PER_GROUP = 250
"""What a program and each of its groups of results occupy besides its executable (measured)."""

_new_result = tuple.__new__
"""Makes a `ResultArray` of a tuple in half the time that calling the class takes: there is one for each input."""


class Program:
    """A compiled function. Immutable; evaluates in many threads at once.

    Attributes:
        wants: what it computes.
        stable_forms: names of the stable forms applied.
        node_count: values computed at each point, inputs and constants included.
        point_bytes: bytes of the results at one point.
        patterns: of sparse derivatives, by the want's number and the output's name.
        modes: "forward" or "reverse" for each Jacobian, likewise: how it is computed.
        byte_size: estimated bytes it occupies.
    """

    def __init__(
        self,
        wants: tuple[Want, ...],
        stable_forms: tuple[str, ...],
        made: Differentiated,
        *,
        by: Road,
        native_loops: bool = False,
        checkpoint: Checkpoint = never,
    ) -> None:
        """Prepare a differentiated graph for a backend: by the function's road."""
        self.wants = wants
        self.stable_forms = stable_forms
        self.node_count = len(made.graph.nodes)
        self.patterns = made.patterns
        self.modes = made.modes
        self._directions = made.directions
        self._parts = made.parts
        groups = [_described(part) for part in made.parts if part.is_row or size(part.shape)]
        self._executable = executable(made.graph, groups, by=by, native_loops=native_loops, checkpoint=checkpoint)
        # Asking what a protocol has takes some ten microseconds.
        self._summing = self._executable if isinstance(self._executable, SummingExecutable) else None
        self._resident = self._executable if isinstance(self._executable, ResidentExecutable) else None
        self._dtype = made.graph.element_type.dtype
        self.point_bytes = self._dtype.itemsize * sum(size(shape) for group in groups for shape in group.shapes)
        patterns = sum(pattern.columns.nbytes + pattern.row_starts.nbytes for pattern in made.patterns.values())
        described = _BYTES_PER_PROGRAM + _BYTES_PER_GROUP * len(groups)
        self.byte_size = described + patterns + self._executable.byte_size

    def evaluate(
        self,
        points: PointBatch,
        limits: Limits,
        checkpoint: Checkpoint,
        directions: Sequence[Mapping[str, FloatArray]] = (),
    ) -> Evaluation:
        """Evaluate at a batch of points, block by block.

        Args:
            points: the points, checked against the function's inputs.
            limits: bounds on points, scratch and results.
            checkpoint: called every few milliseconds; may raise DeadlineExceeded or Cancelled to stop.
            directions: for each want that takes some, in order, for each output (cotangents) or input (tangents,
                vectors) an array [points, directions, *shape], or [1, directions, *shape] for directions that all
                points share; zeros for a name that is missing.

        Raises:
            LimitExceeded: for too many points, results or intermediate values; before anything is computed.
            InvalidPoints: for directions of another shape.
        """
        points.check_limit(limits)
        result_bytes = self.point_bytes * points.count
        if result_bytes > limits.maximum_result_bytes:
            raise LimitExceeded.of(
                what="bytes of results",
                reason="RESULT_TOO_LARGE",
                value=result_bytes,
                limit=limits.maximum_result_bytes,
                knob="maximum_result_bytes",
            )
        further = self._checked(directions, points.count) if self._directions or directions else ()
        if points.matrix is not None:
            matrix = _widened(points.matrix, further) if further else points.matrix
            arrays, flags = self._executable.evaluate_rows(matrix, limits, checkpoint)
            return Evaluation(self._by_matrix(arrays, points.count), flags)
        columns = [*points.arrays, *further]
        members, flags = self._executable.evaluate_columns(columns, points.count, limits, checkpoint)
        return Evaluation(self._by_input(members, points.count), flags)

    def resident(self, rows: int, limits: Limits) -> Resident | None:
        """Return an evaluation at so many points, given as a matrix, in memory of its own.

        It gives the bits that `evaluate` gives, in a fraction of the time of a small call, and belongs to one thread.
        None where there is none: with directions, or for more work than some microseconds take.

        Args:
            rows: the number of points.
            limits: bounds on points, scratch and results.

        Raises:
            LimitExceeded: as `evaluate` does.
        """
        if (
            self._resident is None
            or self._directions
            or not all(part.is_row or size(part.shape) for part in self._parts)
        ):
            return None
        run = self._resident.resident(rows, limits)
        return None if run is None else Resident(run.run, Evaluation(self._by_matrix(run.arrays, rows), run.flags))

    @property
    def sums_points(self) -> bool:
        """Whether `evaluate_sums` is there: sums over points are made without results for each point."""
        return self._summing is not None

    def evaluate_sums(
        self,
        points: PointBatch,
        limits: Limits,
        checkpoint: Checkpoint,
        directions: Sequence[Mapping[str, FloatArray]] = (),
    ) -> Evaluation:
        """Evaluate at a batch of points and add all results up, in an order that depends on their number alone.

        It takes and raises the same as `evaluate`, and is there only where `sums_points` says so.

        Returns:
            Arrays [1, ...] of sums, and flags that mark no point: a point's results are never looked at by themselves.
        """
        if self._summing is None:
            message = "this program has results for each point only"
            raise TypeError(message)
        points.check_limit(limits)
        further = self._checked(directions, points.count) if self._directions or directions else ()
        columns = [*points.block(0, points.count), *further]
        made = [part for part in self._parts if part.is_row or size(part.shape)]
        members, flags = self._summing.evaluate_sums(columns, points.count, range(len(made)), limits, checkpoint)
        one_row = [[member[np.newaxis] for member in group] for group in members]
        if points.matrix is None:
            return Evaluation(self._by_input(one_row, 1), flags)
        rows = [
            np.concatenate([member.reshape(1, member.size) for member in group], axis=1) if part.is_row else group[0]
            for part, group in zip(made, one_row, strict=True)
        ]
        return Evaluation(self._by_matrix(rows, 1), flags)

    def _checked(self, directions: Sequence[Mapping[str, FloatArray]], count: int) -> list[FloatArray]:
        """Return the arrays of directions in the order of the graph's further inputs."""
        takers = list(dict.fromkeys(entry.want for entry in self._directions))
        if len(takers) != len(directions):
            message = f"directions: {len(takers)} wants take some, {len(directions)} were given"
            raise InvalidPoints(message, reason="DIRECTIONS_COUNT", metadata={"field": "directions"})
        given = dict(zip(takers, directions, strict=True))
        return [_direction(entry, given[entry.want].get(entry.name), count, self._dtype) for entry in self._directions]

    def _by_matrix(self, arrays: Sequence[FloatArray], count: int) -> list[list[ResultArray]]:
        """Name results at points that came as a matrix."""
        named: list[list[ResultArray]] = [[] for _ in self.wants]
        each = iter(arrays)
        for part in self._parts:
            array = next(each) if part.is_row or size(part.shape) else np.zeros((count, *part.shape), self._dtype)
            named[part.want].append(_new_result(ResultArray, (part.kind, part.output, "", array, "")))
        return named

    def _by_input(self, members: Sequence[list[FloatArray]], count: int) -> list[list[ResultArray]]:
        """Name results at points that came as an array for each input."""
        named: list[list[ResultArray]] = [[] for _ in self.wants]
        each = iter(members)
        for part in self._parts:
            results = named[part.want]
            if part.is_row:
                for name, values in zip(part.inputs, next(each), strict=True):
                    results.append(_new_result(ResultArray, (part.kind, part.output, name, values, "")))
                continue
            (array,) = next(each) if size(part.shape) else [np.zeros((count, *part.shape), self._dtype)]
            results += _taken_apart(part, array)
        return named


def _described(part: Part) -> ResultGroup:
    """Return a part as backends see it."""
    return ResultGroup(_FLAG_OF[part.kind], part.shapes if part.is_row else (part.shape,), part.is_row)


def _taken_apart(part: Part, array: FloatArray) -> Iterator[ResultArray]:
    """Take results [points, ..., elements of all inputs] apart by input; those of a Hessian by two."""
    if part.kind in SPARSE or not part.inputs:
        yield ResultArray(part.kind, part.output, "", array)
        return
    if part.kind is not Kind.HESSIAN:
        for name, values in _split(part, array, array.ndim - 1):
            yield ResultArray(part.kind, part.output, name, values)
        return
    for first, rows in _split(part, array, 1):
        for second, block in _split(part, rows, rows.ndim - 1):
            yield ResultArray(part.kind, part.output, first, block, second)


def _split(part: Part, array: FloatArray, axis: int) -> Iterator[tuple[str, FloatArray]]:
    """Take an axis over the elements of all inputs apart; each piece has its input's axes in its place."""
    begin = 0
    for name, shape in zip(part.inputs, part.shapes, strict=True):
        count = size(shape)
        piece = np.take(array, range(begin, begin + count), axis=axis)
        yield name, piece.reshape(*array.shape[:axis], *shape, *array.shape[axis + 1 :])
        begin += count


def _direction(entry: DirectionInput, array: FloatArray | None, count: int, dtype: np.dtype[Any]) -> FloatArray:
    """Return the directions for one output or input, checked; zeros when there are none."""
    if array is None:
        return np.zeros((1, *entry.shape), dtype)
    if array.shape[1:] != entry.shape or array.shape[0] not in {1, count}:
        expected = f"[points, {', '.join(map(str, entry.shape))}]"
        message = (
            f"directions for {entry.name!r} have shape {array.shape}, expected {expected} with 1 or {count} points"
        )
        raise InvalidPoints(message, reason="DIRECTIONS_SHAPE", metadata={"field": "directions", "name": entry.name})
    return array


def _widened(matrix: FloatArray, further: Sequence[FloatArray]) -> FloatArray:
    """Return a matrix of points with the elements of further inputs after the function's own."""
    count = len(matrix)
    flat = [array.reshape(len(array), size(array.shape[1:])) for array in further]
    return np.concatenate([matrix, *(np.broadcast_to(each, (count, each.shape[1])) for each in flat)], axis=1)


def compile_program(
    graph: Graph, wants: tuple[Want, ...], options: Options, limits: Limits, checkpoint: Checkpoint = never
) -> Program:
    """Compile a function and the derivatives wanted of it.

    Args:
        graph: the function in canonical form, so that equal functions give equal bits.
        wants: what to compute, resolved against the function.
        options: treatment of derivatives and stable forms.
        limits: bounds on the size of the program.
        checkpoint: called every few milliseconds; may raise to stop.

    Raises:
        LimitExceeded: when function and derivatives together have too many values.
    """
    stable_forms: tuple[str, ...] = ()
    graph = inline_calls(graph, limits, checkpoint)
    if not options.parity:
        graph, stable_forms = with_stable_forms(graph, options.disabled_stable_forms, checkpoint)
    graph = through_bodies(graph, lambda each: simplify(expand(each, checkpoint), checkpoint), checkpoint)
    by = road(graph, checkpoint)
    native_loops = loops_run_natively(graph, checkpoint)
    if SCAN in graph.nodes.operations:
        unrolled = unroll_loops(graph, _LARGEST_UNROLLED_LOOPS, checkpoint)
        by = Road.NUMPY if unrolled is None else road(unrolled, checkpoint)
        if unrolled is not None and by is not Road.NUMPY:
            graph = simplify(unrolled, checkpoint)
        elif any(want.kind not in _FORWARD_ONLY for want in wants):
            graph = segment_loops(graph, limits, checkpoint)
    propagation = Propagation(strong_zeros=not options.parity)
    made = differentiate(graph, wants, propagation, limits, checkpoint)
    del graph  # of a million nodes, together with what follows, it would be most of the memory
    made.graph = share_loops(made.graph, checkpoint)
    made.graph = through_bodies(made.graph, lambda each: simplify(each, checkpoint), checkpoint)
    return Program(wants, stable_forms, made, by=by, native_loops=native_loops, checkpoint=checkpoint)
