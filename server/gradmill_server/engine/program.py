"""Programs: a function together with the derivatives wanted of it, ready to run at any number of points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward
from gradmill_server.engine.backends.choice import executable, runs_natively
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import Graph, GraphBuilder, Output, Shape, size
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.passes.stable_forms import use_stable_forms
from gradmill_server.engine.wants import Kind, Want

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradmill_server.engine.ir import FloatArray
    from gradmill_server.engine.limits import Limits
    from gradmill_server.engine.points import PointBatch

VALUE_NOT_FINITE = 1
"""Bit of a point's flags: a wanted value is not finite."""

DERIVATIVE_NOT_FINITE = 2
"""Bit of a point's flags: a wanted derivative is not finite."""

_FLAG_OF = {Kind.VALUE: VALUE_NOT_FINITE, Kind.GRADIENT: DERIVATIVE_NOT_FINITE}

_TARGET_BLOCK_BYTES = 4 * 1024 * 1024
_SMALLEST_FULL_BLOCK = 1024
_LARGEST_BLOCK = 65536


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
    """One array of results, float64.

    Attributes:
        kind: what it holds.
        output: the output it belongs to.
        with_respect_to: the input, or empty for values and for points that came as a matrix.
        array: values [points, *output shape]; gradients [points, *input shape], or [points, elements] for a matrix.
    """

    kind: Kind
    output: str
    with_respect_to: str
    array: FloatArray


class Evaluation(NamedTuple):
    """What an evaluation gives.

    Attributes:
        arrays: for each want, its results, by output and then by input.
        point_flags: uint8 [points], a sum of VALUE_NOT_FINITE and DERIVATIVE_NOT_FINITE.
    """

    arrays: list[list[ResultArray]]
    point_flags: npt.NDArray[np.uint8]


class _Slot(NamedTuple):
    """Where one output of the differentiated graph belongs among the results."""

    want: int
    output: str
    with_respect_to: str
    shape: Shape


class Program:
    """A compiled function. Immutable; evaluates in many threads at once.

    Attributes:
        wants: what it computes.
        stable_forms: names of the stable forms applied.
        node_count: values computed at each point, inputs and constants included.
        byte_size: estimated bytes it occupies.
    """

    def __init__(
        self,
        wants: tuple[Want, ...],
        stable_forms: tuple[str, ...],
        slots: list[_Slot],
        differentiated: Graph,
        *,
        native: bool,
    ) -> None:
        """Prepare a differentiated graph, whose outputs are described by ``slots``, for a backend."""
        self.wants = wants
        self.stable_forms = stable_forms
        self.node_count = len(differentiated.nodes)
        self._slots = slots
        self._executable = executable(differentiated, native=native)
        self._point_bytes = 8 * sum(size(slot.shape) for slot in slots)
        self.byte_size = self._executable.byte_size

    def evaluate(self, points: PointBatch, limits: Limits, checkpoint: Checkpoint) -> Evaluation:
        """Evaluate at a batch of points, block by block.

        Args:
            points: the points, checked against the function's inputs.
            limits: bounds on points, scratch and results.
            checkpoint: called every few milliseconds; may raise DeadlineExceeded or Cancelled to stop.

        Raises:
            LimitExceeded: for too many points, results or intermediate values; before anything is computed.
        """
        points.check_limit(limits)
        result_bytes = self._point_bytes * points.count
        if result_bytes > limits.maximum_result_bytes:
            raise _too_large(
                limits,
                what="bytes of results",
                value=result_bytes,
                reason="RESULT_TOO_LARGE",
                knob="maximum_result_bytes",
            )
        block = self._block_points(limits)
        results = [np.empty((points.count, *slot.shape)) for slot in self._slots]
        flags = np.zeros(points.count, dtype=np.uint8)
        for start in range(0, points.count, block):
            stop = min(start + block, points.count)
            arrays = self._executable.run(points.block(start, stop), stop - start, checkpoint)
            for slot, result, array in zip(self._slots, results, arrays, strict=True):
                result[start:stop] = array
                _mark(flags[start:stop], array, _FLAG_OF[self.wants[slot.want].kind])
        arranged = self._arranged(results)
        if points.is_matrix:
            arranged = [
                _as_matrices(want, group, points.count) if want.kind is Kind.GRADIENT else group
                for want, group in zip(self.wants, arranged, strict=True)
            ]
        return Evaluation(arranged, flags)

    def _block_points(self, limits: Limits) -> int:
        per_point = max(1, self._executable.scratch_bytes_per_point)
        least = per_point * self._executable.fewest_points
        if least > limits.maximum_scratch_bytes:
            raise _too_large(
                limits,
                what="scratch bytes of the smallest block",
                value=least,
                reason="SCRATCH_TOO_LARGE",
                knob="maximum_scratch_bytes",
            )
        wanted = max(_SMALLEST_FULL_BLOCK, _TARGET_BLOCK_BYTES // per_point)
        return min(wanted, _LARGEST_BLOCK, limits.maximum_scratch_bytes // per_point)

    def _arranged(self, results: list[FloatArray]) -> list[list[ResultArray]]:
        """Group results by want."""
        arranged: list[list[ResultArray]] = [[] for _ in self.wants]
        for slot, result in zip(self._slots, results, strict=True):
            kind = self.wants[slot.want].kind
            arranged[slot.want].append(ResultArray(kind, slot.output, slot.with_respect_to, result))
        return arranged


def _as_matrices(want: Want, group: list[ResultArray], count: int) -> list[ResultArray]:
    """Put each output's gradients side by side, [points, elements]; no elements for a function without inputs."""
    width = len(want.with_respect_to)
    matrices = []
    for position, output in enumerate(want.outputs):
        parts = [entry.array for entry in group[position * width : (position + 1) * width]]
        columns = [part.reshape(count, math.prod(part.shape[1:])) for part in parts]
        matrix = np.concatenate([np.empty((count, 0)), *columns], axis=1)
        matrices.append(ResultArray(want.kind, output, "", matrix))
    return matrices


def _too_large(limits: Limits, *, what: str, value: int, reason: str, knob: str) -> LimitExceeded:
    return LimitExceeded.of(what, reason=reason, value=value, limit=getattr(limits, knob), knob=knob)


def _mark(flags: npt.NDArray[np.uint8], array: FloatArray, bit: int) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        flags[~finite.reshape(len(flags), -1).all(axis=1)] |= bit


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
    if not options.parity:
        graph, stable_forms = use_stable_forms(graph, options.disabled_stable_forms, checkpoint)
    graph = simplify(graph, checkpoint)
    propagation = Propagation(strong_zeros=not options.parity)
    slots, differentiated = _differentiated(graph, wants, propagation, limits, checkpoint)
    return Program(wants, stable_forms, slots, simplify(differentiated, checkpoint), native=runs_natively(graph))


def _differentiated(
    graph: Graph, wants: tuple[Want, ...], propagation: Propagation, limits: Limits, checkpoint: Checkpoint
) -> tuple[list[_Slot], Graph]:
    """Return one graph that computes all that is wanted, and what each of its outputs is."""
    builder = GraphBuilder.extending(graph)
    position = {entry.name: index for index, entry in enumerate(graph.inputs)}
    slots: list[_Slot] = []
    outputs: list[Output] = []

    def put(slot: _Slot, node: int) -> None:
        slots.append(slot)
        outputs.append(Output(f"result_{len(outputs)}", node))

    for number, want in enumerate(wants):
        for name in want.outputs:
            node = graph.output(name).node
            if want.kind is Kind.VALUE:
                put(_Slot(number, name, "", graph.nodes[node].shape), node)
                continue
            varied = [position[entry] for entry in want.with_respect_to]
            adjoints = backward(builder, node, varied, propagation, checkpoint)
            for entry, index in zip(want.with_respect_to, varied, strict=True):
                shape = graph.inputs[index].shape
                adjoint = adjoints[index] if index < len(adjoints) else NO_ADJOINT
                put(
                    _Slot(number, name, entry, shape),
                    builder.constant(np.zeros(shape)) if adjoint == NO_ADJOINT else adjoint,
                )
            if len(builder) > limits.maximum_program_nodes:
                raise _too_large(
                    limits,
                    what="number of values with derivatives",
                    value=len(builder),
                    reason="PROGRAM_TOO_LARGE",
                    knob="maximum_program_nodes",
                )
    return slots, builder.build(outputs)
