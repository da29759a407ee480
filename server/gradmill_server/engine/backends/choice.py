"""Which backend runs a function: native code where it can, NumPy elsewhere.

The choice is made for a function as a whole, all its outputs and all its derivatives of any order. Were it made for
each program, the same value could come with other last bits depending on what else was wanted beside it. The exception
are derivatives of arrays that are too large for their function's road, such as a dense Hessian by a thousand elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Final

from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import local_partial
from gradmill_server.engine.backends.native.array_tape.executable import ArrayTapeExecutable
from gradmill_server.engine.backends.native.array_tape.operations import (
    PRODUCT,
    PUT,
    arrays_run_natively,
    largest_value,
    work,
)
from gradmill_server.engine.backends.native.levels import host_level, missing_features
from gradmill_server.engine.backends.native.records import NATIVE_OPERATIONS
from gradmill_server.engine.backends.native.tape import TapeExecutable
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.backends.results import Executable, ResultGroup
from gradmill_server.engine.backends.unrolled import UnrolledExecutable
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.ir import CONSTANT, INPUT, Graph, GraphBuilder, Input, bodies_of, size
from gradmill_server.engine.ops.arrays.loops import SCAN
from gradmill_server.engine.passes.expand import lower
from gradmill_server.engine.passes.scalarize import scalarize
from gradmill_server.engine.passes.simplify import simplify

_LARGEST_UNROLLED_STEP: Final = 2_000
"""Scalars of a loop's body up to which its arrays are unrolled."""

_LARGEST_UNROLLED_FUNCTION: Final = 20_000
_LARGEST_UNROLLED_PROGRAM: Final = 400_000
"""Scalars up to which arrays are unrolled: those of the function, and those of the function with its derivatives."""

_SMALLEST_WORK: Final = 256
_SMALLEST_WORK_FOR_OPERATION: Final = 8
"""Elements that a function, and an operation of it on average, has to compute at least for the array tape.

Measured with sums of squares, softmax, quadratic forms and networks: from here on it is as fast as the unrolled tape at
a thousand points, and soon several times faster, and is made in a tenth of the time. A single point takes 5 us more.
"""

_SPARSE: Final = 2
"""Elements for each scalar from which a program of arrays with zeros by structure is unrolled after all."""

_LARGEST_VALUE: Final = 65_536
"""Elements of a value above which NumPy, which goes through elements and not points, is as fast."""


class Road(StrEnum):
    """How a function is run."""

    NUMPY = "numpy"
    SCALARS = "scalars"
    ARRAYS = "arrays"


def road(function: Graph, checkpoint: Checkpoint = never) -> Road:
    """Return how a function and every derivative of it are run.

    Args:
        function: the function, without composite operations.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    if host_level() is None:
        return Road.NUMPY
    if not _has_arrays(function):
        return Road.SCALARS if _is_closed(function) else Road.NUMPY
    lowered = lower(function, checkpoint)
    by_element = set(lowered.nodes.operations) & ops.TABLE.keys()
    fits_arrays = _fits_array_tape(lowered) and by_element <= native_closure()
    if fits_arrays and _is_worth_arrays(lowered):
        return Road.ARRAYS
    if _unrolls(function, checkpoint):
        return Road.SCALARS
    return Road.ARRAYS if fits_arrays else Road.NUMPY


def _unrolls(function: Graph, checkpoint: Checkpoint) -> bool:
    """Whether a function and every derivative of it run on the tape machine once they are scalars."""
    scalars = scalarize(function, _LARGEST_UNROLLED_FUNCTION, checkpoint) if _has_arrays(function) else function
    return scalars is not None and _is_closed(scalars)


def _fits_array_tape(lowered: Graph) -> bool:
    """Whether a graph runs on the array tape, which is one of float64."""
    return (
        lowered.element_type is ElementType.FLOAT64
        and arrays_run_natively(lowered)
        and largest_value(lowered) <= _LARGEST_VALUE
    )


def _is_worth_arrays(lowered: Graph) -> bool:
    """Whether operations compute enough elements to make up for what each costs."""
    elements, operations = work(lowered)
    return elements >= max(_SMALLEST_WORK, _SMALLEST_WORK_FOR_OPERATION * operations)


def _is_closed(graph: Graph) -> bool:
    return set(graph.nodes.operations) <= native_closure() | {INPUT, CONSTANT}


def _has_machine_code(scalars: Graph) -> bool:
    return set(scalars.nodes.operations) <= NATIVE_OPERATIONS | {INPUT, CONSTANT}


def _has_arrays(graph: Graph) -> bool:
    return bool(graph.nodes.shapes) or not ops.ARRAYS.keys().isdisjoint(graph.nodes.operations)


def loops_run_natively(function: Graph, checkpoint: Checkpoint = never) -> bool:
    """Whether the steps of all innermost loops of a function run on the tape machine, as do those of their derivatives.

    Args:
        function: the function, without composite operations.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    if host_level() is None:
        return False
    innermost = [body.graph for body in bodies_of(function) if SCAN not in body.graph.nodes.operations]
    return bool(innermost) and all(
        len(body.nodes) <= _LARGEST_UNROLLED_STEP
        and sum(map(size, body.nodes.shapes.values())) <= _LARGEST_UNROLLED_STEP
        and _unrolls(body, checkpoint)
        for body in innermost
    )


def executable(
    graph: Graph,
    groups: Sequence[ResultGroup],
    *,
    by: Road,
    native_loops: bool = False,
    checkpoint: Checkpoint = never,
) -> Executable:
    """Return a graph ready to run on its function's road; on another one where it is too large for that.

    Args:
        graph: function and derivatives.
        groups: its outputs, in order.
        by: the function's `road`.
        native_loops: whether its loops run natively, in case that it does not as a whole.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    level = host_level()
    if level is None or by is Road.NUMPY:
        return NumpyExecutable(graph, groups, level=level if native_loops else None, checkpoint=checkpoint)
    if not _has_arrays(graph):
        return TapeExecutable(graph, groups, level, checkpoint)
    if by is Road.SCALARS:
        scalars = scalarize(graph, _LARGEST_UNROLLED_PROGRAM, checkpoint)
        if scalars is not None and _has_machine_code(scalars):
            return UnrolledExecutable(simplify(scalars, checkpoint), groups, level, checkpoint)
    lowered = simplify(lower(graph, checkpoint), checkpoint)
    scalars = _sparse(lowered, checkpoint)
    if scalars is not None:
        return UnrolledExecutable(scalars, groups, level, checkpoint)
    if _fits_array_tape(lowered):
        return ArrayTapeExecutable(lowered, groups, level, checkpoint)
    return NumpyExecutable(graph, groups)


def _sparse(lowered: Graph, checkpoint: Checkpoint) -> Graph | None:
    """Return a graph of arrays as scalars where these are far fewer, as most elements are zeros by structure.

    The bits are those of arrays, save the signs of zeros: all but products of matrices are computed in one order.
    """
    if PUT not in lowered.nodes.operations or PRODUCT in lowered.nodes.operations:
        return None
    elements, _ = work(lowered)
    scalars = scalarize(lowered, min(elements // _SPARSE, _LARGEST_UNROLLED_PROGRAM), checkpoint)
    if scalars is None or not _has_machine_code(scalars):
        return None
    return simplify(scalars, checkpoint)


def backend_name() -> str:
    """Return the name of the default backend on this machine, with the processor level it is compiled for."""
    level = host_level()
    return "numpy" if level is None else f"native {level.name}"


def why_not_native() -> str:
    """Return why functions run by NumPy on this machine; empty when they run natively."""
    if host_level() is not None:
        return ""
    missing = missing_features()
    lacks = f"this processor lacks {', '.join(missing)}" if missing else "there is no machine code for its platform"
    return f"{lacks}: functions run by NumPy, many times slower"


@cache
def native_closure() -> frozenset[str]:
    """Return the operations that have machine code, as has every operation of their derivatives of any order."""
    uses = {name: _derivative_operations(name) for name in ops.TABLE}
    closed = set(NATIVE_OPERATIONS)
    while open_ended := {name for name in closed if not uses[name] <= closed}:
        closed -= open_ended
    return frozenset(closed)


def _derivative_operations(name: str) -> set[str]:
    """Return the operations that a row's local partials are made of."""
    arity = ops.TABLE[name].arity
    builder = GraphBuilder([Input(f"x{place}") for place in range(arity)])
    index = ops.emit(builder, name, range(arity))
    for operand in range(arity):
        local_partial(builder, index, operand)
    return {node.operation for node in builder if node.arguments}
