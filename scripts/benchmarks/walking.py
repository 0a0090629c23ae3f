"""`find`, `du`, `grep` and `tar` over a tree of 2,000 images, the index at hand; and `find` in one process.

Its layers are tars of a few KiB: restic and borg read every byte of what they back up.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from scripts.benchmarks.contestants import (
    BINDFS,
    OURS,
    PLAIN,
    REGFS,
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
from scripts.benchmarks.processes import prepare
from scripts.benchmarks.results import AGAIN, COLD, Table
from scripts.benchmarks.stores import images

OPERATIONS = "operations"

#: Seconds after which the index believes the stamps of what was just made.
_SETTLED = 3.0

_HERE = Path(__file__).parents[2]

_FIND = 'find "$1" -ls'
_DU = 'du -s "$1"'
_GREP = 'find "$1" -name config.json -exec grep -l BUILD_NUMBER=1 {} +'
_TAR = 'tar c -C "$1" . | wc -c'


def walking(bench: Bench) -> None:
    """Walk over all images, read their configs, and pack one repository."""
    count = bench.sizes.images
    store = bench.stores.generated(count, "--real", "--layers", "3", "--indexes", "0")
    tree = bench.work / "tree"
    repository = images(store, tree)
    entries = sum(1 for _ in tree.rglob("*"))
    ground = Ground(store, tree, bench.mountpoint, bench.work)
    rivals = ready([ours, fusepy, plain, bindfs, restic, borg], ground, bench.results.note)
    time.sleep(_SETTLED)
    prepare([*REGFS, "index", str(store)], {}, bench.work)
    of = f"{count:,} images ({entries:,} names, layers of a few KiB)"

    tags = len(list((tree / repository).iterdir()))

    def table(name: str, title: str) -> Table:
        return Table("walking", name, title, "ms", (COLD, AGAIN), (BINDFS, PLAIN), 1e3)

    tasks = [
        timed(table("find", f"find -ls of {of}"), _FIND),
        timed(table("du", f"du -s of {of}"), _DU),
        timed(table("grep", f"grep -l over all config.json of {of}"), _GREP),
        timed(table("tar", f"tar c | wc -c of a repository of {tags:,} images"), _TAR, repository),
    ]
    measure(bench, rivals, tasks)
    bench.results.add(_operations(bench, store, count))


def _operations(bench: Bench, store: Path, count: int) -> Table:
    """Call the operations of `find -ls` in one process, without FUSE: each time a new one."""
    title = f"the operations of find -ls of {count:,} images, in one process without FUSE"
    table = Table("walking", OPERATIONS, title, "ms an image", (COLD, AGAIN), (), 1e3)
    for _ in range(bench.sizes.rounds):
        command = [sys.executable, "-m", "scripts.benchmarks.operations", str(store)]
        cold, again = map(float, prepare(command, {}, _HERE).split())
        table.add(OURS, COLD, cold / count)
        table.add(OURS, AGAIN, again / count)
    return table
