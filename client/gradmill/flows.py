"""The shape of the core without input and output: generators that say what to send and are told what came back.

A flow yields :class:`Step` values and is sent an :class:`Answer`, or None when it asked to be woken. Its driver, one
for threads and one for asyncio, does the sending and the waiting; all else, retries included, is written once.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from gradmill.errors import GradmillError
from gradmill.wire_format import Buffer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One message to send.

    Attributes:
        key: what the answer will be known by; unique among the calls under way.
        method: the name of the service's method.
        body: the serialized request.
        timeout_seconds: the time allowed; None for no limit.
    """

    key: int
    method: str
    body: bytes
    timeout_seconds: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """Calls to start now; then wait for the next answer, of these or of earlier ones.

    Attributes:
        start: the calls to start.
        wake_after_seconds: give up waiting after this long; None waits for an answer however long it takes.
    """

    start: tuple[Call, ...]
    wake_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a call: the serialized response, or the error."""

    key: int
    outcome: Buffer | GradmillError


Flow = Generator[Step, Answer | None, T]
