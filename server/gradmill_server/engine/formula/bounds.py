"""The limits on a formula and on the graph it means, and the refusals that name them."""

from __future__ import annotations

from enum import Enum

from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.formula.source import FIELD, Source
from gradmill_server.engine.limits import Limits


class Bound(Enum):
    """One limit: what it counts, the reason that refuses more, and the field of `Limits` that moves it."""

    CHARACTERS = ("number of characters", "FORMULA_TOO_LONG", "maximum_formula_characters")
    DEPTH = ("nesting of parentheses and brackets", "FORMULA_TOO_DEEP", "maximum_formula_depth")
    NAME = ("characters of a name", "NAME_TOO_LONG", "maximum_name_characters")
    INPUTS = ("number of inputs", "TOO_MANY_INPUTS", "maximum_inputs")
    OUTPUTS = ("number of outputs", "TOO_MANY_OUTPUTS", "maximum_outputs")
    VALUES = ("number of values", "GRAPH_TOO_LARGE", "maximum_nodes")
    CONSTANTS = ("number of constant elements", "CONSTANTS_TOO_LARGE", "maximum_constant_elements")
    RANK = ("dimensions of one value", "RANK_TOO_LARGE", "maximum_rank")
    ELEMENTS = ("elements of one value", "SHAPE_TOO_LARGE", "maximum_elements_per_value")

    def __init__(self, what: str, reason: str, knob: str) -> None:
        """Name the parts."""
        self.what = what
        self.reason = reason
        self.knob = knob

    def check(self, source: Source, position: int, value: int, limits: Limits) -> None:
        """Let a value pass that is within the limit.

        Args:
            source: the formula.
            position: offset in its text of what is too much, should it be.
            value: the count.
            limits: all limits.

        Raises:
            LimitExceeded: with the value, the limit, its knob, line and column.
        """
        limit: int = getattr(limits, self.knob)
        if value <= limit:
            return
        place = source.place(position)
        error = LimitExceeded.of(
            f"{place}: {self.what}", reason=self.reason, value=value, limit=limit, knob=self.knob, field=FIELD
        )
        error.metadata.update(line=str(place.line), column=str(place.column))
        raise error
