"""The parts, and how their results are printed."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.benchmarks.contestants import Contestant, contestants, drop_caches, mounted
from scripts.benchmarks.indexing import indexing
from scripts.benchmarks.inside import inside
from tests.builder import StoreBuilder

_GIB = 1_000_000_000


#: cold: nothing in memory. fresh: the store's files are, the mount is new. again: the same mount once more.
_KINDS = ("cold", "fresh", "again")

Times = dict[str, dict[str, list[float]]]


def measure(rivals: Sequence[Contestant], mountpoint: Path, command: Sequence[str], rounds: int) -> Times:
    """Run a command on each contestant's path, taking turns. Times in seconds, by name and kind."""
    times: Times = {rival.name: {kind: [] for kind in _KINDS} for rival in rivals}
    for turn in range(rounds):
        first = turn % len(rivals)
        for rival in [*rivals[first:], *rivals[:first]]:
            with mounted(rival, mountpoint):
                drop_caches()
                times[rival.name]["cold"].append(_time([*command, rival.path]))
            with mounted(rival, mountpoint):
                times[rival.name]["fresh"].append(_time([*command, rival.path]))
                times[rival.name]["again"].append(_time([*command, rival.path]))
    return times


def _time(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def show(title: str, times: Times, unit: str, scale: float) -> None:
    """Print the medians, and behind each its ratio to bindfs's of the same kind."""
    print(f"\n{title}: {unit}, and the ratio to bindfs\n")
    print(" " * 24 + "".join(f"{kind:>18}" for kind in _KINDS))
    for name, kinds in times.items():
        medians = {kind: statistics.median(kinds[kind]) for kind in _KINDS}
        cells = [
            f"{medians[kind] * scale:10.1f}  {medians[kind] / statistics.median(times['bindfs'][kind]):6.2f}"
            for kind in _KINDS
        ]
        print(f"{name:24}{''.join(cells)}")


def listing(work: Path, mountpoint: Path, rounds: int, tags: int = 10_000) -> None:
    """`ls -l` of a directory with 10,000 tags."""
    store = StoreBuilder(work / "registry")
    manifest = store.image("team/app", "t0")
    names = [f"t{number:06}" for number in range(tags)]
    for name in names:
        store.tag("team/app", name, manifest, mtime=1_700_000_000)
        (work / "tree" / name).mkdir(parents=True)
    times = measure(
        contestants(store.root, work / "tree", "team/app", "", mountpoint), mountpoint, ["ls", "-l"], rounds
    )
    show(f"ls -l of {tags:,} tags, per entry", times, "µs", 1e6 / tags)


def reading(work: Path, mountpoint: Path, rounds: int, size: int = _GIB) -> None:
    """`cat` of a layer of 1 GB."""
    store = StoreBuilder(work / "registry")
    content = os.urandom(size)
    layer = store.blob(content, "application/vnd.oci.image.layer.v1.tar+gzip")
    store.image("team/app", "big", [layer])
    (work / "tree").mkdir()
    (work / "tree" / "layer").write_bytes(content)
    del content
    rivals = contestants(store.root, work / "tree", "team/app/big/layers/00.tar.gz", "layer", mountpoint)
    show(f"cat of a layer of {size / 1e9:g} GB", measure(rivals, mountpoint, ["cat"], rounds), "ms", 1e3)


def starting(work: Path, mountpoint: Path, rounds: int, tags: int = 100_000) -> None:
    """From `regfs mount` to the end of the first `ls`, and what of the store is read for it."""
    print("\nfrom regfs mount to the end of the first ls, cold\n")
    for count in (10, tags):
        store = StoreBuilder(work / f"registry{count}")
        link = store.image("team/app", None).digest
        for number in range(count):
            store.write(store.tag_link("team/app", f"t{number:06}"), link)
        times = []
        for _ in range(rounds):
            drop_caches()
            start = time.perf_counter()
            mount = [*_REGFS_MOUNT, str(store.root), str(mountpoint)]
            subprocess.run(mount, check=True, stderr=subprocess.DEVNULL)
            subprocess.run(["ls", str(mountpoint)], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
            subprocess.run(["umount", str(mountpoint)], check=True)
        opened = _opened(store, mountpoint)
        print(
            f"{count:7,} tags: {statistics.median(times):.2f} s; of the store, opened: {json.dumps(opened)}"
        )


_REGFS_MOUNT = [sys.executable, "-m", "regfs", "mount"]


def _opened(store: StoreBuilder, mountpoint: Path) -> list[str]:
    """Tell what below the store a mount and an `ls` of its top open, by strace."""
    trace = mountpoint.with_suffix(".trace")
    command = ["strace", "-f", "-y", "-e", "trace=openat", "-o", str(trace), *_REGFS_MOUNT, "-f"]
    process = subprocess.Popen([*command, str(store.root), str(mountpoint)], stderr=subprocess.DEVNULL)
    while not os.path.ismount(mountpoint):
        time.sleep(0.05)
    subprocess.run(["ls", str(mountpoint)], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["umount", str(mountpoint)], check=True)
    process.wait()
    results = [line.rpartition(" = ")[2] for line in trace.read_text().splitlines() if " = " in line]
    paths = {result.partition("<")[2].rstrip(">") for result in results if str(store.v2) in result}
    return sorted(os.path.relpath(path, store.v2) for path in paths)


PARTS: dict[str, Callable[[Path, Path, int], None]] = {
    "listing": listing,
    "reading": reading,
    "starting": starting,
    "indexing": indexing,
    "inside": inside,
}


def main() -> None:
    """Run the parts named, or all."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all, if none is named")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each contestant (7)")
    arguments = parser.parse_args()
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}"
    print(f"{machine}, medians of {arguments.rounds} rounds")
    if not drop_caches():
        print("not root: the kernel's caches stay, so that cold is only regfs's own")
    for name in arguments.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="regfs-bench-") as work:
            mountpoint = Path(work) / "mnt"
            mountpoint.mkdir()
            PARTS[name](Path(work), mountpoint, arguments.rounds)


if __name__ == "__main__":
    main()
