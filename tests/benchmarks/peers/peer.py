"""What every library under comparison gives: a model made ready for one batch, and then called again and again."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from tests.benchmarks.models import Model

FloatArray = npt.NDArray[np.float64]


class NotApplicableError(Exception):
    """The peer does with this model what another row of the same library does: the row is left out."""


class Prepared(Protocol):
    """A model ready to be evaluated at one batch of points."""

    def call(self) -> object:
        """Evaluate at all points, and return when the answer is there: the body of what is timed."""

    def results(self) -> tuple[FloatArray, FloatArray | None]:
        """Evaluate once more; return values [points] and gradients [points, inputs], or None where not wanted."""


class Peer(Protocol):
    """One way of evaluating models."""

    def prepare(self, model: Model, points: FloatArray, *, gradient: bool) -> Prepared:
        """Do all that is done once: build, differentiate, compile, and bring the points into the library's own form.

        Args:
            model: the function.
            points: where, float64 [points, inputs].
            gradient: whether the gradient is wanted beside the value.
        """
