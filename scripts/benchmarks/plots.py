"""Draws each part's tables as one SVG: a row for each contestant, a dot for each kind; logarithmic.

And six tasks as bars at a glance, for the README.

The background is transparent and the colours are of middle brightness: for light pages and dark ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator

from scripts.benchmarks.contestants import BINDFS, OURS, PLAIN
from scripts.benchmarks.results import AGAIN, COLD, FRESH, Table

_GREY = "#808890"
_COLOURS = ("#3b82c4", "#e08030", "#3c9c5c")
#: What the README's plot shows, and of whom.
_BESIDE = (OURS, BINDFS, PLAIN)
_TASKS = (
    ("ls", FRESH, "ls -l of 10,000 tags"),
    ("find", COLD, "find -ls of 2,000 images,\nnothing in memory"),
    ("find", AGAIN, "the same again"),
    ("grep", COLD, "grep over all config.json"),
    ("cat", FRESH, "cat of a layer of 1 GB"),
    ("fio-128k-8", FRESH, "random reads, 128 KiB,\n8 readers"),
)

_LOOKS = {
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

#: Inches.
_WIDTH, _ROW, _REST = 7.5, 0.24, 0.95


def draw(tables: Sequence[Table], directory: Path) -> list[Path]:
    """Write a file for each part; gives their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[Table]] = {}
    for table in tables:
        parts.setdefault(table.part, []).append(table)
    written = []
    with mpl.rc_context(_LOOKS):
        for part, of_part in parts.items():
            written.append(directory / f"{part}.svg")
            _save(_figure(of_part), written[-1])
        if rows := _glance(tables):
            written.append(directory / "glance.svg")
            _save(_bars(rows), written[-1])
    return written


def _save(figure: Figure, path: Path) -> None:
    # No date: the same figures make the same file.
    figure.savefig(path, transparent=True, metadata={"Date": None})


class Glance(NamedTuple):
    """A task of the README's plot: what is done, and the seconds that each of `_BESIDE` took."""

    title: str
    seconds: Sequence[float]


def _glance(tables: Sequence[Table]) -> list[Glance]:
    """Give the tasks that everybody in the README's plot was measured at."""
    found = {table.name: table for table in tables}
    rows = []
    for name, kind, title in _TASKS:
        medians = [found[name].median(who, kind) for who in _BESIDE] if name in found else [None]
        if None not in medians:
            rows.append(Glance(title, [median for median in medians if median is not None]))
    return rows


def _bars(rows: Sequence[Glance]) -> Figure:
    """Draw a bar for each of a task, as long as it took beside bindfs; shorter is better."""
    figure = Figure(figsize=(_WIDTH, 0.5 + 0.62 * len(rows)), layout="constrained")
    axis = figure.subplots()
    longest = 0.0
    for row, task in enumerate(rows):
        for place, (who, seconds) in enumerate(zip(_BESIDE, task.seconds, strict=True)):
            ratio, at = seconds / task.seconds[_BESIDE.index(BINDFS)], row + 0.25 * (place - 1)
            longest = max(longest, ratio)
            axis.barh(at, ratio, 0.22, color=_COLOURS[place], label=who if row == 0 else None)
            axis.text(ratio + 0.02, at, _duration(seconds), va="center", fontsize=8.5)
    axis.set_xlim(0, longest * 1.12)
    axis.set_yticks(range(len(rows)), [task.title for task in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlabel("time, bindfs being 1; shorter is better")
    axis.legend(loc="lower right", frameon=False, fontsize=9)
    return figure


def _duration(seconds: float) -> str:
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


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
