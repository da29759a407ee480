"""The references themselves: derivatives written by hand against mpmath's numerical differentiation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gradmill_server.engine import ops

from tests.engine.ops.references import MP, REFERENCES, Number

_POINTS = 4
_REACH = 20.0
_TOLERANCE = MP.mpf(10) ** -20


def moderate_points(name: str) -> list[list[Number]]:
    """Return a few exact points of an operation's domain, where differentiation by differences is reliable."""
    generator = np.random.default_rng(20240229)
    ranges = [(max(low, -_REACH), min(high, _REACH)) for low, high in ops.TABLE[name].domain]
    return [[MP.mpf(float(generator.uniform(*ends))) for ends in ranges] for _ in range(_POINTS)]


@pytest.mark.parametrize("name", ops.TABLE)
def test_derivatives_written_by_hand_are_those_of_the_value(name: str) -> None:
    """The derivatives that operations are held to are derivatives of the value they are held to."""
    reference = REFERENCES[name]
    arity = ops.TABLE[name].arity
    pairs = list(itertools.combinations_with_replacement(range(arity), 2))
    for point in moderate_points(name):
        for entries, exact in ((((i,) for i in range(arity)), reference.slopes), (pairs, reference.curvatures)):
            for entry, derivative in zip(entries, exact(*point), strict=True):
                order = tuple(entry.count(position) for position in range(arity))
                by_differences = MP.diff(reference.value, tuple(point), order)
                assert abs(by_differences - derivative) <= _TOLERANCE * (1 + abs(derivative))
