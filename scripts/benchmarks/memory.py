"""The memory of the mount's process after all tags were walked over, as the store grows."""

from __future__ import annotations

from scripts.benchmarks.contestants import REGFS, Ground, mounted, ours
from scripts.benchmarks.measuring import Bench
from scripts.benchmarks.processes import peak_memory, prepare, seconds_of
from scripts.benchmarks.results import Table

WALKED, MOUNTED = "walked", "mounted"


def memory(bench: Bench) -> None:
    """Walk over each tag's directory, once for each size of store: it is no question of time."""
    title = "peak memory (VmHWM) of regfs, before and after find -ls down to manifests and configs"
    table = Table("memory", "memory", title, "MB", (MOUNTED, WALKED), ())
    for tags in bench.sizes.growth:
        store = bench.stores.growing(tags)
        prepare([*REGFS, "index", str(store)], {}, bench.work)
        contestant = ours(Ground(store, store, bench.mountpoint, bench.work))
        with mounted(contestant, bench.mountpoint) as process:
            assert process is not None
            name = f"{tags:,} tags"
            table.add(name, MOUNTED, peak_memory(process))
            walk = ["find", str(bench.mountpoint), "-name", "layers", "-prune", "-o", "-ls"]
            seconds = seconds_of(walk)
            table.add(name, WALKED, peak_memory(process))
        bench.results.note(f"{name}: walked over in {seconds:.1f} s, {seconds / tags * 1e6:.0f} µs a tag")
    bench.results.add(table)
