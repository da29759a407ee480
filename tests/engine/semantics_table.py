"""The contract at the awkward points, as data: where a derivative does not exist, is infinite, or engines disagree.

Read by `test_semantics.py`. The rules behind the rows:

- R1: the gradient where it exists; at a kink the subgradient of least norm, ties share equally; else by continuity.
- R2: a zero adjoint contributes exactly zero, whatever the local partial.
- R3: stable forms are recognised before differentiation.
- R4: a gradient is the same however it is asked for.
- R5: what is not finite is returned as it is, and marked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from gradmill_server.engine.ir import Parameters

from tests.engine.ops.references import REFERENCES, Number

INF = math.inf
NAN = math.nan
HALF_PI = math.pi / 2
LOG_2 = math.log(2.0)


class Outcome(NamedTuple):
    """What a function gives at a point.

    Attributes:
        value: the value.
        gradient: the derivatives by the inputs, in order.
    """

    value: float
    gradient: tuple[float, ...]


class Case(NamedTuple):
    """One row of the contract.

    Attributes:
        label: what people call it.
        formula: its inputs are x and, where there is one, y.
        point: the inputs' values.
        expected: what is promised.
        naive: what comes without stable forms, where that differs.
        plain: what plain IEEE propagation gives, where the contract holds that to be what other engines give
            (JAX, unless the row says otherwise).
    """

    label: str
    formula: str
    point: tuple[float, ...]
    expected: Outcome
    naive: Outcome | None = None
    plain: Outcome | None = None


def _case(
    formula: str,
    point: tuple[float, ...],
    value: float,
    gradient: tuple[float, ...],
    *,
    label: str = "",
    naive: Outcome | None = None,
    plain: Outcome | None = None,
) -> Case:
    where = ", ".join(f"{number:g}" for number in point)
    return Case(f"{label or formula} at {where}", formula, point, Outcome(value, gradient), naive, plain)


EXTREMES = (
    _case("max(x, y)", (1.0, 1.0), 1.0, (0.5, 0.5), plain=Outcome(1.0, (0.5, 0.5))),
    _case("min(x, y)", (1.0, 1.0), 1.0, (0.5, 0.5), plain=Outcome(1.0, (0.5, 0.5))),
    _case("max(x, 0)", (0.0,), 0.0, (0.5,), plain=Outcome(0.0, (0.5,))),
    _case("max(x, x)", (1.0,), 1.0, (1.0,), plain=Outcome(1.0, (1.0,))),
    _case("max(x, y)", (NAN, 1.0), NAN, (NAN, NAN)),
    _case("min(x, y)", (1.0, NAN), NAN, (NAN, NAN)),
    _case("fmax(x, y)", (NAN, 1.0), 1.0, (0.0, 1.0), plain=Outcome(1.0, (0.0, 1.0))),
    _case("fmin(x, y)", (1.0, NAN), 1.0, (1.0, 0.0)),
    _case("fmax(x, y)", (NAN, NAN), NAN, (NAN, NAN)),
    _case("fmax(x, y)", (1.0, 1.0), 1.0, (0.5, 0.5)),
    _case("fmin(x, y)", (1.0, 1.0), 1.0, (0.5, 0.5)),
    _case("relu(x)", (0.0,), 0.0, (0.0,), plain=Outcome(0.0, (0.0,))),
    _case("clip(x, 0, 1)", (0.0,), 0.0, (1.0,)),
    _case("clip(x, 0, 1)", (1.0,), 1.0, (1.0,)),
    _case("abs(x)", (0.0,), 0.0, (0.0,)),
    _case("abs(x)", (-0.0,), 0.0, (0.0,)),
    _case("sign(x)", (0.0,), 0.0, (0.0,), plain=Outcome(0.0, (0.0,))),
    _case("floor(x)", (1.0,), 1.0, (0.0,), plain=Outcome(1.0, (0.0,))),
    _case("ceil(x)", (1.0,), 1.0, (0.0,)),
    _case("round(x)", (2.5,), 2.0, (0.0,), plain=Outcome(2.0, (0.0,))),
    _case("round(x)", (3.5,), 4.0, (0.0,)),
    _case("trunc(x)", (-2.0,), -2.0, (0.0,)),
    _case("step(x)", (0.0,), 0.5, (0.0,)),
    _case("step(x)", (-INF,), 0.0, (0.0,)),
    _case("heaviside(x, y)", (0.0, 0.25), 0.25, (0.0, 1.0)),
    _case("heaviside(x, y)", (3.0, 0.25), 1.0, (0.0, 0.0)),
    _case("copysign(x, y)", (-3.0, 2.0), 3.0, (-1.0, 0.0)),
    _case("copysign(x, y)", (3.0, -0.0), -3.0, (-1.0, 0.0)),
    _case("copysign(x, y)", (0.0, -2.0), -0.0, (0.0, 0.0)),
    _case("isnan(x) + isinf(x) + 2*isfinite(x)", (NAN,), 1.0, (0.0,)),
    _case("isnan(x) + isinf(x) + 2*isfinite(x)", (-INF,), 1.0, (0.0,)),
    _case("huber(x, y)", (-2.0, 2.0), 2.0, (-2.0, 0.0)),
    _case("huber(x, y)", (0.0, 0.0), 0.0, (0.0, 0.0)),
    _case("huber(x, y)", (1.0, -1.0), NAN, (NAN, NAN)),
    _case("elu(x)", (0.0,), 0.0, (1.0,)),
    _case("2*(x > 0)", (1.0,), 2.0, (0.0,), plain=Outcome(2.0, (0.0,))),
    _case("mod(x, y)", (-5.5, 2.0), 0.5, (1.0, 3.0), plain=Outcome(0.5, (1.0, 3.0))),
    _case("x % y", (-5.5, 2.0), 0.5, (1.0, 3.0)),
    _case("fmod(x, y)", (-5.5, 2.0), -1.5, (1.0, 2.0), plain=Outcome(-1.5, (1.0, 2.0))),
)

ROOTS = (
    _case("sqrt(x)", (0.0,), 0.0, (INF,), plain=Outcome(0.0, (INF,))),
    _case("sqrt(x)", (-1.0,), NAN, (NAN,), plain=Outcome(NAN, (NAN,))),
    _case("cbrt(x)", (0.0,), 0.0, (INF,), plain=Outcome(0.0, (INF,))),
    _case("x*sqrt(x)", (0.0,), 0.0, (0.0,), plain=Outcome(0.0, (NAN,))),
    _case("sqrt(x)**2", (0.0,), 0.0, (0.0,), plain=Outcome(0.0, (NAN,))),
    _case("sqrt(x*x)", (0.0,), 0.0, (0.0,), naive=Outcome(0.0, (NAN,)), plain=Outcome(0.0, (NAN,))),
    _case(
        "sqrt(x*x + y*y)", (0.0, 0.0), 0.0, (0.0, 0.0), naive=Outcome(0.0, (NAN, NAN)), plain=Outcome(0.0, (NAN, NAN))
    ),
    _case("hypot(x, y)", (0.0, 0.0), 0.0, (0.0, 0.0)),
    _case("atan2(x, y)", (0.0, 0.0), 0.0, (0.0, 0.0)),
    _case("asin(x)", (1.0,), HALF_PI, (INF,), plain=Outcome(HALF_PI, (INF,))),
    _case("acos(x)", (-1.0,), math.pi, (-INF,)),
    _case("lgamma(x)", (0.0,), INF, (-INF,)),
    _case("lgamma(x)", (-1.0,), INF, (NAN,)),
    _case("digamma(x)", (-1.0,), NAN, (INF,)),
    _case("digamma(x)", (0.0,), -INF, (INF,)),
    _case("trigamma(x)", (0.0,), INF, (-INF,)),
    _case("polygamma(x, y)", (2.0, 0.0), -INF, (0.0, INF)),
    _case("acosh(x)", (1.0,), 0.0, (INF,)),
    _case("acosh(x)", (-2.0,), NAN, (NAN,)),
    _case("atanh(x)", (-1.0,), -INF, (INF,)),
    _case("erfinv(x)", (1.0,), INF, (INF,), plain=Outcome(INF, (INF,))),
    _case("erfinv(x)", (-1.0,), -INF, (INF,)),
    _case("erfinv(x)", (2.0,), NAN, (NAN,)),
    _case("normal_ppf(x)", (0.0,), -INF, (INF,)),
    _case("normal_ppf(x)", (1.0,), INF, (INF,)),
    _case("sinc(x)", (0.0,), 1.0, (0.0,), plain=Outcome(1.0, (0.0,))),
    _case("sinc(x)", (INF,), 0.0, (0.0,)),
)

POWERS = (
    _case("x**y", (0.0, 2.0), 0.0, (0.0, 0.0), plain=Outcome(0.0, (0.0, 0.0))),
    _case("x**y", (0.0, 1.0), 0.0, (1.0, 0.0), plain=Outcome(0.0, (1.0, 0.0))),
    _case("x**y", (0.0, 0.5), 0.0, (INF, 0.0), plain=Outcome(0.0, (INF, 0.0))),
    _case("x**y", (0.0, 0.0), 1.0, (0.0, 0.0)),
    _case("x**y", (0.0, -1.0), INF, (-INF, -INF)),
    _case("x**y", (-2.0, 2.0), 4.0, (-4.0, NAN), plain=Outcome(4.0, (-4.0, NAN))),
    _case("x**y", (-2.0, 0.5), NAN, (NAN, NAN), plain=Outcome(NAN, (NAN, NAN))),
    _case("x**2", (0.0,), 0.0, (0.0,), plain=Outcome(0.0, (0.0,))),
    _case("x**0", (0.0,), 1.0, (0.0,), plain=Outcome(1.0, (0.0,))),
    _case("x**0.0", (0.0,), 1.0, (0.0,)),
    _case("x**0.5", (0.0,), 0.0, (INF,), plain=Outcome(0.0, (INF,))),
    _case("x**0.5", (-INF,), INF, (0.0,)),
    _case("x**y", (-INF, 0.5), INF, (0.0, NAN)),
    _case("x**3", (-2.0,), -8.0, (12.0,)),
    _case("x**(-1)", (-0.0,), -INF, (-INF,)),
    _case("(-2)**x", (2.0,), 4.0, (NAN,), plain=Outcome(4.0, (NAN,))),
)

CHOICES = (
    _case("where(x > 0, sqrt(x), 0)", (0.0,), 0.0, (0.0,), plain=Outcome(0.0, (NAN,))),
    _case("where(x > 0, sqrt(x), 0)", (-1.0,), 0.0, (0.0,), plain=Outcome(0.0, (NAN,))),
    _case("where(x > 0, log(x), 0)", (0.0,), 0.0, (0.0,), plain=Outcome(0.0, (NAN,))),
    _case("where(x != 0, sin(x)/x, 1)", (0.0,), 1.0, (0.0,), plain=Outcome(1.0, (NAN,))),
    _case("where(x < 700, exp(x), x)", (1000.0,), 1000.0, (1.0,), plain=Outcome(1000.0, (NAN,))),
)

QUOTIENTS_AND_LOGARITHMS = (
    _case("log(x)", (0.0,), -INF, (INF,), plain=Outcome(-INF, (INF,))),
    _case("log(x)", (-1.0,), NAN, (-1.0,), plain=Outcome(NAN, (-1.0,))),
    _case("1/x", (0.0,), INF, (-INF,), plain=Outcome(INF, (-INF,))),
    _case("x/y", (0.0, 0.0), NAN, (INF, NAN), plain=Outcome(NAN, (INF, NAN))),
    _case("x*y", (0.0, INF), NAN, (INF, 0.0), plain=Outcome(NAN, (INF, 0.0))),
    _case("x*log(x)", (0.0,), 0.0, (-INF,), naive=Outcome(NAN, (-INF,)), plain=Outcome(NAN, (NAN,))),
    _case("log2(x)", (0.0,), -INF, (INF,)),
    _case("log10(x)", (-0.0,), -INF, (-INF,)),
    _case("reciprocal(x)", (0.0,), INF, (-INF,)),
    _case("xlogx(x)", (0.0,), 0.0, (-INF,)),
    _case("xlogx(x)", (-1.0,), NAN, (NAN,)),
    _case("xlogy(x, x)", (0.0,), 0.0, (-INF,)),
    _case("xlogy(x, y)", (0.0, 0.0), 0.0, (-INF, 0.0)),
    _case("xlogy(x, y)", (0.0, 1.0), 0.0, (0.0, 0.0), plain=Outcome(0.0, (0.0, 0.0))),
)

EXPONENTIALS = (
    _case("exp(x)", (1000.0,), INF, (INF,), plain=Outcome(INF, (INF,))),
    _case("tanh(x)", (1000.0,), 1.0, (0.0,), plain=Outcome(1.0, (0.0,))),
    _case("softplus(x)", (1000.0,), 1000.0, (1.0,), plain=Outcome(1000.0, (1.0,))),
    _case("log(1 + exp(x))", (1000.0,), 1000.0, (1.0,), naive=Outcome(INF, (0.0,)), plain=Outcome(INF, (NAN,))),
    _case("1/(1 + exp(-x))", (-1000.0,), 0.0, (0.0,), naive=Outcome(0.0, (0.0,)), plain=Outcome(0.0, (NAN,))),
    _case("log(sigmoid(x))", (-1000.0,), -1000.0, (1.0,), naive=Outcome(-INF, (NAN,))),
    _case("log_sigmoid(x)", (-1000.0,), -1000.0, (1.0,), plain=Outcome(-1000.0, (1.0,))),
    _case("log(exp(x) + exp(y))", (-1000.0, -1000.0), LOG_2 - 1000.0, (0.5, 0.5), naive=Outcome(-INF, (NAN, NAN))),
    _case("silu(x)", (INF,), INF, (1.0,)),
    _case("silu(x)", (-INF,), -0.0, (0.0,)),
    _case("gelu(x)", (INF,), INF, (1.0,)),
    _case("gelu(x)", (-INF,), -0.0, (0.0,)),
    _case("logaddexp(x, y)", (-INF, -INF), -INF, (0.5, 0.5)),
    _case("logaddexp(x, y)", (0.0, 0.0), LOG_2, (0.5, 0.5), plain=Outcome(LOG_2, (0.5, 0.5))),
    _case("logaddexp(x, y)", (INF, INF), INF, (0.5, 0.5)),
    _case("logaddexp(x, y)", (INF, 0.0), INF, (1.0, 0.0)),
)

CASES = (*EXTREMES, *ROOTS, *POWERS, *CHOICES, *QUOTIENTS_AND_LOGARITHMS, *EXPONENTIALS)
"""Every row whose operations exist."""


class ArrayCase(NamedTuple):
    """A row of the contract for an operation on the elements of one vector.

    Attributes:
        operation: its name; what is looked at is its result, or the first element of that.
        vector: the elements.
        value: the promised value.
        gradient: the promised derivative by each element.
        parameters: the operation's static parameters.
    """

    operation: str
    vector: tuple[float, ...]
    value: float
    gradient: tuple[float, ...]
    parameters: Parameters = (("axes", (0,)),)


ARRAY_CASES = (
    ArrayCase("norm", (0.0, 0.0), 0.0, (0.0, 0.0)),
    ArrayCase("std", (1.0, 1.0), 0.0, (0.0, 0.0)),
    ArrayCase("prod", (0.0, 2.0, 3.0), 0.0, (6.0, 0.0, 0.0)),
    ArrayCase("prod", (0.0, 0.0, 3.0), 0.0, (0.0, 0.0, 0.0)),
    ArrayCase("amax", (1.0, 1.0), 1.0, (0.5, 0.5)),
    ArrayCase("amax", (1.0, 1.0, 0.0), 1.0, (0.5, 0.5, 0.0)),
    ArrayCase("amin", (1.0, 1.0, 2.0, 1.0), 1.0, (1 / 3, 1 / 3, 0.0, 1 / 3)),
    ArrayCase("amax", (NAN, 1.0), NAN, (NAN, NAN)),
    ArrayCase("sort", (1.0, 1.0), 1.0, (1.0, 0.0), (("axis", 0),)),
    ArrayCase("logsumexp", (-INF, -INF), -INF, (0.5, 0.5)),
    ArrayCase("logsumexp", (INF, 0.0), INF, (1.0, 0.0)),
    ArrayCase("logsumexp", (1000.0, 1000.0), 1000.0 + math.log(2.0), (0.5, 0.5)),
    ArrayCase("softmax", (1000.0, -1000.0), 1.0, (0.0, 0.0), (("axis", 0),)),
    ArrayCase("cumprod", (0.0, 2.0), 0.0, (1.0, 0.0), (("axis", 0),)),
    ArrayCase("argmax", (1.0, 3.0, 3.0), 1.0, (0.0, 0.0, 0.0), (("axis", 0),)),
    ArrayCase("any", (0.0, 3.0), 1.0, (0.0, 0.0)),
)


class HigherCase(NamedTuple):
    """A second derivative that the contract promises.

    Attributes:
        formula: its inputs are x and, where there is one, y.
        point: the inputs' values.
        by: the inputs differentiated by, in order.
        expected: the derivative.
    """

    formula: str
    point: tuple[float, ...]
    by: str
    expected: float


SECOND_DERIVATIVES = (
    HigherCase("x*abs(x)", (0.0,), "xx", 0.0),
    HigherCase("x**y", (0.0, 1.0), "xx", 0.0),
    HigherCase("x**y", (2.0, 0.0), "xy", 0.5),
    HigherCase("x**y", (2.0, 0.0), "yx", 0.5),
    HigherCase("xlogy(x, y)", (0.0, 2.0), "xy", 0.5),
    HigherCase("xlogy(x, y)", (0.0, 2.0), "yx", 0.5),
    HigherCase("xlogx(x)", (0.0,), "xx", INF),
    HigherCase("sinc(x)", (0.0,), "xx", -(math.pi**2) / 3.0),
    HigherCase("huber(x, y)", (1.0, 2.0), "xx", 1.0),
    HigherCase("huber(x, y)", (3.0, 2.0), "xy", 1.0),
    HigherCase("huber(x, y)", (-3.0, 2.0), "yx", -1.0),
    HigherCase("silu(x)", (INF,), "xx", 0.0),
    HigherCase("gelu(x)", (-INF,), "xx", 0.0),
    HigherCase("softplus(x)", (800.0,), "xx", 0.0),
    HigherCase("log(1 + exp(x))", (800.0,), "xx", 0.0),
    HigherCase("sigmoid(x)", (-800.0,), "xx", 0.0),
    HigherCase("1/(1 + exp(-x))", (-800.0,), "xx", 0.0),
    HigherCase("tanh(x)", (1000.0,), "xx", 0.0),
    HigherCase("logaddexp(x, 0)", (0.0,), "xx", 0.25),
    HigherCase("where(x > 0, sqrt(x), 0)", (-3.0,), "xx", 0.0),
    HigherCase("where(x > 0, sqrt(x), 0)", (0.0,), "xx", 0.0),
)

MASKINGS = (
    ("where(x > 0, sqrt(x), 0)", (0.0, -3.0, NAN)),
    ("where(x > 0, sqrt(x), y)", (0.0, -1.0)),
    ("where(x > 0, log(x), x)", (0.0,)),
    ("where(x > 0, x**0.5, 0)", (0.0, -1.0)),
    ("where(x > 0, x*log(x), 0)", (0.0, -1.0)),
    ("where(x != 0, sin(x)/x, 1)", (0.0,)),
    ("where(x != 0, 1/x, 0)", (0.0,)),
    ("where(x != 0, abs(x)**1.5/x, 0)", (0.0,)),
    ("where(x < 700, exp(x), x)", (1000.0, INF)),
    ("where(abs(x) < 1, asin(x), 0)", (1.0, -1.0, 2.0)),
    ("where(abs(x) < 1, log1p(x)/sqrt(1 - x*x), 0)", (1.0, -1.0, 2.0)),
    ("where(x > 0, sqrt(log(x)), exp(1/x))", (-1.0,)),
    ("where(x > 0, where(x < 1, sqrt(x - x*x), log(1 - x)), 0)", (0.0, -1.0)),
    ("where(x > 0, sqrt(x), 0) + x*x*x", (0.0, -1.0)),
    ("where(x > 0, hypot(sqrt(x), 1/x), x)", (0.0, -1.0)),
    ("where(x > 0, cbrt(x)/x, 0)", (0.0,)),
    ("where(x > 0, atan2(log(x), sqrt(x)), 0)", (0.0, -1.0)),
    ("where(x > 0, tan(1/x) + cosh(1/x), 0)", (0.0,)),
    ("where(x > 0, erfc(1/x)*normal_cdf(log(x)), 0)", (0.0, -1.0)),
    ("where(x > 0, logaddexp(log(x), 1/x), 0)", (0.0,)),
    ("where(x > 0, x % (x - x), 0)", (-1.0,)),
)
"""Formulas, and values of x (y is 2) at which their dangerous branch is not taken."""


class Meaning(NamedTuple):
    """What a stable form computes, exactly.

    Attributes:
        value: of the exact inputs.
        slopes: of the exact inputs, the derivative by each.
    """

    value: Callable[..., Number]
    slopes: Callable[..., tuple[Number, ...]]


MEANINGS = {
    **{
        name: Meaning(REFERENCES[name].value, REFERENCES[name].slopes)
        for name in ("softplus", "sigmoid", "log1p", "expm1", "abs", "hypot", "logaddexp")
    },
    "log_sigmoid": Meaning(lambda x: -REFERENCES["softplus"].value(-x), lambda x: REFERENCES["softplus"].slopes(-x)),
    # At the origin, where both are 0 by continuity along x.
    "xlogx": Meaning(lambda _x: 0.0, lambda _x: (-INF,)),
    "xlogy": Meaning(lambda _x, _y: 0.0, lambda _x, _y: (-INF, 0.0)),
}
"""Every stable form's meaning by the form's name."""


class StableSpelling(NamedTuple):
    """A naive spelling, and a point where value or slope fails unless the stable form takes its place.

    Attributes:
        form: the stable form's name.
        formula: the naive spelling; its inputs are x and, where there is one, y.
        point: the inputs' values.
    """

    form: str
    formula: str
    point: tuple[float, ...]


STABLE_SPELLINGS = (
    StableSpelling("softplus", "log(1 + exp(x))", (800.0,)),
    StableSpelling("softplus", "log(exp(x) + 1)", (800.0,)),
    StableSpelling("softplus", "log1p(exp(x))", (800.0,)),
    StableSpelling("sigmoid", "1/(1 + exp(-x))", (-400.0,)),
    StableSpelling("sigmoid", "1/(exp(-x) + 1)", (-709.9,)),
    StableSpelling("log_sigmoid", "log(sigmoid(x))", (-800.0,)),
    StableSpelling("log1p", "log(1 + x)", (1e-20,)),
    StableSpelling("log1p", "log(x + 1)", (-3e-13,)),
    StableSpelling("expm1", "exp(x) - 1", (1e-20,)),
    StableSpelling("expm1", "exp(x) + -1", (1e-20,)),
    StableSpelling("expm1", "-1 + exp(x)", (-1e-20,)),
    StableSpelling("abs", "sqrt(x*x)", (1e200,)),
    StableSpelling("abs", "sqrt(x**2)", (-1e-200,)),
    StableSpelling("hypot", "sqrt(x*x + y*y)", (3e200, 4e200)),
    StableSpelling("hypot", "sqrt(x**2 + y**2)", (3e-200, 4e-200)),
    StableSpelling("sigmoid", "reciprocal(1 + exp(-x))", (-400.0,)),
    StableSpelling("abs", "sqrt(square(x))", (1e200,)),
    StableSpelling("hypot", "sqrt(square(x) + y**2)", (3e-200, 4e-200)),
    StableSpelling("logaddexp", "log(exp(x) + exp(y))", (800.0, 801.0)),
    StableSpelling("logaddexp", "log(exp(x) + exp(y))", (-800.0, -801.0)),
    StableSpelling("xlogx", "x*log(x)", (0.0,)),
    StableSpelling("xlogx", "log(x)*x", (0.0,)),
    StableSpelling("xlogy", "x*log(y)", (0.0, 0.0)),
    StableSpelling("xlogy", "log(y)*x", (0.0, 0.0)),
)
