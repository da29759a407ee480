"""What the functions write that make arrays of numbers. Each looks at the limits before it makes one."""

from __future__ import annotations

import math

import numpy as np

from gradmill_server.engine.formula.emission import Site
from gradmill_server.engine.formula.forms import extents


def array(_site: Site, x: int) -> int:
    """Write nothing: an array is what it is."""
    return x


def zeros(site: Site, shape: int | tuple[int, ...]) -> int:
    """Write an array of zeros."""
    return full(site, shape, 0.0)


def ones(site: Site, shape: int | tuple[int, ...]) -> int:
    """Write an array of ones."""
    return full(site, shape, 1.0)


def full(site: Site, shape: int | tuple[int, ...], number: float) -> int:
    """Write an array of one number."""
    wanted = extents(site, shape)
    site.reserve(wanted)
    return site.constant(np.full(wanted, number))


def eye(site: Site, rows: int, columns: int | None, offset: int) -> int:
    """Write a matrix with ones on a diagonal."""
    wanted = extents(site, (rows, rows if columns is None else columns), "n")
    site.reserve(wanted)
    return site.constant(np.eye(wanted[0], wanted[1], k=offset))


def arange(site: Site, start: float, stop: float | None, step: float) -> int:
    """Write numbers at equal distances, up to a last one that is left out."""
    if stop is None:
        start, stop = 0.0, start
    steps = (stop - start) / step if step else math.nan
    if not math.isfinite(steps):
        message = f"{site.name} cannot count from {start:g} to {stop:g} in steps of {step:g}"
        raise site.mistake(message)
    count = math.ceil(steps)
    if count < 1:
        message = f"{site.name} from {start:g} to {stop:g} in steps of {step:g} is empty"
        raise site.mistake(message)
    site.reserve((count,))
    return site.constant(np.arange(start, stop, step, dtype=np.float64))


def linspace(site: Site, start: float, stop: float, count: int) -> int:
    """Write numbers at equal distances, both ends included."""
    wanted = extents(site, count, "num")
    site.reserve(wanted)
    with np.errstate(all="ignore"):  # infinite ends make NaN, as in NumPy
        return site.constant(np.linspace(start, stop, count))
