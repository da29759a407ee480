"""Numbers to measure at: of every binade, round the places where something changes, and at the ends of float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gradmill_server.engine.ir import FloatArray

LARGEST = float(np.finfo(np.float64).max)
LEAST = 5e-324
LEAST_NORMAL = 2.0**-1022
LOWEST_EXPONENT, HIGHEST_EXPONENT = -1074, 1023

EXTREMES = np.array([0.0, LEAST, LEAST_NORMAL - LEAST, LEAST_NORMAL, 1.0, LARGEST / 2.0, LARGEST])
"""Not negative; the ends of subnormal, normal and all finite numbers."""

SPECIALS = np.concatenate(
    [
        *(sign * np.array([0.0, 0.5, 1.0, 2.5, 2.0**53, LEAST, LEAST_NORMAL, LARGEST, np.inf]) for sign in (1, -1)),
        [np.nan],
    ]
)
"""Signed zeros, infinities, NaN, extremes, and a few ordinary numbers to stand beside them."""

_FARTHEST, _NEAREST = -4.0, -52.0


def generator() -> np.random.Generator:
    """Return the same random numbers at every call."""
    return np.random.default_rng(20261123)


def magnitudes(lowest: int, highest: int, count: int) -> FloatArray:
    """Return numbers of either sign, spread evenly over the powers of two from 2^lowest to 2^highest."""
    random = generator()
    sizes = np.ldexp(random.uniform(1.0, 2.0, count), random.integers(lowest, highest, count))
    return np.asarray(sizes * random.choice([-1.0, 1.0], count))


def every_binade(lowest: int = LOWEST_EXPONENT, highest: int = HIGHEST_EXPONENT, each: int = 1) -> FloatArray:
    """Return positive numbers, so many of each exponent, subnormal ones included."""
    exponents = np.repeat(np.arange(lowest, highest + 1), each)
    return np.asarray(np.ldexp(generator().uniform(1.0, 2.0, len(exponents)), exponents))


def with_neighbours(numbers: Sequence[float]) -> FloatArray:
    """Return numbers, the float64 on either side of each, and all of these negated."""
    middle = np.array(numbers)
    all_of_them = np.concatenate([middle, np.nextafter(middle, -np.inf), np.nextafter(middle, np.inf)])
    return np.concatenate([all_of_them, -all_of_them])


def around(seams: Sequence[float], count: int) -> FloatArray:
    """Return the neighbours of some numbers and, so many in all, what lies round them at any distance.

    Relative distances are spread evenly over the powers of two from 2^-52 to 2^-4, on both sides.
    """
    random = generator()
    middle = np.resize(np.array(seams), count)
    distance = random.choice([-1.0, 1.0], count) * 2.0 ** random.uniform(_NEAREST, _FARTHEST, count)
    near = np.array(seams)
    return np.concatenate([near, np.nextafter(near, -np.inf), np.nextafter(near, np.inf), middle * (1.0 + distance)])


def pairs(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return every value beside every other, in both orders."""
    first, second = np.meshgrid(values, values)
    return first.ravel().copy(), second.ravel().copy()
