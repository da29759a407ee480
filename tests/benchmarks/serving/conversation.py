"""How the benchmark talks to its processes: a JSON object a line, on standard input and output.

It is loaded by the interpreters of peers as well, so it needs nothing but Python.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable


def announce(**values: object) -> None:
    """Write one object."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def answer_requests(answer: Callable[[dict[str, object]], dict[str, object]]) -> None:
    """Say "ready", then answer each object that is read, until there are no more.

    What ``answer`` raises becomes an object with the one key "problem".
    """
    announce(ready=True)
    for line in sys.stdin:
        try:
            announce(**answer(json.loads(line)))
        except Exception as problem:  # noqa: BLE001 - whatever went wrong is told to the one who asked
            announce(problem=f"{type(problem).__name__}: {problem}")
