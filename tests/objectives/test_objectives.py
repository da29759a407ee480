"""Real objectives through the client, against JAX: two programs that share no code."""

from __future__ import annotations

from collections.abc import Iterator

import gradmill as gm
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from tests.objectives import bundle_adjustment, gaussian_mixture, learning, processes
from tests.objectives.gaussian_mixture import Size

CLOSE = 1e-10
Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def client() -> Iterator[gm.Client]:
    """Return a client that computes in this process."""
    jax.config.update("jax_enable_x64", val=True)
    with gm.local() as local:
        yield local


def same(ours: object, theirs: object) -> None:
    """Compare numbers to within 1e-10 of the largest of them."""
    expected = np.asarray(theirs, dtype=np.float64)
    scale = np.abs(expected).max(initial=1e-300)
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=CLOSE, atol=CLOSE * scale)


@pytest.mark.parametrize("size", [Size(50, 2, 3), Size(40, 10, 5)], ids=str)
def test_the_gaussian_mixture(client: gm.Client, size: Size) -> None:
    """Value and gradient of the objective by all parameters, summed over the data on the server."""
    arrays = gaussian_mixture.data(size)
    result = client.gradient(
        gaussian_mixture.traced(size), arrays, with_respect_to=gaussian_mixture.PARAMETERS, reduction="sum"
    )
    parameters = {name: jnp.asarray(arrays[name]) for name in gaussian_mixture.PARAMETERS}
    value, gradient = jax.value_and_grad(gaussian_mixture.in_jax)(parameters, jnp.asarray(arrays["x"]))
    same(result.values, value)
    for name in gaussian_mixture.PARAMETERS:
        same(result.gradient[name], gradient[name])


def test_bundle_adjustment(client: gm.Client) -> None:
    """Errors and their Jacobians by camera, point and weight, of many observations, one of them without rotation."""
    arrays = bundle_adjustment.data(30)
    wanted = ("camera", "point", "weight")
    result = client.jacobian(bundle_adjustment.traced(), arrays, with_respect_to=wanted)
    columns = [jnp.asarray(arrays[name]) for name in ("camera", "point", "weight", "feature")]
    errors, weight_errors = jax.vmap(bundle_adjustment.in_jax)(*columns)
    same(result.values["errors"], errors)
    same(result.values["weight_error"], weight_errors)
    jacobians = jax.vmap(jax.jacrev(bundle_adjustment.in_jax, argnums=(0, 1, 2)))(*columns)
    for output, by_input in zip(("errors", "weight_error"), jacobians, strict=True):
        for name, expected in zip(wanted, by_input, strict=True):
            same(result.jacobian[output][name], expected)


def test_logistic_regression(client: gm.Client) -> None:
    """The loss over all points, its gradient and its Hessian by the coefficients, and the gradient by one point."""
    arrays = learning.regression_data(200)
    by = ("coefficients", "intercept")
    wanted = ["value", "gradient", "hessian"]
    result = client.evaluate(learning.regression(), arrays, want=wanted, with_respect_to=by, reduction="sum")
    given = [jnp.asarray(arrays[name]) for name in ("coefficients", "intercept", "x", "label")]
    same(result.values, learning.regression_in_jax(*given))
    gradient = jax.grad(learning.regression_in_jax, argnums=(0, 1))(*given)
    hessian = jax.hessian(learning.regression_in_jax, argnums=(0, 1))(*given)
    for place, name in enumerate(by):
        same(result.gradient[name], gradient[place])
        for other, second in enumerate(by):
            same(result.hessian[name][second], hessian[place][other])
    of_points = client.gradient(learning.regression(), arrays, with_respect_to="x")
    same(of_points.gradient["x"], jax.grad(learning.regression_in_jax, argnums=2)(*given))


def test_a_network_by_its_weights_and_by_its_inputs(client: gm.Client) -> None:
    """The summed loss by every weight, and each point's loss by its own input."""
    arrays = learning.network_data(100)
    parameters = {name: jnp.asarray(arrays[name]) for name in learning.NETWORK_PARAMETERS}
    x, target = jnp.asarray(arrays["x"]), jnp.asarray(arrays["target"])
    whole = client.gradient(learning.network(), arrays, with_respect_to=learning.NETWORK_PARAMETERS, reduction="sum")
    losses = jax.vmap(learning.network_in_jax, in_axes=(None, 0, 0))
    value, gradient = jax.value_and_grad(lambda given: jnp.sum(losses(given, x, target)))(parameters)
    same(whole.values, value)
    for name in learning.NETWORK_PARAMETERS:
        same(whole.gradient[name], gradient[name])
    by_input = client.gradient(learning.network(), arrays, with_respect_to="x")
    each = jax.vmap(jax.value_and_grad(learning.network_in_jax, argnums=1), in_axes=(None, 0, 0))
    values, slopes = each(parameters, x, target)
    same(by_input.values, values)
    same(by_input.gradient["x"], slopes)


def test_a_gaussian_process_by_its_cholesky_factor(client: gm.Client) -> None:
    """The log-likelihood, its gradient and its Hessian by three parameters, at several points."""
    places, observed = processes.process_data(12)
    points = np.array([[0.1, 0.0, -1.0], [0.5, -0.3, -0.5], [-0.2, 0.4, -1.5]])
    function = processes.gaussian_process(places, observed)
    result = client.evaluate(function, points, want=["value", "gradient", "hessian"])

    def in_jax(parameters: jax.Array) -> jax.Array:
        return processes.gaussian_process_in_jax(parameters, places, observed)

    same(result.values, jax.vmap(in_jax)(points))
    same(result.gradient, jax.vmap(jax.grad(in_jax))(points))
    same(result.hessian, jax.vmap(jax.hessian(in_jax))(points))


def test_a_recurrence_of_ten_thousand_steps(client: gm.Client) -> None:
    """The logistic map where it settles: value and gradient by start and rate."""
    points = np.array([[0.3, 2.5], [0.6, 2.9], [0.2, 1.7]])
    result = client.gradient(processes.logistic_map(10_000), points)
    for point, value, gradient in zip(points, result.values, result.gradient, strict=True):
        expected = jax.value_and_grad(processes.logistic_map_in_jax, argnums=(0, 1))
        theirs, slopes = jax.jit(expected, static_argnums=2)(*map(jnp.asarray, point), 10_000)
        same(value, theirs)
        same(gradient, slopes)


def test_a_chaotic_recurrence_agrees_with_many_digits(client: gm.Client) -> None:
    """A few steps of the logistic map at rate 4, where errors double at each: value and slope against 60 digits."""
    steps = 20
    with mpmath.workdps(60):
        x, slope = mpmath.mpf(0.3), mpmath.mpf(1)
        for _ in range(steps):
            x, slope = 4 * x * (1 - x), slope * 4 * (1 - 2 * x)
    result = client.gradient(processes.logistic_map(steps), np.array([0.3, 4.0]))
    condition = 4.0**steps
    assert abs(result.values - float(x)) < 1e-15 * condition
    assert abs(result.gradient[0] - float(slope)) < 1e-15 * condition * abs(float(slope))


def test_a_diffusion_of_ten_thousand_steps(client: gm.Client) -> None:
    """The mean over the path of a stochastic process, by start, speed, level and volatility."""
    noise = np.random.default_rng(3).normal(size=10_000)
    point = np.array([0.5, 1.5, 0.8, 0.3])
    result = client.gradient(processes.diffusion(noise), point)
    value, gradient = jax.jit(jax.value_and_grad(processes.diffusion_in_jax))(point, noise)
    same(result.values, value)
    same(result.gradient, gradient)
