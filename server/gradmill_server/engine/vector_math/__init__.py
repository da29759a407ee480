"""Elementary functions on lanes, of our own: accurate, the same bits on every machine, defined at every float64."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gradmill_server.engine.vector_math import (
    activations,
    error_functions,
    exponentials,
    gamma_functions,
    hyperbolic,
    inverse_hyperbolic,
    inverse_trigonometric,
    logarithms,
    polygamma,
    powers,
    quantiles,
    remainders,
    sinc,
    trigonometric,
)
from gradmill_server.engine.vector_math.definition import VectorFunction
from gradmill_server.engine.vector_math.pairs import PAIRS

_FAMILIES = (
    activations,
    exponentials,
    logarithms,
    powers,
    hyperbolic,
    inverse_hyperbolic,
    trigonometric,
    inverse_trigonometric,
    error_functions,
    gamma_functions,
    polygamma,
    quantiles,
    sinc,
    remainders,
)

FUNCTIONS: Mapping[str, VectorFunction] = MappingProxyType(
    {function.name: function for family in _FAMILIES for function in family.FUNCTIONS}
)
"""Every vector function by its name."""

__all__ = ["FUNCTIONS", "PAIRS", "VectorFunction"]
