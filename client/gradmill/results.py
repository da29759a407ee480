"""What a call gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradmill.kinds import KINDS


@dataclass(frozen=True, slots=True)
class Timings:
    """Time that a server spent on a call, by stage, in seconds; summed over the messages of a long batch."""

    queue_seconds: float = 0.0
    compile_seconds: float = 0.0
    compute_seconds: float = 0.0
    encode_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Values and derivatives at a batch of points, in the function's dtype; what was not asked for is None.

    Below, ``input`` and ``output`` stand for the axes of one input's or output's shape, of which a scalar has none. The
    axis of points is not there for one point, nor for a sum or mean over points; an array without axes is a float.
    The axis of directions is there when directions were given with one.

    Results are in the form the points had. For a mapping of points they are mappings from input name, as shown. For a
    matrix of points they are one array with an axis ``elements`` in the place of ``input``: the elements of all wanted
    inputs, each flattened row-major, in declared order. With several outputs each, save ``vjp``, is a mapping from
    output name to this.

    Attributes:
        values: ``[points, output]``.
        gradient: by input ``[points, input]``.
        point_flags: uint8 ``[points]``, also for a sum or mean: bit 0 where a value is not finite, bit 1 where a
            derivative is not.
        digest: the function's 32 bytes.
        cache: what the server's cache of programs held: "hit", "miss", "shared" (another call was compiling it), or ""
            when the server did not say. Of several messages, the one that waited longest counts.
        timings: the time the server spent.
        stable_forms: names of the numerically stable forms that were applied.
        jacobian: by input ``[points, output, input]``.
        jacobian_mode: how the Jacobian was computed: "forward" from the inputs, or "reverse" from the outputs.
        vjp: cotangents times Jacobian, added up over the outputs: by input ``[directions, points, input]``.
        jvp: Jacobian times tangents, added up over the inputs: ``[directions, points, output]``.
        hvp: Hessian times vectors: by input ``[directions, points, input]``.
        hessian: by input and again by input ``[points, input, input]``; for a matrix of points ``[points, elements,
            elements]``.
        hessian_diagonal: by input ``[points, input]``.
        sparse_jacobian: a :class:`~gradmill.sparse.SparseMatrix` in any case.
        sparse_hessian: a :class:`~gradmill.sparse.SparseMatrix` in any case.
    """

    values: Any
    gradient: Any = None
    point_flags: npt.NDArray[np.uint8]
    digest: bytes
    cache: str
    timings: Timings
    stable_forms: tuple[str, ...]
    jacobian: Any = None
    jacobian_mode: Any = None
    vjp: Any = None
    jvp: Any = None
    hvp: Any = None
    hessian: Any = None
    hessian_diagonal: Any = None
    sparse_jacobian: Any = None
    sparse_hessian: Any = None

    @property
    def all_finite(self) -> bool:
        """Whether every value and every derivative is finite."""
        return not self.point_flags.any()

    def __repr__(self) -> str:
        """Show what was asked for."""
        shown = {"values": self.values} | {name: getattr(self, name) for name in KINDS if name != "value"}
        return f"Result({', '.join(f'{name}={entry!r}' for name, entry in shown.items() if entry is not None)})"
