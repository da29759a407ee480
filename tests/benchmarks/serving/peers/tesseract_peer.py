"""Tesseract: its runtime's server with a worker for each core, without a container, and `Tesseract.from_url`.

Run by the interpreter of the peers. The module is both the API that the runtime serves and the callers. A Jacobian
comes without the value, which would be another call and is not asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from pydantic import BaseModel
from tesseract_core import Tesseract
from tesseract_core.runtime import Differentiable, Float64

from tests.benchmarks.serving import two_inputs
from tests.benchmarks.serving.callers import answer_callers


class InputSchema(BaseModel):  # type: ignore[misc]  # not installed where types are checked
    """Two numbers."""

    x: Differentiable[Float64]
    y: Differentiable[Float64]


class OutputSchema(BaseModel):  # type: ignore[misc]  # not installed where types are checked
    """One number."""

    f: Differentiable[Float64]


def apply(inputs: InputSchema) -> OutputSchema:
    """Return the value."""
    return OutputSchema(f=two_inputs.value(float(inputs.x), float(inputs.y)))


def jacobian(inputs: InputSchema, jac_inputs: set[str], jac_outputs: set[str]) -> dict[str, dict[str, float]]:
    """Return the derivatives that are asked for."""
    slopes = dict(zip("xy", two_inputs.gradient(float(inputs.x), float(inputs.y)), strict=True))
    return {output: {name: slopes[name] for name in jac_inputs} for output in jac_outputs}


def main(arguments: Sequence[str]) -> None:
    """Call the server on a port."""
    (port,) = arguments
    inputs = dict(zip("xy", two_inputs.POINT, strict=True))

    def caller(_: int) -> Callable[[], object]:
        tesseract = Tesseract.from_url(f"http://127.0.0.1:{port}")
        answer = tesseract.jacobian(inputs, ["x", "y"], ["f"])["f"]
        two_inputs.check((answer["x"], answer["y"]))
        return lambda: tesseract.jacobian(inputs, ["x", "y"], ["f"])

    answer_callers(thread=caller)


if __name__ == "__main__":
    main(sys.argv[1:])
