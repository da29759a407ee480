"""What a vector function is: a name, and a body in lane arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradmill_server.engine.lanes import Lanes

Body = Callable[..., Lanes | Sequence[Lanes]]


@dataclass(frozen=True, slots=True)
class VectorFunction:
    """A function on lanes.

    Attributes:
        name: what other functions and the table of operations call it.
        arity: number of arguments.
        body: writes it, given its arguments as Lanes; called once for each width. Its docstring names the bound and
            the source.
        bound: how many units in the last place of the exact result the computed one may be off, anywhere.
        results: number of results.
    """

    name: str
    arity: int
    body: Body
    bound: float
    results: int = 1
