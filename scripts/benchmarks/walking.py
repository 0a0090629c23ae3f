"""`find`, `du`, `grep` and `tar` over a tree of 2,000 images.

Its layers are tars of a few KiB: restic and borg read every byte of what they back up.
"""

from __future__ import annotations

from scripts.benchmarks.contestants import BINDFS, PLAIN, Ground, bindfs, borg, ours, plain, ready, restic
from scripts.benchmarks.measuring import Bench, measure, timed
from scripts.benchmarks.results import AGAIN, COLD, Table
from scripts.benchmarks.stores import images

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
    rivals = ready([ours, plain, bindfs, restic, borg], ground, bench.results.note)
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
