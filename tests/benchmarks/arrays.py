"""How fast arrays, Hessians and loops are beside JAX, and whether they are as fast as they have to be.

Run it from the root of the repository, on an idle machine with Linux::

    python -m tests.benchmarks.arrays [--rounds N] [--output DIR]

Everything runs in this process, pinned to one core, JAX told to use one thread. Each case is timed in interleaved
rounds, one call of ours and one of JAX's in each, and medians are compared; before that the answers are. Ours is
`Program.evaluate`, as a server runs it between reading a request and writing its answer, and the sums over points of
`serving.reduction` where a case sums.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import gradmill as gm
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from gradmill.sources import as_source
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.ir import Graph
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Evaluation, Options, Program, compile_program
from gradmill_server.engine.wants import Kind, resolve_want
from gradmill_server.serving.reduction import evaluate_reduced
from gradmill_server.serving.wire.functions import DigestReference, read_function
from gradmill_server.serving.wire.requests import Reduction

from tests.objectives import gaussian_mixture, learning, processes
from tests.objectives.gaussian_mixture import Size

jax.config.update("jax_enable_x64", val=True)

Array = npt.NDArray[np.float64]
Numbers = list[Array]
LIMITS = Limits()
_CLOSE = 1e-9
_POINTS = 1_024
_MIXTURE = Size(1_000, 10, 5)
_ROSENBROCK = 100
_HESSIANS = 1_000


def graph_of(function: gm.Expression | gm.TracedFunction) -> Graph:
    """Return a traced function's graph as a server keeps it."""
    reference = read_function(as_source(function).message())
    if isinstance(reference, DigestReference):
        message = "a traced function travels in full"
        raise TypeError(message)
    return canonicalize(reference.read(LIMITS))


def nothing() -> None:
    """Let the work go on."""


def _between(points: PointBatch, start: int, stop: int) -> PointBatch:
    return points if stop - start == points.count else points.part(start, stop)


class Ours:
    """A compiled function, its points, and how their results are put together."""

    def __init__(
        self,
        function: gm.Expression | gm.TracedFunction,
        points: Array | Mapping[str, Array],
        kinds: Sequence[Kind],
        by: Sequence[str] = (),
        *,
        summed: bool = False,
    ) -> None:
        """Compile, as a server does at a first call, and bind the points."""
        started = time.perf_counter()
        graph = graph_of(function)
        wants = [resolve_want(graph, kind, (), () if kind is Kind.VALUE else by) for kind in kinds]
        self.program: Program = compile_program(graph, tuple(wants), Options(), LIMITS)
        self.compile_s = time.perf_counter() - started
        self._summed = summed
        if isinstance(points, Mapping):
            shared = {entry.name for entry in graph.inputs if np.shape(points[entry.name]) == entry.shape}
            self._points = PointBatch.from_inputs(graph.inputs, points, shared)
        else:
            self._points = PointBatch.from_matrix(graph.inputs, points)

    def call(self) -> Evaluation:
        """Evaluate at all points."""
        if not self._summed:
            return self.program.evaluate(self._points, LIMITS, nothing)
        points, program = self._points, self.program
        return evaluate_reduced(
            lambda start, stop: program.evaluate(_between(points, start, stop), LIMITS, nothing),
            points.count,
            program.point_bytes,
            Reduction.SUM,
            (lambda start, stop: program.evaluate_sums(_between(points, start, stop), LIMITS, nothing))
            if program.sums_points
            else None,
        )

    def numbers(self) -> Numbers:
        """Return the results in order."""
        return [np.asarray(entry.array, dtype=np.float64) for results in self.call().arrays for entry in results]


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison.

    Attributes:
        name: what is computed.
        ours: makes ours, compiled.
        theirs: makes a function without arguments that computes the same in JAX, and waits for it.
        numbers: brings what it returns into the order of ours.
        target: how many times as fast ours has to be.
        first_target: the same with compiling, from the traced function to the first answer; None where none is asked.
    """

    name: str
    ours: Callable[[], Ours]
    theirs: Callable[[], Callable[[], Any]]
    numbers: Callable[[Any], Numbers]
    target: float
    first_target: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured of a case: seconds of a call and of a first answer, and their ratios beside the targets."""

    name: str
    ours_s: float
    theirs_s: float
    ratio: float
    target: float
    ours_first_s: float
    theirs_first_s: float
    first_ratio: float
    first_target: float | None


def _network_by_input() -> Case:
    data = learning.network_data(_POINTS)
    parameters = {name: jnp.asarray(data[name]) for name in learning.NETWORK_PARAMETERS}

    def theirs() -> Callable[[], Any]:
        one = jax.value_and_grad(learning.network_in_jax, argnums=1)
        compiled = jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))
        x, target = jnp.asarray(data["x"]), jnp.asarray(data["target"])
        return lambda: jax.block_until_ready(compiled(parameters, x, target))

    return Case(
        f"network 16-32-32-1, gradient by each of {_POINTS} inputs",
        lambda: Ours(learning.network(), data, (Kind.VALUE, Kind.GRADIENT), ("x",)),
        theirs,
        lambda answer: [np.asarray(each) for each in answer],
        1.3,
    )


def _network_by_weights() -> Case:
    data = learning.network_data(_POINTS)
    parameters = {name: jnp.asarray(data[name]) for name in learning.NETWORK_PARAMETERS}
    names = learning.NETWORK_PARAMETERS

    def theirs() -> Callable[[], Any]:
        losses = jax.vmap(learning.network_in_jax, in_axes=(None, 0, 0))
        compiled = jax.jit(jax.value_and_grad(lambda given, x, target: jnp.sum(losses(given, x, target))))
        x, target = jnp.asarray(data["x"]), jnp.asarray(data["target"])
        return lambda: jax.block_until_ready(compiled(parameters, x, target))

    return Case(
        f"network 16-32-32-1, gradient of the sum over {_POINTS} points by all weights",
        lambda: Ours(learning.network(), data, (Kind.VALUE, Kind.GRADIENT), names, summed=True),
        theirs,
        lambda answer: [np.asarray(answer[0]), *(np.asarray(answer[1][name]) for name in names)],
        1.3,
    )


def _mixture() -> Case:
    data = gaussian_mixture.data(_MIXTURE)
    names = gaussian_mixture.PARAMETERS

    def theirs() -> Callable[[], Any]:
        compiled = jax.jit(jax.value_and_grad(gaussian_mixture.in_jax))
        parameters, x = {name: jnp.asarray(data[name]) for name in names}, jnp.asarray(data["x"])
        return lambda: jax.block_until_ready(compiled(parameters, x))

    return Case(
        f"Gaussian mixture, d = {_MIXTURE.dimensions}, k = {_MIXTURE.components}, n = {_MIXTURE.points}, gradient",
        lambda: Ours(gaussian_mixture.traced(_MIXTURE), data, (Kind.VALUE, Kind.GRADIENT), names, summed=True),
        theirs,
        lambda answer: [np.asarray(answer[0]), *(np.asarray(answer[1][name]) for name in names)],
        1.0,
        20.0,
    )


def _rosenbrock(x: Any) -> Any:  # noqa: ANN401 - a traced value of either library
    return 100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2


def _hessian() -> Case:
    points = np.random.default_rng(0).normal(size=(_HESSIANS, _ROSENBROCK))
    x = gm.inputs("x", shape=_ROSENBROCK)

    def theirs() -> Callable[[], Any]:
        compiled = jax.jit(jax.vmap(jax.hessian(lambda given: jnp.sum(_rosenbrock(given)))))
        given = jnp.asarray(points)
        return lambda: jax.block_until_ready(compiled(given))

    def entries(answer: Any) -> Numbers:  # noqa: ANN401 - an array of JAX
        dense = np.asarray(answer)
        rows = np.repeat(np.arange(_ROSENBROCK), [2, *[3] * (_ROSENBROCK - 2), 2])
        columns = np.concatenate([[0, 1], *([i - 1, i, i + 1] for i in range(1, _ROSENBROCK - 1)), [-2, -1]])
        return [dense[:, rows, columns]]

    return Case(
        f"Hessian of Rosenbrock-{_ROSENBROCK} at {_HESSIANS} points: ours sparse, JAX's dense",
        lambda: Ours(gm.sum(_rosenbrock(x)), points, (Kind.SPARSE_HESSIAN,)),
        theirs,
        entries,
        20.0,
    )


CASES = (_network_by_input, _network_by_weights, _mixture, _hessian)


def measure(case: Case, rounds: int) -> Finding:
    """Compare the answers, then the times."""
    started = time.perf_counter()
    ours = case.ours()
    found = ours.numbers()
    ours_first = time.perf_counter() - started
    started = time.perf_counter()
    theirs = case.theirs()
    expected = case.numbers(theirs())
    theirs_first = time.perf_counter() - started
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        if one.shape != other.shape or np.abs(one - other).max() > _CLOSE * scale:
            message = f"{case.name}: the answers differ"
            raise SystemExit(message)
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for place in (0, 1) if turn % 2 else (1, 0):
            begin = time.perf_counter()
            (ours.call, theirs)[place]()
            times[place].append(time.perf_counter() - begin)
    ours_s, theirs_s = map(statistics.median, times)
    ratio, first_ratio = theirs_s / ours_s, theirs_first / ours_first
    return Finding(
        case.name, ours_s, theirs_s, ratio, case.target, ours_first, theirs_first, first_ratio, case.first_target
    )


def loops() -> list[tuple[str, float]]:
    """Return what a recurrence costs to compile by its number of steps, and what a long one's gradient needs."""
    found = []
    for steps in (10, 100, 1_000, 10_000, 1_000_000):
        timed = [Ours(processes.logistic_map(steps), np.array([[0.3, 2.5]]), (Kind.GRADIENT,)) for _ in range(5)]
        found.append(
            (f"compiling {steps:,} steps with their gradient, ms", 1e3 * statistics.median(e.compile_s for e in timed))
        )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    Ours(processes.logistic_map(1_000_000), np.array([[0.3, 2.5]]), (Kind.GRADIENT,)).call()
    found.append(("gradient through 1,000,000 steps, s", time.perf_counter() - started))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    found.append(
        (f"memory it needed, MiB (maximum_loop_bytes is {LIMITS.maximum_loop_bytes / 2**20:.0f})", grown / 1024)
    )
    return found


def _line(finding: Finding) -> str:
    verdict = "met" if finding.ratio >= finding.target else "MISSED"
    line = (
        f"{finding.name}\n    {1e3 * finding.ours_s:.3f} ms, JAX {1e3 * finding.theirs_s:.3f} ms: "
        f"{finding.ratio:.2f} times as fast, {finding.target} wanted: {verdict}"
    )
    both = f"{finding.ours_first_s:.3f} s, JAX {finding.theirs_first_s:.3f} s"
    first = f"\n    first answer {both}: {finding.first_ratio:.1f} times as fast"
    if finding.first_target is None:
        return line + first
    return (
        line
        + f"{first}, {finding.first_target} wanted: "
        + ("met" if finding.first_ratio >= finding.first_target else "MISSED")
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything, print what was found, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.arrays",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=101, help="timed calls of each side (default: 101)")
    parser.add_argument("--output", type=Path, help="a folder for arrays.json")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    findings = []
    for make in CASES:
        findings.append(measure(make(), options.rounds))
        _say(_line(findings[-1]))
    steps = loops()
    _say("\n".join(f"{what}: {value:.1f}" for what, value in steps))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        document = {"cases": [asdict(entry) for entry in findings], "loops": dict(steps)}
        (options.output / "arrays.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    missed = any(entry.ratio < entry.target or entry.first_ratio < (entry.first_target or 0.0) for entry in findings)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
