"""What was measured: runs, their medians and ratios, as tables for people and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from regfs.graph.reports.lines import Lines
from regfs.graph.reports.table import Column, Type
from regfs.graph.reports.table import Table as Grid

#: cold: nothing in memory. fresh: the store's files are, the mount is new. again: the same mount once more.
COLD, FRESH, AGAIN = "cold", "fresh", "again"


@dataclass
class Table:
    """Runs by contestant and kind, less being better; `scale` makes the `unit` that is shown of them.

    `peers` are those to whom ratios are shown. `memory` is each contestant's largest process, in MB.
    """

    part: str
    name: str
    title: str
    unit: str
    kinds: Sequence[str]
    peers: Sequence[str]
    scale: float = 1.0
    runs: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def add(self, contestant: str, kind: str, run: float, memory: float = 0.0) -> None:
        """Note a run, and the memory that was in use."""
        self.runs.setdefault(contestant, {}).setdefault(kind, []).append(run)
        self.memory[contestant] = max(memory, self.memory.get(contestant, 0.0))

    def drop(self, contestant: str) -> None:
        """Forget one that could not go on."""
        self.runs.pop(contestant, None)
        self.memory.pop(contestant, None)

    def order(self, names: Sequence[str]) -> None:
        """Show contestants in this order."""
        self.runs = {name: self.runs[name] for name in names if name in self.runs}

    def median(self, contestant: str, kind: str) -> float | None:
        """Give the median of its runs, None where it has none."""
        runs = self.runs.get(contestant, {}).get(kind)
        return statistics.median(runs) if runs else None

    def ratio(self, contestant: str, kind: str, peer: str) -> float | None:
        """Compare two medians: less than one is less than the peer's."""
        mine, other = self.median(contestant, kind), self.median(peer, kind)
        return None if mine is None or not other else mine / other

    def __str__(self) -> str:
        peers = [peer for peer in self.peers if peer in self.runs]
        headers = [self.unit]
        for kind in self.kinds:
            headers += [kind, *(f"/ {peer.split()[0]}" for peer in peers)]
        rows = []
        for name, kinds in self.runs.items():
            row: list[str] = [name]
            for kind in self.kinds:
                median = self.median(name, kind)
                row.append("" if median is None else _figures(median * self.scale))
                for peer in peers:
                    ratio = self.ratio(name, kind, peer)
                    row.append("" if ratio is None else f"{ratio:.2f}")
            row.append(f"{self.memory[name]:.0f}" if self.memory[name] else "")
            rows.append([*row, str(max(map(len, kinds.values())))])
        return f"{self.title}\n\n{in_columns([*headers, 'MB', 'runs'], rows)}"

    def document(self) -> dict[str, object]:
        """Give all of it as JSON has it, in base units."""
        contestants = {
            name: {
                "memory_mb": round(self.memory[name], 1),
                **{
                    kind: {
                        "median": self.median(name, kind),
                        "runs": runs,
                        "ratios": {peer: self.ratio(name, kind, peer) for peer in self.peers},
                    }
                    for kind, runs in kinds.items()
                },
            }
            for name, kinds in self.runs.items()
        }
        about = {
            "part": self.part,
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "scale": self.scale,
        }
        return {**about, "contestants": contestants}


class Results:
    """All tables of a run, and the machine that made them. What is added is printed at once."""

    def __init__(self, rounds: int) -> None:
        self.tables: list[Table] = []
        self.notes: list[str] = []
        self._began = datetime.now(timezone.utc)
        self.machine = (
            f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}, "
            f"Linux {platform.release()}, Python {sys.version.split()[0]}, {rounds} rounds"
        )
        print(self.machine)

    def add(self, table: Table) -> None:
        """Keep and print a table, if anybody is in it."""
        if not table.runs:
            return
        self.tables.append(table)
        print(f"\n{table}", flush=True)

    def note(self, line: str) -> None:
        """Keep and print what fits no table: who was left out, single figures."""
        self.notes.append(line)
        print(f"\n{line}", flush=True)

    def write(self, path: Path) -> None:
        """Write all as JSON."""
        value = {
            "machine": self.machine,
            "began": self._began.isoformat(timespec="seconds"),
            "tables": [table.document() for table in self.tables],
            "notes": self.notes,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=1) + "\n")


def _figures(value: float) -> str:
    """Show three figures."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def in_columns(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write rows below their headers, as regfs writes a table: all but the first column to the right."""
    columns = tuple(Column(name, Type.NUMBER if at else Type.TEXT) for at, name in enumerate(headers))
    return "".join(Lines(Grid(columns, rows))).rstrip("\n")
