"""PyTorch: tensors over the whole batch, and `backward` from the sum of the values."""

from __future__ import annotations

import numpy as np
import torch

from tests.benchmarks.models import Model
from tests.benchmarks.operations import Operations, normal_cdf_from
from tests.benchmarks.peers.peer import FloatArray

torch.set_num_threads(1)

OPERATIONS = Operations(
    exp=torch.exp,
    log=torch.log,
    log1p=torch.log1p,
    sqrt=torch.sqrt,
    sin=torch.sin,
    cos=torch.cos,
    tanh=torch.tanh,
    normal_cdf=normal_cdf_from(torch.erf),
)


class TorchBatch:
    """A model and its points as a leaf tensor."""

    def __init__(self, model: Model, points: FloatArray, *, gradient: bool) -> None:
        """Keep them."""
        self._model = model
        self._gradient = gradient
        self._points = torch.from_numpy(points).requires_grad_(gradient)

    def _values(self) -> torch.Tensor:
        if self._model.array_form is not None:
            return self._model.array_form(OPERATIONS, self._points)
        return self._model.scalar_form(OPERATIONS, self._points.unbind(1))

    def call(self) -> torch.Tensor:
        """Evaluate; gradients are left at the points."""
        self._points.grad = None
        if not self._gradient:
            with torch.no_grad():
                return self._values()
        values = self._values()
        values.sum().backward()
        return values

    def results(self) -> tuple[FloatArray, FloatArray | None]:
        """Evaluate, and return NumPy's arrays."""
        values = self.call().detach().numpy()
        return values, None if self._points.grad is None else np.asarray(self._points.grad)


class Torch:
    """Eager PyTorch."""

    def prepare(self, model: Model, points: FloatArray, *, gradient: bool) -> TorchBatch:
        """Wrap the points; there is nothing to compile."""
        return TorchBatch(model, points, gradient=gradient)
