"""The bundle adjustment of ADBench: where cameras see points, against where they were seen.

A camera has 11 parameters: a rotation vector (3), a centre (3), a focal length, a principal point (2) and two radial
distortions. An observation gives two weighted errors and the error of its weight.
"""

from __future__ import annotations

import gradmill as gm
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def data(observations: int, seed: int = 0) -> dict[str, Array]:
    """Return observations, each with a camera, point, weight and place in the picture; the first is not turned."""
    random = np.random.default_rng(seed)
    cameras = random.normal(size=(observations, 11))
    cameras[:, 6] += 3.0
    cameras[:, 9:] *= 0.01
    cameras[0, :3] = 0.0
    points = random.normal(size=(observations, 3))
    points[:, 2] += 8.0
    return {
        "camera": cameras,
        "point": points,
        "weight": random.uniform(0.5, 1.0, size=observations),
        "feature": random.normal(size=(observations, 2)),
    }


def traced() -> gm.TracedFunction:
    """Return the two reprojection errors and the weight's error of one observation."""
    camera, point, weight, feature = gm.inputs({"camera": (11,), "point": (3,), "weight": (), "feature": (2,)})
    rotation, moved = camera[:3], point - camera[3:6]
    squared = gm.sum(rotation * rotation)
    angle = gm.sqrt(squared)
    turned = gm.where(squared > 0, _turned(rotation, angle, moved), moved + _cross(rotation, moved))
    flat = turned[:2] / turned[2]
    radius = gm.sum(flat * flat)
    distorted = flat * (1 + camera[9] * radius + camera[10] * radius**2)
    projected = distorted * camera[6] + camera[7:9]
    return gm.outputs(errors=weight * (projected - feature), weight_error=1 - weight**2)


def _cross(a: gm.Expression, b: gm.Expression) -> gm.Expression:
    return a[[1, 2, 0]] * b[[2, 0, 1]] - a[[2, 0, 1]] * b[[1, 2, 0]]


def _turned(rotation: gm.Expression, angle: gm.Expression, x: gm.Expression) -> gm.Expression:
    """Return a vector turned by Rodrigues' formula."""
    axis = rotation / angle
    along = gm.dot(axis, x) * (1 - gm.cos(angle))
    return x * gm.cos(angle) + _cross(axis, x) * gm.sin(angle) + axis * along


def in_jax(camera: jax.Array, point: jax.Array, weight: jax.Array, feature: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the same for JAX, the angle guarded as JAX needs it."""
    rotation, moved = camera[:3], point - camera[3:6]
    squared = jnp.sum(rotation**2)
    is_turned = squared > 0
    safe = jnp.where(is_turned, squared, 1.0)
    angle = jnp.sqrt(safe)
    axis = rotation / angle
    turned = moved * jnp.cos(angle) + jnp.cross(axis, moved) * jnp.sin(angle)
    turned += axis * jnp.dot(axis, moved) * (1 - jnp.cos(angle))
    turned = jnp.where(is_turned, turned, moved + jnp.cross(rotation, moved))
    flat = turned[:2] / turned[2]
    radius = jnp.sum(flat**2)
    distorted = flat * (1 + camera[9] * radius + camera[10] * radius**2)
    return weight * (distorted * camera[6] + camera[7:9] - feature), 1 - weight**2
