"""Light handles that point at traced values, and the trace in which an operation on several of them is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn, TypeVar

import numpy as np

from gradmill.graph import ParameterValue, Shape, as_parameters
from gradmill.places import refuse
from gradmill.traces import Real, Trace

REAL_TYPES = (int, float, np.integer, np.floating, np.bool_, np.ndarray)
"""What an operation takes besides traced values."""


class Handle:
    """A traced value: its trace, and its number there."""

    __slots__ = ("_number", "_trace")

    def __init__(self, trace: Trace, number: int) -> None:
        """Point at one value of a trace."""
        self._trace = trace
        self._number = number

    @property
    def shape(self) -> Shape:
        """The shape of one point's value; a scalar has the shape ()."""
        return self._trace.shape(self._number)


SomeHandle = TypeVar("SomeHandle", bound=Handle)

TRACEABLE = (Handle, *REAL_TYPES)
"""What an operation takes."""


def derived(like: SomeHandle, name: str, operands: Sequence[Handle | Real], **parameters: ParameterValue) -> SomeHandle:
    """Trace an operation; return a handle of the same class as ``like``.

    Raises:
        TracingError: the operands do not belong together, or their shapes or the parameters do not fit.
    """
    trace = common_trace(name, operands)
    numbers = tuple([number_in(trace, operand) for operand in operands])
    return type(like)(trace, trace.operation(name, numbers, as_parameters(parameters) if parameters else ()))


def number_in(trace: Trace, operand: Handle | Real) -> int:
    """Return the number of an operand in a trace, which takes in constants and what enclosing traces computed."""
    if not isinstance(operand, Handle):
        return trace.constant(operand)
    own = operand._trace  # noqa: SLF001 - same module
    return operand._number if own is trace else trace.captured(own, operand._number)  # noqa: SLF001 - same module


def number_inside(name: str, trace: Trace, operand: Handle | Real) -> int:
    """Return the number of an operand in a trace that it must belong to, or that must be inside the operand's.

    Raises:
        TracingError: the operand is of another set of inputs, or inside a body that is over.
    """
    if isinstance(operand, Handle):
        own = operand._trace  # noqa: SLF001 - same module
        if own is not trace and (own.is_over or innermost(name, trace, own) is not trace):
            _refuse_over(name, own)
    return number_in(trace, operand)


def common_trace(name: str, operands: Iterable[object]) -> Trace:
    """Return the trace in which an operation on these operands belongs: the innermost of theirs.

    Raises:
        TypeError: no operand is traced, or one is neither traced nor a real number or array.
        TracingError: the operands come from different calls of ``inputs``, or from a body that is over.
    """
    trace: Trace | None = None
    for operand in operands:
        if isinstance(operand, Handle):
            other = operand._trace  # noqa: SLF001 - same module
            if other is not trace:
                if other.is_over:
                    _refuse_over(name, other)
                trace = other if trace is None else innermost(name, trace, other)
        elif not isinstance(operand, REAL_TYPES):
            message = f"{name}: {type(operand).__name__} is neither a traced value nor a real number or array"
            raise TypeError(message)
    if trace is None:
        message = f"{name}: no operand is traced; use math or numpy for numbers, gradmill.inputs for a function"
        raise TypeError(message)
    return trace


def innermost(name: str, one: Trace, other: Trace) -> Trace:
    """Return which of two traces is inside the other.

    Raises:
        TracingError: neither is.
    """
    is_outside = one.encloses(other)
    if not is_outside and not other.encloses(one):
        refuse(
            f"{name}: operands come from two different sets, {one!r} and {other!r}",
            "Declare all inputs of a function together, in one call of gradmill.inputs.",
        )
    return other if is_outside else one


def _refuse_over(name: str, trace: Trace) -> NoReturn:
    refuse(
        f"{name}: a value computed inside {trace!r} is used outside of it",
        "Return it from the body: what a body returns is what can be used after it.",
    )
