"""What ratios of calls do not show: two threads at once, memory over a thousand graphs, and a million values.

Each measurement has a process of its own, because each reads something of the whole process.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.points import PointBatch
from gradmill_server.serving.cache import ByteBoundedCache, Key

from tests.benchmarks.models import MODELS
from tests.benchmarks.peers.ours import LIMITS, OPERATIONS, OurBatch, Ours, compiled
from tests.benchmarks.random_graphs import INPUTS, random_graph

T = TypeVar("T")

THREADS = 2
GRAPHS = 1_000
CHAIN = 1_000_000
_ROUNDS = 7
_EVALUATIONS = 10
_THREAD_BATCH = 100_000
_SETTLED_AFTER = 100
"""Graphs after which memory should have stopped growing: by then the cache is full."""


@dataclass(frozen=True, slots=True)
class Endurance:
    """What was measured; None where it was not.

    Attributes:
        load_average: runnable processes over the last minute, before the threads were measured.
        two_threads: points per second of two threads by those of one.
        memory_growth: growth of resident memory from the 100th to the 1,000th graph, by what it was.
        chain_s: seconds from a chain of a million operations to its first gradient.
        chain_bytes: the most memory that the process had.
    """

    load_average: float
    two_threads: float | None = None
    memory_growth: float | None = None
    chain_s: float | None = None
    chain_bytes: int | None = None


def endurance(cores: Sequence[int], *, progress: Callable[[Sequence[str]], Iterator[str]]) -> Endurance:
    """Measure all; ``cores`` are those that two threads may use, and ``progress`` shows which part is running."""
    load_average = os.getloadavg()[0]
    threads: float | None = None
    growth: float | None = None
    chain: tuple[float, int] | None = None
    for part in progress(["two threads", "a thousand graphs", "a chain of a million"]):
        match part:
            case "two threads" if len(cores) >= THREADS:
                threads = _alone(two_threads, cores[:THREADS])
            case "a thousand graphs":
                growth = _alone(memory_growth)
            case "a chain of a million":
                chain = _alone(chain_of_a_million)
    return Endurance(load_average, threads, growth, *(chain or (None, None)))


def _alone(measure: Callable[..., T], *arguments: object) -> T:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def two_threads(cores: Sequence[int]) -> float:
    """Return how many times the points of one thread two threads do in the same time, each with a batch of its own."""
    os.sched_setaffinity(0, cores)
    model = MODELS["black-scholes"]()
    batches = [Ours().prepare(model, model.points(_THREAD_BATCH), gradient=True) for _ in range(THREADS)]
    ratios = []
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(_ROUNDS + 1):
            alone, together = _elapsed(pool, batches[:1]), _elapsed(pool, batches)
            ratios.append(THREADS * alone / together)
    return statistics.median(ratios[1:])


def _elapsed(pool: ThreadPoolExecutor, batches: Sequence[OurBatch]) -> float:
    start = time.perf_counter()
    list(pool.map(_evaluate_repeatedly, batches))
    return time.perf_counter() - start


def _evaluate_repeatedly(batch: OurBatch) -> None:
    for _ in range(_EVALUATIONS):
        batch.call()


def memory_growth() -> float:
    """Return how much memory grows while different graphs are compiled, run and evicted, once the cache is full."""
    points = np.random.default_rng(0).standard_normal((16, INPUTS))
    cache: ByteBoundedCache | None = None
    settled = 0
    for seed in range(GRAPHS):
        graph = _graph_of(seed)
        program = compiled(graph, gradient=True)
        program.evaluate(PointBatch.from_matrix(graph.inputs, points), LIMITS, never)
        cache = cache or ByteBoundedCache(20 * program.byte_size)
        cache.put(Key("", "program", seed.to_bytes(8)), program, program.byte_size)
        if seed == _SETTLED_AFTER:
            settled = _status_bytes("VmRSS")
    return _status_bytes("VmRSS") / settled - 1.0


def _graph_of(seed: int) -> Graph:
    builder = GraphBuilder([Input(f"x{position}") for position in range(INPUTS)])
    values = [Value(builder, position) for position in range(INPUTS)]
    made = random_graph(200, seed).apply(OPERATIONS, values)
    return builder.build([Output("value", made.index)])


def chain_of_a_million() -> tuple[float, int]:
    """Return the seconds from a graph to its first gradient, and the most bytes the process ever held."""
    graph = chain(CHAIN)
    start = time.perf_counter()
    program = compiled(graph, gradient=True)
    program.evaluate(PointBatch.from_matrix(graph.inputs, np.array([[0.5, 0.25]])), LIMITS, never)
    return time.perf_counter() - start, _status_bytes("VmHWM")


def chain(length: int) -> Graph:
    """Return a chain in which each operation takes the one before: a sine, a product, a sum, and again."""
    builder = GraphBuilder([Input("x"), Input("y")])
    x, y = Value(builder, 0), Value(builder, 1)
    value = x
    for position in range(length):
        match position % 3:
            case 0:
                value = apply("sin", value)
            case 1:
                value = value * x
            case _:
                value = value + y
    return builder.build([Output("value", value.index)])


def _status_bytes(name: str) -> int:
    """Return a figure of this process, read from the kernel: resource.getrusage's peak is inherited from the parent."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise LookupError(name)
