"""Callers of our service through its own client library, at its defaults: ``sdk_caller HOST:PORT FORMULA NUMBER...``.

The numbers are the point, one for each input of the formula.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence

import gradmill as gm

from tests.benchmarks.serving import two_inputs
from tests.benchmarks.serving.callers import answer_callers


def main(arguments: Sequence[str]) -> None:
    """Answer requests until there are no more. All callers of a process share one client."""
    target, formula, *numbers = arguments
    point = [float(number) for number in numbers]
    function = gm.formula(formula)
    client = gm.connect(target)
    gradient = client.gradient(function, point).gradient
    if formula == two_inputs.FORMULA:
        two_inputs.check(gradient)

    def thread(_: int) -> Callable[[], object]:
        return lambda: client.gradient(function, point)

    async_clients: list[gm.AsyncClient] = []

    def task(_: int) -> Callable[[], Awaitable[object]]:
        if not async_clients:  # made here, as a client belongs to the event loop that runs
            async_clients.append(gm.connect_async(target))
        return lambda: async_clients[0].gradient(function, point)

    answer_callers(thread, task)


if __name__ == "__main__":
    main(sys.argv[1:])
