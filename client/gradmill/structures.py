"""Values in tuples, lists and dicts: taken apart into a flat list, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gradmill.handles import TRACEABLE, Handle
from gradmill.places import refuse
from gradmill.traces import Real

Leaf: TypeAlias = Handle | Real

MAXIMUM_DEPTH = 32
"""How deep containers may stand in each other: far beyond what people write, and safe to walk by recursion."""


@dataclass(frozen=True, slots=True)
class Structure:
    """How values are arranged: one value, None, or a container of such.

    Attributes:
        kind: the container's class; None for one value, and NoneType for None.
        keys: the keys of a dict, sorted.
        parts: what it contains.
    """

    kind: type | None
    keys: tuple[str, ...] = ()
    parts: tuple[Structure, ...] = ()

    def __str__(self) -> str:
        """Show the arrangement, a star for each value."""
        if self.kind is None:
            return "*"
        if self.kind is type(None):
            return "None"
        inside = [str(part) for part in self.parts]
        if issubclass(self.kind, Mapping):
            return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(self.keys, inside, strict=True)) + "}"
        name = "" if self.kind is tuple else self.kind.__name__
        return f"{name}({', '.join(inside)}{',' if len(inside) == 1 else ''})"

    def filled(self, values: Iterator[object]) -> object:
        """Return values in this arrangement."""
        if self.kind is None:
            return next(values)
        if self.kind is type(None):
            return None
        parts = [part.filled(values) for part in self.parts]
        make: Callable[..., object] = self.kind
        if issubclass(self.kind, Mapping):
            return make(zip(self.keys, parts, strict=True))
        return make(*parts) if hasattr(self.kind, "_fields") else make(parts)


def taken_apart(name: str, value: object, depth: int = 0) -> tuple[list[Leaf], Structure]:
    """Return the values in tuples, named tuples, lists and dicts, in order (of a dict's keys), and their arrangement.

    Raises:
        TypeError: a value is neither traced nor a real number or array, or a dict's key is no text.
        TracingError: containers stand in each other too deep.
    """
    if isinstance(value, TRACEABLE):
        return [value], Structure(None)
    if value is None:
        return [], Structure(type(None))
    if depth == MAXIMUM_DEPTH:
        refuse(f"{name}: containers stand in each other more than {MAXIMUM_DEPTH} deep")
    keys, contents = _contents(name, value)
    leaves: list[Leaf] = []
    parts = []
    for entry in contents:
        inside, part = taken_apart(name, entry, depth + 1)
        leaves += inside
        parts.append(part)
    return leaves, Structure(type(value), keys, tuple(parts))


def _contents(name: str, value: object) -> tuple[tuple[str, ...], Sequence[object]]:
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        keys = tuple(sorted(value))
        return keys, [value[key] for key in keys]
    if isinstance(value, (tuple, list)):
        return (), value
    message = (
        f"{name}: {type(value).__name__} is neither a traced value nor a real number or array, nor a tuple, a list or "
        "a dict by name of such"
    )
    raise TypeError(message)
