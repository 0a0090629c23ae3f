"""Runs tasks on contestants in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.benchmarks.contestants import BINDFS, Contestant, Ground, mounted
from scripts.benchmarks.processes import FailedError, drop_caches, peak_memory, seconds_of
from scripts.benchmarks.results import AGAIN, COLD, FRESH, Results, Table
from scripts.benchmarks.sizes import Sizes
from scripts.benchmarks.stores import Stores


class Bench(NamedTuple):
    """What a part gets: how large, a directory of its own, where to mount, stores, where results go.

    `more` are contestants that only who asks for them wants.
    """

    sizes: Sizes
    work: Path
    mountpoint: Path
    stores: Stores
    results: Results
    more: Sequence[Callable[[Ground], Contestant]]


class Task(NamedTuple):
    """What is run on the top of a contestant's tree: gives seconds for each of the tables."""

    run: Callable[[Path], Sequence[float]]
    tables: Sequence[Table]


def timed(table: Table, script: str, below: str = "") -> Task:
    """Make a task of a script that gets the path as $1; a part of a pipe that fails makes it fail."""
    shell = ["bash", "-o", "pipefail", "-c", script, "bash"]
    return Task(lambda top: [seconds_of([*shell, str(top / below)])], [table])


def measure(bench: Bench, rivals: Sequence[Contestant], tasks: Sequence[Task]) -> None:
    """Run each task on each contestant, another one first in each round, and print the tables."""
    part = tasks[0].tables[0].part
    mounting = Table(
        part, "mounting", f"{part}: from the command to the mount", "ms", (COLD,), (BINDFS,), 1e3
    )
    for task in tasks:
        _rounds(bench, rivals, task, mounting)
        for table in task.tables:
            table.order([rival.name for rival in rivals])
            bench.results.add(table)
    mounting.order([rival.name for rival in rivals])
    bench.results.add(mounting)


def _rounds(bench: Bench, rivals: Sequence[Contestant], task: Task, mounting: Table) -> None:
    sizes, running, began = bench.sizes, list(rivals), time.monotonic()
    for turn in range(sizes.rounds):
        enough = turn >= sizes.slow_rounds or (turn > 0 and time.monotonic() - began > sizes.slow_within)
        for rival in _in_turn(rivals, turn):
            if rival not in running or (rival.slow and enough):
                continue
            try:
                _once(task, rival, bench.mountpoint, mounting)
            except FailedError as error:
                running.remove(rival)
                for table in task.tables:
                    table.drop(rival.name)
                bench.results.note(f"left out: {rival.name}: {error}")


def _in_turn(rivals: Sequence[Contestant], turn: int) -> Sequence[Contestant]:
    first = turn % len(rivals)
    return [*rivals[first:], *rivals[:first]]


def _once(task: Task, rival: Contestant, mountpoint: Path, mounting: Table) -> None:
    """Run a task for each kind: `again` follows on the mount of `fresh`, or else of `cold`."""
    kinds = task.tables[0].kinds
    for kind in (COLD, FRESH):
        if kind not in kinds:
            continue
        if kind == COLD:
            drop_caches()
        began = time.perf_counter()
        with mounted(rival, mountpoint) as process:
            if process and kind == COLD:
                mounting.add(rival.name, COLD, time.perf_counter() - began)
            runs = [(kind, task.run(rival.top))]
            if AGAIN in kinds and (kind == FRESH or FRESH not in kinds):
                runs.append((AGAIN, task.run(rival.top)))
            memory = peak_memory(process) if process else 0.0
        for of, found in runs:
            for table, seconds in zip(task.tables, found, strict=True):
                table.add(rival.name, of, seconds, memory)
