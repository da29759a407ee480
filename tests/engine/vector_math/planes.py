"""Where functions of two arguments are measured: points of the plane, each kind where there is work to do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gradmill_server.engine.ir import FloatArray

from tests.engine.vector_math.numbers import EXTREMES, LEAST, LEAST_NORMAL, every_binade, generator, magnitudes, pairs

Plane = tuple[FloatArray, FloatArray]
_CORNERS = np.concatenate([EXTREMES, -EXTREMES])
_LOG_OF_LARGEST, _LOG_OF_LEAST = 709.782712893384, -744.4400719213812


def _together(*groups: Plane) -> Plane:
    first, second = (np.concatenate([group[place] for group in groups]) for place in (0, 1))
    return first, second


def _any_two() -> Plane:
    """Return numbers of every binade beside numbers of any, and all extremes beside each other."""
    random = generator()
    sizes = every_binade()
    signs = random.choice([-1.0, 1.0], (2, len(sizes)))
    return _together((sizes * signs[0], random.permutation(sizes) * signs[1]), pairs(_CORNERS))


def _where(plane: Plane, chosen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Plane:
    return plane[0][chosen], plane[1][chosen]


def powers() -> Plane:
    """Return bases and exponents whose powers fill the whole range, its ends and subnormal numbers included."""
    random = generator()
    any_base = every_binade(each=2)
    near_one = 1.0 + random.choice([-1.0, 1.0], 2500) * 10.0 ** random.uniform(-15.5, -0.5, 2500)
    count = len(any_base)
    # Logarithms of results over all exponents, and close to where they overflow, turn subnormal or vanish.
    logarithm = random.uniform(_LOG_OF_LEAST, _LOG_OF_LARGEST, count)
    ends = random.choice([_LOG_OF_LARGEST, -708.3964185322641, -745.1332191019412], 2500)
    ends = ends * (1.0 + random.choice([-1.0, 1.0], 2500) * 10.0 ** random.uniform(-15.0, -3.0, 2500))
    any_two = _any_two()
    return _together(
        (any_base, logarithm / np.log(any_base)),
        (near_one, random.uniform(-744.4, 709.7, 2500) / np.log(near_one)),
        (near_one, ends / np.log(near_one)),
        (random.uniform(0.05, 20.0, 4000), random.uniform(-10.0, 10.0, 4000)),
        (-np.abs(magnitudes(-40, 40, 1500)), np.floor(random.uniform(-17.0, 17.0, 1500))),
        _where((np.abs(any_two[0]), any_two[1]), any_two[0] != 0.0),
    )


def lengths() -> Plane:
    """Return vectors of all lengths, their components alike or far apart, and some that just overflow."""
    random = generator()
    x = magnitudes(-1074, 1023, 5000)
    alike = np.ldexp(x, random.integers(-30, 1, 5000)) * random.uniform(0.5, 1.0, 5000)
    angle = random.uniform(0.0, np.pi / 2.0, 500)
    longest = 2.0**1023 * (2.0 - 2.0 ** random.uniform(-52.0, -1.0, 500))
    edges = np.array([2.0**-450, 2.0**500, LEAST, LEAST_NORMAL])
    return _together(
        (x, alike),
        (random.normal(size=5000), random.normal(size=5000)),
        (longest * np.sin(angle), longest * np.cos(angle)),
        (edges, edges),
        _any_two(),
    )


def directions() -> Plane:
    """Return points in every direction, at every distance, along the axes and the diagonals."""
    random = generator()
    direction = random.uniform(-np.pi, np.pi, 5000)
    distance = np.ldexp(1.0, random.integers(-1000, 1000, 5000))
    near, far = magnitudes(-1074, -480, 1000), magnitudes(480, 1024, 1000)
    diagonal = magnitudes(-20, 20, 1000)
    any_two = _any_two()
    return _together(
        (distance * np.sin(direction), distance * np.cos(direction)),
        (near, near[::-1].copy()),
        (far, far[::-1].copy()),
        (np.nextafter(diagonal, np.inf), diagonal),
        (magnitudes(-1074, -900, 500), magnitudes(-60, 60, 500)),
        # mpmath has no -0, whose side of the axis counts; the special values do.
        _where(any_two, any_two[0] != 0.0),
    )


def exponents_of_sums() -> Plane:
    """Return exponents at any distance, and such that the sum of exponentials is near 1, however small one is."""
    random = generator()
    negative = -(10.0 ** random.uniform(-17.0, -0.2, 2000))
    tiny = -(10.0 ** random.uniform(-323.0, -16.0, 1500))
    off = [
        1.0 + random.normal(size=len(one)) * 10.0 ** random.uniform(-16.0, -1.0, len(one)) for one in (negative, tiny)
    ]
    return _together(
        (random.uniform(-50.0, 50.0, 3000), random.uniform(-50.0, 50.0, 3000)),
        (random.uniform(-1.5, 0.5, 4000), random.uniform(-1.5, 0.5, 4000)),
        (negative, np.log(-np.expm1(negative)) * off[0]),
        (tiny, np.log(-tiny) * off[1]),
        (magnitudes(-70, 9, 1500), random.uniform(-740.0, 1.0, 1500)),
        _any_two(),
    )


def factors_and_logarithms() -> Plane:
    """Return factors and arguments of x*log(y), the latter near 1 too."""
    random = generator()
    any_two = _any_two()
    near_one = 1.0 + random.normal(size=2000) * 10.0 ** random.uniform(-15.0, -1.0, 2000)
    return _together(
        (random.normal(size=5000), random.uniform(0.2, 4.0, 5000)),
        (random.normal(size=2000), near_one),
        (np.ldexp(random.uniform(-1.0, 1.0, 2000), random.integers(-1074, -1000, 2000)), near_one),
        (magnitudes(1000, 1024, 2000), np.abs(magnitudes(-1074, 1024, 2000))),
        _where((any_two[0], np.abs(any_two[1])), any_two[1] != 0.0),
    )


def quotients() -> Plane:
    """Return dividends and divisors: ordinary, with quotients that are or almost are whole, and of all magnitudes."""
    random = generator()
    divisor = magnitudes(-3, 3, 3000)
    whole = divisor * np.floor(random.uniform(0.0, 2.0 ** random.uniform(0.0, 53.0, 3000)))
    subnormal = np.ldexp(random.integers(1, 2**50, 2000).astype(np.float64), -1074)
    any_two = _any_two()
    return _together(
        (random.uniform(-50.0, 50.0, 4000), random.uniform(-5.0, 5.0, 4000)),
        (whole, divisor),
        (np.nextafter(whole, np.inf), divisor),
        (np.nextafter(whole, -np.inf), divisor),
        (magnitudes(-1074, 1024, 2000), subnormal),
        (subnormal, subnormal[::-1].copy()),
        _where(any_two, any_two[1] != 0.0),
    )


def losses() -> Plane:
    """Return arguments and bends of Huber's loss: the one inside, outside, and hardly beside the other."""
    random = generator()
    bend = np.abs(magnitudes(-20, 20, 3000))
    any_two = _any_two()
    return _together(
        (random.uniform(-50.0, 50.0, 4000), random.uniform(0.0, 40.0, 4000)),
        (bend, bend),
        (-np.nextafter(bend, np.inf), bend),
        (bend * (1.0 + 10.0 ** random.uniform(-15.0, -0.5, 3000)), bend),
        (any_two[0], np.abs(any_two[1])),
    )


def _orders(count: int) -> FloatArray:
    """Return orders of derivatives, most of them small."""
    random = generator()
    small = random.integers(1, 4, count)
    return np.where(random.integers(0, 2, count) > 0, small, random.integers(1, 101, count)).astype(np.float64)


def orders_and_positive() -> Plane:
    """Return orders of derivatives and positive arguments of all sizes, most of them where no term outweighs all."""
    random = generator()
    sizes = every_binade()
    ordinary = np.concatenate([random.uniform(0.0, 10.0, 4000), random.uniform(0.0, 250.0, 4000)])
    return _together((_orders(len(sizes)), sizes), (_orders(8000), ordinary))


def orders_and_arguments() -> Plane:
    """Return orders of derivatives, none too, and arguments of either sign but for poles, near these too."""
    random = generator()
    near_poles = -np.floor(random.uniform(0.0, 30.0, 2000)) + magnitudes(-40, -1, 2000)
    negative = np.concatenate([-random.uniform(0.0, 40.0, 3500), -every_binade(-1000, 40), near_poles])
    negative = negative[negative != np.rint(negative)]
    positive = orders_and_positive()
    none = random.uniform(-5.0, 20.0, 1000)
    return _together(positive, (_orders(len(negative)), negative), (np.zeros(1000), none))


PLANES: dict[str, Callable[[], Plane]] = {
    "power": powers,
    "hypot": lengths,
    "atan2": directions,
    "logaddexp": exponents_of_sums,
    "xlogy": factors_and_logarithms,
    "polygamma": orders_and_arguments,
    "polygamma_magnitude": orders_and_positive,
    "huber": losses,
    "fmod": quotients,
    "mod": quotients,
}
"""For each function of two arguments, these: two arrays [points]."""
