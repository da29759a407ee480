"""Exact values and derivatives of the special functions, and of those that learning is made of."""

from __future__ import annotations

import statistics

from tests.engine.ops.exact import MP, Number, Reference, erfc, gaussian, logistic, logistic_slope


def _bell(x: Number) -> Number:
    return MP.exp(-x * x)


_TINY = MP.mpf(10) ** -20
_SMALL = MP.mpf(10) ** -8
_LEAST_USUAL = MP.mpf(10) ** -300


def _first_quantile(p: Number) -> Number:
    """Return the lower normal quantile to a few digits."""
    if p > _LEAST_USUAL:
        return MP.mpf(statistics.NormalDist().inv_cdf(float(p)))
    root = MP.sqrt(-2 * MP.log(p))
    return MP.log(2 * MP.pi * root**2) / (2 * root) - root


def normal_quantile(p: Number) -> Number:
    """Return the normal quantile, by Newton's method on the logarithm of the distribution function."""
    if p >= MP.mpf(1) / 2:
        return -normal_quantile(1 - p) if 2 * p != 1 else MP.mpf(0)
    quantile, wanted, step = _first_quantile(p), MP.log(p), MP.inf
    while abs(step) > _TINY * abs(quantile):
        below = erfc(-quantile / MP.sqrt(2)) / 2
        step = (wanted - MP.log(below)) * below / gaussian(quantile)
        quantile += step
    # One step more doubles twenty digits twice.
    below = erfc(-quantile / MP.sqrt(2)) / 2
    return quantile + (wanted - MP.log(below)) * below / gaussian(quantile)


def _inverse_erf(x: Number) -> Number:
    if abs(x) < _TINY:
        return x * MP.sqrt(MP.pi) / 2
    return MP.sign(x) * -normal_quantile((1 - abs(x)) / 2) / MP.sqrt(2)


def _inverse_erf_slope(x: Number) -> Number:
    return MP.sqrt(MP.pi) / 2 * MP.exp(_inverse_erf(x) ** 2)


def _inverse_erf_curvature(x: Number) -> Number:
    return 2 * _inverse_erf(x) * _inverse_erf_slope(x) ** 2


def _quantile_slope(p: Number) -> Number:
    return 1 / gaussian(normal_quantile(p))


def _quantile_curvature(p: Number) -> Number:
    return normal_quantile(p) * _quantile_slope(p) ** 2


def _sinc(x: Number) -> Number:
    return MP.sinpi(x) / (MP.pi * x) if x else MP.mpf(1)


def _sinc_slope(x: Number) -> Number:
    """Return the derivative, near 0, where the terms cancel, by its series."""
    if abs(x) < _SMALL:
        return -(MP.pi**2) * x / 3 * (1 - (MP.pi * x) ** 2 / 10 + (MP.pi * x) ** 4 / 280)
    return (MP.cospi(x) - _sinc(x)) / x


def _sinc_curvature(x: Number) -> Number:
    if abs(x) < _SMALL:
        return -(MP.pi**2) / 3 * (1 - 3 * (MP.pi * x) ** 2 / 10 + (MP.pi * x) ** 4 / 56)
    return -2 * _sinc_slope(x) / x - MP.pi**2 * _sinc(x)


def _sinc_third(x: Number) -> Number:
    if abs(x) < _SMALL:
        return MP.pi**4 * x / 5 * (1 - 5 * (MP.pi * x) ** 2 / 42)
    return -(3 * _sinc_curvature(x) + MP.pi**2 * (x * _sinc_slope(x) + _sinc(x))) / x


def sinc_terms(x: Number) -> Number:
    """Return the size of the terms whose difference the slope of sinc is; 0 near 0, where it is none."""
    return 1 / abs(x) if 2 * abs(x) > 1 else MP.mpf(0)


SPECIAL = {
    "erf": Reference(
        MP.erf,
        lambda x: (2 / MP.sqrt(MP.pi) * _bell(x),),
        lambda x: (-4 / MP.sqrt(MP.pi) * x * _bell(x),),
    ),
    "erfc": Reference(
        erfc,
        lambda x: (-2 / MP.sqrt(MP.pi) * _bell(x),),
        lambda x: (4 / MP.sqrt(MP.pi) * x * _bell(x),),
    ),
    "normal_cdf": Reference(
        lambda x: erfc(-x / MP.sqrt(2)) / 2, lambda x: (gaussian(x),), lambda x: (-x * gaussian(x),)
    ),
    "normal_pdf": Reference(
        gaussian,
        lambda x: (-x * gaussian(x),),
        lambda x: ((x * x - 1) * gaussian(x),),
        cancelling=lambda x: (gaussian(x),),
    ),
    "exp_minus_square": Reference(
        _bell,
        lambda x: (-2 * x * _bell(x),),
        lambda x: ((4 * x * x - 2) * _bell(x),),
        cancelling=lambda x: (_bell(x),),
    ),
    "erfinv": Reference(_inverse_erf, lambda x: (_inverse_erf_slope(x),), lambda x: (_inverse_erf_curvature(x),)),
    "erfinv_slope": Reference(
        _inverse_erf_slope,
        lambda x: (_inverse_erf_curvature(x),),
        lambda x: ((2 + 8 * _inverse_erf(x) ** 2) * _inverse_erf_slope(x) ** 3,),
    ),
    "normal_ppf": Reference(normal_quantile, lambda x: (_quantile_slope(x),), lambda x: (_quantile_curvature(x),)),
    "normal_ppf_slope": Reference(
        _quantile_slope,
        lambda x: (_quantile_curvature(x),),
        lambda x: ((1 + 2 * normal_quantile(x) ** 2) * _quantile_slope(x) ** 3,),
    ),
    "sinc": Reference(
        _sinc,
        lambda x: (_sinc_slope(x),),
        lambda x: (_sinc_curvature(x),),
        cancelling=lambda x: (MP.pi**2 * sinc_terms(x),),
        slopes_cancelling=lambda x: (sinc_terms(x),),
    ),
    "sinc_slope": Reference(
        _sinc_slope,
        lambda x: (_sinc_curvature(x),),
        lambda x: (_sinc_third(x),),
        cancelling=lambda x: (MP.pi**2 * sinc_terms(x),),
        slopes_cancelling=lambda x: (MP.pi**2 * sinc_terms(x),),
    ),
}


def _huber_inside(x: Number, delta: Number) -> bool:
    return bool(abs(x) <= delta)


ACTIVATIONS = {
    "log_sigmoid": Reference(
        lambda x: -MP.log1p(MP.exp(-x)), lambda x: (logistic(-x),), lambda x: (-logistic_slope(x),)
    ),
    "silu": Reference(
        lambda x: x * logistic(x),
        lambda x: (logistic(x) * (1 + x * logistic(-x)),),
        lambda x: (logistic_slope(x) * (2 - x * MP.tanh(x / 2)),),
        cancelling=lambda x: (logistic_slope(x),),
        slopes_cancelling=lambda x: (logistic(x),),
    ),
    "gelu": Reference(
        lambda x: x * erfc(-x / MP.sqrt(2)) / 2,
        lambda x: (erfc(-x / MP.sqrt(2)) / 2 + x * gaussian(x),),
        lambda x: ((2 - x * x) * gaussian(x),),
        cancelling=lambda x: (gaussian(x),),
        slopes_cancelling=lambda x: (erfc(-x / MP.sqrt(2)) / 2,),
    ),
    "elu": Reference(
        lambda x: x if x > 0 else MP.expm1(x),
        lambda x: (1 if x > 0 else MP.exp(x),),
        lambda x: (0 if x > 0 else MP.exp(x),),
        smooth=lambda x: bool(x != 0),
    ),
    "huber": Reference(
        lambda x, delta: x * x / 2 if _huber_inside(x, delta) else delta * (abs(x) - delta / 2),
        lambda x, delta: (x, 0) if _huber_inside(x, delta) else (delta * MP.sign(x), abs(x) - delta),
        lambda x, delta: (1, 0, 0) if _huber_inside(x, delta) else (0, MP.sign(x), -1),
        smooth=lambda x, delta: abs(x) != delta,
    ),
}
