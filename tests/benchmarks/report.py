"""Tables in Markdown, which read well in a terminal, too; and everything as JSON."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.benchmarks.acceptance import Line
from tests.benchmarks.endurance import Endurance
from tests.benchmarks.results import Measurement, Results

_PACKAGES = ("gradmill", "numpy", "llvmlite", "casadi", "jax", "jaxlib", "torch")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown with its columns aligned, the first to the left and the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(2, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "".join(
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |\n"
        for line in [lines[0], rule, *lines[1:]]
    )


def significant(number: float) -> str:
    """Return a number with about three digits."""
    decimals = 0 if number >= 100 else 1 if number >= 10 else 2
    return f"{number:,.{decimals}f}"


def model_table(results: Results, model: str) -> str:
    """Return nanoseconds per point of every peer at every batch, and the seconds to its first gradient."""
    mine = [entry for entry in results if entry.model == model]
    batches = sorted({entry.batch for entry in mine})
    columns = [(gradient, batch) for gradient in (False, True) for batch in batches]
    header = ["ns per point", *(f"{'gradient' if gradient else 'value'} {batch:,}" for gradient, batch in columns)]
    rows = []
    for peer in dict.fromkeys(entry.peer for entry in mine):
        found = [results.get(model, peer, gradient=gradient, batch=batch) for gradient, batch in columns]
        first = results.first(model, peer)
        setup = "" if first is None or first.setup_s is None else significant(1e3 * first.setup_s)
        rows.append([peer, *map(_cell, found), setup])
    return table([*header, "first gradient, ms"], rows)


def _cell(entry: Measurement | None) -> str:
    if entry is None:
        return ""
    return entry.reason if entry.call_s is None else significant(1e9 * entry.call_s / entry.batch)


def verdict_table(lines: Iterable[Line]) -> str:
    """Return the requirements and whether they are met."""
    return table(
        ["requirement", "required", "measured", "verdict"],
        [[line.claim, line.required, line.measured, line.verdict] for line in lines],
    )


def verdict_sentence(lines: Sequence[Line]) -> str:
    """Return how many requirements are met, missed and not measured."""
    met, missed, unmeasured = (sum(line.met is state for line in lines) for state in (True, False, None))
    return f"{met} of {len(lines)} requirements met, {missed} MISSED, {unmeasured} not measured.\n"


def environment(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Return what the figures depend on besides the code: processor, interpreter and libraries."""
    found = {"processor": _processor(), "system": platform.platform(), "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    found["load average"] = " ".join(f"{load:.2f}" for load in os.getloadavg())
    return found


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def text_report(results: Results, lines: Sequence[Line], surroundings: dict[str, str]) -> str:
    """Return the whole report in Markdown."""
    parts = ["# Benchmark\n", "\n".join(f"- {name}: {value}" for name, value in surroundings.items()) + "\n"]
    for model in dict.fromkeys(entry.model for entry in results):
        parts += [f"## {model}\n", model_table(results, model)]
    return "\n".join([*parts, "## Requirements\n", verdict_table(lines), verdict_sentence(lines)])


def json_report(results: Results, lines: Sequence[Line], found: Endurance | None, surroundings: dict[str, str]) -> str:
    """Return everything that was measured, round by round."""
    content = {
        "environment": surroundings,
        "measurements": [dataclasses.asdict(entry) for entry in results],
        "endurance": None if found is None else dataclasses.asdict(found),
        "requirements": [dataclasses.asdict(line) for line in lines],
    }
    return json.dumps(content, indent=1) + "\n"
