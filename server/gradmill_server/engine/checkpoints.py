"""Checkpoints: how long work on a function of any size stays interruptible.

A checkpoint is a function without arguments. Work calls it every few milliseconds; it returns, or raises what is to
end the work, such as DeadlineExceeded or Cancelled.
"""

from __future__ import annotations

from collections.abc import Callable

Checkpoint = Callable[[], None]

NODES_BETWEEN_CHECKPOINTS = 1024
"""Nodes that a pass may handle between two checkpoints: some ten milliseconds."""


def never() -> None:
    """Let the work go on to its end."""
