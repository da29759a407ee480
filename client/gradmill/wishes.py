"""What a caller wants of a batch of points, as the arguments of a client's methods say it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gradmill.errors import invalid_directions, invalid_want
from gradmill.kinds import KINDS, Kind, kinds_named

REDUCTIONS = ("sum", "mean")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a batch of points.

    Attributes:
        kinds: the kinds of result.
        with_respect_to: inputs to differentiate by; empty means all.
        outputs: the outputs whose results are wanted; empty means all.
        directions: cotangents, tangents and vectors as they were given, by the name of their argument.
        reduction: "sum" or "mean" over the points; None keeps them apart.
        timeout: the seconds that the whole call may take; None gives each message the client's own timeout.
        progress: told the points done and the points in all, after each message.
    """

    kinds: tuple[Kind, ...]
    with_respect_to: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    directions: Mapping[str, object] = field(default_factory=dict)
    reduction: str | None = None
    timeout: float | None = None
    progress: Callable[[int, int], object] | None = None


def as_wish(
    want: str | Sequence[str],
    with_respect_to: str | Sequence[str] | None = None,
    directions: Mapping[str, object] | None = None,
    reduction: str | None = None,
    *,
    outputs: str | Sequence[str] | None = None,
    timeout: float | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Wish:
    """Return a wish from the arguments of a client's methods.

    Raises:
        InvalidRequestError: a kind or a reduction is unknown; ``with_respect_to`` or ``outputs`` is an empty sequence,
            which on the wire would mean all; directions are missing, or are given for a kind that is not wanted.
    """
    kinds = kinds_named(want)
    given = {name: value for name, value in (directions or {}).items() if value is not None}
    _check_directions(kinds, given)
    if reduction is not None and reduction not in REDUCTIONS:
        message = f"reduction={reduction!r} is not known; use 'sum', 'mean', or None for one result for each point"
        raise invalid_want(message)
    by, of = _names("with_respect_to", "an input", with_respect_to), _names("outputs", "an output", outputs)
    return Wish(kinds, by, of, given, reduction, timeout, progress)


def has_directions(directions: Mapping[str, object]) -> bool:
    """Return whether any directions are given."""
    return any(entry is not None for entry in directions.values())


def _names(argument: str, what: str, given: str | Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names:
        message = f"{argument} is empty; name {what}, or leave it out for all"
        raise invalid_want(message)
    return names


def _check_directions(kinds: Sequence[Kind], given: Mapping[str, object]) -> None:
    for kind in kinds:
        if kind.directions and kind.directions not in given:
            message = f"{kind.name} needs {kind.directions}="
            raise invalid_directions(message, name=kind.directions)
    taken = {kind.directions for kind in kinds}
    for name in given:
        if name not in taken:
            taker = next(kind.name for kind in KINDS.values() if kind.directions == name)
            message = f"{name}= is given, but {taker!r} is not wanted"
            raise invalid_directions(message, name=name)
