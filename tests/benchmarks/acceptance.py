"""What the engine is required to reach, as data, and whether a run shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.benchmarks.endurance import Endurance
from tests.benchmarks.models import MODELS
from tests.benchmarks.peers.table import CASADI_GCC, CASADI_MAP, JAX, JAX_UNROLLED, OURS
from tests.benchmarks.results import Measurement, Results
from tests.benchmarks.workers import NO_ANSWER

NOT_MEASURED = "not measured"
_JAX = (JAX, JAX_UNROLLED)
"""JAX on a matrix of points, which is what ours is given; the faster of the two counts."""


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement and what was found.

    Attributes:
        claim: what is required, in words.
        required: the figure.
        measured: the figure found, or why there is none.
        met: None when it was not measured.
    """

    claim: str
    required: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """The last column of the table."""
        return {True: "met", False: "MISSED", None: NOT_MEASURED}[self.met]


class Speed(NamedTuple):
    """So many times as fast as a rival, in value with gradient."""

    batch: int
    rivals: tuple[str, ...]
    times: float
    models: tuple[str, ...]


class Cost(NamedTuple):
    """A gradient with its value costs at most so many times the value alone, at a batch of 1,000."""

    times: float
    models: tuple[str, ...]


SPEEDS = (
    Speed(1_000, (CASADI_MAP,), 20.0, ("seed", "black-scholes", "random-1000")),
    Speed(1_000, (CASADI_GCC,), 4.0, ("black-scholes", "rosenbrock-10")),
    Speed(1_000, _JAX, 3.0, ("seed", "black-scholes", "rosenbrock-10")),
    Speed(1_000, _JAX, 1.3, ("rosenbrock-100", "rosenbrock-1000")),
    Speed(100_000, _JAX, 2.0, ("black-scholes",)),
    Speed(100_000, _JAX, 0.9, tuple(key for key in MODELS if key != "black-scholes")),
)
COSTS = (
    Cost(2.0, ("black-scholes", "random-1000", "random-10000")),
    Cost(4.0, ("rosenbrock-10", "rosenbrock-100", "rosenbrock-1000")),
)
FIRST_GRADIENT_TIMES = 50.0
SINGLE_POINT_S = 10e-6
TWO_THREADS = 1.8
MEMORY_GROWTH = 0.02
CHAIN_S = 60.0
CHAIN_BYTES = 2e9


def acceptance(results: Results, found: Endurance | None, *, compile_s: float) -> list[Line]:
    """Return every requirement with its verdict; ``compile_s`` is how long a peer was waited for."""
    return [
        *(_speed(results, speed, model) for speed in SPEEDS for model in speed.models),
        *(_answer(results, model) for model in ("random-1000", "random-10000")),
        _first_gradient(results, compile_s),
        *(_cost(results, cost, model) for cost in COSTS for model in cost.models),
        _single_point(results),
        *_endurance(found or Endurance(load_average=0.0)),
    ]


def fastest(results: Results, model: str, peers: Sequence[str], batch: int) -> Measurement | None:
    """Return the fastest of some peers at value with gradient; one without an answer when none has one."""
    found = [results.get(model, peer, gradient=True, batch=batch) for peer in peers]
    return min(filter(None, found), key=lambda entry: entry.call_s or float("inf"), default=None)


def _speed(results: Results, speed: Speed, model: str) -> Line:
    rival = fastest(results, model, speed.rivals, speed.batch)
    ours = results.call_s(model, OURS, gradient=True, batch=speed.batch)
    claim = f"{model}, {speed.batch:,} points: speed over {speed.rivals[0]}"
    required = f">= {speed.times:g}"
    if rival is None or ours is None:
        return Line(claim, required, NOT_MEASURED, None)
    if rival.call_s is None:
        return Line(
            claim, required, f"{rival.peer}: {rival.reason}", True if rival.reason.startswith(NO_ANSWER) else None
        )
    times = rival.call_s / ours
    return Line(claim, required, f"{times:.2f} ({rival.peer})", times >= speed.times)


def _answer(results: Results, model: str) -> Line:
    ours = fastest(results, model, (OURS,), 1_000)
    jax = fastest(results, model, _JAX, 1_000)
    rival = "" if jax is None else f"; jax: {jax.reason or 'an answer'}"
    if ours is None:
        return Line(f"{model}: an answer", "one", NOT_MEASURED, None)
    return Line(f"{model}: an answer", "one", (ours.reason or "one") + rival, ours.call_s is not None)


def _first_gradient(results: Results, compile_s: float) -> Line:
    claim, required = "random-1000: JAX's time to a first gradient by ours", f">= {FIRST_GRADIENT_TIMES:g}"
    ours, jax = (results.first("random-1000", peer) for peer in (OURS, JAX))
    if ours is None or ours.setup_s is None or jax is None:
        return Line(claim, required, NOT_MEASURED, None)
    if jax.setup_s is None and not jax.reason.startswith(NO_ANSWER):
        return Line(claim, required, f"jax: {jax.reason}", None)
    times = (jax.setup_s or compile_s) / ours.setup_s
    more = "" if jax.setup_s else "more than "
    return Line(
        claim, required, f"{more}{times:,.0f} (ours {1e3 * ours.setup_s:.0f} ms)", times >= FIRST_GRADIENT_TIMES
    )


def _cost(results: Results, cost: Cost, model: str) -> Line:
    value = results.call_s(model, OURS, gradient=False, batch=1_000)
    both = results.call_s(model, OURS, gradient=True, batch=1_000)
    times = both / value if value and both else None
    return _at_most(f"{model}, 1,000 points: gradient with value by value alone", cost.times, times)


def _single_point(results: Results) -> Line:
    found = results.call_s("black-scholes", OURS, gradient=True, batch=1)
    return _at_most(
        "black-scholes, 1 point: one call, us", 1e6 * SINGLE_POINT_S, None if found is None else 1e6 * found
    )


def _endurance(found: Endurance) -> Iterator[Line]:
    threads, growth, memory = found.two_threads, found.memory_growth, found.chain_bytes
    claim, required = "two threads, two batches: throughput by that of one", f">= {TWO_THREADS:g}"
    if threads is None:
        yield Line(claim, required, NOT_MEASURED, None)
    else:
        yield Line(claim, required, f"{threads:.2f} (load average {found.load_average:.2f})", threads >= TWO_THREADS)
    yield _at_most(
        "a thousand graphs compiled, run and evicted: change of memory, %",
        100.0 * MEMORY_GROWTH,
        None if growth is None else 100.0 * abs(growth),
    )
    yield _at_most("a chain of a million: first gradient, s", CHAIN_S, found.chain_s)
    yield _at_most("a chain of a million: peak memory, GB", CHAIN_BYTES / 1e9, None if memory is None else memory / 1e9)


def _at_most(claim: str, required: float, measured: float | None) -> Line:
    if measured is None:
        return Line(claim, f"<= {required:g}", NOT_MEASURED, None)
    return Line(claim, f"<= {required:g}", f"{measured:.4g}", measured <= required)
