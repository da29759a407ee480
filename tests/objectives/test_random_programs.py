"""Random programs over arrays through the client, against JAX: values, gradients and Hessians."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradmill as gm
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest

from tests.objectives.random_programs import JAX, ROWS, Program, random_program

POINTS = 3
CLOSE = 1e-9
QUICKLY_COMPILED = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}


@pytest.fixture(scope="module")
def client() -> Iterator[gm.Client]:
    """Return a client that computes in this process."""
    jax.config.update("jax_enable_x64", val=True)
    with gm.local() as local:
        yield local


def with_derivatives(program: Program) -> Any:  # noqa: ANN401 - JAX's functions have no types
    """Return JAX's value, gradient and Hessian of a program as a function of all elements in a row."""

    def function(elements: jax.Array) -> jax.Array:
        ends = np.cumsum([int(np.prod(shape, dtype=int)) for shape in program.inputs.values()])
        parts = jnp.split(elements, ends[:-1])
        arrays = [part.reshape(shape) for part, shape in zip(parts, program.inputs.values(), strict=True)]
        return jnp.asarray(program.result(JAX, arrays))

    def gradient(elements: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        value, slope = jax.value_and_grad(function)(elements)
        return slope, (value, slope)

    return jax.jit(jax.jacfwd(gradient, has_aux=True), compiler_options=QUICKLY_COMPILED)


@pytest.mark.parametrize("name", ROWS)
def test_a_random_program_is_that_of_jax(client: gm.Client, name: str) -> None:
    """Value, gradient and Hessian of random compositions are JAX's, at points that come as a matrix."""
    program = random_program(name)
    traced = program.result(gm, gm.inputs(program.inputs))
    elements = sum(int(np.prod(shape, dtype=int)) for shape in program.inputs.values())
    points = np.random.default_rng(len(name)).uniform(-1.2, 1.2, size=(POINTS, elements))
    ours = client.evaluate(traced, points, want=["value", "gradient", "hessian"])
    reference = with_derivatives(program)
    for place, point in enumerate(points):
        hessian, (value, gradient) = reference(point)
        same(ours.values[place], value)
        same(ours.gradient[place], gradient)
        same(ours.hessian[place], hessian)


def same(ours: npt.NDArray[np.float64], theirs: jax.Array) -> None:
    """Compare numbers to within a fraction of the largest of them."""
    expected = np.asarray(theirs, dtype=np.float64)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(ours, expected, rtol=0.0, atol=CLOSE * max(1.0, np.abs(expected).max()))
