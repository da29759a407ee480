"""The rates of a run as a picture: small calls beside the echo, and gradients beside other services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from tests.benchmarks.serving import beside_peers, echo
from tests.benchmarks.serving.report import Run
from tests.benchmarks.serving.rounds import Findings

_INCHES = (6.4, 3.4)
_GROUP_WIDTH = 0.8

# Okabe and Ito's colours, which most colour-blind readers can tell apart. Ours are the warm ones.
_COLOURS = {
    echo.ECHO: "#777777",
    echo.ECHO_UVLOOP: "#aaaaaa",
    echo.OURS: "#d55e00",
    echo.SDK_THREADS: "#e69f00",
    echo.SDK_TASKS: "#f0e442",
    "UM-Bridge": "#0072b2",
    "pytensor-federated": "#009e73",
    "Tesseract": "#cc79a7",
}


def draw(run: Run, folder: Path) -> None:
    """Write plot.svg and plot.png: a panel for each section measured, on a logarithmic axis for services."""
    panels: list[tuple[str, str, dict[str, dict[str, float]]]] = []
    if run.echo is not None:
        loads = {place: found for place, found in run.echo.items() if place.column != echo.HALF_LOAD}
        panels.append(("Requests a second, one process and one point each", "linear", _rates(loads)))
    if run.peers is not None:
        panels.append(("Gradients a second, each service in its fastest way", "log", _fastest(_rates(run.peers))))
    if not panels:
        return
    figure = Figure(figsize=(_INCHES[0], _INCHES[1] * len(panels)), layout="constrained")
    for axis, (title, scale, rates) in zip(figure.subplots(len(panels), 1, squeeze=False).flat, panels, strict=True):
        _panel(axis, title, scale, rates)
    with mpl.rc_context({"svg.hashsalt": "gradmill"}):
        figure.savefig(folder / "plot.svg", metadata={"Date": None})
        figure.savefig(folder / "plot.png", dpi=130)


def _rates(found: Findings) -> dict[str, dict[str, float]]:
    """Return the rate of each row in each column that has one."""
    rates: dict[str, dict[str, float]] = {}
    for place, entry in found.items():
        if entry.rate is not None:
            rates.setdefault(place.row, {})[place.column] = entry.rate
    return rates


def _fastest(rates: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the best of the ways of each service, by the service's name."""
    best: dict[str, dict[str, float]] = {}
    for service in beside_peers.SERVICES:
        for row, columns in rates.items():
            if row.startswith(f"{service.name}, "):
                mine = best.setdefault(service.name, {})
                mine.update({column: max(rate, mine.get(column, 0.0)) for column, rate in columns.items()})
    return best


def _panel(axis: Any, title: str, scale: str, rates: dict[str, dict[str, float]]) -> None:  # noqa: ANN401
    columns = list(dict.fromkeys(column for row in rates.values() for column in row))
    width = _GROUP_WIDTH / max(1, len(rates))
    for number, (row, values) in enumerate(rates.items()):
        shift = (number + 0.5) * width - _GROUP_WIDTH / 2
        places = [columns.index(column) + shift for column in values]
        axis.bar(places, list(values.values()), 0.9 * width, color=_COLOURS.get(row), label=row)
    axis.set_title(title, fontsize="medium", loc="left")
    axis.set_yscale(scale)
    axis.yaxis.set_major_formatter(EngFormatter())
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xticks(range(len(columns)), columns, fontsize="small")
    axis.tick_params(labelsize="small")
    axis.grid(axis="y", linewidth=0.4, alpha=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize="x-small", frameon=False, ncols=3)
