"""What tests of security share: an audit that keeps its records, and clocks that are set."""

from __future__ import annotations

from gradmill_server.serving import logs
from gradmill_server.serving.security.audit import Audit, Event


class RecordedAudit(Audit):
    """Keeps every record instead of writing it."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self.records: list[tuple[str, str, dict[str, logs.FieldValue]]] = []

    def record(self, event: Event, cause: str, *, level: int = 0, **values: logs.FieldValue) -> None:
        """Keep a record."""
        del level
        self.records.append((event.value, str(cause), values))

    @property
    def causes(self) -> list[str]:
        """The causes recorded, in order."""
        return [cause for _, cause, _ in self.records]


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = 1_000.0) -> None:
        """Show a time."""
        self.now = now

    def __call__(self) -> float:
        """Return the time shown."""
        return self.now
