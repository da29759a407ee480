"""The Gaussian mixture model of ADBench: the log-likelihood of data with a Wishart prior on the components.

F. Srajer, Z. Kukelova, A. Fitzgibbon, "A benchmark of selected algorithmic differentiation tools on some problems in
computer vision and machine learning", Optimization Methods and Software 33, 2018. A component has a logarithmic weight,
a mean, and the logarithms of a diagonal and a strictly lower triangle that make the square root of its inverse
covariance.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import gradmill as gm
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

WISHART_GAMMA = 1.0
WISHART_M = 0


class Size(NamedTuple):
    """How many data, of how many dimensions, in how many components."""

    points: int
    dimensions: int
    components: int

    @property
    def triangle(self) -> int:
        """The entries of a strictly lower triangle."""
        return self.dimensions * (self.dimensions - 1) // 2


def data(size: Size, seed: int = 0) -> dict[str, Array]:
    """Return data and parameters: the data x for each point, the others shared by all."""
    random = np.random.default_rng(seed)
    return {
        "x": random.normal(size=(size.points, size.dimensions)),
        "weights": random.normal(size=size.components),
        "means": random.uniform(size=(size.components, size.dimensions)),
        "diagonals": 0.3 * random.normal(size=(size.components, size.dimensions)),
        "triangles": 0.3 * random.normal(size=(size.components, size.triangle)),
    }


PARAMETERS = ("weights", "means", "diagonals", "triangles")


def _log_multigamma(a: float, dimensions: int) -> float:
    constant = 0.25 * dimensions * (dimensions - 1) * math.log(math.pi)
    return constant + sum(math.lgamma(a + 0.5 * (1 - place)) for place in range(1, dimensions + 1))


def _prior_constant(size: Size) -> float:
    freedom = size.dimensions + WISHART_M + 1
    scale = freedom * size.dimensions * (math.log(WISHART_GAMMA) - 0.5 * math.log(2))
    return size.components * (scale - _log_multigamma(0.5 * freedom, size.dimensions))


def traced(size: Size) -> gm.Expression:
    """Return one datum's share of the objective: the sum over all data is the objective itself."""
    dimensions, components = size.dimensions, size.components
    x, weights, means, diagonals, triangles = gm.inputs(
        {
            "x": (dimensions,),
            "weights": (components,),
            "means": (components, dimensions),
            "diagonals": (components, dimensions),
            "triangles": (components, size.triangle),
        }
    )
    below = np.tril_indices(dimensions, -1)
    places = np.full((dimensions, dimensions), size.triangle)  # beyond the triangle there is a zero
    places[below] = np.arange(size.triangle)
    padded = gm.concatenate([triangles, np.zeros((components, 1))], axis=1)
    lower = gm.take(padded, places, axis=1)
    centered = x - means
    scaled = gm.exp(diagonals) * centered + gm.einsum("kij,kj->ki", lower, centered)
    log_densities = weights + gm.sum(diagonals, axis=1) - 0.5 * gm.sum(scaled * scaled, axis=1)
    likelihood = gm.logsumexp(log_densities) - gm.logsumexp(weights) - 0.5 * dimensions * math.log(2 * math.pi)
    squares = gm.sum(gm.exp(diagonals) ** 2) + gm.sum(triangles * triangles)
    prior = 0.5 * WISHART_GAMMA**2 * squares - WISHART_M * gm.sum(diagonals) - _prior_constant(size)
    return likelihood + prior / size.points


def in_jax(parameters: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Return the objective of all data at once, as ADBench writes it for JAX."""
    diagonals, triangles = parameters["diagonals"], parameters["triangles"]
    components, dimensions = diagonals.shape
    size = Size(len(x), dimensions, components)
    rows, columns = np.tril_indices(dimensions, -1)
    lower = jnp.zeros((components, dimensions, dimensions)).at[:, rows, columns].set(triangles)
    centered = x[:, None, :] - parameters["means"][None]
    scaled = jnp.exp(diagonals)[None] * centered + jnp.einsum("kij,nkj->nki", lower, centered)
    inner = parameters["weights"] + jnp.sum(diagonals, axis=1) - 0.5 * jnp.sum(scaled * scaled, axis=2)
    likelihood = jnp.sum(jax.scipy.special.logsumexp(inner, axis=1))
    likelihood -= len(x) * jax.scipy.special.logsumexp(parameters["weights"])
    likelihood -= len(x) * dimensions * 0.5 * math.log(2 * math.pi)
    squares = jnp.sum(jnp.exp(diagonals) ** 2) + jnp.sum(triangles**2)
    prior = 0.5 * WISHART_GAMMA**2 * squares - WISHART_M * jnp.sum(diagonals) - _prior_constant(size)
    return likelihood + prior
