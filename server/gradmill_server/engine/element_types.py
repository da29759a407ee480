"""The types that elements of arrays can have. A function computes in that of its inputs, throughout."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


class ElementType(IntEnum):
    """The type of an array's elements, by its number in the contract and in the canonical form."""

    FLOAT64 = 1
    FLOAT32 = 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type, in this machine's order of bytes."""
        return _DTYPES[self]

    @property
    def wire_dtype(self) -> np.dtype[Any]:
        """NumPy's type, little-endian: that of messages and of the canonical form."""
        return _WIRE_DTYPES[self]

    @property
    def size(self) -> int:
        """The bytes of an element."""
        return int(_DTYPES[self].itemsize)

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name.lower()

    @property
    def contract_name(self) -> str:
        """What the contract calls it."""
        return f"ELEMENT_TYPE_{self.name}"


_DTYPES: Final[Mapping[ElementType, np.dtype[Any]]] = {
    ElementType.FLOAT64: np.dtype(np.float64),
    ElementType.FLOAT32: np.dtype(np.float32),
}
_WIRE_DTYPES: Final[Mapping[ElementType, np.dtype[Any]]] = {
    ElementType.FLOAT64: np.dtype("<f8"),
    ElementType.FLOAT32: np.dtype("<f4"),
}

_DROPPED_BITS: Final = 29
"""By how much the fraction of a float64 is longer."""

_NAN32: Final = 0x7F80_0000
_NAN64: Final = 0x7FF0_0000_0000_0000
_FRACTION32: Final = 0x007F_FFFF
_SIGN_DISTANCE: Final = 32


def rounded(array: npt.NDArray[np.float64], element_type: ElementType) -> npt.NDArray[np.float64]:
    """Return numbers rounded to nearest in an element type, kept as float64; a NaN keeps the bits that it has room for.

    Processors would set a bit of some NaNs on the way, and constants are told from one another by their bits.
    """
    return array if element_type is ElementType.FLOAT64 else widened(narrowed(array))


def narrowed(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return float64 numbers rounded to float32, a NaN's fraction cut off."""
    with np.errstate(all="ignore"):
        result = np.asarray(array, dtype=np.float64).astype(np.float32)
    nan = np.isnan(result)
    if nan.any():
        bits = np.asarray(array, dtype=np.float64)[nan].view(np.uint64)
        fraction = bits >> np.uint64(_DROPPED_BITS) & np.uint64(_FRACTION32)
        sign = bits >> np.uint64(_SIGN_DISTANCE) & np.uint64(1 << 31)
        kept = np.maximum(fraction, np.uint64(1)) | np.uint64(_NAN32) | sign
        result[nan] = kept.astype(np.uint32).view(np.float32)
    return result


def widened(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return float32 numbers as float64, a NaN's fraction filled up with zeros."""
    with np.errstate(all="ignore"):
        result = np.asarray(array, dtype=np.float32).astype(np.float64)
    nan = np.isnan(result)
    if nan.any():
        bits = np.asarray(array, dtype=np.float32)[nan].view(np.uint32).astype(np.uint64)
        fraction = (bits & np.uint64(_FRACTION32)) << np.uint64(_DROPPED_BITS)
        sign = (bits & np.uint64(1 << 31)) << np.uint64(_SIGN_DISTANCE)
        result[nan] = (fraction | np.uint64(_NAN64) | sign).view(np.float64)
    return result
