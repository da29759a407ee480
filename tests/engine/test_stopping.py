"""However large what a caller sends, the work on it can be stopped: it looks at its checkpoint again and again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.check import DraftConstant, DraftInput, DraftOutput, GraphDraft, check
from gradmill_server.engine.checkpoints import Checkpoint
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import GraphBuilder, Input, Output
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Options, compile_program
from gradmill_server.engine.wants import Kind, resolve_want

from tests.engine.building import LIMITS


def _read_long_formula(checkpoint: Checkpoint) -> None:
    parse_formula("x" + "+x" * 20_000, None, LIMITS, checkpoint)


def _read_long_list(checkpoint: Checkpoint) -> None:
    parse_formula("sum(x*[" + "1," * 20_000 + "1])", [Input("x", ())], LIMITS, checkpoint)


def _check_inputs(checkpoint: Checkpoint) -> None:
    inputs = [DraftInput(f"x{number}", ()) for number in range(20_000)]
    check(GraphDraft(inputs, (), (), (), [DraftOutput("value", 0)]), LIMITS, checkpoint=checkpoint)


def _check_constants(checkpoint: Checkpoint) -> None:
    constants = [DraftConstant((), np.array([float(number)])) for number in range(20_000)]
    draft = GraphDraft([DraftInput("x", ())], constants, (), (), [DraftOutput("value", 0)])
    check(draft, LIMITS, checkpoint=checkpoint)


def _compute_slow_function(checkpoint: Checkpoint) -> None:
    builder = GraphBuilder([Input("x", (200_000,))])
    total = ops.emit(builder, "sum", [ops.emit(builder, "erfinv", [0])], (("axes", (0,)),))
    graph = canonicalize(builder.build([Output("value", total)]))
    program = compile_program(graph, (resolve_want(graph, Kind.VALUE, [], []),), Options(), LIMITS)
    points = PointBatch.from_matrix(graph.inputs, np.full((1, 200_000), 0.3))
    program.evaluate(points, LIMITS, checkpoint)


@pytest.mark.parametrize(
    ("work", "least"),
    [
        (_read_long_formula, 100),
        (_read_long_list, 100),
        (_check_inputs, 20),
        (_check_constants, 20),
        (_compute_slow_function, 40),
    ],
)
def test_long_work_looks_often(work: Callable[[Checkpoint], None], least: int) -> None:
    """A stage that takes long looks at the checkpoint in proportion to what it has to do."""
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1

    work(look)
    assert looks >= least


class StoppedError(Exception):
    """What the checkpoint of these tests raises."""


@pytest.mark.parametrize("work", [_read_long_formula, _check_constants, _compute_slow_function])
def test_long_work_stops_where_it_looks(work: Callable[[Checkpoint], None]) -> None:
    """What the checkpoint raises ends the work."""
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks > 10:
            raise StoppedError

    with pytest.raises(StoppedError):
        work(look)
    assert looks == 11
