"""Refusals: a tree of errors that people can read and programs can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from gradmill_server.engine import shapes
from gradmill_server.engine.errors import (
    MAXIMUM_REPORTED_VIOLATIONS,
    EngineError,
    InvalidGraph,
    LimitExceeded,
    Violation,
    quote,
)

STATUSES = {
    "InvalidRequest": "INVALID_ARGUMENT",
    "InvalidGraph": "INVALID_ARGUMENT",
    "ShapeMismatch": "INVALID_ARGUMENT",
    "InvalidFormula": "INVALID_ARGUMENT",
    "InvalidPoints": "INVALID_ARGUMENT",
    "InvalidWant": "INVALID_ARGUMENT",
    "InvalidDirections": "INVALID_ARGUMENT",
    "LimitExceeded": "RESOURCE_EXHAUSTED",
    "UnsupportedWish": "UNIMPLEMENTED",
    "DeadlineExceeded": "DEADLINE_EXCEEDED",
    "Cancelled": "CANCELLED",
}


def descendants(kind: type[EngineError]) -> Iterator[type[EngineError]]:
    """Iterate over the engine's own subclasses of an error."""
    for child in kind.__subclasses__():
        if child.__module__.startswith("gradmill_server.engine"):
            yield child
            yield from descendants(child)


def test_every_refusal_has_a_status_a_reason_and_advice() -> None:
    """A caller is always told what kind of failure it was and what to do about it."""
    assert issubclass(shapes.ShapeMismatch, EngineError)
    found = {kind.__name__: kind for kind in descendants(EngineError)}
    assert {name: found[name].status for name in STATUSES} == STATUSES
    for kind in found.values():
        assert kind.status in STATUSES.values()
        assert re.fullmatch(r"[A-Z][A-Z_]+", kind.default_reason)
        assert kind.advice.endswith((".", "away"))


def violation(number: int) -> Violation:
    """Return the mistake of that number."""
    return Violation(f"graph.nodes[{number}]", f"mistake {number}", f"REASON_{number}", {"node": str(number)})


def test_an_error_of_many_mistakes_leads_with_the_first_and_counts_the_rest() -> None:
    """Twenty mistakes are listed in full; reason, message and place are those of the first."""
    error = InvalidGraph.from_violations([violation(number) for number in range(30)])
    assert error.reason == "REASON_0"
    assert error.metadata == {"field": "graph.nodes[0]", "node": "0"}
    assert str(error) == "graph.nodes[0]: mistake 0 (and 29 more)"
    assert len(error.violations) == MAXIMUM_REPORTED_VIOLATIONS == 20


def test_an_error_of_one_mistake_counts_no_others() -> None:
    """A single mistake reads as one."""
    assert str(InvalidGraph.from_violations([violation(7)])) == "graph.nodes[7]: mistake 7"


def test_a_limit_names_value_limit_and_knob() -> None:
    """Whoever runs into a limit learns how large it is and how to move it."""
    error = LimitExceeded.of("number of points", reason="TOO_MANY_POINTS", value=7, limit=5, knob="maximum_points")
    assert str(error) == "number of points 7, limit 5; knob: maximum_points"
    assert error.metadata == {"value": "7", "limit": "5", "knob": "maximum_points"}
    assert error.reason == "TOO_MANY_POINTS"


@pytest.mark.parametrize("value", ["a\nb", "\x1b[31mred", "größe", "x" * 10_000, "\ud800", b"\0\xff", 2**200])
def test_quoted_values_are_short_printable_and_on_one_line(value: object) -> None:
    """Nothing a caller sends can forge a line of a log or colour a terminal."""
    text = quote(value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 60
