"""`cat` of a layer of 1 GB, and fio's random reads in it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from scripts.benchmarks.contestants import (
    BINDFS,
    PLAIN,
    Ground,
    bindfs,
    borg,
    fusepy,
    ours,
    plain,
    ready,
    restic,
)
from scripts.benchmarks.measuring import Bench, Task, measure, timed
from scripts.benchmarks.processes import run
from scripts.benchmarks.results import AGAIN, COLD, FRESH, Table
from scripts.benchmarks.stores import one_layer


class _Job(NamedTuple):
    """Random reads: KiB in one, and how many read together."""

    block: int
    readers: int


_JOBS = (_Job(4, 1), _Job(4, 8), _Job(128, 1), _Job(128, 8))


def reading(bench: Bench) -> None:
    """Read a large layer from end to end, and here and there."""
    sizes = bench.sizes
    store = bench.work / "registry"
    layer, shown = one_layer(store, sizes.layer)
    linked = bench.work / "tree" / shown
    linked.parent.mkdir(parents=True)
    os.link(layer, linked)
    ground = Ground(store, bench.work / "tree", bench.mountpoint, bench.work)
    rivals = ready([ours, fusepy, plain, bindfs, restic, borg, *bench.more], ground, bench.results.note)

    size = f"{sizes.layer / 1e9:g} GB"
    title = f"cat of a layer of {size}"
    cat = Table("reading", "cat", title, "ms", (COLD, FRESH, AGAIN), (BINDFS, PLAIN), 1e3)
    tables = [
        Table(
            "reading",
            f"fio-{job.block}k-{job.readers}",
            f"fio: random reads of {job.block} KiB in a layer of {size}, {job.readers} at a time: per read",
            "µs",
            (COLD, FRESH),
            (BINDFS, PLAIN),
            1e6,
        )
        for job in _JOBS
    ]
    fio = Task(lambda top: _random_reads(top / shown, sizes.layer, sizes.seconds), tables)
    measure(bench, rivals, [timed(cat, 'cat "$1"', shown), fio])


def _random_reads(path: Path, size: int, seconds: float) -> list[float]:
    """Give the time for one read of each job: that of the run, shared out among all reads of all readers.

    Each job has a part of the file to itself, and reads no block twice.
    """
    part = size // len(_JOBS) >> 20
    # By itself, fio would empty the page cache of the file: of the mount's, not of the store's.
    common = ["--ioengine=psync", "--invalidate=0", "--readonly", "--thread", f"--filename={path}"]
    jobs = [
        f"--name={number} --new_group --group_reporting --stonewall --rw=randread --offset={number * part}m "
        f"--size={part}m --bs={job.block}k --numjobs={job.readers} --runtime={round(seconds * 1000)}ms"
        for number, job in enumerate(_JOBS)
    ]
    done = run(["fio", "--output-format=json", *common, *" ".join(jobs).split()])
    found = json.loads(done.output[done.output.index("{") :])["jobs"]
    return [1 / float(job["read"]["iops"]) for job in found]
