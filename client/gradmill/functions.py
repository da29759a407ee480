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
    "add",
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "asin",
    "atan",
    "atan2",
    "cbrt",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "divide",
    "equal",
    "erf",
    "erfc",
    "exp",
    "expit",
    "expm1",
    "fabs",
    "floor",
    "fmax",
    "fmin",
    "fmod",
    "greater",
    "greater_equal",
    "hypot",
    "less",
    "less_equal",
    "ln",
    "log",
    "log1p",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logistic",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "ndtr",
    "negate",
    "negative",
    "norm_cdf",
    "norm_pdf",
    "normal_cdf",
    "normal_pdf",
    "not_equal",
    "pow",
    "power",
    "relu",
    "remainder",
    "rint",
    "round",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "subtract",
    "tan",
    "tanh",
    "true_divide",
    "where",
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


def divide(x: Operand, y: Operand, /) -> Expression:
    """The quotient x / y.

    Shape: the one that those of x and y broadcast to.
    """
    return apply("divide", x, y)


true_divide = divide


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


def exp(x: Operand, /) -> Expression:
    """The exponential.

    Shape: that of x.
    """
    return apply("exp", x)


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


def hypot(x: Operand, y: Operand, /) -> Expression:
    """The length sqrt(x*x + y*y), without overflow.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 at the origin.
    """
    return apply("hypot", x, y)


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


def log(x: Operand, /) -> Expression:
    """The natural logarithm.

    Shape: that of x.
    Derivative by convention: 1/x throughout: inf at 0, also where the value is NaN.
    """
    return apply("log", x)


ln = log


def log1p(x: Operand, /) -> Expression:
    """log(1 + x), exact also near 0.

    Shape: that of x.
    """
    return apply("log1p", x)


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


def not_equal(x: Operand, y: Operand, /) -> Expression:
    """1 where x does not equal y, else 0.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: 0 throughout.
    """
    return apply("not_equal", x, y)


def power(x: Operand, y: Operand, /) -> Expression:
    """x to the power y, by IEEE 754: 1 for y = 0, NaN for a negative x and a fractional y.

    Shape: the one that those of x and y broadcast to.
    Derivative by convention: by x: 0 where y = 0; by y: 0 where x = 0 and y >= 0, NaN where x < 0.
    """
    return apply("power", x, y)


pow = power


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


def sin(x: Operand, /) -> Expression:
    """The sine of x radians.

    Shape: that of x.
    """
    return apply("sin", x)


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


def where(condition: Operand, x: Operand, y: Operand, /) -> Expression:
    """x where the condition is not 0, else y, as where(condition, x, y); the other branch cannot poison it.

    Shape: the one that those of condition, x and y broadcast to.
    Derivative by convention: the branch not taken contributes exactly 0, at any order.
    """
    return apply("where", condition, x, y)


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
    ),
    OperationInfo(
        name="acos",
        aliases=("arccos",),
        arity=1,
        summary="The arc cosine, in radians.",
        convention="-inf at -1 and 1",
    ),
    OperationInfo(
        name="add",
        aliases=(),
        arity=2,
        summary="The sum x + y.",
        convention="",
    ),
    OperationInfo(
        name="asin",
        aliases=("arcsin",),
        arity=1,
        summary="The arc sine, in radians.",
        convention="inf at -1 and 1",
    ),
    OperationInfo(
        name="atan",
        aliases=("arctan",),
        arity=1,
        summary="The arc tangent, in radians.",
        convention="",
    ),
    OperationInfo(
        name="atan2",
        aliases=("arctan2",),
        arity=2,
        summary="The angle of the point (x, y), as atan2(y, x), in radians.",
        convention="0 at the origin",
    ),
    OperationInfo(
        name="cbrt",
        aliases=(),
        arity=1,
        summary="The real cube root.",
        convention="inf at 0",
    ),
    OperationInfo(
        name="ceil",
        aliases=(),
        arity=1,
        summary="The smallest integer not below x.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="clip",
        aliases=(),
        arity=3,
        summary="x limited to [low, high], as clip(x, low, high); high wins where low > high.",
        convention="1 by x on the closed interval",
    ),
    OperationInfo(
        name="cos",
        aliases=(),
        arity=1,
        summary="The cosine of x radians.",
        convention="",
    ),
    OperationInfo(
        name="cosh",
        aliases=(),
        arity=1,
        summary="The hyperbolic cosine.",
        convention="",
    ),
    OperationInfo(
        name="divide",
        aliases=("true_divide",),
        arity=2,
        summary="The quotient x / y.",
        convention="",
    ),
    OperationInfo(
        name="equal",
        aliases=(),
        arity=2,
        summary="1 where x equals y, else 0.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="erf",
        aliases=(),
        arity=1,
        summary="The error function.",
        convention="",
    ),
    OperationInfo(
        name="erfc",
        aliases=(),
        arity=1,
        summary="The complementary error function 1 - erf(x), exact also where it is tiny.",
        convention="",
    ),
    OperationInfo(
        name="exp",
        aliases=(),
        arity=1,
        summary="The exponential.",
        convention="",
    ),
    OperationInfo(
        name="expm1",
        aliases=(),
        arity=1,
        summary="exp(x) - 1, exact also near 0.",
        convention="",
    ),
    OperationInfo(
        name="floor",
        aliases=(),
        arity=1,
        summary="The largest integer not above x.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="fmax",
        aliases=(),
        arity=2,
        summary="The larger of x and y; a NaN loses against a number.",
        convention="1/2 each at a tie",
    ),
    OperationInfo(
        name="fmin",
        aliases=(),
        arity=2,
        summary="The smaller of x and y; a NaN loses against a number.",
        convention="1/2 each at a tie",
    ),
    OperationInfo(
        name="fmod",
        aliases=(),
        arity=2,
        summary="The remainder of x / y with the sign of x (truncated division).",
        convention="1 by x at the jumps",
    ),
    OperationInfo(
        name="greater",
        aliases=(),
        arity=2,
        summary="1 where x > y, else 0.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="greater_equal",
        aliases=(),
        arity=2,
        summary="1 where x >= y, else 0.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="hypot",
        aliases=(),
        arity=2,
        summary="The length sqrt(x*x + y*y), without overflow.",
        convention="0 at the origin",
    ),
    OperationInfo(
        name="less",
        aliases=(),
        arity=2,
        summary="1 where x < y, else 0.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="less_equal",
        aliases=(),
        arity=2,
        summary="1 where x <= y, else 0.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="log",
        aliases=("ln",),
        arity=1,
        summary="The natural logarithm.",
        convention="1/x throughout: inf at 0, also where the value is NaN",
    ),
    OperationInfo(
        name="log1p",
        aliases=(),
        arity=1,
        summary="log(1 + x), exact also near 0.",
        convention="",
    ),
    OperationInfo(
        name="logaddexp",
        aliases=(),
        arity=2,
        summary="log(exp(x) + exp(y)), stable.",
        convention="1/2 each for equal infinities",
    ),
    OperationInfo(
        name="logical_and",
        aliases=(),
        arity=2,
        summary="1 where neither x nor y is 0, else 0.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="logical_not",
        aliases=(),
        arity=1,
        summary="1 where x is 0, else 0.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="logical_or",
        aliases=(),
        arity=2,
        summary="1 where x or y is not 0, else 0.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="maximum",
        aliases=("max",),
        arity=2,
        summary="The larger of x and y; NaN when either is NaN.",
        convention="1/2 each at a tie; NaN beside a NaN",
    ),
    OperationInfo(
        name="minimum",
        aliases=("min",),
        arity=2,
        summary="The smaller of x and y; NaN when either is NaN.",
        convention="1/2 each at a tie; NaN beside a NaN",
    ),
    OperationInfo(
        name="mod",
        aliases=("remainder",),
        arity=2,
        summary="The remainder of x / y with the sign of y (floored division).",
        convention="1 by x at the jumps",
    ),
    OperationInfo(
        name="multiply",
        aliases=(),
        arity=2,
        summary="The product x * y.",
        convention="",
    ),
    OperationInfo(
        name="negate",
        aliases=("negative",),
        arity=1,
        summary="The negative -x.",
        convention="",
    ),
    OperationInfo(
        name="normal_cdf",
        aliases=("norm_cdf", "ndtr"),
        arity=1,
        summary="The standard normal distribution function, exact also in the lower tail.",
        convention="",
    ),
    OperationInfo(
        name="normal_pdf",
        aliases=("norm_pdf",),
        arity=1,
        summary="The standard normal density exp(-x*x/2)/sqrt(2*pi).",
        convention="",
    ),
    OperationInfo(
        name="not_equal",
        aliases=(),
        arity=2,
        summary="1 where x does not equal y, else 0.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="power",
        aliases=("pow",),
        arity=2,
        summary="x to the power y, by IEEE 754: 1 for y = 0, NaN for a negative x and a fractional y.",
        convention="by x: 0 where y = 0; by y: 0 where x = 0 and y >= 0, NaN where x < 0",
    ),
    OperationInfo(
        name="relu",
        aliases=(),
        arity=1,
        summary="The positive part: x where x > 0, else 0; NaN for NaN.",
        convention="0 at 0",
    ),
    OperationInfo(
        name="round",
        aliases=("rint",),
        arity=1,
        summary="The nearest integer, halves to even.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="sigmoid",
        aliases=("expit", "logistic"),
        arity=1,
        summary="The logistic function 1/(1 + exp(-x)), stable at both ends.",
        convention="",
    ),
    OperationInfo(
        name="sign",
        aliases=(),
        arity=1,
        summary="The sign: -1, 0 or 1.",
        convention="0 throughout",
    ),
    OperationInfo(
        name="sin",
        aliases=(),
        arity=1,
        summary="The sine of x radians.",
        convention="",
    ),
    OperationInfo(
        name="sinh",
        aliases=(),
        arity=1,
        summary="The hyperbolic sine.",
        convention="",
    ),
    OperationInfo(
        name="softplus",
        aliases=(),
        arity=1,
        summary="log(1 + exp(x)), stable at both ends.",
        convention="",
    ),
    OperationInfo(
        name="sqrt",
        aliases=(),
        arity=1,
        summary="The square root.",
        convention="inf at 0, the one-sided limit",
    ),
    OperationInfo(
        name="subtract",
        aliases=(),
        arity=2,
        summary="The difference x - y.",
        convention="",
    ),
    OperationInfo(
        name="tan",
        aliases=(),
        arity=1,
        summary="The tangent of x radians.",
        convention="",
    ),
    OperationInfo(
        name="tanh",
        aliases=(),
        arity=1,
        summary="The hyperbolic tangent.",
        convention="",
    ),
    OperationInfo(
        name="where",
        aliases=(),
        arity=3,
        summary="x where the condition is not 0, else y, as where(condition, x, y); the other branch cannot poison it.",
        convention="the branch not taken contributes exactly 0, at any order",
    ),
    OperationInfo(
        name="xlogy",
        aliases=(),
        arity=2,
        summary="x*log(y), and 0 for x = 0 and a finite y >= 0.",
        convention="at x = 0: log(y) by x, 0 by y",
    ),
)
"""Every operation, sorted by name."""
