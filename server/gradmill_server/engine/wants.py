"""What a caller may want of a function, resolved against its inputs and outputs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from gradmill_server.engine.errors import InvalidWant, Violation, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradmill_server.engine.ir import Graph


class Kind(StrEnum):
    """The kinds of result. What each one's array holds: `program.ResultArray`."""

    VALUE = "value"
    GRADIENT = "gradient"
    JACOBIAN = "jacobian"
    VJP = "vjp"
    JVP = "jvp"
    HVP = "hvp"
    HESSIAN = "hessian"
    HESSIAN_DIAGONAL = "hessian_diagonal"
    SPARSE_JACOBIAN = "sparse_jacobian"
    SPARSE_HESSIAN = "sparse_hessian"


WITH_DIRECTIONS = frozenset({Kind.VJP, Kind.JVP, Kind.HVP})
"""The kinds that need directions: cotangents of the outputs, tangents or vectors of the inputs."""

OF_SCALARS = frozenset({Kind.GRADIENT, Kind.HVP, Kind.HESSIAN, Kind.HESSIAN_DIAGONAL, Kind.SPARSE_HESSIAN})
"""The kinds that only a scalar output has."""

SPARSE = frozenset({Kind.SPARSE_JACOBIAN, Kind.SPARSE_HESSIAN})
"""The kinds whose results come with a pattern."""


class Want(NamedTuple):
    """One wish: a kind, of these outputs, with respect to these inputs. Names are those of the function.

    Attributes:
        kind: what is wanted.
        outputs: of which outputs.
        with_respect_to: with respect to which inputs; none for a value.
        directions: the number of cotangents, tangents or vectors; 0 for the kinds that take none.
    """

    kind: Kind
    outputs: tuple[str, ...]
    with_respect_to: tuple[str, ...]
    directions: int = 0


def resolve_want(
    graph: Graph,
    kind: Kind,
    outputs: Sequence[str],
    with_respect_to: Sequence[str],
    *,
    directions: int = 0,
    field: str = "wants[0]",
) -> Want:
    """Return a want with its defaults filled in: no outputs means all, no inputs means all, in declared order.

    Args:
        graph: the function.
        kind: what is wanted.
        outputs: names of outputs.
        with_respect_to: names of inputs.
        directions: how many; at least 1 for the kinds that need them, else 0.
        field: path of the want in the caller's message, for violations.

    Raises:
        InvalidWant: for a name the function does not have or one given twice, for a kind that only a scalar output has
            and an output that is none, for inputs named with a plain value, for directions that are missing or not
            taken.
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
        violations += _not_scalar(kind, chosen, declared_outputs, f"{field}.outputs")
    if (directions > 0) != (kind in WITH_DIRECTIONS):
        description = f"{kind} takes no directions" if directions else f"{kind} needs directions"
        violations.append(Violation(f"{field}.directions", description, "WANT_INVALID", {}))
    if violations:
        raise InvalidWant.from_violations(violations)
    return Want(kind, chosen, inputs, directions)


def _not_scalar(
    kind: Kind, names: Sequence[str], shapes: dict[str, tuple[int, ...]], field: str
) -> Iterator[Violation]:
    for name in names:
        shape = shapes.get(name, ())
        if shape and kind in OF_SCALARS:
            what = kind.replace("_", " ")
            description = f"output {quote(name)} has shape {shape}; only a scalar output has a {what}"
            yield Violation(field, description, "OUTPUT_NOT_SCALAR", {"name": name})


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
