"""The functions that callers sent, kept by their content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gradmill_server.engine.canonical import DIGEST_BYTES, canonicalize, digest
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.ir import BYTES_PER_LISTED, CONSTANT, Graph, bodies_of, listed_numbers, size
from gradmill_server.engine.limits import Limits
from gradmill_server.serving.cache import ByteBoundedCache, Shelf
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.errand import Errand
from gradmill_server.serving.errors import DigestUnknown
from gradmill_server.serving.guard import Guard, Work, guarded
from gradmill_server.serving.pool import Completed, WorkerPool
from gradmill_server.serving.single_flight import Abandoned, SingleFlight
from gradmill_server.serving.telemetry import Outcome, Telemetry
from gradmill_server.serving.wire.functions import DigestReference, FunctionReference, InlineFunction

_NODE_BYTES = 112
"""About what a node occupies: places in two columns (16), the tuple of its arguments (64), a number of its own (32)."""


@dataclass(frozen=True, slots=True)
class StoredFunction:
    """A function in canonical form, and its digest."""

    digest: bytes
    graph: Graph

    @property
    def byte_size(self) -> int:
        """About how many bytes it occupies, with the bodies that it uses."""
        return _byte_size(self.graph) + sum(_byte_size(body.graph) for body in bodies_of(self.graph))


def _byte_size(graph: Graph) -> int:
    """Return about how many bytes a graph occupies without its bodies."""
    nodes = graph.nodes
    constants = sum(8 * size(nodes.shape(index)) for index in nodes.parameters if nodes.operations[index] == CONSTANT)
    lists = BYTES_PER_LISTED * listed_numbers(nodes)
    names = sum(len(text) for text in graph.labels.values())
    return _NODE_BYTES * (len(graph.nodes) + len(graph.inputs) + len(graph.outputs)) + constants + lists + names


@dataclass(frozen=True, slots=True)
class Lookup:
    """A function that was found or made, and the seconds that took a worker: waiting for it and using it."""

    function: StoredFunction
    queue_seconds: float = 0.0
    work_seconds: float = 0.0


class FunctionStore:
    """Finds functions by digest, and takes in those that come in full. Used from the event loop only."""

    def __init__(
        self, cache: ByteBoundedCache, pool: WorkerPool, limits: Limits, telemetry: Telemetry, guard: Guard
    ) -> None:
        """Keep functions in a part of the cache."""
        self._functions: Shelf[StoredFunction] = Shelf(cache, "function")
        self._digests: Shelf[bytes] = Shelf(cache, "source")
        self._flights: SingleFlight[Completed[StoredFunction]] = SingleFlight()
        self._pool = pool
        self._limits = limits
        self._telemetry = telemetry
        self._guard = guard

    def here(self, tenant: str, wanted: bytes) -> StoredFunction | None:
        """Return a tenant's function by its digest; None when it is not here."""
        return self._functions.get(tenant, wanted)

    async def find(self, reference: FunctionReference, context: CallContext) -> Lookup:
        """Return a function: by its digest, or by its text or graph, which is checked on first sight.

        A tenant finds its own functions only; what another one sent is as unknown as what nobody did.

        Raises:
            DigestUnknown: when only the digest came, and the function is not here.
            EngineError: what is wrong with a function that came in full.
        """
        if isinstance(reference, DigestReference):
            return self._by_digest(reference.digest, context.tenant)
        tenant = context.tenant
        known = self._digests.get(tenant, reference.source_key)
        function = None if known is None else self._functions.get(tenant, known)
        if function is not None:
            self._telemetry.looked_up("function", Outcome.HIT)
            return Lookup(function)
        completed, joined = await self._flights.run(
            (tenant, reference.source_key), lambda still_wanted: self._take_in(reference, context, still_wanted)
        )
        self._telemetry.looked_up("function", Outcome.SHARED if joined else Outcome.MISS)
        return Lookup(completed.value, completed.queue_seconds, completed.work_seconds)

    def _by_digest(self, wanted: bytes, tenant: str) -> Lookup:
        function = self._functions.get(tenant, wanted)
        if function is None:
            self._telemetry.looked_up("function", Outcome.MISS)
            message = f"function.digest: {wanted.hex()} is not on this server; send the function inline, once"
            raise DigestUnknown(message, metadata={"field": "function.digest", "digest": wanted.hex()})
        self._telemetry.looked_up("function", Outcome.HIT)
        return Lookup(function)

    async def _take_in(
        self, reference: InlineFunction, context: CallContext, still_wanted: Callable[[], bool]
    ) -> Completed[StoredFunction]:
        def checkpoint() -> None:
            if not still_wanted():
                raise Abandoned

        self._guard.check(reference.source_key)

        def work() -> StoredFunction:
            with guarded(self._guard, reference.source_key, Work.COMPILE):
                return stored(reference.read(self._limits, checkpoint), checkpoint)

        completed = await self._pool.run(
            work,
            Errand(context.caller, reference.source_key),
            still_wanted=still_wanted,
        )
        function, tenant = completed.value, context.tenant
        self._functions.put(tenant, function.digest, function, function.byte_size)
        self._digests.put(tenant, reference.source_key, function.digest, DIGEST_BYTES)
        return completed

    async def close(self) -> None:
        """Stop taking in."""
        await self._flights.close()


def stored(graph: Graph, checkpoint: Checkpoint = never) -> StoredFunction:
    """Return a graph in canonical form with its digest. Slow for a large one; the checkpoint may raise to stop."""
    canonical = canonicalize(graph, checkpoint)
    return StoredFunction(digest(canonical, checkpoint), canonical)
