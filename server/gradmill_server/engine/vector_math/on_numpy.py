"""Vector functions carried out by NumPy, for values of operations that NumPy itself does not have.

The same text that becomes machine code is run instruction by instruction on arrays, so that there is one definition of
each function. Bits may differ from the machine code's in one place: NumPy has no fused multiplication, and the one
made here of exact products and sums (T. J. Dekker, Numer. Math. 18, 1971; D. E. Knuth, TAOCP 2, 4.2.2) may round twice.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.lanes import Emitter, Handle, Lanes, Mask
from gradmill_server.engine.vector_math import FUNCTIONS

_Array = npt.NDArray[Any]
_Floats = npt.NDArray[np.float64]

_CHUNK: Final = 4096
"""How many points are computed at a time, so that what is in between stays in a processor's cache."""

_UPPER_HALF: Final = np.int64(-(2**27))
"""Masks a float64 down to its first 26 digits: with what is left over, of 27, products are exact but for 2**-106."""


def _halves(x: _Floats) -> tuple[_Floats, _Floats]:
    head = (x.view(np.int64) & _UPPER_HALF).view(np.float64)
    return head, x - head


def _fused(x: _Floats, y: _Floats, z: _Floats) -> _Floats:
    """Return x·y + z, rounded once but for rare ties; beside infinities and NaN, rounded twice."""
    product = x * y
    (x_head, x_tail), (y_head, y_tail) = _halves(x), _halves(y)
    lost = x_head * y_head
    lost -= product
    lost += x_head * y_tail
    lost += x_tail * y_head
    lost += x_tail * y_tail
    total = product + z
    part = total - product
    rest = z - part
    part -= total
    part += product
    rest = rest + part
    rest = rest + lost
    exact = total + rest
    return exact if np.isfinite(exact).all() else np.where(np.isfinite(rest), exact, total)


_INSTRUCTIONS: Mapping[str, Callable[..., _Array]] = MappingProxyType(
    {
        "fadd": np.add,
        "fsub": np.subtract,
        "fmul": np.multiply,
        "fdiv": np.divide,
        "fneg": np.negative,
        "fma": _fused,
        "sqrt": np.sqrt,
        "fabs": np.abs,
        "floor": np.floor,
        "ceil": np.ceil,
        "rint": np.rint,
        "trunc": np.trunc,
        "copysign": np.copysign,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
        "eq": np.equal,
        "ne": np.not_equal,
        "unordered": lambda x, y: np.isnan(x) | np.isnan(y),
        "iadd": np.add,
        "isub": np.subtract,
        "imul": np.multiply,
        "iand": np.bitwise_and,
        "ior": np.bitwise_or,
        "ixor": np.bitwise_xor,
        "shl": np.left_shift,
        "lshr": lambda x, count: (x.view(np.uint64) >> count.view(np.uint64)).view(np.int64),
        "ashr": np.right_shift,
        "ieq": np.equal,
        "ine": np.not_equal,
        "ilt": np.less,
        "ile": np.less_equal,
        "igt": np.greater,
        "ige": np.greater_equal,
        "mand": np.logical_and,
        "mor": np.logical_or,
        "mxor": np.logical_xor,
        "mnot": np.logical_not,
        "select": np.where,
        "bits": lambda x: x.view(np.int64),
        "lanes": lambda x: x.view(np.float64),
    }
)


class _NumpyEmitter(Emitter):
    """Carries out each instruction at once; what stands for a result is its number among all."""

    def __init__(self) -> None:
        self._arrays: list[_Array] = []

    def array(self, handle: Handle) -> _Array:
        """Return what a handle stands for."""
        return self._arrays[int(handle.name)]

    def put(self, array: _Array) -> str:
        """Keep an array; return what stands for it."""
        self._arrays.append(array)
        return str(len(self._arrays) - 1)

    def instruction(self, name: str, *operands: Handle) -> str:
        """Carry out an instruction."""
        return self.put(_INSTRUCTIONS[name](*map(self.array, operands)))

    def float_constant(self, bits: int) -> str:
        """Keep a float64, given by its bits."""
        return self.put(np.array(struct.unpack("<d", struct.pack("<Q", bits))))

    def integer_constant(self, value: int) -> str:
        """Keep an int64, wrapped round."""
        return self.put(np.array([value % 2**64], dtype=np.uint64).view(np.int64))

    def call(self, function: str, arguments: Sequence[Lanes]) -> list[str]:
        """Carry out a vector function."""
        outcome = FUNCTIONS[function].body(*arguments)
        return [outcome.name] if isinstance(outcome, Lanes) else [result.name for result in outcome]

    def rare(self, mask: Mask, usual: Lanes, unusual: Callable[[], Lanes]) -> str:
        """Carry out the unusual case only where some lane needs it."""
        return self.instruction("select", mask, unusual(), usual) if self.array(mask).any() else usual.name


class OnNumpy:
    """What computes a vector function of one result on float64 arrays that broadcast: slow, but interruptible."""

    def __init__(self, name: str) -> None:
        """Take a function by its name."""
        self._name = name

    def __call__(self, *operands: npt.ArrayLike, checkpoint: Checkpoint = never) -> _Floats:
        """Return the results; the checkpoint is called every few milliseconds, and may raise to stop."""
        arrays = np.broadcast_arrays(*(np.asarray(operand, dtype=np.float64) for operand in operands))
        flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
        result = np.empty(flat[0].size)
        with np.errstate(all="ignore"):
            for start in range(0, result.size, _CHUNK):
                checkpoint()
                part = slice(start, start + _CHUNK)
                result[part] = _computed(self._name, [array[part] for array in flat])
        return result.reshape(arrays[0].shape)


def _computed(name: str, operands: Sequence[_Floats]) -> _Floats:
    emitter = _NumpyEmitter()
    arguments = [Lanes(emitter, emitter.put(operand)) for operand in operands]
    (result,) = emitter.call(name, arguments)
    return emitter.array(Lanes(emitter, result))
