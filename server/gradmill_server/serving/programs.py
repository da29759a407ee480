"""Compiled programs, kept by function, wishes and options; each is compiled once, however many callers ask."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gradmill_server.engine.limits import Limits
from gradmill_server.engine.program import Options, Program, compile_program
from gradmill_server.engine.wants import Want, resolve_want
from gradmill_server.serving.cache import ByteBoundedCache, Shelf
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.costs import LearnedCost
from gradmill_server.serving.errand import Errand
from gradmill_server.serving.functions import StoredFunction
from gradmill_server.serving.guard import Guard, Work, guarded
from gradmill_server.serving.pool import Completed, WorkerPool
from gradmill_server.serving.single_flight import Abandoned, SingleFlight
from gradmill_server.serving.telemetry import Outcome, Stage, Telemetry
from gradmill_server.serving.wire.requests import WantDraft

_KEY_BYTES = 32

_COMPILE_SECONDS_PER_NODE = 50e-6
"""About what compiling a function takes for each of its nodes, derivatives included."""


@dataclass(frozen=True, slots=True)
class KeptProgram:
    """A compiled program, the key it is kept by, and what it was seen to cost."""

    key: bytes
    program: Program
    cost: LearnedCost


@dataclass(frozen=True, slots=True)
class ProgramLookup:
    """A program that was found or compiled, what the cache held, and the seconds that took."""

    kept: KeptProgram
    outcome: Outcome
    queue_seconds: float = 0.0
    compile_seconds: float = 0.0

    @property
    def program(self) -> Program:
        """The program."""
        return self.kept.program


@dataclass(frozen=True, slots=True)
class _Resolved:
    """Wishes as the function has them, and the key of their program."""

    wants: tuple[Want, ...]
    key: bytes


class ProgramStore:
    """Finds programs, and compiles those that are not here. Used from the event loop only.

    The wishes of a call may be written in several ways, such as all inputs by name or by leaving them out. The key of
    a program is made of the wishes in full; the way they were written is kept as another name for that key.
    """

    def __init__(
        self, cache: ByteBoundedCache, pool: WorkerPool, limits: Limits, telemetry: Telemetry, guard: Guard
    ) -> None:
        """Keep programs in a part of the cache."""
        self._programs: Shelf[KeptProgram] = Shelf(cache, "program")
        self._keys: Shelf[bytes] = Shelf(cache, "wishes")
        self._resolving: SingleFlight[Completed[_Resolved]] = SingleFlight()
        self._compiling: SingleFlight[Completed[KeptProgram]] = SingleFlight()
        self._pool = pool
        self._limits = limits
        self._telemetry = telemetry
        self._guard = guard

    def here(self, tenant: str, key: bytes) -> KeptProgram | None:
        """Return a tenant's program by its key; None when it is not here."""
        return self._programs.get(tenant, key)

    async def find(
        self, function: StoredFunction, drafts: Sequence[WantDraft], options: Options, context: CallContext
    ) -> ProgramLookup:
        """Return the program for a function, wishes and options.

        Raises:
            InvalidWant: for a wish that does not fit the function.
            LimitExceeded: when the program would be too large, or a wish has too many directions.
        """
        tenant = context.tenant
        written = _key(function.digest, drafts, options)
        known = self._keys.get(tenant, written)
        program = None if known is None else self._programs.get(tenant, known)
        if program is not None:
            self._telemetry.looked_up("program", Outcome.HIT)
            return ProgramLookup(program, Outcome.HIT)
        resolving, _ = await self._resolving.run(
            (tenant, written),
            lambda still_wanted: self._pool.run(
                lambda: _resolve(function, drafts, options, self._limits),
                Errand(context.caller, function.digest),
                still_wanted=still_wanted,
            ),
        )
        resolved = resolving.value
        self._keys.put(tenant, written, resolved.key, _KEY_BYTES)
        found = await self._find_resolved(function, resolved, options, context)
        return ProgramLookup(
            found.kept,
            found.outcome,
            resolving.queue_seconds + found.queue_seconds,
            resolving.work_seconds + found.compile_seconds,
        )

    async def _find_resolved(
        self, function: StoredFunction, resolved: _Resolved, options: Options, context: CallContext
    ) -> ProgramLookup:
        program = self._programs.get(context.tenant, resolved.key)
        if program is not None:
            self._telemetry.looked_up("program", Outcome.HIT)
            return ProgramLookup(program, Outcome.HIT)
        completed, joined = await self._compiling.run(
            (context.tenant, resolved.key),
            lambda still_wanted: self._compile(function, resolved, options, context, still_wanted),
        )
        outcome = Outcome.SHARED if joined else Outcome.MISS
        self._telemetry.looked_up("program", outcome)
        return ProgramLookup(completed.value, outcome, completed.queue_seconds, completed.work_seconds)

    async def _compile(
        self,
        function: StoredFunction,
        resolved: _Resolved,
        options: Options,
        context: CallContext,
        still_wanted: Callable[[], bool],
    ) -> Completed[KeptProgram]:
        self._guard.check(function.digest)

        def checkpoint() -> None:
            if not still_wanted():
                raise Abandoned

        def work() -> KeptProgram:
            with guarded(self._guard, function.digest, Work.COMPILE):
                program = compile_program(function.graph, resolved.wants, options, self._limits, checkpoint)
            return KeptProgram(resolved.key, program, LearnedCost(program.node_count))

        errand = Errand(context.caller, function.digest, _COMPILE_SECONDS_PER_NODE * len(function.graph.nodes))
        completed = await self._pool.run(work, errand, still_wanted=still_wanted)
        self._telemetry.program_compiled()
        self._telemetry.stage_finished(Stage.COMPILE, completed.work_seconds)
        self._programs.put(context.tenant, resolved.key, completed.value, completed.value.program.byte_size)
        return completed

    async def close(self) -> None:
        """Stop compiling."""
        await self._resolving.close()
        await self._compiling.close()


def _resolve(function: StoredFunction, drafts: Sequence[WantDraft], options: Options, limits: Limits) -> _Resolved:
    for draft in drafts:
        if draft.directions is not None:
            draft.directions.check_limit(limits)
    wants = tuple(_want(function, draft, f"wants[{position}]") for position, draft in enumerate(drafts))
    full = [
        draft._replace(outputs=want.outputs, with_respect_to=want.with_respect_to)
        for draft, want in zip(drafts, wants, strict=True)
    ]
    return _Resolved(wants, _key(function.digest, full, options))


def _want(function: StoredFunction, draft: WantDraft, field: str) -> Want:
    return resolve_want(
        function.graph,
        draft.kind,
        draft.outputs,
        draft.with_respect_to,
        directions=draft.direction_count,
        field=field,
    )


def _key(digest: bytes, wants: Sequence[WantDraft], options: Options) -> bytes:
    """Return the SHA-256 of the parts, each with its length before it, so that no two requests share a key."""
    state = hashlib.sha256(digest)
    for part in _parts(wants, options):
        encoded = part.encode()
        state.update(len(encoded).to_bytes(8, "little"))
        state.update(encoded)
    return state.digest()


def _parts(wants: Sequence[WantDraft], options: Options) -> Iterator[str]:
    yield "parity" if options.parity else "stable"
    yield str(len(options.disabled_stable_forms))
    yield from sorted(options.disabled_stable_forms)
    for want in wants:
        yield want.kind
        yield str(want.direction_count)
        for names in (want.outputs, want.with_respect_to):
            yield str(len(names))
            yield from names
