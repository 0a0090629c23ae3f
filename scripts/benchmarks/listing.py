"""`ls -l` of a directory with 10,000 tags."""

from __future__ import annotations

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
from scripts.benchmarks.measuring import Bench, measure, timed
from scripts.benchmarks.results import AGAIN, COLD, FRESH, Table
from scripts.benchmarks.stores import directories


def listing(bench: Bench) -> None:
    """List all tags of one repository."""
    tags = bench.sizes.tags
    store = bench.stores.wide(tags)
    tree = bench.work / "tree"
    repository = directories(store, tree)
    ground = Ground(store, tree, bench.mountpoint, bench.work)
    rivals = ready([ours, fusepy, plain, bindfs, restic, borg, *bench.more], ground, bench.results.note)
    title = f"ls -l of {tags:,} tags, per entry"
    table = Table("listing", "ls", title, "µs", (COLD, FRESH, AGAIN), (BINDFS, PLAIN), 1e6 / tags)
    measure(bench, rivals, [timed(table, 'ls -l "$1"', repository)])
