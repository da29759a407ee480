"""JAX: `jit(vmap(value_and_grad))`, with 64-bit numbers and compiled for one thread."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from tests.benchmarks.models import Model
from tests.benchmarks.operations import Number, Operations, State, Step, normal_cdf_from
from tests.benchmarks.peers.peer import FloatArray, NotApplicableError

jax.config.update("jax_enable_x64", val=True)


def _scanned(step: Step, state: State, count: int) -> State:
    final: State = jax.lax.scan(lambda carried, _: (step(carried), None), state, length=count)[0]
    return final


def _operations(**others: Callable[..., Number]) -> Operations:
    return Operations(
        exp=jnp.exp,
        log=jnp.log,
        log1p=jnp.log1p,
        sqrt=jnp.sqrt,
        sin=jnp.sin,
        cos=jnp.cos,
        tanh=jnp.tanh,
        normal_cdf=normal_cdf_from(jax.scipy.special.erf),
        **others,
    )


class JaxBatch:
    """A compiled function and the points on the device."""

    def __init__(self, compiled: Callable[..., jax.Array], arguments: tuple[jax.Array, ...], *, gradient: bool) -> None:
        """Keep them."""
        self._compiled = compiled
        self._arguments = arguments
        self._gradient = gradient

    def call(self) -> object:
        """Evaluate, and wait for the answer."""
        return jax.block_until_ready(self._compiled(*self._arguments))

    def results(self) -> tuple[FloatArray, FloatArray | None]:
        """Evaluate, and return NumPy's arrays."""
        answer = self._compiled(*self._arguments)
        if not self._gradient:
            return np.asarray(answer), None
        values, gradients = answer
        columns = isinstance(gradients, tuple)
        return np.asarray(values), np.stack(gradients, axis=1) if columns else np.asarray(gradients)


class Jax:
    """A model in its array form where it has one, with `lax.scan` for loops; else in its scalar form."""

    def prepare(self, model: Model, points: FloatArray, *, gradient: bool) -> JaxBatch:
        """Trace, differentiate and compile."""
        if model.array_form is None:
            return _of_matrix(_on_entries(model), points, gradient=gradient)
        form, operations = model.array_form, _operations(repeat=_scanned)
        return _of_matrix(lambda x: form(operations, x), points, gradient=gradient)


class JaxUnrolled:
    """A model's scalar form on the entries of a row, where there is an array form that one would rather write."""

    def prepare(self, model: Model, points: FloatArray, *, gradient: bool) -> JaxBatch:
        """Trace, differentiate and compile. Raises NotApplicableError when `Jax` does just this."""
        if model.array_form is None:
            raise NotApplicableError
        return _of_matrix(_on_entries(model), points, gradient=gradient)


class JaxColumns:
    """A model's scalar form with an argument for each input: points as columns, one array each."""

    def prepare(self, model: Model, points: FloatArray, *, gradient: bool) -> JaxBatch:
        """Trace, differentiate and compile."""
        operations = _operations()

        def function(*x: jax.Array) -> jax.Array:
            return model.scalar_form(operations, x)

        differentiated = jax.value_and_grad(function, argnums=tuple(range(model.inputs))) if gradient else function
        columns = tuple(jax.device_put(np.ascontiguousarray(column)) for column in points.T)
        return _compiled(differentiated, columns, gradient=gradient)


def _on_entries(model: Model) -> Callable[[jax.Array], jax.Array]:
    operations = _operations()
    return lambda x: model.scalar_form(operations, [x[position] for position in range(model.inputs)])


def _of_matrix(function: Callable[[jax.Array], jax.Array], points: FloatArray, *, gradient: bool) -> JaxBatch:
    differentiated = jax.value_and_grad(function) if gradient else function
    return _compiled(differentiated, (jax.device_put(points),), gradient=gradient)


def _compiled(function: Callable[..., jax.Array], arguments: tuple[jax.Array, ...], *, gradient: bool) -> JaxBatch:
    return JaxBatch(jax.jit(jax.vmap(function)), jax.block_until_ready(arguments), gradient=gradient)
