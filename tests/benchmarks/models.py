"""The functions that are timed, each written once for all libraries.

A model has a scalar form, which takes one number for each input, and perhaps an array form, which takes them as the
last axis of one array: what a user of an array library would write. Both forms are the same function.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from tests.benchmarks.operations import Number, Operations, State, total
from tests.benchmarks.random_graphs import INPUTS, random_graph

FloatArray = npt.NDArray[np.float64]
ScalarForm = Callable[[Operations, Sequence[Number]], Number]
ArrayForm = Callable[[Operations, Number], Number]
Draw = Callable[[np.random.Generator, int], FloatArray]

STEPS = 100
COMPONENTS = 5
DIMENSIONS = 3
FEATURES = 10


@dataclass(frozen=True, slots=True)
class Model:
    """A function of scalars with one output, and where to evaluate it.

    Attributes:
        name: what tables call it.
        inputs: the number of inputs.
        draw: gives points [points, inputs] from a generator and their number.
        scalar_form: takes a sequence of numbers.
        array_form: takes an array [..., inputs] and gives [...]; None where the scalar form is what one would write.
        operations: about how many operations the scalar form has.
    """

    name: str
    inputs: int
    draw: Draw
    scalar_form: ScalarForm
    array_form: ArrayForm | None
    operations: int

    def points(self, count: int) -> FloatArray:
        """Return points [count, inputs], the same ones in every process."""
        return np.ascontiguousarray(self.draw(np.random.default_rng(count), count))


def seed_function(_: Operations, x: Sequence[Number]) -> Number:
    """Return 3*(x1**2 + x2*x3)."""
    return 3.0 * (x[0] * x[0] + x[1] * x[2])


def rosenbrock(_: Operations, x: Sequence[Number]) -> Number:
    """Return Rosenbrock's function (Computer Journal 3, 1960), in its chained form."""
    terms = []
    for left, right in itertools.pairwise(x):
        valley, rest = right - left * left, 1.0 - left
        terms.append(100.0 * (valley * valley) + rest * rest)
    return total(terms)


def rosenbrock_of_array(_: Operations, x: Number) -> Number:
    """Return Rosenbrock's function of the last axis."""
    valley, rest = x[..., 1:] - x[..., :-1] * x[..., :-1], 1.0 - x[..., :-1]
    return (100.0 * (valley * valley) + rest * rest).sum(axis=-1)


def black_scholes(ops: Operations, x: Sequence[Number]) -> Number:
    """Return the price of a European call (Black and Scholes, J. Political Economy 81, 1973)."""
    spot, strike, volatility, rate, maturity = x
    deviation = volatility * ops.sqrt(maturity)
    d1 = (ops.log(spot / strike) + (rate + 0.5 * volatility * volatility) * maturity) / deviation
    return spot * ops.normal_cdf(d1) - strike * ops.exp(-rate * maturity) * ops.normal_cdf(d1 - deviation)


def logistic_loss(ops: Operations, x: Sequence[Number]) -> Number:
    """Return the loss of a linear classifier at one example: weights, bias, features and a label of 1 or -1."""
    weights, bias, features, label = x[:FEATURES], x[FEATURES], x[FEATURES + 1 : -1], x[-1]
    score = total([weight * feature for weight, feature in zip(weights, features, strict=True)]) + bias
    return ops.log1p(ops.exp(-label * score))


def logistic_loss_of_array(ops: Operations, x: Number) -> Number:
    """Return the loss of a linear classifier, from the last axis."""
    score = (x[..., :FEATURES] * x[..., FEATURES + 1 : -1]).sum(axis=-1) + x[..., FEATURES]
    return ops.log1p(ops.exp(-x[..., -1] * score))


def pendulum(ops: Operations, x: Sequence[Number]) -> Number:
    """Return the energy of a damped pendulum after a hundred steps of the semi-implicit Euler method.

    Inputs are the angle, its speed, the stiffness and the damping; see Hairer, Lubich and Wanner, Geometric Numerical
    Integration, section I.1.2.
    """
    angle, speed, stiffness, damping = x

    def step(state: State) -> State:
        at, moving = state
        moving = moving - 0.05 * (stiffness * ops.sin(at) + damping * moving)
        return at + 0.05 * moving, moving

    angle, speed = ops.repeat(step, (angle, speed), STEPS)
    return 0.5 * speed * speed - stiffness * ops.cos(angle)


def pendulum_of_array(ops: Operations, x: Number) -> Number:
    """Return the pendulum's energy, from the last axis."""
    return pendulum(ops, [x[..., position] for position in range(4)])


def gaussian_mixture(ops: Operations, x: Sequence[Number]) -> Number:
    """Return the log-density of a mixture of round Gaussians, up to a constant.

    Inputs are where, the components' means, the logarithms of their widths, and their weights before normalisation; a
    smaller sibling of GMM in ADBench (Srajer, Kukelova and Fitzgibbon, Optimization Methods and Software 33, 2018).
    """
    where, *means = [x[start : start + DIMENSIONS] for start in range(0, len(x) - 2 * COMPONENTS, DIMENSIONS)]
    log_widths, logits = x[-2 * COMPONENTS : -COMPONENTS], x[-COMPONENTS:]
    densities = []
    for mean, log_width, logit in zip(means, log_widths, logits, strict=True):
        squares = total([(entry - middle) * (entry - middle) for entry, middle in zip(where, mean, strict=True)])
        densities.append(ops.exp(logit - DIMENSIONS * log_width - 0.5 * squares * ops.exp(-2.0 * log_width)))
    return ops.log(total(densities)) - ops.log(total([ops.exp(logit) for logit in logits]))


def gaussian_mixture_of_array(ops: Operations, x: Number) -> Number:
    """Return the log-density of a mixture, from the last axis."""
    means_end = DIMENSIONS + COMPONENTS * DIMENSIONS
    means = x[..., DIMENSIONS:means_end].reshape((*x.shape[:-1], COMPONENTS, DIMENSIONS))
    log_widths, logits = x[..., means_end:-COMPONENTS], x[..., -COMPONENTS:]
    apart = x[..., None, :DIMENSIONS] - means
    squares = (apart * apart).sum(axis=-1)
    densities = ops.exp(logits - DIMENSIONS * log_widths - 0.5 * squares * ops.exp(-2.0 * log_widths))
    return ops.log(densities.sum(axis=-1)) - ops.log(ops.exp(logits).sum(axis=-1))


def _normal(inputs: int) -> Draw:
    return lambda rng, count: rng.standard_normal((count, inputs))


def _options(rng: np.random.Generator, count: int) -> FloatArray:
    """Draw spot, strike, volatility, rate and maturity."""
    return rng.uniform([80.0, 80.0, 0.2, 0.0, 0.5], [120.0, 120.0, 0.6, 0.1, 3.0], size=(count, 5))


def _examples(rng: np.random.Generator, count: int) -> FloatArray:
    """Draw weights, a bias and features, and labels of 1 or -1."""
    points = rng.standard_normal((count, 2 * FEATURES + 2))
    points[:, -1] = np.sign(points[:, -1])
    return points


def _swings(rng: np.random.Generator, count: int) -> FloatArray:
    """Draw angles in radians, speeds, stiffness and damping."""
    return rng.uniform([-2.0, -1.0, 0.5, 0.0], [2.0, 1.0, 2.0, 0.3], size=(count, 4))


@cache
def _random(nodes: int) -> Model:
    graph = random_graph(nodes)
    return Model(f"random {nodes}", INPUTS, _normal(INPUTS), graph.apply, None, nodes)


def _rosenbrock(inputs: int) -> Model:
    return Model(f"Rosenbrock {inputs}", inputs, _normal(inputs), rosenbrock, rosenbrock_of_array, 7 * inputs)


_MIXTURE_INPUTS = DIMENSIONS + COMPONENTS * (DIMENSIONS + 2)
MODELS: dict[str, Callable[[], Model]] = {
    "seed": lambda: Model("seed", 3, _normal(3), seed_function, None, 4),
    "black-scholes": lambda: Model("Black-Scholes", 5, _options, black_scholes, None, 35),
    "logistic": lambda: Model("logistic loss", 2 * FEATURES + 2, _examples, logistic_loss, logistic_loss_of_array, 24),
    "mixture": lambda: Model(
        "mixture", _MIXTURE_INPUTS, _normal(_MIXTURE_INPUTS), gaussian_mixture, gaussian_mixture_of_array, 115
    ),
    "recurrence": lambda: Model("recurrence", 4, _swings, pendulum, pendulum_of_array, 8 * STEPS),
    "rosenbrock-10": lambda: _rosenbrock(10),
    "rosenbrock-100": lambda: _rosenbrock(100),
    "rosenbrock-1000": lambda: _rosenbrock(1000),
    "random-1000": lambda: _random(1000),
    "random-10000": lambda: _random(10_000),
}
"""The models by the names of the command line, made when they are wanted."""

WARM_UP = _rosenbrock(3)
"""What a peer is used on first, so that no measurement pays for that; it is not measured."""
