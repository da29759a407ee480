"""Where operations are compared with their references: all over the domain, and densely where digits get lost."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
from gradmill_server.engine.ir import FloatArray
from gradmill_server.engine.ops import Operation
from gradmill_server.engine.ops.operation import Interval

_UNIFORM = 160
_DECADES_NEAR_ZERO = (*range(1, 21), 50, 100)
_DECADES_NEAR_ENDS = range(1, 16)


def operands(row: Operation) -> list[FloatArray]:
    """Return operands for an operation: for each an array [points], the same points in every run."""
    generator = np.random.default_rng(zlib.crc32(row.name.encode()))
    rounds = row.arity
    columns = [
        np.concatenate([generator.permutation(_spread(interval, generator)) for _ in range(rounds)])
        for interval in row.domain
    ]
    length = min(map(len, columns))
    corners = np.array(list(itertools.product(*map(_landmarks, row.domain))))
    return [np.concatenate([column[:length], corners[:, i]]) for i, column in enumerate(columns)]


def _landmarks(interval: Interval) -> list[float]:
    """Return the ends of an interval, and 0 and 1 where they are inside."""
    return [*interval, *(number for number in (0.0, 1.0) if interval.low < number < interval.high)]


def _spread(interval: Interval, generator: np.random.Generator) -> FloatArray:
    """Return numbers of an interval: uniform, and log-spaced towards its ends and, where it holds 0, towards 0."""
    low, high = interval
    width = high - low
    steps = width * generator.uniform(0.1, 1.0, len(_DECADES_NEAR_ENDS)) * np.power(10.0, -np.array(_DECADES_NEAR_ENDS))
    tiny = generator.uniform(0.1, 1.0, len(_DECADES_NEAR_ZERO)) * np.power(10.0, -np.array(_DECADES_NEAR_ZERO))
    around_zero = np.concatenate([tiny, -tiny]) if low < 0.0 < high else np.empty(0)
    return np.concatenate([generator.uniform(low, high, _UNIFORM), low + steps, high - steps, around_zero])
