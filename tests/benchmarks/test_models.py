"""The models are the functions they are said to be, in both their forms, and ours computes them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.models import MODELS
from tests.benchmarks.operations import NUMPY
from tests.benchmarks.peers.ours import OurColumns, Ours

SMALL = [key for key in MODELS if key not in {"rosenbrock-1000", "random-10000"}]


@pytest.mark.parametrize("key", [key for key in SMALL if MODELS[key]().array_form])
def test_both_forms_of_a_model_are_the_same_function(key: str) -> None:
    """A library that is given the array form computes what the others compute."""
    model = MODELS[key]()
    points = model.points(20)
    assert model.array_form is not None
    expected = model.scalar_form(NUMPY, list(points.T))
    np.testing.assert_allclose(model.array_form(NUMPY, points), expected, rtol=1e-11)


@pytest.mark.parametrize("key", SMALL)
def test_our_answer_is_that_of_plain_values_and_differences(key: str) -> None:
    """The engine's values are NumPy's, and its gradients are those of central differences."""
    model = MODELS[key]()
    points = model.points(5)
    values, gradients = Ours().prepare(model, points, gradient=True).results()
    np.testing.assert_allclose(values, model.scalar_form(NUMPY, list(points.T)), rtol=1e-10)
    assert gradients is not None
    direction = np.random.default_rng(1).standard_normal(model.inputs)
    ahead, behind = (model.scalar_form(NUMPY, list((points + step * direction).T)) for step in (1e-6, -1e-6))
    slopes = (ahead - behind) / 2e-6
    np.testing.assert_allclose(gradients @ direction, slopes, rtol=1e-6, atol=1e-5)


def test_columns_give_what_a_matrix_gives() -> None:
    """Points as one array for each input have the same answer as points in a matrix, with and without a gradient."""
    model = MODELS["black-scholes"]()
    points = model.points(7)
    for gradient in (False, True):
        matrix, columns = (peer.prepare(model, points, gradient=gradient).results() for peer in (Ours(), OurColumns()))
        np.testing.assert_array_equal(matrix[0], columns[0])
        assert (matrix[1] is None) == (columns[1] is None) == (not gradient)
        if gradient:
            np.testing.assert_array_equal(matrix[1], columns[1])


def test_the_seed_function_is_that_of_the_readme() -> None:
    """3*(x1**2 + x2*x3) is 48 at (2, 3, 4)."""
    assert MODELS["seed"]().scalar_form(NUMPY, [2.0, 3.0, 4.0]) == 48.0


def test_points_are_the_same_in_every_process() -> None:
    """Two processes that ask for the same batch time the same points."""
    first, second = (MODELS["logistic"]().points(9) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert set(first[:, -1]) == {-1.0, 1.0}
