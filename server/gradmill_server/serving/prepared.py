"""Calls that are known already: the bytes of a request without its points, and the program that they ask for."""

from __future__ import annotations

from dataclasses import dataclass

from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.ir import Input, element_type_of, size
from gradmill_server.engine.wants import Kind
from gradmill_server.serving.cache import ByteBoundedCache, Shelf
from gradmill_server.serving.functions import FunctionStore, Lookup, StoredFunction
from gradmill_server.serving.programs import KeptProgram, ProgramLookup, ProgramStore
from gradmill_server.serving.telemetry import Outcome, Telemetry
from gradmill_server.serving.wire.answers import AnswerWriter, Layout
from gradmill_server.serving.wire.envelope import Envelope

_BYTES = 1_500
"""About what a prepared call occupies: its writer with a few results, the objects around it."""


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """What every call with one head asks for: results at each point, of points that come as a matrix.

    Attributes:
        function: the function.
        kept: the program.
        inputs: the function's inputs.
        columns: the elements of all inputs at a point.
        element_type: that of the function.
        kinds: what is wanted.
        writer: writes the answers.
    """

    function: StoredFunction
    kept: KeptProgram
    inputs: tuple[Input, ...]
    columns: int
    element_type: ElementType
    kinds: tuple[Kind, ...]
    writer: AnswerWriter

    def fits(self, envelope: Envelope) -> bool:
        """Whether the points have the function's shape and type; what does not is for the parser to refuse."""
        return envelope.columns == self.columns and envelope.element_type is self.element_type


class PreparedCalls:
    """Prepared calls by tenant and head. Used from the event loop only."""

    def __init__(
        self, cache: ByteBoundedCache, functions: FunctionStore, programs: ProgramStore, telemetry: Telemetry
    ) -> None:
        """Keep them in a part of the cache."""
        self._calls: Shelf[PreparedCall] = Shelf(cache, "call")
        self._functions = functions
        self._programs = programs
        self._telemetry = telemetry

    def find(self, envelope: Envelope, tenant: str) -> PreparedCall | None:
        """Return what a request asks for, while its function and program are here; None for what has to be parsed."""
        prepared = self._calls.get(tenant, envelope.head)
        if prepared is None or not prepared.fits(envelope):
            return None
        # Both are asked for, so that they count as used and are not evicted before the call that needs them.
        if self._functions.here(tenant, prepared.function.digest) is not prepared.function:
            return None
        if self._programs.here(tenant, prepared.kept.key) is not prepared.kept:
            return None
        self._telemetry.looked_up("function", Outcome.HIT)
        self._telemetry.looked_up("program", Outcome.HIT)
        return prepared

    def keep(self, envelope: Envelope, tenant: str, function: Lookup, program: ProgramLookup) -> None:
        """Remember what a request asked for."""
        digest, graph = function.function.digest, function.function.graph
        inputs = tuple(graph.inputs)
        layout = Layout(digest, program.program.stable_forms, program.program.modes)
        prepared = PreparedCall(
            function.function,
            program.kept,
            inputs,
            sum(size(entry.shape) for entry in inputs),
            element_type_of(inputs),
            tuple(want.kind for want in program.program.wants),
            AnswerWriter(layout),
        )
        self._calls.put(tenant, envelope.head, prepared, _BYTES + len(envelope.head))
