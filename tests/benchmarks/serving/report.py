"""Tables of a run, in Markdown, and everything it found, as JSON."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.benchmarks.acceptance import Line
from tests.benchmarks.report import significant, table, verdict_sentence, verdict_table
from tests.benchmarks.serving.batch import BOTH_WAYS_BYTES, Batch
from tests.benchmarks.serving.echo import HALF_LOAD
from tests.benchmarks.serving.rounds import Findings, Found, Place

PACKAGES = ("gradmill", "grpcio", "protobuf", "uvloop", "numpy", "llvmlite")
"""What the figures depend on, besides the machine."""


@dataclass(slots=True)
class Run:
    """Everything that was measured, section by section; None for one that was left out.

    Attributes:
        surroundings: what the figures depend on.
        echo: small calls beside an echo.
        peers: gradients beside other services.
        batch: the big batch.
        lines: the requirements.
    """

    surroundings: Mapping[str, str]
    echo: Findings | None = None
    peers: Findings | None = None
    batch: Batch | None = None
    lines: list[Line] = field(default_factory=list)


def text_report(run: Run) -> str:
    """Return the whole report."""
    surroundings = "\n".join(f"- {name}: {value}" for name, value in run.surroundings.items())
    parts = ["# Serving benchmark\n", f"{surroundings}\n"]
    if run.echo is not None:
        loads = {place: found for place, found in run.echo.items() if place.column != HALF_LOAD}
        parts += ["## Requests a second, beside an echo\n", rates_table("requests a second", loads)]
        parts += ["Processor microseconds a request: the servers', and those of the process that asks.\n"]
        parts += [costs_table(loads), "## Waiting at half of each one's capacity\n", waiting_table(run.echo)]
    if run.peers is not None:
        parts += ["## Gradients a second, beside other services\n", rates_table("gradients a second", run.peers)]
    if run.batch is not None:
        parts += ["## One big batch\n", batch_table(run.batch)]
    return "\n".join([*parts, "## Requirements\n", verdict_table(run.lines), verdict_sentence(run.lines)])


def rates_table(title: str, found: Findings) -> str:
    """Return the median rates, a row for each target and a column for each load."""
    return _grid(title, found, lambda entry: significant(entry.rate or 0.0))


def costs_table(found: Findings) -> str:
    """Return the median processor time of a request, on both sides."""

    def cell(entry: Found) -> str:
        client = statistics.median(1e6 * window.client_cpu_s / max(1, window.calls) for window in entry.windows)
        return f"{statistics.median(entry.server_us):.0f} + {client:.0f}"

    return _grid("server + client, us", found, cell)


def _grid(title: str, found: Findings, cell: Callable[[Found], str]) -> str:
    columns = list(dict.fromkeys(place.column for place in found))
    rows = []
    for row in dict.fromkeys(place.row for place in found):
        entries = [found.get(Place(row, column)) for column in columns]
        rows.append([row, *(_cell(entry, cell) for entry in entries)])
    return table([title, *columns], rows)


def _cell(entry: Found | None, show: Callable[[Found], str]) -> str:
    if entry is None:
        return ""
    return show(entry) if entry.windows else entry.reason


def waiting_table(found: Findings) -> str:
    """Return how long calls waited that were sent at half of the capacity."""
    rows = []
    for place, entry in found.items():
        if place.column == HALF_LOAD and entry.windows:
            middle, late = ([getattr(window, name) for window in entry.windows] for name in ("p50_s", "p99_s"))
            waits = [f"{1e3 * statistics.median(values):.2f}" for values in (middle, late)]
            rows.append([place.row, significant(entry.rate or 0.0), *waits])
    return table(["", "requests a second", "p50, ms", "p99, ms"], rows)


def batch_table(batch: Batch) -> str:
    """Return bytes a second, both ways together, and processor seconds."""
    rows = []
    for place, entry in batch.findings.items():
        if entry.rate is None:
            rows.append([place.row, entry.reason, "", ""])
            continue
        client = statistics.median(window.client_cpu_s for window in entry.windows)
        server = statistics.median(entry.server_us) * batch.points / 1e6
        rows.append([place.row, f"{entry.rate * BOTH_WAYS_BYTES / 1e6:.0f}", f"{server:.2f}", f"{client:.2f}"])
    grown = ", ".join(f"{growth / 1e6:.1f}" for growth in batch.growth_bytes)
    title = f"{batch.points:,} points"
    shown = table([title, "MB a second", "server, CPU seconds", "client, CPU seconds"], rows)
    return f"{shown}\nThe server's memory at its highest beyond that before, MB, round by round: {grown}.\n"


def json_report(run: Run) -> str:
    """Return every round of everything."""
    content = {
        "environment": dict(run.surroundings),
        "echo": _records(run.echo or {}),
        "peers": _records(run.peers or {}),
        "batch": _records(run.batch.findings if run.batch else {}),
        "batch_growth_bytes": run.batch.growth_bytes if run.batch else [],
        "requirements": [dataclasses.asdict(line) for line in run.lines],
    }
    return json.dumps(content, indent=1) + "\n"


def _records(found: Findings) -> list[dict[str, object]]:
    return [dataclasses.asdict(place) | dataclasses.asdict(entry) for place, entry in found.items()]
