"""Two models of machine learning: logistic regression, and a network of two hidden layers."""

from __future__ import annotations

from itertools import pairwise

import gradmill as gm
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LAYERS = (16, 32, 32, 1)


def regression_data(points: int, features: int = 20, seed: int = 0) -> dict[str, Array]:
    """Return features and labels of each point, and coefficients that all share."""
    random = np.random.default_rng(seed)
    return {
        "x": random.normal(size=(points, features)),
        "label": random.integers(0, 2, size=points).astype(np.float64),
        "coefficients": random.normal(size=features),
        "intercept": np.array(0.3),
    }


def regression(features: int = 20) -> gm.Expression:
    """Return the negative log-likelihood of one point."""
    x, label, coefficients, intercept = gm.inputs(
        {"x": (features,), "label": (), "coefficients": (features,), "intercept": ()}
    )
    score = coefficients @ x + intercept
    return gm.softplus(score) - label * score


def regression_in_jax(coefficients: jax.Array, intercept: jax.Array, x: jax.Array, label: jax.Array) -> jax.Array:
    """Return the negative log-likelihood of all points."""
    score = x @ coefficients + intercept
    return jnp.sum(jnp.logaddexp(0.0, score) - label * score)


def network_data(points: int, seed: int = 0) -> dict[str, Array]:
    """Return inputs and a target for each point, and the weights and biases that all share."""
    random = np.random.default_rng(seed)
    arrays: dict[str, Array] = {"x": random.normal(size=(points, LAYERS[0])), "target": random.normal(size=points)}
    for number, (fan_in, fan_out) in enumerate(pairwise(LAYERS), start=1):
        arrays[f"w{number}"] = random.normal(size=(fan_in, fan_out)) / np.sqrt(fan_in)
        arrays[f"b{number}"] = 0.1 * random.normal(size=fan_out)
    return arrays


NETWORK_PARAMETERS = ("w1", "b1", "w2", "b2", "w3", "b3")


def network() -> gm.Expression:
    """Return the squared error of one point."""
    shapes: dict[str, tuple[int, ...]] = {"x": (LAYERS[0],), "target": ()}
    for number, (fan_in, fan_out) in enumerate(pairwise(LAYERS), start=1):
        shapes[f"w{number}"], shapes[f"b{number}"] = (fan_in, fan_out), (fan_out,)
    x, target, w1, b1, w2, b2, w3, b3 = gm.inputs(shapes)
    hidden = gm.tanh(gm.tanh(x @ w1 + b1) @ w2 + b2)
    return ((hidden @ w3 + b3)[0] - target) ** 2


def network_in_jax(parameters: dict[str, jax.Array], x: jax.Array, target: jax.Array) -> jax.Array:
    """Return the squared error of one point."""
    hidden = jnp.tanh(x @ parameters["w1"] + parameters["b1"])
    hidden = jnp.tanh(hidden @ parameters["w2"] + parameters["b2"])
    return ((hidden @ parameters["w3"] + parameters["b3"])[0] - target) ** 2
