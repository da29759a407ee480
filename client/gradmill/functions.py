"""One function for each operation of the table, and the catalogue of them.

Generated from the server's table by `python proto/generate_functions.py`.

Every function takes traced expressions, real numbers and arrays of real numbers, at least one of them traced, and
returns an :class:`~gradmill.tracing.Expression` in float64. It works element by element; the operands' shapes broadcast
by NumPy's rules. It raises TypeError when no operand is traced, and
:class:`~gradmill.errors.TracingError` when shapes do not fit or operands come from two calls of ``inputs``.
"""
# ruff: noqa: A001 - abs, round and pow are what these operations are called everywhere
# ruff: noqa: D402, D403 - summaries are formulas, such as "x*log(y), and 0 for x = 0."

from __future__ import annotations

from gradmill.descriptions import OperationInfo
from gradmill.tracing import Expression, Operand, apply

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "clip",
    "copysign",
    "cos",
    "cosh",
    "deg2rad",
    "degrees",
    "digamma",
    "divide",
    "elu",
    "equal",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expit",
    "expm1",
    "fabs",
    "fix",
    "floor",
    "fmax",
    "fmin",
    "fmod",
    "gammaln",
    "gelu",
    "greater",
    "greater_equal",
    "heaviside",
    "huber",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "lgamma",
    "ln",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_expit",
    "log_sigmoid",
    "logaddexp",
    "loggamma",
    "logical_and",
    "logical_not",
    "logical_or",
    "logistic",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "ndtr",
    "ndtri",
    "negate",
    "negative",
    "norm_cdf",
    "norm_pdf",
    "norm_ppf",
    "normal_cdf",
    "normal_pdf",
    "normal_ppf",
    "not_equal",
    "polygamma",
    "pow",
    "power",
    "psi",
    "rad2deg",
    "radians",
    "reciprocal",
    "relu",
    "remainder",
    "rint",
    "round",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinc",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "step",
    "subtract",
    "swish",
    "tan",
    "tanh",
    "trigamma",
    "true_divide",
    "trunc",
    "where",
    "xlogx",
    "xlogy",
]


def abs(x: Operand, /) -> Expression:
    """The absolute value.

    Shape: that of x.
    Derivative by convention: 0 at 0.
    """
    return apply("abs", x)


absolute = abs
fabs = abs


def acos(x: Operand, /) -> Expression:
    """The arc cosine, in radians.

    Shape: that of x.
    Derivative by convention: -inf at -1 and 1.
    """
    return apply("acos", x)


arccos = acos


def acosh(x: Operand, /) -> Expression:
    """The inverse hyperbolic cosine.

    Shape: that of x.
    Derivative by convention: inf at 1.
    """
    return apply("acosh", x)


arccosh = acosh


def add(x: Operand, y: Operand, /) -> Expression:
    """The sum x + y.

    Shape: the one that those of x and y broadcast to.
    """
    return apply("add", x, y)


def asin(x: Operand, /) -> Expression:
    """The arc sine, in radians.

    Shape: that of x.
    Derivative by convention: inf at -1 and 1.
    """
    return apply("asin", x)


arcsin = asin


def asinh(x: Operand, /) -> Expression:
    """The inverse hyperbolic sine.

    Shape: that of x.
    """
    return apply("asinh", x)


arcsinh = asinh


def atan(x: Operand, /) -> Expression:
    """The arc tangent, in radians.

    Shape: that of x.
    """
    return apply("atan", x)


arctan = atan


def atan2(y: Operand, x: Operand, /) -> Expression:
    """The angle of the point (x, y), as atan2(y, x), in radians.

    Shape: the one that those of y and x broadcast to.
    Derivative by convention: 0 at the origin.
    """
    return apply("atan2", y, x)


arctan2 = atan2


def atanh(x: Operand, /) -> Expression:
    """The inverse hyperbolic tangent.

    Shape: that of x.
    Derivative by convention: inf at -1 and 1.
    """
    return apply("atanh", x)


arctanh = atanh


def cbrt(x: Operand, /) -> Expression:
    """The real cube root.

    Shape: that of x.
    Derivative by convention: inf at 0.
    """
    return apply("cbrt", x)


def ceil(x: Operand, /) -> Expression:
    """The smallest integer not below x.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("ceil", x)


def clip(x: Operand, low: Operand, high: Operand, /) -> Expression:
    """x limited to [low, high], as clip(x, low, high); high wins where low > high.

    Shape: the one that those of x, low and high broadcast to.
    Derivative by convention: 1 by x on the closed interval.
    """
    return apply("clip", x, low, high)


def copysign(x: Operand, y: Operand, /) -> Expression:
    """The magnitude of x with the sign of y.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 by x at x = 0, 0 throughout by y.
    """
    return apply("copysign", x, y)


def cos(x: Operand, /) -> Expression:
    """The cosine of x radians.

    Shape: that of x.
    """
    return apply("cos", x)


def cosh(x: Operand, /) -> Expression:
    """The hyperbolic cosine.

    Shape: that of x.
    """
    return apply("cosh", x)


def deg2rad(x: Operand, /) -> Expression:
    """Degrees as radians.

    Shape: that of x.
    """
    return apply("deg2rad", x)


radians = deg2rad


def digamma(x: Operand, /) -> Expression:
    """The derivative of lgamma; infinite at 0, NaN at negative whole numbers.

    Shape: that of x.
    Derivative by convention: inf at 0 and negative whole numbers.
    """
    return apply("digamma", x)


psi = digamma


def divide(x: Operand, y: Operand, /) -> Expression:
    """The quotient x / y.

    Shape: the one that those of x and y broadcast to.
    """
    return apply("divide", x, y)


true_divide = divide


def elu(x: Operand, /) -> Expression:
    """x where x > 0, else exp(x) - 1.

    Shape: that of x.
    Derivative by convention: 1 at 0, where the second derivative is that from the left.
    """
    return apply("elu", x)


def equal(x: Operand, y: Operand, /) -> Expression:
    """1 where x equals y, else 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 throughout.
    """
    return apply("equal", x, y)


def erf(x: Operand, /) -> Expression:
    """The error function.

    Shape: that of x.
    """
    return apply("erf", x)


def erfc(x: Operand, /) -> Expression:
    """The complementary error function 1 - erf(x), exact also where it is tiny.

    Shape: that of x.
    """
    return apply("erfc", x)


def erfinv(x: Operand, /) -> Expression:
    """The inverse of the error function; infinite at -1 and 1, NaN beyond.

    Shape: that of x.
    Derivative by convention: inf at -1 and 1.
    """
    return apply("erfinv", x)


def exp(x: Operand, /) -> Expression:
    """The exponential.

    Shape: that of x.
    """
    return apply("exp", x)


def exp2(x: Operand, /) -> Expression:
    """2 to the power x.

    Shape: that of x.
    """
    return apply("exp2", x)


def expm1(x: Operand, /) -> Expression:
    """exp(x) - 1, exact also near 0.

    Shape: that of x.
    """
    return apply("expm1", x)


def floor(x: Operand, /) -> Expression:
    """The largest integer not above x.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("floor", x)


def fmax(x: Operand, y: Operand, /) -> Expression:
    """The larger of x and y; a NaN loses against a number.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 1/2 each at a tie.
    """
    return apply("fmax", x, y)


def fmin(x: Operand, y: Operand, /) -> Expression:
    """The smaller of x and y; a NaN loses against a number.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 1/2 each at a tie.
    """
    return apply("fmin", x, y)


def fmod(x: Operand, y: Operand, /) -> Expression:
    """The remainder of x / y with the sign of x (truncated division).

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 1 by x at the jumps.
    """
    return apply("fmod", x, y)


def gelu(x: Operand, /) -> Expression:
    """x times the standard normal distribution function of x, exactly.

    Shape: that of x.
    """
    return apply("gelu", x)


def greater(x: Operand, y: Operand, /) -> Expression:
    """1 where x > y, else 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 throughout.
    """
    return apply("greater", x, y)


def greater_equal(x: Operand, y: Operand, /) -> Expression:
    """1 where x >= y, else 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 throughout.
    """
    return apply("greater_equal", x, y)


def heaviside(x: Operand, value_at_zero: Operand, /) -> Expression:
    """The unit step with a value of its own at 0, as heaviside(x, value_at_zero).

    Shape: the one that those of x and value_at_zero broadcast to.
    Derivative by convention: 0 throughout by x.
    """
    return apply("heaviside", x, value_at_zero)


def huber(x: Operand, delta: Operand, /) -> Expression:
    """Huber's loss, as huber(x, delta): x*x/2 from -delta to delta, its tangents beyond; NaN for delta < 0.

    Shape: the one that those of x and delta broadcast to.
    Derivative by convention: at -delta and delta the second derivatives are those from within.
    """
    return apply("huber", x, delta)


def hypot(x: Operand, y: Operand, /) -> Expression:
    """The length sqrt(x*x + y*y), without overflow.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 at the origin.
    """
    return apply("hypot", x, y)


def isfinite(x: Operand, /) -> Expression:
    """1 where x is neither infinite nor NaN, else 0.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("isfinite", x)


def isinf(x: Operand, /) -> Expression:
    """1 where x is infinite, else 0.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("isinf", x)


def isnan(x: Operand, /) -> Expression:
    """1 where x is NaN, else 0.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("isnan", x)


def less(x: Operand, y: Operand, /) -> Expression:
    """1 where x < y, else 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 throughout.
    """
    return apply("less", x, y)


def less_equal(x: Operand, y: Operand, /) -> Expression:
    """1 where x <= y, else 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 throughout.
    """
    return apply("less_equal", x, y)


def lgamma(x: Operand, /) -> Expression:
    """The logarithm of the magnitude of the gamma function; infinite at 0 and negative whole numbers.

    Shape: that of x.
    Derivative by convention: -inf at 0, NaN at negative whole numbers.
    """
    return apply("lgamma", x)


gammaln = lgamma
loggamma = lgamma


def log(x: Operand, /) -> Expression:
    """The natural logarithm.

    Shape: that of x.
    Derivative by convention: 1/x throughout: inf at 0, also where the value is NaN.
    """
    return apply("log", x)


ln = log


def log10(x: Operand, /) -> Expression:
    """The logarithm to base 10.

    Shape: that of x.
    Derivative by convention: as log: inf at 0, also where the value is NaN.
    """
    return apply("log10", x)


def log1p(x: Operand, /) -> Expression:
    """log(1 + x), exact also near 0.

    Shape: that of x.
    """
    return apply("log1p", x)


def log2(x: Operand, /) -> Expression:
    """The logarithm to base 2.

    Shape: that of x.
    Derivative by convention: as log: inf at 0, also where the value is NaN.
    """
    return apply("log2", x)


def log_sigmoid(x: Operand, /) -> Expression:
    """The logarithm of the logistic function, stable at both ends.

    Shape: that of x.
    """
    return apply("log_sigmoid", x)


log_expit = log_sigmoid


def logaddexp(x: Operand, y: Operand, /) -> Expression:
    """log(exp(x) + exp(y)), stable.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 1/2 each for equal infinities.
    """
    return apply("logaddexp", x, y)


def logical_and(x: Operand, y: Operand, /) -> Expression:
    """1 where neither x nor y is 0, else 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 throughout.
    """
    return apply("logical_and", x, y)


def logical_not(x: Operand, /) -> Expression:
    """1 where x is 0, else 0.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("logical_not", x)


def logical_or(x: Operand, y: Operand, /) -> Expression:
    """1 where x or y is not 0, else 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 throughout.
    """
    return apply("logical_or", x, y)


def maximum(x: Operand, y: Operand, /) -> Expression:
    """The larger of x and y; NaN when either is NaN.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 1/2 each at a tie; NaN beside a NaN.
    """
    return apply("maximum", x, y)


def minimum(x: Operand, y: Operand, /) -> Expression:
    """The smaller of x and y; NaN when either is NaN.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 1/2 each at a tie; NaN beside a NaN.
    """
    return apply("minimum", x, y)


def mod(x: Operand, y: Operand, /) -> Expression:
    """The remainder of x / y with the sign of y (floored division).

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 1 by x at the jumps.
    """
    return apply("mod", x, y)


remainder = mod


def multiply(x: Operand, y: Operand, /) -> Expression:
    """The product x * y.

    Shape: the one that those of x and y broadcast to.
    """
    return apply("multiply", x, y)


def negate(x: Operand, /) -> Expression:
    """The negative -x.

    Shape: that of x.
    """
    return apply("negate", x)


negative = negate


def normal_cdf(x: Operand, /) -> Expression:
    """The standard normal distribution function, exact also in the lower tail.

    Shape: that of x.
    """
    return apply("normal_cdf", x)


norm_cdf = normal_cdf
ndtr = normal_cdf


def normal_pdf(x: Operand, /) -> Expression:
    """The standard normal density exp(-x*x/2)/sqrt(2*pi).

    Shape: that of x.
    """
    return apply("normal_pdf", x)


norm_pdf = normal_pdf


def normal_ppf(x: Operand, /) -> Expression:
    """The standard normal quantile, inverse of normal_cdf; infinite at 0 and 1, NaN beyond.

    Shape: that of x.
    Derivative by convention: inf at 0 and 1.
    """
    return apply("normal_ppf", x)


norm_ppf = normal_ppf
ndtri = normal_ppf


def not_equal(x: Operand, y: Operand, /) -> Expression:
    """1 where x does not equal y, else 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 throughout.
    """
    return apply("not_equal", x, y)


def polygamma(n: Operand, x: Operand, /) -> Expression:
    """The n-th derivative of digamma, as polygamma(n, x), for n rounded to a whole number from 0 to 100.

    Shape: the one that those of n and x broadcast to.
    Derivative by convention: 0 throughout by n.
    """
    return apply("polygamma", n, x)


def power(x: Operand, y: Operand, /) -> Expression:
    """x to the power y, by IEEE 754: 1 for y = 0, NaN for a negative x and a fractional y.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: by x: 0 where y = 0; by y: 0 where x = 0 and y >= 0, NaN where x < 0.
    """
    return apply("power", x, y)


pow = power


def rad2deg(x: Operand, /) -> Expression:
    """Radians as degrees.

    Shape: that of x.
    """
    return apply("rad2deg", x)


degrees = rad2deg


def reciprocal(x: Operand, /) -> Expression:
    """The reciprocal 1 / x.

    Shape: that of x.
    Derivative by convention: -inf at 0.
    """
    return apply("reciprocal", x)


def relu(x: Operand, /) -> Expression:
    """The positive part: x where x > 0, else 0; NaN for NaN.

    Shape: that of x.
    Derivative by convention: 0 at 0.
    """
    return apply("relu", x)


def round(x: Operand, /) -> Expression:
    """The nearest integer, halves to even.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("round", x)


rint = round


def sigmoid(x: Operand, /) -> Expression:
    """The logistic function 1/(1 + exp(-x)), stable at both ends.

    Shape: that of x.
    """
    return apply("sigmoid", x)


expit = sigmoid
logistic = sigmoid


def sign(x: Operand, /) -> Expression:
    """The sign: -1, 0 or 1.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("sign", x)


def silu(x: Operand, /) -> Expression:
    """x times the logistic function of x.

    Shape: that of x.
    """
    return apply("silu", x)


swish = silu


def sin(x: Operand, /) -> Expression:
    """The sine of x radians.

    Shape: that of x.
    """
    return apply("sin", x)


def sinc(x: Operand, /) -> Expression:
    """sin(pi*x)/(pi*x), and 1 for x = 0.

    Shape: that of x.
    """
    return apply("sinc", x)


def sinh(x: Operand, /) -> Expression:
    """The hyperbolic sine.

    Shape: that of x.
    """
    return apply("sinh", x)


def softplus(x: Operand, /) -> Expression:
    """log(1 + exp(x)), stable at both ends.

    Shape: that of x.
    """
    return apply("softplus", x)


def sqrt(x: Operand, /) -> Expression:
    """The square root.

    Shape: that of x.
    Derivative by convention: inf at 0, the one-sided limit.
    """
    return apply("sqrt", x)


def square(x: Operand, /) -> Expression:
    """The square x * x.

    Shape: that of x.
    """
    return apply("square", x)


def step(x: Operand, /) -> Expression:
    """The unit step: 0 below 0, 1 above, 1/2 at 0.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("step", x)


def subtract(x: Operand, y: Operand, /) -> Expression:
    """The difference x - y.

    Shape: the one that those of x and y broadcast to.
    """
    return apply("subtract", x, y)


def tan(x: Operand, /) -> Expression:
    """The tangent of x radians.

    Shape: that of x.
    """
    return apply("tan", x)


def tanh(x: Operand, /) -> Expression:
    """The hyperbolic tangent.

    Shape: that of x.
    """
    return apply("tanh", x)


def trigamma(x: Operand, /) -> Expression:
    """The derivative of digamma; infinite at 0 and negative whole numbers.

    Shape: that of x.
    Derivative by convention: NaN at negative whole numbers.
    """
    return apply("trigamma", x)


def trunc(x: Operand, /) -> Expression:
    """The nearest integer towards 0.

    Shape: that of x.
    Derivative by convention: 0 throughout.
    """
    return apply("trunc", x)


fix = trunc


def where(condition: Operand, x: Operand, y: Operand, /) -> Expression:
    """x where the condition is not 0, else y, as where(condition, x, y); the other branch cannot poison it.

    Shape: the one that those of condition, x and y broadcast to.
    Derivative by convention: the branch not taken contributes exactly 0, at any order.
    """
    return apply("where", condition, x, y)


def xlogx(x: Operand, /) -> Expression:
    """x*log(x), and 0 for x = 0.

    Shape: that of x.
    Derivative by convention: -inf at 0.
    """
    return apply("xlogx", x)


def xlogy(x: Operand, y: Operand, /) -> Expression:
    """x*log(y), and 0 for x = 0 and a finite y >= 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: at x = 0: log(y) by x, 0 by y.
    """
    return apply("xlogy", x, y)


CATALOGUE: tuple[OperationInfo, ...] = (
    OperationInfo(
        name="abs",
        aliases=("absolute", "fabs"),
        arity=1,
        summary="The absolute value.",
        convention="0 at 0",
        maximum_arity=1,
        signature="abs(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="acos",
        aliases=("arccos",),
        arity=1,
        summary="The arc cosine, in radians.",
        convention="-inf at -1 and 1",
        maximum_arity=1,
        signature="acos(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="acosh",
        aliases=("arccosh",),
        arity=1,
        summary="The inverse hyperbolic cosine.",
        convention="inf at 1",
        maximum_arity=1,
        signature="acosh(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="add",
        aliases=(),
        arity=2,
        summary="The sum x + y.",
        convention="",
        maximum_arity=2,
        signature="x + y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="all",
        aliases=(),
        arity=1,
        summary="1 where no element is 0, else 0.",
        convention="0 throughout",
        maximum_arity=1,
        signature="all(x, axis=None, keepdims=False)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=("axes: a list of whole numbers", "keepdims: a whole number, optional"),
    ),
    OperationInfo(
        name="amax",
        aliases=(),
        arity=1,
        summary="The largest of all elements, or along some axes; NaN beside a NaN. Formulas write max(x) as well.",
        convention="shared equally among ties; NaN beside a NaN",
        maximum_arity=1,
        signature="amax(x, axis=None, keepdims=False)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=("axes: a list of whole numbers", "keepdims: a whole number, optional"),
    ),
    OperationInfo(
        name="amin",
        aliases=(),
        arity=1,
        summary="The smallest of all elements, or along some axes; NaN beside a NaN. Formulas write min(x) as well.",
        convention="shared equally among ties; NaN beside a NaN",
        maximum_arity=1,
        signature="amin(x, axis=None, keepdims=False)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=("axes: a list of whole numbers", "keepdims: a whole number, optional"),
    ),
    OperationInfo(
        name="any",
        aliases=(),
        arity=1,
        summary="1 where some element is not 0, else 0.",
        convention="0 throughout",
        maximum_arity=1,
        signature="any(x, axis=None, keepdims=False)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=("axes: a list of whole numbers", "keepdims: a whole number, optional"),
    ),
    OperationInfo(
        name="argmax",
        aliases=(),
        arity=1,
        summary="The place of the largest element, the first of several; of the first NaN where there is one.",
        convention="0 throughout",
        maximum_arity=1,
        signature="argmax(x, axis=None)",
        result_shape="that of x without the axis; a scalar without one",
        parameters=("axis: a whole number, optional",),
    ),
    OperationInfo(
        name="argmin",
        aliases=(),
        arity=1,
        summary="The place of the smallest element, the first of several; of the first NaN where there is one.",
        convention="0 throughout",
        maximum_arity=1,
        signature="argmin(x, axis=None)",
        result_shape="that of x without the axis; a scalar without one",
        parameters=("axis: a whole number, optional",),
    ),
    OperationInfo(
        name="argsort",
        aliases=(),
        arity=1,
        summary="The places of the elements in ascending order along an axis, equal ones as they stand; NaN last.",
        convention="0 throughout",
        maximum_arity=1,
        signature="argsort(x, axis=-1)",
        result_shape="that of x",
        parameters=("axis: a whole number",),
    ),
    OperationInfo(
        name="asin",
        aliases=("arcsin",),
        arity=1,
        summary="The arc sine, in radians.",
        convention="inf at -1 and 1",
        maximum_arity=1,
        signature="asin(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="asinh",
        aliases=("arcsinh",),
        arity=1,
        summary="The inverse hyperbolic sine.",
        convention="",
        maximum_arity=1,
        signature="asinh(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="atan",
        aliases=("arctan",),
        arity=1,
        summary="The arc tangent, in radians.",
        convention="",
        maximum_arity=1,
        signature="atan(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="atan2",
        aliases=("arctan2",),
        arity=2,
        summary="The angle of the point (x, y), as atan2(y, x), in radians.",
        convention="0 at the origin",
        maximum_arity=2,
        signature="atan2(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="atanh",
        aliases=("arctanh",),
        arity=1,
        summary="The inverse hyperbolic tangent.",
        convention="inf at -1 and 1",
        maximum_arity=1,
        signature="atanh(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="broadcast_to",
        aliases=(),
        arity=1,
        summary="The elements repeated to fill a shape, by NumPy's rules of broadcasting.",
        convention="",
        maximum_arity=1,
        signature="broadcast_to(x, shape)",
        result_shape="the one given",
        parameters=("shape: a list of whole numbers",),
    ),
    OperationInfo(
        name="call",
        aliases=(),
        arity=0,
        summary="One output of a function that the graph brings along, applied to the arguments.",
        convention="",
        maximum_arity=None,
        signature="",
        result_shape="that of the output",
        parameters=("function: a function", "output: a whole number, optional"),
    ),
    OperationInfo(
        name="cbrt",
        aliases=(),
        arity=1,
        summary="The real cube root.",
        convention="inf at 0",
        maximum_arity=1,
        signature="cbrt(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="ceil",
        aliases=(),
        arity=1,
        summary="The smallest integer not below x.",
        convention="0 throughout",
        maximum_arity=1,
        signature="ceil(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="cholesky",
        aliases=(),
        arity=1,
        summary="The lower triangular L with L L^T = a, by its lower triangle; NaN unless a is positive definite.",
        convention="by the lower triangle, which is what is read",
        maximum_arity=1,
        signature="cholesky(a)",
        result_shape="that of a",
        parameters=(),
    ),
    OperationInfo(
        name="clip",
        aliases=(),
        arity=3,
        summary="x limited to [low, high], as clip(x, low, high); high wins where low > high.",
        convention="1 by x on the closed interval",
        maximum_arity=3,
        signature="clip(x, y, z)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="concatenate",
        aliases=(),
        arity=1,
        summary="Arrays one after the other along an axis.",
        convention="",
        maximum_arity=None,
        signature="concatenate([x, y, ...], axis=0)",
        result_shape="that of the operands, extents along the axis added up",
        parameters=("axis: a whole number",),
    ),
    OperationInfo(
        name="copysign",
        aliases=(),
        arity=2,
        summary="The magnitude of x with the sign of y.",
        convention="0 by x at x = 0, 0 throughout by y",
        maximum_arity=2,
        signature="copysign(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="cos",
        aliases=(),
        arity=1,
        summary="The cosine of x radians.",
        convention="",
        maximum_arity=1,
        signature="cos(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="cosh",
        aliases=(),
        arity=1,
        summary="The hyperbolic cosine.",
        convention="",
        maximum_arity=1,
        signature="cosh(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="cumprod",
        aliases=(),
        arity=1,
        summary="The running product along an axis.",
        convention="",
        maximum_arity=1,
        signature="cumprod(x, axis=None)",
        result_shape="that of x",
        parameters=("axis: a whole number",),
    ),
    OperationInfo(
        name="cumsum",
        aliases=(),
        arity=1,
        summary="The running sum along an axis, added from the first element on.",
        convention="",
        maximum_arity=1,
        signature="cumsum(x, axis=None)",
        result_shape="that of x",
        parameters=("axis: a whole number",),
    ),
    OperationInfo(
        name="deg2rad",
        aliases=("radians",),
        arity=1,
        summary="Degrees as radians.",
        convention="",
        maximum_arity=1,
        signature="deg2rad(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="diag",
        aliases=(),
        arity=1,
        summary="The diagonal of a matrix, or the matrix with a vector as its diagonal and zeros elsewhere.",
        convention="",
        maximum_arity=1,
        signature="diag(x, offset=0)",
        result_shape="a vector of a matrix, a square matrix of a vector",
        parameters=("offset: a whole number, optional",),
    ),
    OperationInfo(
        name="diff",
        aliases=(),
        arity=1,
        summary="Differences between neighbours along an axis.",
        convention="",
        maximum_arity=1,
        signature="diff(x, n=1, axis=-1)",
        result_shape="that of x, one shorter along the axis",
        parameters=("axis: a whole number",),
    ),
    OperationInfo(
        name="digamma",
        aliases=("psi",),
        arity=1,
        summary="The derivative of lgamma; infinite at 0, NaN at negative whole numbers.",
        convention="inf at 0 and negative whole numbers",
        maximum_arity=1,
        signature="digamma(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="divide",
        aliases=("true_divide",),
        arity=2,
        summary="The quotient x / y.",
        convention="",
        maximum_arity=2,
        signature="x/y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="dot",
        aliases=(),
        arity=2,
        summary="The dot product of vectors, the matrix product of matrices, the product with a scalar.",
        convention="",
        maximum_arity=2,
        signature="dot(x, y)",
        result_shape="rows of x by columns of y; of vectors a scalar",
        parameters=(),
    ),
    OperationInfo(
        name="einsum",
        aliases=(),
        arity=1,
        summary="Products of elements, summed over axes, as Einstein's convention writes them; of one or two arrays.",
        convention="",
        maximum_arity=2,
        signature="einsum('ij,j->i', x, y)",
        result_shape="an axis for each letter after '->'",
        parameters=("subscripts: a text",),
    ),
    OperationInfo(
        name="elu",
        aliases=(),
        arity=1,
        summary="x where x > 0, else exp(x) - 1.",
        convention="1 at 0, where the second derivative is that from the left",
        maximum_arity=1,
        signature="elu(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="equal",
        aliases=(),
        arity=2,
        summary="1 where x equals y, else 0.",
        convention="0 throughout",
        maximum_arity=2,
        signature="x == y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="erf",
        aliases=(),
        arity=1,
        summary="The error function.",
        convention="",
        maximum_arity=1,
        signature="erf(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="erfc",
        aliases=(),
        arity=1,
        summary="The complementary error function 1 - erf(x), exact also where it is tiny.",
        convention="",
        maximum_arity=1,
        signature="erfc(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="erfinv",
        aliases=(),
        arity=1,
        summary="The inverse of the error function; infinite at -1 and 1, NaN beyond.",
        convention="inf at -1 and 1",
        maximum_arity=1,
        signature="erfinv(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="exp",
        aliases=(),
        arity=1,
        summary="The exponential.",
        convention="",
        maximum_arity=1,
        signature="exp(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="exp2",
        aliases=(),
        arity=1,
        summary="2 to the power x.",
        convention="",
        maximum_arity=1,
        signature="exp2(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="expm1",
        aliases=(),
        arity=1,
        summary="exp(x) - 1, exact also near 0.",
        convention="",
        maximum_arity=1,
        signature="expm1(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="flip",
        aliases=(),
        arity=1,
        summary="The elements in reverse order along some axes.",
        convention="",
        maximum_arity=1,
        signature="flip(x, axis=None)",
        result_shape="that of x",
        parameters=("axes: a list of whole numbers",),
    ),
    OperationInfo(
        name="floor",
        aliases=(),
        arity=1,
        summary="The largest integer not above x.",
        convention="0 throughout",
        maximum_arity=1,
        signature="floor(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="fmax",
        aliases=(),
        arity=2,
        summary="The larger of x and y; a NaN loses against a number.",
        convention="1/2 each at a tie",
        maximum_arity=2,
        signature="fmax(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="fmin",
        aliases=(),
        arity=2,
        summary="The smaller of x and y; a NaN loses against a number.",
        convention="1/2 each at a tie",
        maximum_arity=2,
        signature="fmin(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="fmod",
        aliases=(),
        arity=2,
        summary="The remainder of x / y with the sign of x (truncated division).",
        convention="1 by x at the jumps",
        maximum_arity=2,
        signature="fmod(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="gelu",
        aliases=(),
        arity=1,
        summary="x times the standard normal distribution function of x, exactly.",
        convention="",
        maximum_arity=1,
        signature="gelu(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="greater",
        aliases=(),
        arity=2,
        summary="1 where x > y, else 0.",
        convention="0 throughout",
        maximum_arity=2,
        signature="x > y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="greater_equal",
        aliases=(),
        arity=2,
        summary="1 where x >= y, else 0.",
        convention="0 throughout",
        maximum_arity=2,
        signature="x >= y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="heaviside",
        aliases=(),
        arity=2,
        summary="The unit step with a value of its own at 0, as heaviside(x, value_at_zero).",
        convention="0 throughout by x",
        maximum_arity=2,
        signature="heaviside(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="huber",
        aliases=(),
        arity=2,
        summary="Huber's loss, as huber(x, delta): x*x/2 from -delta to delta, its tangents beyond; NaN for delta < 0.",
        convention="at -delta and delta the second derivatives are those from within",
        maximum_arity=2,
        signature="huber(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="hypot",
        aliases=(),
        arity=2,
        summary="The length sqrt(x*x + y*y), without overflow.",
        convention="0 at the origin",
        maximum_arity=2,
        signature="hypot(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="inverse",
        aliases=("inv",),
        arity=1,
        summary="The inverse of a square matrix.",
        convention="",
        maximum_arity=1,
        signature="inverse(a)",
        result_shape="that of a",
        parameters=(),
    ),
    OperationInfo(
        name="isfinite",
        aliases=(),
        arity=1,
        summary="1 where x is neither infinite nor NaN, else 0.",
        convention="0 throughout",
        maximum_arity=1,
        signature="isfinite(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="isinf",
        aliases=(),
        arity=1,
        summary="1 where x is infinite, else 0.",
        convention="0 throughout",
        maximum_arity=1,
        signature="isinf(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="isnan",
        aliases=(),
        arity=1,
        summary="1 where x is NaN, else 0.",
        convention="0 throughout",
        maximum_arity=1,
        signature="isnan(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="less",
        aliases=(),
        arity=2,
        summary="1 where x < y, else 0.",
        convention="0 throughout",
        maximum_arity=2,
        signature="x < y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="less_equal",
        aliases=(),
        arity=2,
        summary="1 where x <= y, else 0.",
        convention="0 throughout",
        maximum_arity=2,
        signature="x <= y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="lgamma",
        aliases=("gammaln", "loggamma"),
        arity=1,
        summary="The logarithm of the magnitude of the gamma function; infinite at 0 and negative whole numbers.",
        convention="-inf at 0, NaN at negative whole numbers",
        maximum_arity=1,
        signature="lgamma(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="log",
        aliases=("ln",),
        arity=1,
        summary="The natural logarithm.",
        convention="1/x throughout: inf at 0, also where the value is NaN",
        maximum_arity=1,
        signature="log(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="log10",
        aliases=(),
        arity=1,
        summary="The logarithm to base 10.",
        convention="as log: inf at 0, also where the value is NaN",
        maximum_arity=1,
        signature="log10(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="log1p",
        aliases=(),
        arity=1,
        summary="log(1 + x), exact also near 0.",
        convention="",
        maximum_arity=1,
        signature="log1p(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="log2",
        aliases=(),
        arity=1,
        summary="The logarithm to base 2.",
        convention="as log: inf at 0, also where the value is NaN",
        maximum_arity=1,
        signature="log2(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="log_sigmoid",
        aliases=("log_expit",),
        arity=1,
        summary="The logarithm of the logistic function, stable at both ends.",
        convention="",
        maximum_arity=1,
        signature="log_sigmoid(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="log_softmax",
        aliases=(),
        arity=1,
        summary="x less the logsumexp along an axis: the logarithm of the softmax.",
        convention="",
        maximum_arity=1,
        signature="log_softmax(x, axis=-1)",
        result_shape="that of x",
        parameters=("axis: a whole number",),
    ),
    OperationInfo(
        name="logaddexp",
        aliases=(),
        arity=2,
        summary="log(exp(x) + exp(y)), stable.",
        convention="1/2 each for equal infinities",
        maximum_arity=2,
        signature="logaddexp(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="logdet",
        aliases=(),
        arity=1,
        summary="The logarithm of the absolute value of the determinant.",
        convention="",
        maximum_arity=1,
        signature="logdet(a)",
        result_shape="that of a without the last two axes",
        parameters=(),
    ),
    OperationInfo(
        name="logical_and",
        aliases=(),
        arity=2,
        summary="1 where neither x nor y is 0, else 0.",
        convention="0 throughout",
        maximum_arity=2,
        signature="x and y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="logical_not",
        aliases=(),
        arity=1,
        summary="1 where x is 0, else 0.",
        convention="0 throughout",
        maximum_arity=1,
        signature="not x",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="logical_or",
        aliases=(),
        arity=2,
        summary="1 where x or y is not 0, else 0.",
        convention="0 throughout",
        maximum_arity=2,
        signature="x or y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="logsumexp",
        aliases=(),
        arity=1,
        summary="log(sum(exp(x))), without overflow.",
        convention="the softmax, shared equally among infinities that tie",
        maximum_arity=1,
        signature="logsumexp(x, axis=None, keepdims=False)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=("axes: a list of whole numbers", "keepdims: a whole number, optional"),
    ),
    OperationInfo(
        name="matmul",
        aliases=(),
        arity=2,
        summary="The matrix product x @ y; axes before the last two are batches, and a vector is a row or a column.",
        convention="",
        maximum_arity=2,
        signature="x @ y",
        result_shape="rows of x by columns of y, batch axes broadcast",
        parameters=(),
    ),
    OperationInfo(
        name="maximum",
        aliases=("max",),
        arity=2,
        summary="The larger of x and y; NaN when either is NaN.",
        convention="1/2 each at a tie; NaN beside a NaN",
        maximum_arity=2,
        signature="maximum(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="mean",
        aliases=(),
        arity=1,
        summary="The mean of all elements, or along some axes.",
        convention="",
        maximum_arity=1,
        signature="mean(x, axis=None, keepdims=False)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=("axes: a list of whole numbers", "keepdims: a whole number, optional"),
    ),
    OperationInfo(
        name="minimum",
        aliases=("min",),
        arity=2,
        summary="The smaller of x and y; NaN when either is NaN.",
        convention="1/2 each at a tie; NaN beside a NaN",
        maximum_arity=2,
        signature="minimum(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="mod",
        aliases=("remainder",),
        arity=2,
        summary="The remainder of x / y with the sign of y (floored division).",
        convention="1 by x at the jumps",
        maximum_arity=2,
        signature="x % y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="multiply",
        aliases=(),
        arity=2,
        summary="The product x * y.",
        convention="",
        maximum_arity=2,
        signature="x*y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="negate",
        aliases=("negative",),
        arity=1,
        summary="The negative -x.",
        convention="",
        maximum_arity=1,
        signature="-x",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="norm",
        aliases=(),
        arity=1,
        summary="The Euclidean norm sqrt(sum(x**2)), of a matrix the Frobenius norm.",
        convention="0 at the origin",
        maximum_arity=1,
        signature="norm(x, axis=None, keepdims=False)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=("axes: a list of whole numbers", "keepdims: a whole number, optional"),
    ),
    OperationInfo(
        name="normal_cdf",
        aliases=("norm_cdf", "ndtr"),
        arity=1,
        summary="The standard normal distribution function, exact also in the lower tail.",
        convention="",
        maximum_arity=1,
        signature="normal_cdf(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="normal_pdf",
        aliases=("norm_pdf",),
        arity=1,
        summary="The standard normal density exp(-x*x/2)/sqrt(2*pi).",
        convention="",
        maximum_arity=1,
        signature="normal_pdf(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="normal_ppf",
        aliases=("norm_ppf", "ndtri"),
        arity=1,
        summary="The standard normal quantile, inverse of normal_cdf; infinite at 0 and 1, NaN beyond.",
        convention="inf at 0 and 1",
        maximum_arity=1,
        signature="normal_ppf(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="not_equal",
        aliases=(),
        arity=2,
        summary="1 where x does not equal y, else 0.",
        convention="0 throughout",
        maximum_arity=2,
        signature="x != y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="outer",
        aliases=(),
        arity=2,
        summary="The products of every element of x with every element of y.",
        convention="",
        maximum_arity=2,
        signature="outer(x, y)",
        result_shape="elements of x by elements of y",
        parameters=(),
    ),
    OperationInfo(
        name="polygamma",
        aliases=(),
        arity=2,
        summary="The n-th derivative of digamma, as polygamma(n, x), for n rounded to a whole number from 0 to 100.",
        convention="0 throughout by n",
        maximum_arity=2,
        signature="polygamma(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="power",
        aliases=("pow",),
        arity=2,
        summary="x to the power y, by IEEE 754: 1 for y = 0, NaN for a negative x and a fractional y.",
        convention="by x: 0 where y = 0; by y: 0 where x = 0 and y >= 0, NaN where x < 0",
        maximum_arity=2,
        signature="x**y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="prod",
        aliases=(),
        arity=1,
        summary="The product of all elements, or along some axes.",
        convention="",
        maximum_arity=1,
        signature="prod(x, axis=None, keepdims=False)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=("axes: a list of whole numbers", "keepdims: a whole number, optional"),
    ),
    OperationInfo(
        name="rad2deg",
        aliases=("degrees",),
        arity=1,
        summary="Radians as degrees.",
        convention="",
        maximum_arity=1,
        signature="rad2deg(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="reciprocal",
        aliases=(),
        arity=1,
        summary="The reciprocal 1 / x.",
        convention="-inf at 0",
        maximum_arity=1,
        signature="reciprocal(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="relu",
        aliases=(),
        arity=1,
        summary="The positive part: x where x > 0, else 0; NaN for NaN.",
        convention="0 at 0",
        maximum_arity=1,
        signature="relu(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="repeat",
        aliases=(),
        arity=1,
        summary="Each element along an axis repeated.",
        convention="",
        maximum_arity=1,
        signature="repeat(x, repeats, axis=None)",
        result_shape="that of x, so many times longer along the axis",
        parameters=("repeats: a whole number", "axis: a whole number"),
    ),
    OperationInfo(
        name="reshape",
        aliases=(),
        arity=1,
        summary="The same elements, row by row, in another shape.",
        convention="",
        maximum_arity=1,
        signature="reshape(x, shape)",
        result_shape="the one given, of as many elements",
        parameters=("shape: a list of whole numbers",),
    ),
    OperationInfo(
        name="round",
        aliases=("rint",),
        arity=1,
        summary="The nearest integer, halves to even.",
        convention="0 throughout",
        maximum_arity=1,
        signature="round(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="scan",
        aliases=(),
        arity=1,
        summary="A function that the graph brings along, applied step by step to carries, sequences and constants.",
        convention="",
        maximum_arity=None,
        signature="",
        result_shape="a vector: final carries, then what each step gives, all flattened",
        parameters=(
            "function: a function",
            "steps: a whole number",
            "carries: a whole number",
            "sequences: a whole number",
            "reverse: a whole number, optional",
        ),
    ),
    OperationInfo(
        name="sigmoid",
        aliases=("expit", "logistic"),
        arity=1,
        summary="The logistic function 1/(1 + exp(-x)), stable at both ends.",
        convention="",
        maximum_arity=1,
        signature="sigmoid(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="sign",
        aliases=(),
        arity=1,
        summary="The sign: -1, 0 or 1.",
        convention="0 throughout",
        maximum_arity=1,
        signature="sign(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="silu",
        aliases=("swish",),
        arity=1,
        summary="x times the logistic function of x.",
        convention="",
        maximum_arity=1,
        signature="silu(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="sin",
        aliases=(),
        arity=1,
        summary="The sine of x radians.",
        convention="",
        maximum_arity=1,
        signature="sin(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="sinc",
        aliases=(),
        arity=1,
        summary="sin(pi*x)/(pi*x), and 1 for x = 0.",
        convention="",
        maximum_arity=1,
        signature="sinc(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="sinh",
        aliases=(),
        arity=1,
        summary="The hyperbolic sine.",
        convention="",
        maximum_arity=1,
        signature="sinh(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="slice",
        aliases=(),
        arity=1,
        summary="Evenly spaced elements along each axis, as x[start:stop:step] takes them.",
        convention="",
        maximum_arity=1,
        signature="x[start:stop:step, ...]",
        result_shape="as many elements along each axis as are taken",
        parameters=(
            "starts: a list of whole numbers",
            "counts: a list of whole numbers",
            "steps: a list of whole numbers",
        ),
    ),
    OperationInfo(
        name="softmax",
        aliases=(),
        arity=1,
        summary="exp(x) divided by its sum along an axis, without overflow.",
        convention="",
        maximum_arity=1,
        signature="softmax(x, axis=-1)",
        result_shape="that of x",
        parameters=("axis: a whole number",),
    ),
    OperationInfo(
        name="softplus",
        aliases=(),
        arity=1,
        summary="log(1 + exp(x)), stable at both ends.",
        convention="",
        maximum_arity=1,
        signature="softplus(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="solve",
        aliases=(),
        arity=2,
        summary="The solution x of a x = b, for a vector or a matrix b.",
        convention="",
        maximum_arity=2,
        signature="solve(a, b)",
        result_shape="that of b, with the batch axes of a",
        parameters=(),
    ),
    OperationInfo(
        name="solve_triangular",
        aliases=(),
        arity=2,
        summary="The solution x of a x = b, or of its transpose, that reads one triangle of a only.",
        convention="",
        maximum_arity=2,
        signature="solve_triangular(a, b, lower=False, transposed=False, unit_diagonal=False)",
        result_shape="that of b, with the batch axes of a",
        parameters=(
            "lower: a whole number, optional",
            "transposed: a whole number, optional",
            "unit_diagonal: a whole number, optional",
        ),
    ),
    OperationInfo(
        name="sort",
        aliases=(),
        arity=1,
        summary="The elements along an axis in ascending order; NaN last.",
        convention="each element's derivative follows it; equal ones keep their order",
        maximum_arity=1,
        signature="sort(x, axis=-1)",
        result_shape="that of x",
        parameters=("axis: a whole number",),
    ),
    OperationInfo(
        name="sqrt",
        aliases=(),
        arity=1,
        summary="The square root.",
        convention="inf at 0, the one-sided limit",
        maximum_arity=1,
        signature="sqrt(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="square",
        aliases=(),
        arity=1,
        summary="The square x * x.",
        convention="",
        maximum_arity=1,
        signature="square(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="stack",
        aliases=(),
        arity=1,
        summary="Arrays of one shape side by side along a new axis.",
        convention="",
        maximum_arity=None,
        signature="stack([x, y, ...], axis=0)",
        result_shape="that of the operands, with one more axis",
        parameters=("axis: a whole number",),
    ),
    OperationInfo(
        name="std",
        aliases=(),
        arity=1,
        summary="The standard deviation.",
        convention="0 where all elements are equal",
        maximum_arity=1,
        signature="std(x, axis=None, keepdims=False, ddof=0)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=(
            "axes: a list of whole numbers",
            "keepdims: a whole number, optional",
            "ddof: a whole number, optional",
        ),
    ),
    OperationInfo(
        name="step",
        aliases=(),
        arity=1,
        summary="The unit step: 0 below 0, 1 above, 1/2 at 0.",
        convention="0 throughout",
        maximum_arity=1,
        signature="step(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="subtract",
        aliases=(),
        arity=2,
        summary="The difference x - y.",
        convention="",
        maximum_arity=2,
        signature="x - y",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="sum",
        aliases=(),
        arity=1,
        summary="The sum of all elements, or along some axes.",
        convention="",
        maximum_arity=1,
        signature="sum(x, axis=None, keepdims=False)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=("axes: a list of whole numbers", "keepdims: a whole number, optional"),
    ),
    OperationInfo(
        name="take",
        aliases=(),
        arity=1,
        summary="Elements along an axis by their numbers, which are part of the function.",
        convention="",
        maximum_arity=1,
        signature="take(x, indices, axis=None)",
        result_shape="that of x, with the shape of the indices in place of the axis",
        parameters=("indices: a list of whole numbers", "index_shape: a list of whole numbers", "axis: a whole number"),
    ),
    OperationInfo(
        name="tan",
        aliases=(),
        arity=1,
        summary="The tangent of x radians.",
        convention="",
        maximum_arity=1,
        signature="tan(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="tanh",
        aliases=(),
        arity=1,
        summary="The hyperbolic tangent.",
        convention="",
        maximum_arity=1,
        signature="tanh(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="tile",
        aliases=(),
        arity=1,
        summary="The whole array repeated along each axis.",
        convention="",
        maximum_arity=1,
        signature="tile(x, repeats)",
        result_shape="each extent of x so many times",
        parameters=("repeats: a list of whole numbers",),
    ),
    OperationInfo(
        name="trace",
        aliases=(),
        arity=1,
        summary="The sum of a matrix's diagonal.",
        convention="",
        maximum_arity=1,
        signature="trace(x)",
        result_shape="a scalar",
        parameters=(),
    ),
    OperationInfo(
        name="transpose",
        aliases=(),
        arity=1,
        summary="The same elements with the axes in another order.",
        convention="",
        maximum_arity=1,
        signature="transpose(x, axes=None)",
        result_shape="that of x, its axes in the order given",
        parameters=("axes: a list of whole numbers",),
    ),
    OperationInfo(
        name="trigamma",
        aliases=(),
        arity=1,
        summary="The derivative of digamma; infinite at 0 and negative whole numbers.",
        convention="NaN at negative whole numbers",
        maximum_arity=1,
        signature="trigamma(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="trunc",
        aliases=("fix",),
        arity=1,
        summary="The nearest integer towards 0.",
        convention="0 throughout",
        maximum_arity=1,
        signature="trunc(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="var",
        aliases=(),
        arity=1,
        summary="The variance: the mean of squared deviations from the mean.",
        convention="",
        maximum_arity=1,
        signature="var(x, axis=None, keepdims=False, ddof=0)",
        result_shape="that of x without the axes, which keepdims keeps with extent 1",
        parameters=(
            "axes: a list of whole numbers",
            "keepdims: a whole number, optional",
            "ddof: a whole number, optional",
        ),
    ),
    OperationInfo(
        name="where",
        aliases=(),
        arity=3,
        summary="x where the condition is not 0, else y, as where(condition, x, y); the other branch cannot poison it.",
        convention="the branch not taken contributes exactly 0, at any order",
        maximum_arity=3,
        signature="where(x, y, z)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
    OperationInfo(
        name="xlogx",
        aliases=(),
        arity=1,
        summary="x*log(x), and 0 for x = 0.",
        convention="-inf at 0",
        maximum_arity=1,
        signature="xlogx(x)",
        result_shape="that of x",
        parameters=(),
    ),
    OperationInfo(
        name="xlogy",
        aliases=(),
        arity=2,
        summary="x*log(y), and 0 for x = 0 and a finite y >= 0.",
        convention="at x = 0: log(y) by x, 0 by y",
        maximum_arity=2,
        signature="xlogy(x, y)",
        result_shape="the one that those of the operands broadcast to",
        parameters=(),
    ),
)
"""Every operation, sorted by name."""
