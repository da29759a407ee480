"""A Gaussian process by its Cholesky factor, and two recurrences of many steps."""

from __future__ import annotations

import math

import gradmill as gm
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def process_data(count: int, seed: int = 0) -> tuple[Array, Array]:
    """Return places and observations."""
    random = np.random.default_rng(seed)
    places = np.sort(random.uniform(0.0, 5.0, size=count))
    return places, np.sin(places) + 0.1 * random.normal(size=count)


def gaussian_process(places: Array, observed: Array) -> gm.Expression:
    """Return the log-likelihood by the logarithms of amplitude, length and noise."""
    amplitude, length, noise = gm.inputs("amplitude", "length", "noise")
    count = len(places)
    squares = (places[:, None] - places[None, :]) ** 2
    kernel = gm.exp(2 * amplitude) * gm.exp(-0.5 * squares * gm.exp(-2 * length))
    factor = gm.cholesky(kernel + (gm.exp(2 * noise) + 1e-6) * np.eye(count))
    whitened = gm.solve_triangular(factor, observed, lower=True)
    halves = gm.sum(gm.log(gm.diag(factor)))
    return -0.5 * gm.sum(whitened * whitened) - halves - 0.5 * count * math.log(2 * math.pi)


def gaussian_process_in_jax(parameters: jax.Array, places: Array, observed: Array) -> jax.Array:
    """Return the same for JAX."""
    amplitude, length, noise = parameters
    squares = (places[:, None] - places[None, :]) ** 2
    kernel = jnp.exp(2 * amplitude) * jnp.exp(-0.5 * squares * jnp.exp(-2 * length))
    factor = jnp.linalg.cholesky(kernel + (jnp.exp(2 * noise) + 1e-6) * jnp.eye(len(places)))
    whitened = jax.scipy.linalg.solve_triangular(factor, observed, lower=True)
    halves = jnp.sum(jnp.log(jnp.diagonal(factor)))
    return -0.5 * jnp.sum(whitened**2) - halves - 0.5 * len(places) * math.log(2 * math.pi)


def logistic_map(steps: int) -> gm.Expression:
    """Return where the logistic map has gone after some steps."""
    start, rate = gm.inputs("start", "rate")
    moved: gm.Expression = gm.fold(lambda x, _: rate * x * (1 - x), start, steps=steps)
    return moved


def logistic_map_in_jax(start: jax.Array, rate: jax.Array, steps: int) -> jax.Array:
    """Return the same for JAX."""
    return jax.lax.fori_loop(0, steps, lambda _, x: rate * x * (1 - x), start)


def diffusion(noise: Array) -> gm.Expression:
    """Return the mean of a mean-reverting process over its path (Euler's and Maruyama's scheme)."""
    start, speed, level, volatility = gm.inputs("start", "speed", "level", "volatility")
    step = 1.0 / len(noise)

    def advance(x: gm.Expression, kick: gm.Expression) -> tuple[gm.Expression, gm.Expression]:
        following = x + speed * (level - x) * step + volatility * gm.sqrt(gm.abs(x)) * math.sqrt(step) * kick
        return following, following

    _, path = gm.scan(advance, start, noise)
    return gm.mean(path)


def diffusion_in_jax(parameters: jax.Array, noise: Array) -> jax.Array:
    """Return the same for JAX."""
    start, speed, level, volatility = parameters
    step = 1.0 / len(noise)

    def advance(x: jax.Array, kick: jax.Array) -> tuple[jax.Array, jax.Array]:
        following = x + speed * (level - x) * step + volatility * jnp.sqrt(jnp.abs(x)) * math.sqrt(step) * kick
        return following, following

    _, path = jax.lax.scan(advance, start, noise)
    return jnp.mean(path)
