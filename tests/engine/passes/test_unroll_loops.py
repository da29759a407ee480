"""Short loops written out: the same bits, counted first, and then run natively."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine import program
from gradmill_server.engine.backends.native.levels import host_level
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.errors import DeadlineExceeded
from gradmill_server.engine.ir import bodies_of
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.unroll_loops import unroll_loops
from gradmill_server.engine.wants import Kind

from tests.engine.building import Countdown, addition_chain, at_matrix, compiled, same_bits, specify
from tests.engine.looping import CASES, Case, scan

every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@every_case
def test_a_loop_written_out_has_the_same_bits(case: Case) -> None:
    """No loop is left, and every bit of the value stays."""
    graph = canonicalize(through_bodies(case.graph(scan), expand))
    flat = unroll_loops(graph, 10_000)
    assert flat is not None
    specify(flat)
    assert bodies_of(flat) == []
    rng = np.random.default_rng(0)
    points = [rng.uniform(0.3, 0.9, size=(3, *entry.shape)) for entry in graph.inputs]
    one, other = (NumpyExecutable(each).run(points, 3, never)[0] for each in (graph, flat))
    assert same_bits(one, other)


@every_case
def test_operations_are_counted_before_they_are_made(case: Case) -> None:
    """The limit bounds what would be made, for loops in loops as well; where it does not suffice there is nothing."""
    graph = canonicalize(through_bodies(case.graph(scan), expand))
    flat = unroll_loops(graph, 10_000)
    assert flat is not None
    assert unroll_loops(graph, len(flat.nodes) - 1, Countdown(1)) is None


def test_a_graph_without_loops_stays_as_it_is() -> None:
    """There is nothing to write out."""
    graph = addition_chain(10)
    assert unroll_loops(graph, 1) is graph


def test_writing_out_stops_at_a_checkpoint() -> None:
    """Whoever waits may give up."""
    with pytest.raises(DeadlineExceeded):
        unroll_loops(CASES[0].graph(scan), 10_000, Countdown(0))


@pytest.mark.skipif(host_level() is None, reason="this processor has no machine code, so no loop becomes native")
def test_a_short_loop_is_written_out_where_that_makes_it_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Value and gradient of a short loop of scalars have operations and no loop, and agree with those of the loop."""
    graph = canonicalize(CASES[0].graph(scan))
    flat, matrix = compiled(graph, Kind.VALUE, Kind.GRADIENT), [[0.3, 3.1], [0.4, 2.9]]
    values = at_matrix(graph, matrix, Kind.VALUE, Kind.GRADIENT).arrays
    monkeypatch.setattr(program, "_LARGEST_UNROLLED_LOOPS", 0)
    assert compiled(graph, Kind.VALUE, Kind.GRADIENT).node_count < flat.node_count
    for one, other in zip(at_matrix(graph, matrix, Kind.VALUE, Kind.GRADIENT).arrays, values, strict=True):
        np.testing.assert_allclose(one[0].array, other[0].array, rtol=1e-13)
