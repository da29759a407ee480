"""Which backend runs a graph: native code where it can, NumPy elsewhere."""

from __future__ import annotations

from gradmill_server.engine.backends.native.levels import host_level
from gradmill_server.engine.backends.native.tape import TapeExecutable, runs_natively
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.ir import Graph

Executable = TapeExecutable | NumpyExecutable


def executable(graph: Graph) -> Executable:
    """Return a graph ready to run, by the fastest backend that can run all of it."""
    level = host_level()
    if level is None or not runs_natively(graph):
        return NumpyExecutable(graph)
    return TapeExecutable(graph, level)


def backend_name() -> str:
    """Return the name of the default backend on this machine, with the processor level it is compiled for."""
    level = host_level()
    return "numpy" if level is None else f"native {level.name}"
