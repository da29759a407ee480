"""Functions of all elements along axes, other than the plain sum.

Of most of them the derivative by an element is a weight, and that is all a row has to say: a tangent is the sum of the
elements' tangents by their weights, a cotangent goes to each element by its weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from gradmill_server.engine.ir import FloatArray, Shape, size
from gradmill_server.engine.ops.array_operation import (
    ArrayOperation,
    Parameter,
    ParameterMap,
    Pullback,
    Pushforward,
    Site,
    Unrolling,
    integer,
    integers,
    pulling,
    pushing,
)
from gradmill_server.engine.ops.arrays.axes import refused, shifted, without_axes
from gradmill_server.engine.ops.arrays.movement import concatenated, part, reshaped
from gradmill_server.engine.ops.arrays.sums import (
    REDUCED,
    REDUCED_RESULT,
    along_axis_shape,
    broadcasted,
    last_axes,
    reduced_behind,
    reduced_shape,
    reducing,
    spread,
    summed,
    unrolled_reduction,
)
from gradmill_server.engine.ops.operation import Partial, Select
from gradmill_server.engine.ops.value import Value, elementwise

_equal = elementwise("equal")
_exp = elementwise("exp")
_log = elementwise("log")
_not_equal = elementwise("not_equal")
_sqrt = elementwise("sqrt")
_where = elementwise("where")

Weight = Callable[[Site, Value], Partial]
"""Given the result with the reduced axes kept, returns the derivative by each element."""


def _axes(site: Site) -> tuple[int, ...]:
    return integers(site.parameters, "axes")


def _keeps(site: Site) -> bool:
    return bool(integer(site.parameters, "keepdims"))


def _kept(site: Site) -> Value:
    """Return the result with the reduced axes kept, so that it broadcasts against the operand."""
    return reshaped(site.result, without_axes(site.operands[0].shape, _axes(site), keep=True))


def _weighted_pullback(weight: Weight) -> Pullback:
    return pulling(lambda site, cotangent: site.scale(spread(site, cotangent), weight(site, _kept(site))))


def _weighted_pushforward(weight: Weight) -> Pushforward:
    def forward(site: Site, tangent: Value) -> Value | None:
        term = site.scale(tangent, weight(site, _kept(site)))
        return term and reduced_behind(site, term)

    return pushing(forward)


def _weighted(
    name: str,
    *,
    summary: str,
    value: Callable[[ParameterMap, FloatArray], FloatArray],
    weight: Weight,
    lowering: Callable[[Site], Value] | None = None,
    unrolling: Unrolling | None = None,
    convention: str = "",
) -> ArrayOperation:
    return ArrayOperation(
        name=name,
        summary=summary,
        signature=f"{name}(x, axis=None, keepdims=False)",
        result=REDUCED_RESULT,
        parameters=REDUCED,
        shape=reduced_shape(name),
        value=value,
        pullback=_weighted_pullback(weight),
        pushforward=_weighted_pushforward(weight),
        lowering=lowering,
        unrolling=unrolling,
        convention=convention,
    )


def _expanded(
    name: str, *, summary: str, expansion: Callable[[Site], Value], convention: str = "", ddof: bool = False
) -> ArrayOperation:
    freedom = (Parameter("ddof", int, optional=True),) if ddof else ()
    return ArrayOperation(
        name=name,
        summary=summary,
        signature=f"{name}(x, axis=None, keepdims=False{', ddof=0' if ddof else ''})",
        result=REDUCED_RESULT,
        parameters=(*REDUCED, *freedom),
        shape=_with_freedom(name) if ddof else reduced_shape(name),
        expansion=expansion,
        convention=convention,
    )


# Extremes.


def _shared_among_ties(site: Site, extreme: Value) -> Partial:
    """Return an equal share for each element that has the extreme value; NaN for all beside a NaN."""
    (x,) = site.operands
    ties = _equal(x, extreme)
    share = 1.0 / summed(ties, _axes(site), keep=True)
    return Select(ties, broadcasted(share, x.shape), Select(_equal(extreme, extreme), 0.0, extreme))


# The logarithm of a sum of exponentials, and its weights.


def _without_maximum(x: Value, axes: Sequence[int]) -> tuple[Value, Value]:
    """Return the maximum along axes, and each element less the maximum: 0 where they are equal, even if infinite."""
    maximum = _AMAX.apply(x, axes=tuple(axes), keepdims=1)
    return maximum, _where(_equal(x, maximum), 0.0, x - maximum)


def _lowered_logsumexp(site: Site) -> Value:
    """Write log(sum(exp(x))) as m + log(sum(exp(x - m))), m the maximum, which cannot overflow."""
    maximum, rest = _without_maximum(site.operands[0], _axes(site))
    total = maximum + _log(summed(_exp(rest), _axes(site), keep=True))
    return reshaped(total, site.result.shape)


def _lowered_softmax(site: Site) -> Value:
    _, rest = _without_maximum(site.operands[0], _axes(site))
    exponentials = _exp(rest)
    return exponentials / summed(exponentials, _axes(site), keep=True)


def _differences(parameters: ParameterMap, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    maximum = reducing(np.maximum)({**parameters, "keepdims": 1}, x)
    return maximum, np.where(x == maximum, 0.0, x - maximum)


def _logsumexp_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    maximum, rest = _differences(parameters, x)
    total = maximum + np.log(reducing(np.add)({**parameters, "keepdims": 1}, np.exp(rest)))
    axes = shifted(integers(parameters, "axes"), 1)
    return total.reshape(without_axes(x.shape, axes, keep=bool(integer(parameters, "keepdims"))))


def _softmax_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    _, rest = _differences(parameters, x)
    exponentials = np.exp(rest)
    result: FloatArray = exponentials / reducing(np.add)({**parameters, "keepdims": 1}, exponentials)
    return result


def _softmax_derivative(site: Site, seed: Value) -> Value | None:
    """Return s*(t - sum(s*t)), with s the result: the matrix diag(s) - s s^T is its own transpose."""
    weighted = site.scale(seed, site.result)
    if weighted is None:
        return None
    total = summed(weighted, shifted(_axes(site), len(site.leading)), keep=True)
    mean = site.scale(broadcasted(total, weighted.shape), site.result)
    return weighted if mean is None else weighted - mean


def _softmax_over_shape(_parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    return shapes[0]


_SOFTMAX_OVER = ArrayOperation(
    name="softmax_over",
    summary="exp(x) divided by its sum over axes.",
    signature="",
    parameters=(Parameter("axes", tuple),),
    shape=_softmax_over_shape,
    value=_softmax_value,
    pullback=pulling(_softmax_derivative),
    pushforward=pushing(_softmax_derivative),
    lowering=_lowered_softmax,
    internal=True,
)


def _softmax_weight(site: Site, _result: Value) -> Partial:
    return _SOFTMAX_OVER.apply(site.operands[0], axes=_axes(site))


# The Euclidean norm.


def _norm_value(parameters: ParameterMap, x: FloatArray) -> FloatArray:
    return np.sqrt(reducing(np.add)(parameters, x * x))


def _norm_weight(site: Site, norm: Value) -> Partial:
    (x,) = site.operands
    zero = broadcasted(_equal(norm, 0.0), x.shape)
    return Select(zero, 0.0, x / norm)


def _lowered_norm(site: Site) -> Value:
    (x,) = site.operands
    return _sqrt(summed(x * x, _axes(site), keep=_keeps(site)))


# What is written in these.


def _count(site: Site) -> int:
    return size(tuple([site.operands[0].shape[axis] for axis in _axes(site)]))


def _mean(site: Site) -> Value:
    return summed(site.operands[0], _axes(site), keep=_keeps(site)) / float(_count(site))


def _with_freedom(name: str) -> Callable[[ParameterMap, Sequence[Shape]], Shape]:
    """Return the rule of shapes of a variance: it also checks that something is left to divide by."""
    rule = reduced_shape(name)

    def shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
        result = rule(parameters, shapes)
        count = math.prod(shapes[0][axis] for axis in integers(parameters, "axes"))
        ddof = integer(parameters, "ddof")
        if not 0 <= ddof < count:
            raise refused(
                operation=name, parameter="ddof", problem=f"is {ddof}, but {count} elements leave less than that"
            )
        return result

    return shape


def _deviations(site: Site) -> Value:
    (x,) = site.operands
    return x - summed(x, _axes(site), keep=True) / float(_count(site))


def _freedom(site: Site) -> float:
    return float(_count(site) - integer(site.parameters, "ddof"))


def _variance(site: Site) -> Value:
    deviations = _deviations(site)
    return summed(deviations * deviations, _axes(site), keep=_keeps(site)) / _freedom(site)


def _deviation(site: Site) -> Value:
    keepdims = {"keepdims": 1} if _keeps(site) else {}
    return _NORM.apply(_deviations(site), axes=_axes(site), **keepdims) / math.sqrt(_freedom(site))


def _product(site: Site) -> Value:
    """Multiply in halves, which has the right derivatives of every order, also among zeros."""
    x = last_axes(site.operands[0], _axes(site))
    axis = len(x.shape) - 1
    while x.shape[axis] > 1:
        half, odd = divmod(x.shape[axis], 2)
        product = part(x, axis, 0, half) * part(x, axis, half, half)
        x = concatenated([product, part(x, axis, 2 * half, 1)], axis) if odd else product
    return reshaped(x, site.result.shape)


def _log_softmax(site: Site) -> Value:
    (x,) = site.operands
    return x - _LOGSUMEXP.apply(x, axes=(integer(site.parameters, "axis"),), keepdims=1)


def _over_truths(reduction: str) -> Callable[[Site], Value]:
    def expansion(site: Site) -> Value:
        truths = _not_equal(site.operands[0], 0.0)
        return {"any": _AMAX, "all": _AMIN}[reduction].apply(truths, **site.parameters)

    return expansion


_AMAX = _weighted(
    "amax",
    summary="The largest of all elements, or along some axes; NaN beside a NaN. Formulas write max(x) as well.",
    value=reducing(np.maximum),
    unrolling=unrolled_reduction("maximum"),
    weight=_shared_among_ties,
    convention="shared equally among ties; NaN beside a NaN",
)
_AMIN = _weighted(
    "amin",
    summary="The smallest of all elements, or along some axes; NaN beside a NaN. Formulas write min(x) as well.",
    value=reducing(np.minimum),
    unrolling=unrolled_reduction("minimum"),
    weight=_shared_among_ties,
    convention="shared equally among ties; NaN beside a NaN",
)
_NORM = _weighted(
    "norm",
    summary="The Euclidean norm sqrt(sum(x**2)), of a matrix the Frobenius norm.",
    value=_norm_value,
    weight=_norm_weight,
    lowering=_lowered_norm,
    convention="0 at the origin",
)

_LOGSUMEXP = _weighted(
    "logsumexp",
    summary="log(sum(exp(x))), without overflow.",
    value=_logsumexp_value,
    weight=_softmax_weight,
    lowering=_lowered_logsumexp,
    convention="the softmax, shared equally among infinities that tie",
)

OPERATIONS = (
    _AMAX,
    _AMIN,
    _NORM,
    _SOFTMAX_OVER,
    _LOGSUMEXP,
    _expanded("mean", summary="The mean of all elements, or along some axes.", expansion=_mean),
    _expanded(
        "var", summary="The variance: the mean of squared deviations from the mean.", expansion=_variance, ddof=True
    ),
    _expanded(
        "std",
        summary="The standard deviation.",
        expansion=_deviation,
        convention="0 where all elements are equal",
        ddof=True,
    ),
    _expanded("prod", summary="The product of all elements, or along some axes.", expansion=_product),
    _expanded(
        "any",
        summary="1 where some element is not 0, else 0.",
        expansion=_over_truths("any"),
        convention="0 throughout",
    ),
    _expanded(
        "all",
        summary="1 where no element is 0, else 0.",
        expansion=_over_truths("all"),
        convention="0 throughout",
    ),
    ArrayOperation(
        name="softmax",
        summary="exp(x) divided by its sum along an axis, without overflow.",
        signature="softmax(x, axis=-1)",
        result="that of x",
        parameters=(Parameter("axis", int),),
        shape=along_axis_shape("softmax"),
        expansion=lambda site: _SOFTMAX_OVER.apply(site.operands[0], axes=(integer(site.parameters, "axis"),)),
    ),
    ArrayOperation(
        name="log_softmax",
        summary="x less the logsumexp along an axis: the logarithm of the softmax.",
        signature="log_softmax(x, axis=-1)",
        result="that of x",
        parameters=(Parameter("axis", int),),
        shape=along_axis_shape("log_softmax"),
        expansion=_log_softmax,
    ),
)


def amax(x: Value, axes: Sequence[int], *, keep: bool) -> Value:
    """Return the largest element along axes."""
    return _AMAX.apply(x, axes=tuple(axes), **({"keepdims": 1} if keep else {}))


def amin(x: Value, axes: Sequence[int], *, keep: bool = False) -> Value:
    """Return the smallest element along axes."""
    return _AMIN.apply(x, axes=tuple(axes), **({"keepdims": 1} if keep else {}))
