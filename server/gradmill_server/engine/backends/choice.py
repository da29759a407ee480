"""Which backend runs a function: native code where it can, NumPy elsewhere.

The choice is made for a function as a whole, all its outputs and all its derivatives of any order. Were it made for
each program, the same value could come with other last bits depending on what else was wanted beside it. The exception
are derivatives of arrays that are too large to be unrolled, such as a dense Hessian by a thousand elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from gradmill_server.engine import ops
from gradmill_server.engine.autodiff import local_partial
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
from gradmill_server.engine.passes.scalarize import scalarize
from gradmill_server.engine.passes.simplify import simplify

_LARGEST_UNROLLED_STEP: Final = 2_000
"""Scalars of a loop's body up to which its arrays are unrolled."""

_LARGEST_UNROLLED_FUNCTION: Final = 20_000
_LARGEST_UNROLLED_PROGRAM: Final = 400_000
"""Scalars up to which arrays are unrolled: those of the function, and those of the function with its derivatives."""


def runs_natively(function: Graph, checkpoint: Checkpoint = never) -> bool:
    """Whether a function and every derivative of it run on the tape machine of this processor.

    Args:
        function: the function, without composite operations.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    if host_level() is None or function.element_type is not ElementType.FLOAT64:
        return False
    scalars = scalarize(function, _LARGEST_UNROLLED_FUNCTION, checkpoint) if _has_arrays(function) else function
    return scalars is not None and set(scalars.nodes.operations) <= native_closure() | {INPUT, CONSTANT}


def _has_arrays(graph: Graph) -> bool:
    return bool(graph.nodes.shapes) or not ops.ARRAYS.keys().isdisjoint(graph.nodes.operations)


def loops_run_natively(function: Graph, checkpoint: Checkpoint = never) -> bool:
    """Whether the steps of all innermost loops of a function run on the tape machine, as do those of their derivatives.

    Args:
        function: the function, without composite operations.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    innermost = [body.graph for body in bodies_of(function) if SCAN not in body.graph.nodes.operations]
    return bool(innermost) and all(
        len(body.nodes) <= _LARGEST_UNROLLED_STEP
        and sum(map(size, body.nodes.shapes.values())) <= _LARGEST_UNROLLED_STEP
        and runs_natively(body, checkpoint)
        for body in innermost
    )


def executable(
    graph: Graph,
    groups: Sequence[ResultGroup],
    *,
    native: bool,
    native_loops: bool = False,
    checkpoint: Checkpoint = never,
) -> Executable:
    """Return a graph ready to run: natively, where its function `runs_natively`, else by NumPy.

    Args:
        graph: function and derivatives.
        groups: its outputs, in order.
        native: whether the function runs natively.
        native_loops: whether its loops do, in case that it does not as a whole.
        checkpoint: called every few milliseconds; may raise to stop.
    """
    level = host_level()
    if level is None or not native:
        return NumpyExecutable(graph, groups, level=level if native_loops else None, checkpoint=checkpoint)
    if not _has_arrays(graph):
        return TapeExecutable(graph, groups, level, checkpoint)
    scalars = scalarize(graph, _LARGEST_UNROLLED_PROGRAM, checkpoint)
    if scalars is None or not set(scalars.nodes.operations) <= NATIVE_OPERATIONS | {INPUT, CONSTANT}:
        return NumpyExecutable(graph, groups)
    return UnrolledExecutable(simplify(scalars, checkpoint), groups, level, checkpoint)


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
