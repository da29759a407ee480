"""The shortest road: calls of a few points whose bytes, but for the points, came before, answered in one step.

A request of the same length that begins and ends with the same bytes as one before it differs in its points alone. For
those the tape runs in memory that stays (`Program.resident`), and the answer is joined from the arrays that it writes.
Everything unusual, a server that is closed or counts quotas included, is left to the longer road.
"""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gradmill_server.engine.limits import Limits
from gradmill_server.serving.admission import Admission
from gradmill_server.serving.guard import Guard, Work
from gradmill_server.serving.prepared import PreparedCall, PreparedCalls
from gradmill_server.serving.security.quotas import Quotas
from gradmill_server.serving.telemetry import Telemetry
from gradmill_server.serving.wire.envelope import Envelope

LONGEST_REQUEST_BYTES = 4_096

_REMEMBERED = 64
_ALIKE = 4
"""Requests of one length that are told apart by comparing them one after the other."""

_LARGEST_HELD_BYTES = 128 * 1024
"""Of a function and its program, which a kind of calls keeps alive beside the cache."""

_LEARNED_AFTER = 8
"""Calls of one kind after which it is worth memory of its own."""


class SmallAnswer(NamedTuple):
    """The bytes of an answer, and the function that was asked for, as it was written."""

    body: bytes
    function: bytes


@dataclass(slots=True)
class _Kind:
    """Calls that differ in their points alone: the bytes before and after those, their function, what answers them."""

    before: bytes
    after: bytes
    function: bytes
    prepared: PreparedCall
    points: int
    node_evaluations: int
    run: Callable[[bytes], None]
    write: Callable[[int, int], bytes]


Key = tuple[str, bytes, int]


class SmallCalls:
    """Remembers kinds of small calls, and answers them. Used from the event loop only."""

    def __init__(
        self,
        calls: PreparedCalls,
        limits: Limits,
        telemetry: Telemetry,
        admission: Admission,
        quotas: Quotas,
        guard: Guard,
    ) -> None:
        """Put the parts together; nothing is remembered yet."""
        self._calls = calls
        self._limits = limits
        self._telemetry = telemetry
        self._admission = admission
        self._guard = guard
        # Quotas are charged on the longer road; so all calls take it where there are some.
        self._is_open = quotas.is_unlimited and sys.byteorder == "little"
        self._kinds: OrderedDict[Key, list[_Kind]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many requests are told apart by their length, tenant and function."""
        return len(self._kinds)

    def answer(self, method: str, body: bytes, tenant: str, function: bytes = b"") -> SmallAnswer | None:
        """Return the answer to a request, or None when it is to take the longer road.

        Args:
            method: the method's name, for the count.
            body: the request.
            tenant: who calls, where credentials say so.
            function: the function of an earlier request, as it was written there, for one that has none.
        """
        alike = self._kinds.get((tenant, function, len(body)))
        if alike is None or self._admission.closed:
            return None
        for kind in alike:
            if body.startswith(kind.before) and body.endswith(kind.after):
                return self._answered(method, kind, body, tenant)
        return None

    def _answered(self, method: str, kind: _Kind, body: bytes, tenant: str) -> SmallAnswer | None:
        prepared = kind.prepared
        digest = prepared.function.digest
        if not self._calls.still_here(prepared, tenant):
            self._forget(kind)
            return None
        if self._guard.refuses(digest):
            return None
        began = time.monotonic()
        note = self._guard.begin(digest, Work.PASS)
        try:
            kind.run(body[len(kind.before) : len(body) - len(kind.after)])
        finally:
            self._guard.end(note)
        computed = time.monotonic()
        compute_seconds = computed - began
        answer = kind.write(int(compute_seconds * 1e6), 0)
        self._telemetry.small_call(
            method, prepared.kinds, kind.points, kind.node_evaluations, compute_seconds, time.monotonic() - began
        )
        return SmallAnswer(answer, kind.function)

    def learn(self, envelope: Envelope, prepared: PreparedCall, tenant: str) -> None:
        """Hear of a request that took the longer road; from the eighth of its kind on, the next may take this one."""
        body, begin, end = envelope.body, envelope.begin, envelope.end
        if not self._is_open or prepared.hits < _LEARNED_AFTER or end - begin > LONGEST_REQUEST_BYTES:
            return
        if prepared.held_bytes > _LARGEST_HELD_BYTES:
            return
        key = (tenant, b"" if envelope.is_own else envelope.function, end - begin)
        alike = self._kinds.get(key, [])
        stop = envelope.start + envelope.rows * envelope.columns * envelope.element_type.size
        before, after = body[begin : envelope.start], body[stop:end]
        if any(kind.before == before and kind.after == after for kind in alike):
            return
        resident = prepared.kept.program.resident(envelope.rows, self._limits)
        if resident is None:
            return
        # Only now: what never takes this road must not be remembered for it.
        self._kinds[key] = alike
        self._kinds.move_to_end(key)
        alike.append(
            _Kind(
                before,
                after,
                envelope.function,
                prepared,
                envelope.rows,
                envelope.rows * prepared.node_count,
                resident.run,
                prepared.writer.resident(resident.evaluation),
            )
        )
        del alike[:-_ALIKE]
        if len(self._kinds) > _REMEMBERED:
            self._kinds.popitem(last=False)

    def clear(self) -> None:
        """Forget every kind, and the memory that goes with it."""
        self._kinds.clear()

    def _forget(self, kind: _Kind) -> None:
        for alike in self._kinds.values():
            if kind in alike:
                alike.remove(kind)
                return
