"""The error function, its complement, the normal distribution and the Gaussians, beside the C library's."""

from __future__ import annotations

import numpy as np
import pytest
from gradmill_server.engine.ops import TABLE

from tests.engine.vector_math.compiled import evaluated
from tests.engine.vector_math.ranges import points


@pytest.mark.parametrize("name", ["erf", "erfc", "normal_cdf", "exp_minus_square", "normal_pdf"])
def test_the_reference_backend_agrees(name: str) -> None:
    """The value that the table of operations computes through NumPy is within 4 ulp over the whole range."""
    (x,) = points(name)
    np.testing.assert_array_max_ulp(evaluated(name, x), np.asarray(TABLE[name].value(x)), maxulp=4)
