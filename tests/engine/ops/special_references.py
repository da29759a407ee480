"""Exact values and derivatives of the special functions, and of those that learning is made of."""

from __future__ import annotations

from tests.engine.ops.exact import MP, Number, Reference, erfc, gaussian, logistic, logistic_slope


def _bell(x: Number) -> Number:
    return MP.exp(-x * x)


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
