"""Well-known models against closed forms in high precision."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from gradmill_server.engine.ops.value import Value, apply, elementwise
from gradmill_server.engine.wants import Kind

from tests.engine.building import at_matrix, function, value_and_gradient

exp, log, sqrt, normal_cdf = (elementwise(name) for name in ("exp", "log", "sqrt", "normal_cdf"))


def black_scholes(spot: Value, strike: Value, volatility: Value, rate: Value, maturity: Value) -> Value:
    """Return the price of a European call (Black and Scholes, J. Political Economy 81, 1973)."""
    spread = volatility * sqrt(maturity)
    upper = (log(spot / strike) + (rate + 0.5 * volatility * volatility) * maturity) / spread
    return spot * normal_cdf(upper) - strike * exp(-rate * maturity) * normal_cdf(upper - spread)


def closed_form(spot: float, strike: float, volatility: float, rate: float, maturity: float) -> list[float]:
    """Return price, delta, dual delta, vega, rho and the derivative by maturity, with 60 digits."""
    with mpmath.workdps(60):
        s, k, v, r, t = (mpmath.mpf(entry) for entry in (spot, strike, volatility, rate, maturity))
        upper = (mpmath.log(s / k) + (r + v * v / 2) * t) / (v * mpmath.sqrt(t))
        lower = upper - v * mpmath.sqrt(t)
        discount = mpmath.exp(-r * t)
        density = mpmath.npdf(upper)
        return [
            float(entry)
            for entry in (
                s * mpmath.ncdf(upper) - k * discount * mpmath.ncdf(lower),
                mpmath.ncdf(upper),
                -discount * mpmath.ncdf(lower),
                s * density * mpmath.sqrt(t),
                k * t * discount * mpmath.ncdf(lower),
                s * density * v / (2 * mpmath.sqrt(t)) + r * k * discount * mpmath.ncdf(lower),
            )
        ]


def test_black_scholes_greeks_are_those_of_the_closed_form() -> None:
    """Delta, dual delta, vega, rho and theta of 500 calls are right to 12 digits."""
    rng = np.random.default_rng(7)
    options = rng.uniform([80, 80, 0.1, 0.0, 0.1], [120, 120, 0.6, 0.1, 3.0], size=(500, 5))
    graph = function(black_scholes, "spot", "strike", "volatility", "rate", "maturity")
    values, gradients = at_matrix(graph, options, Kind.VALUE, Kind.GRADIENT).arrays
    found = np.column_stack([values[0].array, gradients[0].array])
    expected = np.array([closed_form(*row) for row in options.tolist()])
    scale = np.maximum(np.abs(expected), 1e-2 * np.abs(expected[:, [1]]) * options[:, [0]])
    assert np.max(np.abs(found - expected) / scale) < 1e-12
    np.testing.assert_allclose(found[:, 1], expected[:, 1], rtol=1e-12)
    np.testing.assert_allclose(found[:, 3], expected[:, 3], rtol=1e-12)


def rosenbrock(*x: Value) -> Value:
    """Return Rosenbrock's function (Computer Journal 3, 1960) of any number of variables."""
    total = 0.0 * x[0]
    for left, right in itertools.pairwise(x):
        valley, rest = right - left * left, 1.0 - left
        total = total + (100.0 * (valley * valley) + rest * rest)
    return total


@pytest.mark.parametrize("size", [2, 3, 50])
def test_the_gradient_of_rosenbrocks_function_is_that_of_the_textbook(size: int) -> None:
    """The valley's gradient is right at random points and exactly zero at the minimum."""
    graph = function(rosenbrock, *(f"x{position}" for position in range(size)))
    points = np.random.default_rng(size).normal(size=(20, size))
    expected = np.zeros_like(points)
    valley = points[:, 1:] - points[:, :-1] ** 2
    expected[:, :-1] = -400.0 * points[:, :-1] * valley - 2.0 * (1.0 - points[:, :-1])
    expected[:, 1:] += 200.0 * valley
    (gradients,) = at_matrix(graph, points, Kind.GRADIENT).arrays
    np.testing.assert_allclose(gradients[0].array, expected, rtol=1e-11, atol=1e-11)
    value, gradient = value_and_gradient(graph, *[1.0] * size)
    assert value == 0.0
    assert not gradient.any()


def logistic_loss(weight: Value, bias: Value, feature: Value, label: Value) -> Value:
    """Return log(1 + exp(-y(wx + b))), written the naive way."""
    return log(1.0 + exp(-label * (weight * feature + bias)))


@pytest.mark.parametrize("margin", [-1000.0, -40.0, -1.0, 0.0, 1.0, 40.0, 700.0, 1000.0])
def test_the_logistic_loss_is_right_at_any_margin(margin: float) -> None:
    """Loss and slopes neither overflow nor vanish, however wrong or right the classifier is."""
    graph = function(logistic_loss, "weight", "bias", "feature", "label")
    value, gradient = value_and_gradient(graph, margin / 2, 0.0, 2.0, 1.0)
    with mpmath.workdps(500):
        exact = mpmath.mpf(margin)
        loss = float(mpmath.log(1 + mpmath.exp(-exact)))
        share = float(1 / (1 + mpmath.exp(exact)))
    assert value == pytest.approx(loss, rel=1e-14, abs=0.0)
    assert gradient == pytest.approx(np.array([-2.0 * share, -share, -share * margin / 2, -share * margin]), rel=1e-13)


GAUSSIAN: list[tuple[str, Callable[[Value], Value], Callable[[float], float]]] = [
    ("normal_cdf", lambda x: apply("normal_cdf", x), lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi)),
    ("erf", lambda x: apply("erf", x), lambda x: 2 / math.sqrt(math.pi) * math.exp(-x * x)),
]


@pytest.mark.parametrize(("make", "slope"), [row[1:] for row in GAUSSIAN], ids=[row[0] for row in GAUSSIAN])
def test_the_slope_of_a_distribution_is_its_density(
    make: Callable[[Value], Value], slope: Callable[[float], float]
) -> None:
    """The normal distribution and the error function have Gaussian slopes."""
    for point in (-5.0, -1.0, 0.0, 0.5, 3.0):
        assert value_and_gradient(function(make, "x"), point)[1][0] == pytest.approx(slope(point), rel=1e-14)
