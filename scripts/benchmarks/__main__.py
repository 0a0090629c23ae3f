"""The command line: which parts run, and where their results go."""

from __future__ import annotations

import argparse
import compileall
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import regfs
from scripts.benchmarks.contestants import Contestant, Ground, stock, unmount
from scripts.benchmarks.disk import in_memory, own_disk
from scripts.benchmarks.finding import finding
from scripts.benchmarks.goals import reached
from scripts.benchmarks.indexing import indexing, indexing_cold
from scripts.benchmarks.inside import inside
from scripts.benchmarks.listing import listing
from scripts.benchmarks.measuring import Bench
from scripts.benchmarks.memory import memory
from scripts.benchmarks.page import page
from scripts.benchmarks.processes import FailedError, can_drop_caches
from scripts.benchmarks.reading import reading
from scripts.benchmarks.results import Results
from scripts.benchmarks.serving import serving
from scripts.benchmarks.sizes import QUICK, WHOLE, Sizes
from scripts.benchmarks.starting import starting
from scripts.benchmarks.stores import Stores
from scripts.benchmarks.walking import walking

PARTS: dict[str, Callable[[Bench], None]] = {
    "listing": listing,
    "walking": walking,
    "reading": reading,
    "memory": memory,
    "indexing": indexing,
    "inside": inside,
    "finding": finding,
    "serving": serving,
    "starting": starting,
    "page": page,
}


def _objects(bench: Bench) -> None:
    from scripts.benchmarks.objects import objects  # it needs programs that others do not

    objects(bench)


def _objects_memory(bench: Bench) -> None:
    from scripts.benchmarks.objects import objects_memory

    objects_memory(bench)


#: Parts that take so long that they run only when they are named.
LONG: dict[str, Callable[[Bench], None]] = {
    "indexing-cold": indexing_cold,
    "objects": _objects,
    "objects-memory": _objects_memory,
}


def main() -> None:
    """Run the parts named, or all."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure regfs beside its peers.")
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS, *LONG], help=f"all but {', '.join(LONG)}, if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works: no figures")
    parser.add_argument("--rounds", type=int, help="runs of each contestant (5; of slow ones 3)")
    parser.add_argument(
        "--entries",
        type=int,
        help="of the layer that is looked into (10,000; 100,000, of 2 GB, take three minutes to pack)",
    )
    parser.add_argument("--stock", action="store_true", help="measure fusepy's stock dispatch, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs, medians and ratios")
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY", help="draw each part as an SVG")
    given = parser.parse_args()
    sizes = QUICK if given.quick else WHOLE
    if given.rounds:
        sizes = dataclasses.replace(
            sizes, rounds=given.rounds, slow_rounds=min(given.rounds, sizes.slow_rounds)
        )
    if given.entries:
        unpacked = sizes.unpacked // sizes.entries * given.entries
        sizes = dataclasses.replace(sizes, entries=given.entries, unpacked=unpacked)
    # As pip installs it: where PYTHONDONTWRITEBYTECODE is set, each start of a checkout's would compile it.
    compileall.compile_dir(str(Path(regfs.__file__).parent), quiet=1)
    # What is mounted is unmounted, and what was written is deleted, whatever ends the run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results = Results(sizes.rounds)
    if not can_drop_caches():
        results.note("not root: the kernel's caches stay, so that cold is only regfs's own")
    with (
        tempfile.TemporaryDirectory(prefix="regfs-bench-") as own,
        own_disk(Path(own), results.note) as work,
        in_memory(work, results.note) as memory_disk,
    ):
        stores = Stores(work, memory_disk)
        for name in given.parts or PARTS:
            _run(name, work, sizes, stores, results, [stock] if given.stock else [])
        if given.plots:
            os.environ["MPLCONFIGDIR"] = own
            from scripts.benchmarks.plots import draw  # it takes a second to import

            print(f"\nplots: {', '.join(map(str, draw(results.tables, given.plots)))}")
    if goals := reached(results.tables):
        print(f"\n{goals}")
    if given.json:
        results.write(given.json)


def _run(
    name: str,
    work: Path,
    sizes: Sizes,
    stores: Stores,
    results: Results,
    more: list[Callable[[Ground], Contestant]],
) -> None:
    """Run one part in a directory of its own."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=work) as own:
        mountpoint = Path(own) / "mnt"
        mountpoint.mkdir()
        os.environ["XDG_CACHE_HOME"] = str(Path(own) / "cache")
        try:
            (PARTS | LONG)[name](Bench(sizes, Path(own), mountpoint, stores, results, more))
        except (FailedError, subprocess.SubprocessError, OSError) as error:
            results.note(f"left out: {name}: {error}")
        finally:
            if os.path.ismount(mountpoint):
                unmount(mountpoint)
    results.note(f"{name}: {time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
