"""How requests ended, and a ledger that sees to it that each ends exactly once."""

from __future__ import annotations

from dataclasses import dataclass, field

OK = "OK"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended. Times are seconds of the monotonic clock, which all processes of a machine share.

    Attributes:
        source: the name of the process that sent it, whose seed makes the same requests again.
        index: the number of the request there.
        scenario: what kind of traffic it is.
        scope: over which road it went, for the disturbances that touch only some roads.
        began: when it was sent.
        ended: when its end was known.
        code: the canonical status code's name.
        reason: the reason in the error's ErrorInfo; empty where there is none.
        message: the error's message.
        told_when: whether the error said when to try again.
        expected_code: the code it should end with.
        expected_reason: the reason it should be refused with; empty for any.
        also: further codes that are right for it at any time.
        allowed_seconds: its deadline.
        problem: what was found wrong with its answer; empty when nothing was.
        arrival: the number by which raw mixed traffic makes it, or the stream it belongs to, again; -1 for all others.
    """

    source: str
    index: int
    scenario: str
    scope: str
    began: float
    ended: float
    code: str
    reason: str = ""
    message: str = ""
    told_when: bool = False
    expected_code: str = OK
    expected_reason: str = ""
    also: frozenset[str] = frozenset()
    allowed_seconds: float = 60.0
    problem: str = ""
    arrival: int = -1

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to judge: an OK answer that was wanted and is right."""
        return self.code == self.expected_code == OK and not self.problem


@dataclass(slots=True)
class Ledger:
    """Requests that were sent and have not ended. What ends twice or never is a violation.

    Attributes:
        open: the scenario of each request under way, by its number.
    """

    open: dict[int, str] = field(default_factory=dict)
    _next: int = 0

    def begin(self, scenario: str) -> int:
        """Enter a request and return its number."""
        number = self._next
        self._next += 1
        self.open[number] = scenario
        return number

    def end(self, number: int) -> str:
        """Strike a request off; return what is wrong with that, or an empty text."""
        if self.open.pop(number, None) is not None:
            return ""
        return "answered twice" if 0 <= number < self._next else "an answer to a request that was never sent"

    @property
    def begun(self) -> int:
        """How many requests were entered."""
        return self._next
