"""Memory: what is checked, compiled, run and let go leaves nothing behind."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.canonical import canonicalize, digest
from gradmill_server.engine.check import check
from gradmill_server.engine.ir import Graph, GraphBuilder, Output
from gradmill_server.engine.wants import Kind

from tests.engine.building import LIMITS, at_matrix, draft_of, random_graph

STATM = Path("/proc/self/statm")
POINTS = np.random.default_rng(0).normal(size=(16, 3))


def resident_bytes() -> int:
    """Return how much memory the process occupies."""
    return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sum_of_all(graph: Graph) -> Graph:
    """Return the sum of all values of a graph, so that none of them can be left out."""
    builder = GraphBuilder.extending(graph)
    total = 0
    for index in range(1, len(graph.nodes)):
        total = ops.emit(builder, "add", (total, index))
    return builder.finish([Output("value", total)])


def use_and_drop(seed: int) -> None:
    """Take one function, unlike all others, from its draft to its gradient."""
    graph = canonicalize(check(draft_of(sum_of_all(random_graph(seed, operations=60))), LIMITS))
    digest(graph)
    at_matrix(graph, POINTS, Kind.VALUE, Kind.GRADIENT)


@pytest.mark.skipif(not STATM.exists(), reason="only Linux tells a process's size this way")
def test_memory_stays_flat_over_hundreds_of_functions() -> None:
    """A process that has compiled, run and dropped hundreds of different functions is no larger than before."""
    sizes = []
    for seed in range(450):
        use_and_drop(seed)
        sizes.append(resident_bytes())
    # Medians, because the allocator takes and gives back memory in steps; the first hundreds warm everything up.
    middle, end = statistics.median(sizes[200:250]), statistics.median(sizes[400:])
    # Were only the canonical graphs of 200 functions to stay, it would be 2.3 MiB more, and 1.4 MiB for the programs.
    assert end - middle < 512 * 1024
