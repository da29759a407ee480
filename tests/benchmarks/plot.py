"""Draws nanoseconds per point against the batch, one panel for each model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.benchmarks.peers import table as peers
from tests.benchmarks.results import Results

_COLUMNS = 5
_PANEL_INCHES = (2.9, 2.7)


class Style(NamedTuple):
    """How a peer's line looks: one colour for each library, one dash for each way of using it."""

    colour: str
    dashes: str = "-"
    width: float = 1.3


# Okabe and Ito's colours, which most colour-blind readers can tell apart.
STYLES = {
    peers.OURS: Style("#d55e00", width=2.6),
    peers.OUR_COLUMNS: Style("#d55e00", ":", 1.8),
    peers.CASADI_MAP: Style("#009e73", ":"),
    peers.CASADI_GCC: Style("#009e73"),
    peers.JAX: Style("#0072b2"),
    peers.JAX_UNROLLED: Style("#0072b2", "--"),
    peers.JAX_COLUMNS: Style("#0072b2", ":"),
    peers.TORCH: Style("#8c8c8c"),
}


def draw(results: Results, folder: Path) -> None:
    """Write plot.svg and plot.png: value with gradient, both axes logarithmic."""
    models = list(dict.fromkeys(entry.model for entry in results))
    rows = -(-len(models) // _COLUMNS)
    columns = min(_COLUMNS, len(models))
    figure = Figure(figsize=(_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * rows + 1.0), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axis, model in zip(axes.flat, models, strict=False):
        _panel(axis, results, model)
    for axis in axes.flat[len(models) :]:
        axis.set_axis_off()
    handles = {line.get_label(): line for axis in axes.flat for line in axis.get_lines()}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(STYLES), frameon=False)
    figure.suptitle("Value with gradient on one thread: nanoseconds per point by points in a batch; lower is faster")
    with mpl.rc_context({"svg.hashsalt": "gradmill"}):
        figure.savefig(folder / "plot.svg", metadata={"Date": None})
        figure.savefig(folder / "plot.png", dpi=110)


def _panel(axis: Any, results: Results, model: str) -> None:  # noqa: ANN401
    axis.set_title(model, fontsize="medium", loc="left")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.grid(which="major", linewidth=0.4, alpha=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    missing = []
    for peer, style in STYLES.items():
        found = [entry for entry in results if (entry.model, entry.peer, entry.gradient) == (model, peer, True)]
        drawn = [(entry.batch, 1e9 * entry.call_s / entry.batch) for entry in found if entry.call_s]
        if found and not drawn:
            missing.append(f"{peer}: {found[0].reason}")
        if drawn:
            axis.plot(
                *zip(*drawn, strict=True),
                style.dashes,
                color=style.colour,
                linewidth=style.width,
                marker="o",
                markersize=3,
                label=peer,
            )
    axis.text(
        0.98,
        0.97,
        "\n".join(missing),
        transform=axis.transAxes,
        ha="right",
        va="top",
        fontsize="xx-small",
        color="#555555",
    )
