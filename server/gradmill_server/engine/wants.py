"""What a caller may want of a function, resolved against its inputs and outputs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from gradmill_server.engine.errors import InvalidWant, Violation, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradmill_server.engine.ir import Graph


class Kind(StrEnum):
    """The kinds of result."""

    VALUE = "value"
    GRADIENT = "gradient"


class Want(NamedTuple):
    """One wish: a kind, of these outputs, with respect to these inputs. Names are those of the function."""

    kind: Kind
    outputs: tuple[str, ...]
    with_respect_to: tuple[str, ...]


def resolve_want(
    graph: Graph, kind: Kind, outputs: Sequence[str], with_respect_to: Sequence[str], *, field: str = "wants[0]"
) -> Want:
    """Return a want with its defaults filled in: no outputs means all, no inputs means all, in declared order.

    Raises:
        InvalidWant: for a name the function does not have or one given twice, for the gradient of an output that is
            not a scalar, and for inputs named with a plain value.
    """
    declared_inputs = {entry.name: entry.shape for entry in graph.inputs}
    declared_outputs = {entry.name: graph.nodes[entry.node].shape for entry in graph.outputs}
    violations = [
        *_unknown(outputs, declared_outputs, f"{field}.outputs", "output"),
        *_unknown(with_respect_to, declared_inputs, f"{field}.with_respect_to", "input"),
    ]
    chosen = tuple(outputs) or tuple(declared_outputs)
    wanted = frozenset(with_respect_to)
    if kind is Kind.VALUE:
        if with_respect_to:
            description = "a value is not taken with respect to anything"
            violations.append(Violation(f"{field}.with_respect_to", description, "WANT_INVALID", {}))
        inputs: tuple[str, ...] = ()
    else:
        inputs = tuple(entry for entry in declared_inputs if not wanted or entry in wanted)
        for name in chosen:
            shape = declared_outputs.get(name, ())
            if shape:
                description = f"output {quote(name)} has shape {shape}; only a scalar output has a gradient"
                violations.append(Violation(f"{field}.outputs", description, "OUTPUT_NOT_SCALAR", {"name": name}))
    if violations:
        raise InvalidWant.from_violations(violations)
    return Want(kind, chosen, inputs)


def _unknown(names: Sequence[str], known: dict[str, tuple[int, ...]], field: str, what: str) -> list[Violation]:
    violations = []
    seen: set[str] = set()
    for name in names:
        if name not in known:
            description = f"the function has no {what} {quote(name)}"
            violations.append(Violation(field, description, f"{what.upper()}_UNKNOWN", {"name": quote(name)}))
        elif name in seen:
            description = f"{what} {quote(name)} is named twice"
            violations.append(Violation(field, description, "NAME_DUPLICATE", {"name": name}))
        seen.add(name)
    return violations
