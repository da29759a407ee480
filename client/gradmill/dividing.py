"""Results over the elements of all wanted inputs, as a matrix of points has them, divided among those inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradmill.graph import Shape
from gradmill.wire import FloatArray


class Division:
    """Which elements belong to which input."""

    def __init__(self, wanted: Mapping[str, Shape], ranges: Mapping[str, slice]) -> None:
        """Take the wanted inputs' shapes, and the places of their elements."""
        self._inputs = [(name, shape, ranges[name]) for name, shape in wanted.items()]

    def divided(self, array: FloatArray, axes: int) -> Any:  # noqa: ANN401 - an array or mappings of them, as Result has
        """Return an array by input: a mapping, or a mapping of mappings for two axes.

        Args:
            array: any axes, then as many over elements as ``axes`` says.
            axes: 0, 1 or 2.
        """
        if axes == 0:
            return _final(array)
        if axes == 1:
            leading = array.shape[:-1]
            return {name: _final(array[..., part].reshape(leading + shape)) for name, shape, part in self._inputs}
        leading = array.shape[:-2]
        return {
            name: {
                second: _final(array[..., part, second_part].reshape(leading + shape + second_shape))
                for second, second_shape, second_part in self._inputs
            }
            for name, shape, part in self._inputs
        }


def _final(array: FloatArray) -> float | FloatArray:
    """Return an array in memory of its own; one without axes is a float."""
    return float(array) if array.ndim == 0 else array.copy()
