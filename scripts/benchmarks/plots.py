"""Draws each part's tables as one SVG: a row for each contestant, a dot for each kind; logarithmic.

The background is transparent and the colours are of middle brightness: for light pages and dark ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator

from scripts.benchmarks.results import Table

_GREY = "#808890"
_COLOURS = ("#3b82c4", "#e08030", "#3c9c5c")
#: Inches.
_WIDTH, _ROW, _REST = 7.5, 0.24, 0.95


def draw(tables: Sequence[Table], directory: Path) -> list[Path]:
    """Write a file for each part; gives their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[Table]] = {}
    for table in tables:
        parts.setdefault(table.part, []).append(table)
    written = []
    with mpl.rc_context(
        {
            # Text stays text: small files, in the page's own kind of letters.
            "svg.fonttype": "none",
            "svg.hashsalt": "regfs",
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 10,
            "text.color": _GREY,
            "axes.edgecolor": _GREY,
            "axes.labelcolor": _GREY,
            "xtick.color": _GREY,
            "ytick.color": _GREY,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    ):
        for part, of_part in parts.items():
            written.append(directory / f"{part}.svg")
            # No date: the same figures make the same file.
            _figure(of_part).savefig(written[-1], transparent=True, metadata={"Date": None})
    return written


def _figure(tables: Sequence[Table]) -> Figure:
    heights = [_REST + _ROW * len(table.runs) for table in tables]
    figure = Figure(figsize=(_WIDTH, sum(heights)), layout=ConstrainedLayoutEngine(h_pad=0.1))
    axes = figure.subplots(len(tables), squeeze=False, height_ratios=heights)
    for table, (axis,) in zip(tables, axes, strict=True):
        _panel(table, axis)
    return figure


def _panel(table: Table, axis: Axes) -> None:
    names = list(table.runs)
    for row, name in enumerate(names):
        medians = [
            (kind, median * table.scale)
            for kind in table.kinds
            if (median := table.median(name, kind)) is not None
        ]
        values = [median for _, median in medians]
        axis.plot([min(values), max(values)], [row, row], color=_GREY, linewidth=1, alpha=0.5, zorder=1)
        for kind, median in medians:
            colour = _COLOURS[list(table.kinds).index(kind)]
            axis.scatter(median, row, color=colour, s=34, zorder=2, label=kind if name == names[0] else None)
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.minorticks_off()
    axis.grid(axis="x", color=_GREY, alpha=0.25, linewidth=0.6)
    axis.set_title(f"{table.title}: {table.unit}", loc="left", fontsize=10, wrap=True)
    if len(table.kinds) > 1:
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
