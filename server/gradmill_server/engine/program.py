"""Programs: a function together with the derivatives wanted of it, ready to run at any number of points."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward
from gradmill_server.engine.backends.choice import executable, runs_natively
from gradmill_server.engine.backends.results import ResultGroup
from gradmill_server.engine.checkpoints import Checkpoint, never, watched
from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import Graph, GraphBuilder, Output, Shape, size
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.inline import inline_calls
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


_BYTES_PER_PROGRAM = 4_500
_BYTES_PER_GROUP = 250
"""What a program and each of its groups of results occupy besides its executable (measured)."""

_new_result = tuple.__new__
"""Makes a `ResultArray` of a tuple in half the time that calling the class takes: there is one for each input."""


class _Group(NamedTuple):
    """Results of one want and one output, which stand next to one another among the outputs of the graph."""

    want: int
    output: str
    with_respect_to: tuple[str, ...]
    shapes: tuple[Shape, ...]


class Program:
    """A compiled function. Immutable; evaluates in many threads at once.

    Attributes:
        wants: what it computes.
        stable_forms: names of the stable forms applied.
        node_count: values computed at each point, inputs and constants included.
        point_bytes: bytes of the results at one point.
        byte_size: estimated bytes it occupies.
    """

    def __init__(
        self,
        wants: tuple[Want, ...],
        stable_forms: tuple[str, ...],
        groups: list[_Group],
        differentiated: Graph,
        *,
        native: bool,
        checkpoint: Checkpoint = never,
    ) -> None:
        """Prepare a differentiated graph, whose outputs are described by ``groups``, for a backend."""
        self.wants = wants
        self.stable_forms = stable_forms
        self.node_count = len(differentiated.nodes)
        kinds = [wants[group.want].kind for group in groups]
        described = [
            ResultGroup(_FLAG_OF[kind], group.shapes, kind is Kind.GRADIENT)
            for kind, group in zip(kinds, groups, strict=True)
        ]
        in_order = iter(zip(kinds, groups, strict=True))
        self._named = [
            [(kind, group.output, group.with_respect_to) for kind, group in islice(in_order, len(want.outputs))]
            for want in wants
        ]
        self._executable = executable(differentiated, described, native=native, checkpoint=checkpoint)
        self.point_bytes = 8 * sum(size(shape) for group in groups for shape in group.shapes)
        self.byte_size = _BYTES_PER_PROGRAM + _BYTES_PER_GROUP * len(groups) + self._executable.byte_size

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
        result_bytes = self.point_bytes * points.count
        if result_bytes > limits.maximum_result_bytes:
            raise _too_large(
                limits,
                what="bytes of results",
                value=result_bytes,
                reason="RESULT_TOO_LARGE",
                knob="maximum_result_bytes",
            )
        if points.matrix is not None:
            arrays, point_flags = self._executable.evaluate_rows(points.matrix, limits, checkpoint)
            each = iter(arrays)
            named = [
                [_new_result(ResultArray, (kind, output, "", next(each))) for kind, output, _ in want]
                for want in self._named
            ]
            return Evaluation(named, point_flags)
        groups, point_flags = self._executable.evaluate_columns(points.arrays, points.count, limits, checkpoint)
        members = iter(groups)
        named = [
            [
                _new_result(ResultArray, (kind, output, name, values))
                for kind, output, names in want
                for name, values in zip(names, next(members), strict=True)
            ]
            for want in self._named
        ]
        return Evaluation(named, point_flags)


def _too_large(limits: Limits, *, what: str, value: int, reason: str, knob: str) -> LimitExceeded:
    return LimitExceeded.of(what, reason=reason, value=value, limit=getattr(limits, knob), knob=knob)


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
        graph, stable_forms = _with_stable_forms(graph, options, checkpoint)
    graph = through_bodies(graph, lambda each: simplify(expand(each, checkpoint), checkpoint), checkpoint)
    propagation = Propagation(strong_zeros=not options.parity)
    native = runs_natively(graph, checkpoint)
    groups, differentiated = _differentiated(graph, wants, propagation, limits, checkpoint)
    del graph  # of a million nodes, together with what follows, it would be most of the memory
    simple = through_bodies(differentiated, lambda each: simplify(each, checkpoint), checkpoint)
    del differentiated
    return Program(wants, stable_forms, groups, simple, native=native, checkpoint=checkpoint)


def _with_stable_forms(graph: Graph, options: Options, checkpoint: Checkpoint) -> tuple[Graph, tuple[str, ...]]:
    """Return a graph and its bodies in stable form, and the names of the forms applied, sorted."""
    applied: set[str] = set()

    def change(each: Graph) -> Graph:
        stable, names = use_stable_forms(each, options.disabled_stable_forms, checkpoint)
        applied.update(names)
        return stable

    return through_bodies(graph, change, checkpoint), tuple(sorted(applied))


def _differentiated(
    graph: Graph, wants: tuple[Want, ...], propagation: Propagation, limits: Limits, checkpoint: Checkpoint
) -> tuple[list[_Group], Graph]:
    """Return one graph that computes all that is wanted, and what its outputs are, group by group."""
    builder = GraphBuilder.extending(graph, checkpoint)
    position = {entry.name: index for index, entry in enumerate(graph.inputs)}
    groups: list[_Group] = []
    results: list[int] = []
    for number, want in enumerate(wants):
        varied = [position[entry] for entry in want.with_respect_to]
        for name in want.outputs:
            node = graph.output(name).node
            if want.kind is Kind.VALUE:
                groups.append(_Group(number, name, ("",), (graph.nodes[node].shape,)))
                results.append(node)
                continue
            shapes = tuple([graph.inputs[index].shape for index in varied])
            groups.append(_Group(number, name, want.with_respect_to, shapes))
            adjoints = backward(builder, node, varied, propagation, checkpoint)
            for index, shape in zip(varied, shapes, strict=True):
                adjoint = adjoints[index] if index < len(adjoints) else NO_ADJOINT
                results.append(builder.constant(np.zeros(shape)) if adjoint == NO_ADJOINT else adjoint)
            if len(builder) + len(results) > limits.maximum_program_nodes:
                raise _too_large(
                    limits,
                    what="number of values with derivatives, and of results",
                    value=len(builder) + len(results),
                    reason="PROGRAM_TOO_LARGE",
                    knob="maximum_program_nodes",
                )
    return groups, builder.finish([Output("", node) for node in watched(results, checkpoint)])
