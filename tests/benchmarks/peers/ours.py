"""gradmill's engine, in this process: `Program.evaluate` on a matrix of points."""

from __future__ import annotations

import numpy as np
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops.value import Value, elementwise
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Evaluation, Options, Program, compile_program
from gradmill_server.engine.wants import Kind, resolve_want

from tests.benchmarks.models import Model
from tests.benchmarks.operations import Operations
from tests.benchmarks.peers.peer import FloatArray

LIMITS = Limits()
OPERATIONS = Operations(
    exp=elementwise("exp"),
    log=elementwise("log"),
    log1p=elementwise("log1p"),
    sqrt=elementwise("sqrt"),
    sin=elementwise("sin"),
    cos=elementwise("cos"),
    tanh=elementwise("tanh"),
    normal_cdf=elementwise("normal_cdf"),
)


def graph_of(model: Model) -> Graph:
    """Return a model as a graph with one output."""
    builder = GraphBuilder([Input(f"x{position}") for position in range(model.inputs)])
    made = model.scalar_form(OPERATIONS, [Value(builder, position) for position in range(model.inputs)])
    return builder.build([Output("value", made.index)])


def compiled(graph: Graph, *, gradient: bool) -> Program:
    """Return the program of a graph as a server would make it, from the canonical form."""
    canonical = canonicalize(graph)
    kinds = (Kind.VALUE, Kind.GRADIENT) if gradient else (Kind.VALUE,)
    wants = tuple(resolve_want(canonical, kind, (), ()) for kind in kinds)
    return compile_program(canonical, wants, Options(), LIMITS)


class OurBatch:
    """A program and a batch."""

    def __init__(self, program: Program, points: PointBatch) -> None:
        """Keep both."""
        self._program = program
        self._points = points

    def call(self) -> Evaluation:
        """Evaluate."""
        return self._program.evaluate(self._points, LIMITS, never)

    def results(self) -> tuple[FloatArray, FloatArray | None]:
        """Evaluate, and return values and gradients."""
        (values,), *wanted = self.call().arrays
        if not wanted:
            return values.array.astype(np.float64, copy=False), None
        (gradients,) = wanted
        return values.array.astype(np.float64, copy=False), np.column_stack([entry.array for entry in gradients])


class Ours:
    """The engine, with points and gradients as matrices."""

    def prepare(self, model: Model, points: FloatArray, *, gradient: bool) -> OurBatch:
        """Compile, and check the points."""
        graph = graph_of(model)
        return OurBatch(compiled(graph, gradient=gradient), PointBatch.from_matrix(graph.inputs, points))


class OurColumns:
    """The engine, with an array for each input, and for its derivatives."""

    def prepare(self, model: Model, points: FloatArray, *, gradient: bool) -> OurBatch:
        """Compile, and check the points."""
        graph = graph_of(model)
        columns = {
            entry.name: np.ascontiguousarray(column) for entry, column in zip(graph.inputs, points.T, strict=True)
        }
        return OurBatch(compiled(graph, gradient=gradient), PointBatch.from_inputs(graph.inputs, columns))
