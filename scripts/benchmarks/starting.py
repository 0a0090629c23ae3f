"""From `regfs mount` to the end of the first `ls`, and what of the store is read for it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from scripts.benchmarks.contestants import unmount
from scripts.benchmarks.measuring import Bench
from scripts.benchmarks.processes import REGFS, FailedError, drop_caches, seconds_of
from scripts.benchmarks.results import COLD, Table


def starting(bench: Bench) -> None:
    """Start on a small store and on a large one: it must take no longer."""
    title = "from regfs mount to the end of the first ls, nothing in memory"
    table = Table("starting", "start", title, "s", (COLD,), ())
    for tags in (10, bench.sizes.tags):
        store = bench.stores.wide(tags)
        name = f"{tags:,} tags"
        for _ in range(bench.sizes.rounds):
            drop_caches()
            began = time.perf_counter()
            seconds_of([*REGFS, "mount", str(store), str(bench.mountpoint)])
            seconds_of(["ls", str(bench.mountpoint)])
            table.add(name, COLD, time.perf_counter() - began)
            unmount(bench.mountpoint)
        try:
            bench.results.note(f"{name}: of the store, opened: {json.dumps(_opened(store, bench))}")
        except FailedError as error:
            bench.results.note(f"left out: what is opened: {error}")
    bench.results.add(table)


def _opened(store: Path, bench: Bench) -> list[str]:
    """Tell what below the store a mount and an `ls` of its top open, by strace."""
    v2, trace = store / "docker/registry/v2", bench.work / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=openat", "-o", str(trace), *REGFS, "mount", "-f"]
    try:
        process = subprocess.Popen([*command, str(store), str(bench.mountpoint)], stderr=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise FailedError("strace is not installed") from error
    while not os.path.ismount(bench.mountpoint):
        if process.poll() is not None:
            raise FailedError("regfs did not mount under strace")
        time.sleep(0.05)
    seconds_of(["ls", str(bench.mountpoint)])
    unmount(bench.mountpoint)
    process.wait()
    results = [line.rpartition(" = ")[2] for line in trace.read_text().splitlines() if " = " in line]
    paths = {result.partition("<")[2].rstrip(">") for result in results if str(v2) in result}
    return sorted(os.path.relpath(path, v2) for path in paths)
