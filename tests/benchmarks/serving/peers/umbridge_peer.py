"""UM-Bridge: a server with a thread for each caller, and `HTTPModel`. Run by the interpreter of the peers.

Its gradient comes without the value, which would be another call and is not asked for. One input of two elements has
both derivatives in one call, where two inputs would take two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import umbridge

from tests.benchmarks.serving import two_inputs
from tests.benchmarks.serving.callers import answer_callers

_NAME = "f"
_SERVER_THREADS = 64


class _Model(umbridge.Model):  # type: ignore[misc]  # not installed where types are checked
    """The function as UM-Bridge wants it."""

    def __init__(self) -> None:
        super().__init__(_NAME)

    def get_input_sizes(self, _config: Mapping[str, Any] | None = None) -> list[int]:
        return [2]

    def get_output_sizes(self, _config: Mapping[str, Any] | None = None) -> list[int]:
        return [1]

    def supports_evaluate(self) -> bool:
        return True

    def supports_gradient(self) -> bool:
        return True

    def __call__(
        self, parameters: Sequence[Sequence[float]], _config: Mapping[str, Any] | None = None
    ) -> list[list[float]]:
        return [[two_inputs.value(*parameters[0])]]

    def gradient(
        self,
        _out_wrt: int,
        _in_wrt: int,
        parameters: Sequence[Sequence[float]],
        sens: Sequence[float],
        _config: Mapping[str, Any] | None = None,
    ) -> list[float]:
        return [sens[0] * slope for slope in two_inputs.gradient(*parameters[0])]


def main(arguments: Sequence[str]) -> None:
    """Serve on a port, or call the server there."""
    role, port = arguments
    if role == "serve":
        umbridge.serve_models([_Model()], int(port), max_workers=_SERVER_THREADS, error_checks=False)
        return

    def caller(_: int) -> Callable[[], object]:
        model = umbridge.HTTPModel(f"http://127.0.0.1:{port}", _NAME)
        parameters = [list(two_inputs.POINT)]
        two_inputs.check(model.gradient(0, 0, parameters, [1.0]))
        return lambda: model.gradient(0, 0, parameters, [1.0])

    answer_callers(thread=caller)


if __name__ == "__main__":
    main(sys.argv[1:])
