"""Elementary functions on lanes, of our own: accurate, the same bits on every machine, defined at every float64."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gradmill_server.engine.vector_math.definition import VectorFunction

FUNCTIONS: Mapping[str, VectorFunction] = MappingProxyType({})
"""Every vector function by its name."""

__all__ = ["FUNCTIONS", "VectorFunction"]
