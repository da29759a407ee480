"""CasADi: its own machine, mapped over the batch, and its C code compiled by gcc."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path

import casadi
import numpy as np

from tests.benchmarks.models import Model
from tests.benchmarks.operations import Operations, normal_cdf_from
from tests.benchmarks.peers.peer import FloatArray

OPERATIONS = Operations(
    exp=casadi.exp,
    log=casadi.log,
    log1p=casadi.log1p,
    sqrt=casadi.sqrt,
    sin=casadi.sin,
    cos=casadi.cos,
    tanh=casadi.tanh,
    normal_cdf=normal_cdf_from(casadi.erf),
)

_LOOP = """
int evaluate(const double *points, double *values, double *gradients, long count) {{
  const double *arg[{arguments}];
  double *res[{results}];
  casadi_int iw[{integers}];
  double w[{numbers}];
  for (long point = 0; point < count; ++point) {{
    arg[0] = points + point * {inputs};
    res[0] = values + point;
    if ({gradient}) res[1] = gradients + point * {inputs};
    if (model(arg, res, iw, w, 0)) return 1;
  }}
  return 0;
}}
"""
"""Written below CasADi's C code, so that gcc sees both at once and may inline."""


def function_of(model: Model, *, gradient: bool) -> casadi.Function:
    """Return a model as an SX function from a column of inputs to its value and perhaps its gradient."""
    x = casadi.SX.sym("x", model.inputs)
    value = model.scalar_form(OPERATIONS, casadi.vertsplit(x))
    return casadi.Function("model", [x], [value, casadi.gradient(value, x)] if gradient else [value])


class _Arrays:
    """Points and room for the results. CasADi stores by columns, one point each, which is our rows' order."""

    def __init__(self, points: FloatArray, *, gradient: bool) -> None:
        self.points = points
        self.values = np.empty(len(points))
        self.gradients = np.empty_like(points) if gradient else None

    def call(self) -> None:
        raise NotImplementedError

    def results(self) -> tuple[FloatArray, FloatArray | None]:
        """Evaluate, and return copies."""
        self.call()
        return self.values.copy(), None if self.gradients is None else self.gradients.copy()


class MappedBatch(_Arrays):
    """`Function.map` over the batch, called through a `FunctionBuffer`, which copies nothing."""

    def __init__(self, function: casadi.Function, points: FloatArray, *, gradient: bool) -> None:
        """Map the function and point its buffer at our arrays."""
        super().__init__(points, gradient=gradient)
        self._buffer, self._evaluate = function.map(len(points)).buffer()
        self._buffer.set_arg(0, self.points.data)
        self._buffer.set_res(0, self.values.data)
        if self.gradients is not None:
            self._buffer.set_res(1, self.gradients.data)

    def call(self) -> None:
        """Evaluate."""
        self._evaluate()


class CompiledBatch(_Arrays):
    """CasADi's C code in a loop over the points, all compiled by ``gcc -O3 -march=native``."""

    def __init__(self, library: ctypes.CDLL, points: FloatArray, *, gradient: bool) -> None:
        """Keep the addresses that the loop is called with."""
        super().__init__(points, gradient=gradient)
        arrays = (self.points, self.values, self.values if self.gradients is None else self.gradients)
        self._arguments = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        self._count = ctypes.c_long(len(points))
        self._evaluate = library.evaluate

    def call(self) -> None:
        """Evaluate."""
        self._evaluate(*self._arguments, self._count)


class CasadiMap:
    """`SX` and `Function.map`, in one thread."""

    def prepare(self, model: Model, points: FloatArray, *, gradient: bool) -> MappedBatch:
        """Build the function and map it."""
        return MappedBatch(function_of(model, gradient=gradient), points, gradient=gradient)


class CasadiCompiled:
    """`Function.generate` and gcc. The same library serves every batch of a model."""

    def __init__(self) -> None:
        """Start with nothing compiled."""
        self._libraries: dict[tuple[str, bool], ctypes.CDLL] = {}

    def prepare(self, model: Model, points: FloatArray, *, gradient: bool) -> CompiledBatch:
        """Build the function, and compile it the first time."""
        key = (model.name, gradient)
        if key not in self._libraries:
            self._libraries[key] = compile_with_gcc(function_of(model, gradient=gradient), model.inputs)
        return CompiledBatch(self._libraries[key], points, gradient=gradient)


def compile_with_gcc(function: casadi.Function, inputs: int) -> ctypes.CDLL:
    """Return the library of a function's C code and the loop. Raises CalledProcessError when gcc does not like it."""
    generator = casadi.CodeGenerator("model.c", {"with_header": False})
    generator.add(function)
    loop = _LOOP.format(
        arguments=function.sz_arg(),
        results=function.sz_res(),
        integers=max(1, function.sz_iw()),
        numbers=max(1, function.sz_w()),
        inputs=inputs,
        gradient=int(function.n_out() > 1),
    )
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "model.c"), Path(folder, "model.so")
        source.write_text(generator.dump() + loop, encoding="utf-8")
        command = ["gcc", "-O3", "-march=native", "-shared", "-fPIC", str(source), "-o", str(library), "-lm"]
        subprocess.run(command, check=True, capture_output=True)
        return ctypes.CDLL(str(library))
