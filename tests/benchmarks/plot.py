"""Draws the time of a point against the number of points in a batch, one panel for each model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullLocator

from tests.benchmarks.peers import table as peers
from tests.benchmarks.results import Results

_COLUMNS = 5
_PANEL_INCHES = (3.1, 2.8)


class Style(NamedTuple):
    """How a peer's line looks: one colour for each library, and dashes for its other ways."""

    colour: str
    dashes: str = "-"
    width: float = 1.4


# Okabe and Ito's colours, which most colour-blind readers can tell apart.
STYLES = {
    peers.OURS: Style("#d55e00", width=2.8),
    peers.OUR_COLUMNS: Style("#d55e00", ":", width=2.0),
    peers.CASADI_GCC: Style("#009e73"),
    peers.CASADI_MAP: Style("#009e73", ":"),
    peers.JAX: Style("#0072b2"),
    peers.JAX_UNROLLED: Style("#0072b2", "--"),
    peers.JAX_COLUMNS: Style("#0072b2", ":"),
    peers.TORCH: Style("#777777", "-."),
}


def draw(results: Results, folder: Path) -> None:
    """Write plot.svg and plot.png: value with gradient, both axes logarithmic."""
    models = list(dict.fromkeys(entry.model for entry in results))
    batches = sorted({entry.batch for entry in results})
    columns = min(_COLUMNS, len(models))
    rows = -(-len(models) // columns)
    figure = Figure(figsize=(_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * rows + 1.2), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, model in zip(axes.flat, models, strict=False):
        _panel(axis, results, model, batches)
    for axis in axes.flat[len(models) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("points in a batch", fontsize="small")
    figure.suptitle("Time of one point, value with gradient, on one thread; lower is faster")
    drawn = dict.fromkeys(entry.peer for entry in results if entry.call_s)
    handles = [_handle(peer, style) for peer, style in STYLES.items() if peer in drawn]
    figure.legend(handles=handles, loc="outside lower center", ncols=2 * columns, frameon=False)
    with mpl.rc_context({"svg.hashsalt": "gradmill"}):
        figure.savefig(folder / "plot.svg", metadata={"Date": None})
        figure.savefig(folder / "plot.png", dpi=130)


def _handle(peer: str, style: Style) -> Line2D:
    return Line2D([], [], color=style.colour, linestyle=style.dashes, linewidth=style.width, label=peer)


def _panel(axis: Any, results: Results, model: str, batches: list[int]) -> None:  # noqa: ANN401
    axis.set_title(model, fontsize="medium", loc="left")
    axis.set(xscale="log", yscale="log", xlim=(min(batches) / 1.5, max(batches) * 1.5))
    axis.set_xticks(batches)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda batch, _: f"{batch:,.0f}"))
    axis.yaxis.set_major_locator(LogLocator(numticks=9))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(EngFormatter(unit="s"))
    axis.tick_params(labelsize="small")
    axis.grid(linewidth=0.4, alpha=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    silent = []
    for peer, style in STYLES.items():
        found = [entry for entry in results if (entry.model, entry.peer, entry.gradient) == (model, peer, True)]
        drawn = sorted((entry.batch, entry.call_s / entry.batch) for entry in found if entry.call_s)
        if drawn:
            axis.plot(*zip(*drawn, strict=True), style.dashes, color=style.colour, lw=style.width, marker="o", ms=3)
        elif found:
            silent.append(f"{peer}: {found[0].reason}")
    axis.text(0.99, 0.99, "\n".join(silent), transform=axis.transAxes, ha="right", va="top", fontsize="xx-small")
