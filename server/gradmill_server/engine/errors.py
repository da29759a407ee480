"""Every way in which the engine refuses a caller, as a tree.

    EngineError
    ├── InvalidRequest                    the caller's message is wrong; repeating it cannot help
    │   ├── InvalidGraph                  one violation for each mistake found, each with its own reason
    │   ├── InvalidFormula                with line, column and a caret
    │   ├── InvalidPoints                 points that do not fit the function
    │   ├── InvalidWant                   a derivative that the function does not have
    │   └── InvalidDirections             cotangents, tangents or vectors that do not fit the function or the points
    ├── LimitExceeded                     a named limit, its value, and the knob that moves it
    ├── UnsupportedWish                   valid, but not to be had from this version
    ├── DeadlineExceeded                  the time allowed has passed
    └── Cancelled                         the caller has gone

Each class names its canonical status code as text, so that the engine needs no transport to say what it means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

MAXIMUM_REPORTED_VIOLATIONS = 20
_MAXIMUM_QUOTED_CHARACTERS = 60


def quote(value: object) -> str:
    """Return a caller's value for use in a message: printable, on one line, and cut to 60 characters."""
    text = ascii(value)
    if len(text) <= _MAXIMUM_QUOTED_CHARACTERS:
        return text
    return text[: _MAXIMUM_QUOTED_CHARACTERS - 3] + "..."


@dataclass(frozen=True, slots=True)
class Violation:
    """One mistake in a caller's message, and where it is.

    Attributes:
        field: path of the field at fault, such as ``graph.nodes[5].arguments[1]``.
        description: what is wrong, in one sentence.
        reason: UPPER_SNAKE name of the kind of mistake.
        metadata: the place in parts a program can use: ``node``, ``name``, ``line``, ``column``, ``limit``, ``value``.
    """

    field: str
    description: str
    reason: str
    metadata: Mapping[str, str]


class EngineError(Exception):
    """A refusal that a caller can understand and act on.

    Attributes:
        status: name of the canonical status code.
        reason: UPPER_SNAKE name of the kind of failure.
        advice: what the caller can do about it.
        metadata: details a program can use.
        violations: the mistakes found, at most 20.
    """

    status: ClassVar[str] = "INTERNAL"
    default_reason: ClassVar[str] = "ENGINE_ERROR"
    advice: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
    ) -> None:
        """Keep the message for people and the parts for programs."""
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata: dict[str, str] = dict(metadata or {})
        self.violations: tuple[Violation, ...] = tuple(violations)[:MAXIMUM_REPORTED_VIOLATIONS]


class InvalidRequest(EngineError):
    """The caller's message is wrong."""

    status = "INVALID_ARGUMENT"
    default_reason = "REQUEST_INVALID"
    advice = "Correct the request; sending it again unchanged cannot help."

    @classmethod
    def from_violations(cls, violations: Sequence[Violation]) -> Self:
        """Build the error whose reason, message and place are those of the first mistake."""
        first = violations[0]
        more = len(violations) - 1
        suffix = f" (and {more} more)" if more else ""
        return cls(
            f"{first.field}: {first.description}{suffix}",
            reason=first.reason,
            metadata={"field": first.field, **first.metadata},
            violations=violations,
        )


class InvalidGraph(InvalidRequest):
    """A graph that breaks the specification of graphs."""

    default_reason = "GRAPH_INVALID"
    advice = "Correct the graph; each violation names the node at fault."


class InvalidFormula(InvalidRequest):
    """A formula that cannot be read, or that means no valid graph."""

    default_reason = "FORMULA_INVALID"
    advice = "Correct the formula at the line and column named."


class InvalidPoints(InvalidRequest):
    """Points that do not fit the function's inputs."""

    default_reason = "POINTS_INVALID"
    advice = "Give every input once, each with its declared shape, for the same number of points."


class InvalidWant(InvalidRequest):
    """A wish that does not fit the function."""

    default_reason = "WANT_INVALID"
    advice = "Ask for outputs and inputs that the function has, and for gradients of scalar outputs only."


class InvalidDirections(InvalidRequest):
    """Cotangents, tangents or vectors that do not fit the function or the points."""

    default_reason = "DIRECTIONS_INVALID"
    advice = "Give directions over outputs (VJP) or inputs (JVP, HVP) of the wish, each with their own shape."


class LimitExceeded(EngineError):
    """A named limit was passed."""

    status = "RESOURCE_EXHAUSTED"
    default_reason = "LIMIT_EXCEEDED"
    advice = "Send less, or raise the limit by the knob named, if there is one."

    @classmethod
    def of(cls, what: str, *, reason: str, value: int, limit: int, knob: str = "", field: str = "") -> LimitExceeded:
        """Build the error from the limit's parts; ``what`` completes "... has 7 nodes, limit 5".

        A limit without a knob is the same on every server.
        """
        where = f"{field}: " if field else ""
        moved_by = f"knob: {knob}" if knob else "no setting moves it"
        named = {"knob": knob, "field": field}
        return cls(
            f"{where}{what} {value}, limit {limit}; {moved_by}",
            reason=reason,
            metadata={"value": str(value), "limit": str(limit), **{key: text for key, text in named.items() if text}},
        )


class UnsupportedWish(EngineError):
    """A valid wish that this version cannot grant."""

    status = "UNIMPLEMENTED"
    default_reason = "UNSUPPORTED"
    advice = "Use what the message says is available, or a newer server."


class DeadlineExceeded(EngineError):
    """The time allowed for the call has passed."""

    status = "DEADLINE_EXCEEDED"
    default_reason = "DEADLINE_EXCEEDED"
    advice = "Allow more time, or send fewer points."


class Cancelled(EngineError):
    """The caller no longer wants the answer."""

    status = "CANCELLED"
    default_reason = "CANCELLED"
    advice = "Nothing to do: the caller went away."
