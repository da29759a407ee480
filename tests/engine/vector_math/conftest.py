"""Shows what was measured of the vector functions, after a run of tests that measured any."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

_PROPERTIES = ("function", "points", "worst_ulp", "mean_ulp", "bound_ulp", "at")


def _measurements(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, ...]]:
    """Yield the properties that tests recorded of a function, as text, in the order of the tests."""
    for outcome in ("passed", "failed"):
        for report in reporter.getreports(outcome):
            recorded = dict(report.user_properties)
            if report.when == "call" and all(name in recorded for name in _PROPERTIES):
                yield tuple(str(recorded[name]) for name in _PROPERTIES)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write a table: each function measured, at how many points, its worst and mean error, its bound, and where."""
    rows = list(_measurements(terminalreporter))
    if not rows:
        return
    terminalreporter.section("errors of vector functions, in units in the last place of mpmath's value")
    titles = ("function", "points", "worst", "mean", "bound", "worst at")
    widths = [max(len(row[column]) for row in (titles, *rows)) for column in range(len(titles) - 1)]
    for name, *numbers, where in (titles, *rows):
        cells = [name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True))]
        terminalreporter.write_line("  ".join([*cells, where]))
