"""How much faster float32 is than float64: ``python -m tests.benchmarks.element_types``.

The same functions are compiled in both types, and timed in turns at the same points, so that what disturbs the machine
disturbs both.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import Input, Shape
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Options, compile_program
from gradmill_server.engine.wants import Kind, resolve_want

_BATCHES = (1_000, 100_000)
_ROUNDS = 21
_LIMITS = Limits()


class Model(NamedTuple):
    """A function to time: its name, its formula, and the shapes of its inputs, which are drawn from 0.5 to 1.5."""

    name: str
    formula: str
    inputs: dict[str, Shape]


MODELS = (
    Model("product and square", "3*(x1**2 + x2*x3)", {"x1": (), "x2": (), "x3": ()}),
    Model("Rosenbrock, 100 variables", "sum(100*(x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)", {"x": (100,)}),
    Model("exponential and sine", "exp(x)*sin(y) + x/y", {"x": (), "y": ()}),
    Model(
        "Black and Scholes",
        "d = v*sqrt(t); a = (log(s/k) + (r + v**2/2)*t)/d; s*normal_cdf(a) - k*exp(-r*t)*normal_cdf(a - d)",
        {"s": (), "k": (), "t": (), "r": (), "v": ()},
    ),
)


def gradient_call(model: Model, element_type: ElementType, count: int) -> Callable[[], object]:
    """Return what evaluates value and gradient at so many points, once."""
    graph = parse_formula(
        model.formula, [Input(name, shape, element_type) for name, shape in model.inputs.items()], _LIMITS
    )
    wants = tuple(resolve_want(graph, kind, (), ()) for kind in (Kind.VALUE, Kind.GRADIENT))
    program = compile_program(graph, wants, Options(), _LIMITS)
    matrix = np.random.default_rng(0).uniform(0.5, 1.5, (count, graph.elements_per_point))
    points = PointBatch.from_matrix(graph.inputs, matrix.astype(element_type.dtype))
    return lambda: program.evaluate(points, _LIMITS, lambda: None)


def medians(calls: list[Callable[[], object]]) -> list[float]:
    """Return the median seconds of each call, timed in turns."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(_ROUNDS):
        for call, taken in zip(calls, seconds, strict=True):
            begun = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begun)
    return [statistics.median(taken) for taken in seconds]


def main() -> int:
    """Print millions of points per second, value and gradient, in both types, and the ratio."""
    sys.stdout.write(f"{'function':28}{'points':>9}{'float64':>11}{'float32':>11}{'ratio':>8}\n")
    for model in MODELS:
        for count in _BATCHES:
            wide, narrow = medians([gradient_call(model, each, count) for each in ElementType])
            rates = f"{count / wide / 1e6:9.2f} M{count / narrow / 1e6:9.2f} M"
            sys.stdout.write(f"{model.name:28}{count:9,}{rates}{wide / narrow:8.2f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
