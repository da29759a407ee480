"""What every backend gives: results in groups, and a flag for each point that is not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import FloatArray, Shape

if TYPE_CHECKING:
    from gradmill_server.engine.limits import Limits


class ResultGroup(NamedTuple):
    """Outputs of a graph that stand next to one another and belong together.

    Attributes:
        flag: the bit that marks a point at which one of them is not finite.
        shapes: the shape of each at one point.
        is_row: whether they become the columns of one matrix when the points came as one.
    """

    flag: int
    shapes: tuple[Shape, ...]
    is_row: bool


Results = tuple[list[list[FloatArray]], npt.NDArray[np.uint8]]
"""What an evaluation gives: the arrays of each group, and uint8 [points], a sum of the flags of the groups.

A group's arrays are one matrix [points, elements], where it is a row and the points came as a matrix; else for each of
its outputs an array [points, *shape]. A plain tuple: making one with names takes a twentieth of the shortest call.
"""


def scratch_too_large(limits: Limits, needed: int) -> LimitExceeded:
    """Return the refusal of a program whose smallest block needs more scratch than allowed."""
    return LimitExceeded.of(
        "scratch bytes of the smallest block",
        reason="SCRATCH_TOO_LARGE",
        value=needed,
        limit=limits.maximum_scratch_bytes,
        knob="maximum_scratch_bytes",
    )
