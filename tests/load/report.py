"""What a run found, on one page: for people, for programs, and as Markdown."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.load.campaign import FaultRecord, Findings
from tests.load.experiments.measuring import Figure
from tests.load.judging import Violation, violations

_MEBIBYTE = 2**20
_MOST_SHOWN = 20
_MET = {True: "met", False: "MISSED", None: ""}
Row = Sequence[object]


class Verdict:
    """A run's findings, judged.

    Attributes:
        findings: what was seen.
        violations: requests that did not end as they must.
        incidents: everything else that is wrong, in words.
    """

    def __init__(self, findings: Findings, *, recovery_limit_seconds: float) -> None:
        """Judge a run; a server that needs longer than the limit to be well after a fault is an incident."""
        self.findings = findings
        self.violations: list[Violation] = violations(findings.tally.notable, findings.disturbances)
        self.incidents = [*findings.incidents, *(f"never answered: {lost}" for lost in findings.lost)]
        for fault in findings.faults:
            if fault.problem:
                self.incidents.append(f"{fault.kind} at {fault.began:.0f} s: {fault.problem}")
            if fault.recovery_seconds > recovery_limit_seconds:
                self.incidents.append(f"{fault.kind} at {fault.began:.0f} s: well after {fault.recovery_seconds:.2f} s")

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.violations and not self.incidents

    @property
    def wrong_answers(self) -> int:
        """How many OK answers were wrong, doubled, or to requests that should have been refused."""
        return sum(violation.outcome.code == "OK" for violation in self.violations)


def text_report(verdict: Verdict) -> str:
    """Return the report for people; also good Markdown."""
    return "\n".join(_lines(verdict)) + "\n"


def _lines(verdict: Verdict) -> Iterator[str]:
    found = verdict.findings
    kinds = {fault.kind for fault in found.faults}
    yield f"# {found.profile.name}, seed {found.seed}: {'all is well' if verdict.is_good else 'NOT WELL'}"
    yield ""
    yield from _complaints(verdict)
    yield (
        f"{verdict.wrong_answers} wrong OK answers in {found.tally.checked:,} checked, under {len(found.faults)} faults"
        f" of {len(kinds)} kinds; {len(verdict.violations)} violations in all, {len(verdict.incidents)} incidents."
    )
    yield f"{found.begun:,} requests were sent, and {len(found.lost)} never ended."
    yield ""
    yield from _table(("phase", "seconds", "OK a second", "p50 ms", "p99 ms"), _phase_rows(found))
    yield from _table(("fault", "times", "took s", "recovery: median s", "longest s"), _fault_rows(found.faults))
    yield from _table(("scenario", "code", "requests"), _scenario_rows(found))
    yield from _table(("after s", "server MiB", "files", "threads", "processes"), _memory_rows(found))


def _complaints(verdict: Verdict) -> Iterator[str]:
    for heading, entries in (("Violations", verdict.violations), ("Incidents", verdict.incidents)):
        if entries:
            yield f"{heading}:"
            yield ""
            yield from (f"- {entry}" for entry in entries[:_MOST_SHOWN])
            if len(entries) > _MOST_SHOWN:
                yield f"- and {len(entries) - _MOST_SHOWN} more"
            yield ""


def _phase_rows(found: Findings) -> Iterator[Row]:
    times = np.array(found.tally.plain, dtype=np.float64).reshape(-1, 2)
    for name, (began, ended) in found.phases.items():
        inside = times[(times[:, 0] >= began) & (times[:, 0] < ended), 1]
        yield name, f"{ended - began:.0f}", f"{len(inside) / (ended - began):.0f}", *_percentiles(inside)


def _percentiles(seconds: np.ndarray) -> tuple[str, str]:
    if not len(seconds):
        return "-", "-"
    median, high = np.percentile(seconds, (50, 99)) * 1e3
    return f"{median:.1f}", f"{high:.1f}"


def _fault_rows(faults: Sequence[FaultRecord]) -> Iterator[Row]:
    by_kind = defaultdict(list)
    for fault in faults:
        by_kind[fault.kind].append(fault)
    for kind, entries in sorted(by_kind.items()):
        recovery = [entry.recovery_seconds for entry in entries]
        took = max(entry.took_seconds for entry in entries)
        yield kind, len(entries), f"{took:.2f}", f"{np.median(recovery):.3f}", f"{max(recovery):.3f}"


def _scenario_rows(found: Findings) -> Iterator[Row]:
    for (scenario, code), count in sorted(found.tally.counts.items()):
        yield scenario, code, f"{count:,}"


def _memory_rows(found: Findings, rows: int = 12) -> Iterator[Row]:
    step = max(1, math.ceil(len(found.samples) / rows))
    for seconds, held in found.samples[::step]:
        size = f"{held.resident_bytes / _MEBIBYTE:.0f}"
        yield f"{seconds:.0f}", size, held.descriptors, held.threads, held.processes


def _table(heading: Sequence[str], rows: Iterator[Row]) -> Iterator[str]:
    cells = [tuple(heading), *(tuple(map(str, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heading))]
    for number, row in enumerate(cells):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    yield ""


def json_report(verdict: Verdict) -> str:
    """Return the report for programs."""
    found = verdict.findings
    content: dict[str, Any] = {
        "profile": found.profile.name,
        "seed": found.seed,
        "well": verdict.is_good,
        "checked": found.tally.checked,
        "wrong": verdict.wrong_answers,
        "begun": found.begun,
        "lost": found.lost,
        "violations": [str(violation) for violation in verdict.violations],
        "incidents": verdict.incidents,
        "phases": [list(row) for row in _phase_rows(found)],
        "faults": [
            {"kind": fault.kind, "began": fault.began, "took": fault.took_seconds, "recovery": fault.recovery_seconds}
            for fault in found.faults
        ],
        "requests": [[*key, count] for key, count in sorted(found.tally.counts.items())],
        "memory": [[seconds, held.resident_bytes, held.descriptors, held.threads] for seconds, held in found.samples],
    }
    return json.dumps(content, indent=1)


def figures_report(name: str, figures: Sequence[Figure], seconds: float) -> str:
    """Return the report of an experiment for people; also good Markdown."""
    missed = sum(figure.met is False for figure in figures)
    verdict = f"{missed} FIGURES MISSED" if missed else "all aims met"
    rows = ((figure.what, figure.got, figure.aim, _MET[figure.met]) for figure in figures)
    table = _table(("figure", "got", "aim", ""), rows)
    return "\n".join((f"# {name}: {verdict}, in {seconds:.0f} s", "", *table)) + "\n"


def json_of_figures(name: str, figures: Sequence[Figure]) -> str:
    """Return the report of an experiment for programs."""
    entries = [{"what": each.what, "got": each.got, "aim": each.aim, "met": each.met} for each in figures]
    return json.dumps({"experiment": name, "figures": entries}, indent=1)
