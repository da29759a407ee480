"""The functions of arrays that a formula can call: each one's signature, and what writes it.

Names, order and defaults of the arguments are NumPy's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from gradmill_server.engine import ops
from gradmill_server.engine.formula import constants, reshaping
from gradmill_server.engine.formula.calls import Kind, Parameter, Signature, option, static
from gradmill_server.engine.formula.emission import Site
from gradmill_server.engine.formula.forms import Axes, axes, axis, flat
from gradmill_server.engine.formula.static import Reader, or_none
from gradmill_server.engine.formula.syntax import Call, Keyword
from gradmill_server.engine.formula.words import bare

ELEMENTWISE: Mapping[str, ops.Operation] = MappingProxyType(
    {name: ops.TABLE[row.name] for name, row in ops.FUNCTION_NAMES.items() if row.name in ops.TABLE}
)
"""Every function that works element by element, by the names that formulas call it."""

_SUBSCRIPTS = re.compile(r"[A-Za-z]*(?:,[A-Za-z]*)*(?:->[A-Za-z]*)?")
_MOST_EINSUM_OPERANDS = 2
_MOST_DIFFERENCES = 100
"""Of one call: each is an operation, and so many leave no digits."""


def _plain(operation: str) -> Callable[..., int]:
    """Return what applies an operation that takes arrays and nothing else."""

    def write(site: Site, *arrays: int) -> int:
        return site.emit(operation, *arrays)

    return write


def _reduction(operation: str) -> Callable[..., int]:
    """Return what reduces some axes, or all of them."""

    def write(site: Site, x: int, along: Axes, keepdims: int) -> int:
        return site.emit(operation, x, axes=axes(site, along, len(site.shape(x))), keepdims=int(keepdims) or None)

    return write


def _spread(operation: str) -> Callable[..., int]:
    """Return what reduces some axes, or all of them, and counts so many elements less."""

    def write(site: Site, x: int, along: Axes, ddof: int, keepdims: int) -> int:
        over = axes(site, along, len(site.shape(x)))
        return site.emit(operation, x, axes=over, ddof=ddof or None, keepdims=int(keepdims) or None)

    return write


def _position(operation: str) -> Callable[..., int]:
    """Return what looks for an element along one axis, or among all where the axis is None."""

    def write(site: Site, x: int, along: int | None) -> int:
        return site.emit(operation, x, axis=None if along is None else axis(site, along, len(site.shape(x))))

    return write


def _along(operation: str) -> Callable[..., int]:
    """Return what works along one axis, or on all elements in one row where the axis is None."""

    def write(site: Site, x: int, along: int | None) -> int:
        if along is None:
            x, along = flat(site, x), 0
        return site.emit(operation, x, axis=axis(site, along, len(site.shape(x))))

    return write


def _softmax(operation: str) -> Callable[..., int]:
    """Return what works along the last axis, where SciPy's function of that name works along all of them."""
    write_along = _along(operation)

    def write(site: Site, x: int, along: int) -> int:
        if site.name.startswith("scipy.") and not site.given("axis") and len(site.shape(x)) > 1:
            message = (
                f"give {site.name} an axis: without one SciPy takes all of them together, and {operation} the last"
            )
            raise site.mistake(message)
        return write_along(site, x, along)

    return write


def _diff(site: Site, x: int, n: int, along: int) -> int:
    over = axis(site, along, len(site.shape(x)))
    extent = site.shape(x)[over]
    most = min(extent - 1, _MOST_DIFFERENCES)
    if not 0 <= n <= most:
        message = f"{site.name} takes differences up to {most} times along an axis of extent {extent}, not {n} times"
        raise site.mistake(message, "n")
    for _ in range(n):
        x = site.emit("diff", x, axis=over)
    return x


def _diag(site: Site, x: int, offset: int) -> int:
    return site.emit("diag", x, offset=offset or None)


def _einsum(site: Site, written: str, arrays: list[int]) -> int:
    subscripts = "".join(written.split())
    if not _SUBSCRIPTS.fullmatch(subscripts):
        message = f"the subscripts of {site.name} are letters, commas and at most one '->', as in 'ij,j->i'"
        raise site.mistake(message, "subscripts")
    if len(arrays) > _MOST_EINSUM_OPERANDS:
        message = f"{site.name} takes one array or two, {len(arrays)} given; nest them"
        raise site.mistake(message, "operands")
    operands, arrow, result = subscripts.partition("->")
    if operands.count(",") + 1 != len(arrays):
        message = f"{site.name} has subscripts for {operands.count(',') + 1} arrays, {len(arrays)} given"
        raise site.mistake(message, "subscripts")
    if not arrow:
        counts = Counter(operands.replace(",", ""))
        result = "".join(sorted(letter for letter, count in counts.items() if count == 1))
    return site.emit("einsum", *arrays, subscripts=f"{operands}->{result}")


def _solve_triangular(site: Site, a: int, b: int, *flags: bool) -> int:
    lower, transposed, unit_diagonal = [int(flag) or None for flag in flags]
    return site.emit("solve_triangular", a, b, lower=lower, transposed=transposed, unit_diagonal=unit_diagonal)


_X = Parameter("x")
_A, _B = Parameter("a"), Parameter("b")
_SHAPE = static("shape", Reader.integers)
_AXES = option("axis", or_none(Reader.integers), None)
_AXES_BY_NAME = _AXES._replace(by_name=True)
_AXIS = option("axis", Reader.integer, -1)
_FIRST_AXIS = option("axis", Reader.integer, 0)
_FIRST_AXIS_OR_ALL = option("axis", or_none(Reader.integer), 0)
_AXIS_OR_ALL = option("axis", or_none(Reader.integer), None)
_LAST_AXIS_OR_ALL = option("axis", or_none(Reader.integer), -1)
_KEEPDIMS = option("keepdims", Reader.flag, default=False, by_name=True)
_DDOF = option("ddof", Reader.integer, 0, by_name=True)
_LOWER, _UNIT_DIAGONAL = [option(name, Reader.flag, default=False, by_name=True) for name in ("lower", "unit_diagonal")]
_TRANSPOSED = option("transposed", Reader.switch, default=False, by_name=True)._replace(other_name="trans")
_ARRAYS = Parameter("arrays", Kind.LIST)

_REDUCTIONS = ("sum", "mean", "prod", "amax", "amin", "any", "all", "logsumexp")
_ONE_MATRIX = ("cholesky", "inverse", "logdet")
_TWO_ARRAYS = ("matmul", "dot", "outer")

SIGNATURES: Mapping[str, Signature] = MappingProxyType(
    {
        **{name: Signature(_reduction(name), (_X, _AXES, _KEEPDIMS)) for name in _REDUCTIONS},
        # In NumPy the order of the norm stands before the axis, so an axis by position would be misread.
        "norm": Signature(_reduction("norm"), (_X, _AXES_BY_NAME, _KEEPDIMS)),
        **{name: Signature(_spread(name), (_X, _AXES, _DDOF, _KEEPDIMS)) for name in ("var", "std")},
        **{name: Signature(_position(name), (_X, _AXIS_OR_ALL)) for name in ("argmax", "argmin")},
        **{name: Signature(_softmax(name), (_X, _AXIS)) for name in ("softmax", "log_softmax")},
        **{name: Signature(_along(name), (_X, _AXIS_OR_ALL)) for name in ("cumsum", "cumprod")},
        **{name: Signature(_along(name), (_X, _LAST_AXIS_OR_ALL)) for name in ("sort", "argsort")},
        "diff": Signature(_diff, (_X, option("n", Reader.integer, 1), _AXIS)),
        "reshape": Signature(reshaping.reshape_to, (_X, _SHAPE)),
        "ravel": Signature(flat, (_X,)),
        "expand_dims": Signature(reshaping.expand_dims, (_X, static("axis", Reader.integers))),
        "squeeze": Signature(reshaping.squeeze, (_X, _AXES)),
        "transpose": Signature(reshaping.transpose_to, (_X, option("axes", or_none(Reader.integers), None))),
        "swapaxes": Signature(
            reshaping.swapaxes, (_X, static("axis1", Reader.integer), static("axis2", Reader.integer))
        ),
        "moveaxis": Signature(
            reshaping.moveaxis, (_X, static("source", Reader.integer), static("destination", Reader.integer))
        ),
        "broadcast_to": Signature(reshaping.broadcast_to, (_X, _SHAPE)),
        "concatenate": Signature(reshaping.concatenate, (_ARRAYS, _FIRST_AXIS_OR_ALL)),
        "stack": Signature(reshaping.stack, (_ARRAYS, _FIRST_AXIS)),
        "flip": Signature(reshaping.flip, (_X, _AXES)),
        "repeat": Signature(reshaping.repeat, (_X, static("repeats", Reader.integer), _AXIS_OR_ALL)),
        "tile": Signature(reshaping.tile, (_X, static("repeats", Reader.integers)._replace(other_name="reps"))),
        "take": Signature(reshaping.take, (_X, static("indices", Reader.array), _AXIS_OR_ALL)),
        "diag": Signature(_diag, (_X, option("offset", Reader.integer, 0)._replace(other_name="k"))),
        **{name: Signature(_plain(name), (_A,)) for name in _ONE_MATRIX},
        **{name: Signature(_plain(name), (_X, Parameter("y"))) for name in _TWO_ARRAYS},
        "trace": Signature(_plain("trace"), (_X,)),
        "solve": Signature(_plain("solve"), (_A, _B)),
        "inv": Signature(_plain("inverse"), (_A,)),
        "solve_triangular": Signature(_solve_triangular, (_A, _B, _LOWER, _TRANSPOSED, _UNIT_DIAGONAL)),
        "einsum": Signature(_einsum, (static("subscripts", Reader.text), Parameter("operands", Kind.REST))),
        "array": Signature(constants.array, (_X,)),
        "zeros": Signature(constants.zeros, (_SHAPE,)),
        "ones": Signature(constants.ones, (_SHAPE,)),
        "full": Signature(constants.full, (_SHAPE, static("fill_value", Reader.number))),
        "eye": Signature(
            constants.eye,
            (static("n", Reader.integer), option("m", or_none(Reader.integer), None), option("k", Reader.integer, 0)),
        ),
        "arange": Signature(
            constants.arange,
            (
                static("start", Reader.number),
                option("stop", or_none(Reader.number), None),
                option("step", Reader.number, 1),
            ),
        ),
        "linspace": Signature(
            constants.linspace,
            (static("start", Reader.number), static("stop", Reader.number), option("num", Reader.integer, 50)),
        ),
    }
)
"""Every function of arrays by the names that formulas call it."""

_REDUCTIONS_OF_ONE: Mapping[str, Signature] = MappingProxyType({"max": SIGNATURES["amax"], "min": SIGNATURES["amin"]})
"""Functions that are reductions when called with one operand, and element-wise with two."""


def signature_of(call: Call) -> Signature | None:
    """Return the signature of the function of arrays that a call names; None for any other name."""
    name = bare(call.function.value)
    if name in _REDUCTIONS_OF_ONE:
        by_position = sum(not isinstance(argument, Keyword) for argument in call.arguments)
        return _REDUCTIONS_OF_ONE[name] if by_position == 1 else None
    return SIGNATURES.get(name)
