"""Calls that are known already: the bytes of a request without its points, and the program that they ask for."""

from __future__ import annotations

from dataclasses import dataclass

from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.ir import Input, element_type_of, size
from gradmill_server.engine.wants import Kind
from gradmill_server.serving.cache import ByteBoundedCache, Shelf
from gradmill_server.serving.functions import FunctionStore, Lookup, StoredFunction
from gradmill_server.serving.programs import KeptProgram, ProgramLookup, ProgramStore
from gradmill_server.serving.wire.answers import AnswerWriter, Layout
from gradmill_server.serving.wire.envelope import Envelope

_BYTES = 1_500
"""About what a prepared call occupies itself: its writer with a few results, the objects around it."""


_LOOK_EVERY = 16
"""Hits after which a prepared call looks whether its function and program are in the cache still."""


@dataclass(slots=True)
class PreparedCall:
    """What every call with one head asks for: results at each point, of points that come as a matrix.

    Attributes:
        function: the function.
        kept: the program.
        inputs: the function's inputs.
        columns: the elements of all inputs at a point.
        element_type: that of the function.
        kinds: what is wanted.
        node_count: the values computed at each point.
        point_bytes: the bytes of the results at one point.
        writer: writes the answers.
        held_bytes: the bytes of its function and its program.
        hits: how often it was asked for.
    """

    function: StoredFunction
    kept: KeptProgram
    inputs: tuple[Input, ...]
    columns: int
    element_type: ElementType
    kinds: tuple[Kind, ...]
    node_count: int
    point_bytes: int
    writer: AnswerWriter
    held_bytes: int
    hits: int = 0

    def fits(self, envelope: Envelope) -> bool:
        """Whether the points have the function's shape and type; what does not is for the parser to refuse."""
        return envelope.columns == self.columns and envelope.element_type is self.element_type


class PreparedCalls:
    """Prepared calls by tenant and head. Used from the event loop only."""

    def __init__(self, cache: ByteBoundedCache, functions: FunctionStore, programs: ProgramStore) -> None:
        """Keep them in a part of the cache."""
        self._calls: Shelf[PreparedCall] = Shelf(cache, "call")
        self._functions = functions
        self._programs = programs

    def find(self, envelope: Envelope, tenant: str) -> PreparedCall | None:
        """Return what a request asks for, while its function and program are here; None for what has to be parsed."""
        prepared = self._calls.get(tenant, envelope.head)
        if prepared is None or not prepared.fits(envelope):
            return None
        return prepared if self.still_here(prepared, tenant) else None

    def still_here(self, prepared: PreparedCall, tenant: str) -> bool:
        """Count a hit, and return whether function and program are in the cache, as far as was looked lately."""
        prepared.hits += 1
        if prepared.hits % _LOOK_EVERY:
            return True
        # Both are asked for, so that they count as used.
        function = self._functions.here(tenant, prepared.function.digest)
        kept = self._programs.here(tenant, prepared.kept.key)
        return function is prepared.function and kept is prepared.kept

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
            program.program.node_count,
            program.program.point_bytes,
            AnswerWriter(layout),
            function.function.byte_size + program.program.byte_size,
        )
        # What it keeps alive counts, for it may outlive the entries of its function and program.
        self._calls.put(tenant, envelope.head, prepared, _BYTES + len(envelope.head) + prepared.held_bytes)
