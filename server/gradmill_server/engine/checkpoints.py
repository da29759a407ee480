"""Checkpoints: how long work on a function of any size stays interruptible.

A checkpoint is a function without arguments. Work calls it every few milliseconds; it returns, or raises what is to
end the work, such as DeadlineExceeded or Cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Checkpoint = Callable[[], None]
Item = TypeVar("Item")

NODES_BETWEEN_CHECKPOINTS = 1024
"""Nodes that a pass may handle between two checkpoints: some ten milliseconds."""


def watched(items: Sequence[Item], checkpoint: Checkpoint) -> Iterator[Item]:
    """Iterate over items, one for each node, with a checkpoint every few milliseconds."""
    for start in range(0, len(items), NODES_BETWEEN_CHECKPOINTS):
        checkpoint()
        yield from items[start : start + NODES_BETWEEN_CHECKPOINTS]


def never() -> None:
    """Let the work go on to its end."""
