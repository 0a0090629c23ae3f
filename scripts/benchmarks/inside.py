"""Inside a layer, beside gzip, tar and ratarmount on the same file."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regfs.layers import Layers
from regfs.oci import Digest
from regfs.registry import Contents, locate, open_local
from scripts.benchmarks.contestants import unmount
from scripts.benchmarks.large_layer import large_layer
from scripts.benchmarks.measuring import Bench
from scripts.benchmarks.processes import REGFS, Run, run, seconds_of
from scripts.benchmarks.results import Table
from tests.builder import Blob, StoreBuilder

_SECONDS = "seconds"
_GZIP, _GZIP_TAR, _RATARMOUNT_FIND = "gzip -dc", "gzip -dc | tar t", "ratarmount: find -ls"

_IMAGE = "big/1"
_READ = 128 << 10


def inside(bench: Bench) -> None:
    """Build a layer's index, open it, read through it."""
    store = StoreBuilder(bench.work / "registry")
    layer = large_layer(store, bench.work, bench.sizes.entries, bench.sizes.unpacked)
    packed = store.data(layer.digest)
    of = (
        f"a gzip layer of {bench.sizes.entries:,} entries, {bench.sizes.unpacked / 1e9:g} GB "
        f"({packed.stat().st_size / 1e6:.0f} MB stored)"
    )
    _build(bench, store, packed, of)
    _open(bench, store, layer)
    _read(bench, store, packed, of)


def _build(bench: Bench, store: StoreBuilder, packed: Path, of: str) -> None:
    table = Table("inside", "inside-index", f"building the index of {of}", "s", (_SECONDS,), (_GZIP_TAR,))
    ratarmount = _ratarmount(bench, packed)

    def note(name: str, done: Run) -> None:
        table.add(name, _SECONDS, done.seconds, done.memory)

    for _ in range(bench.sizes.slow_rounds):
        note(_GZIP_TAR, run(["sh", "-c", f"gzip -dc {packed} | tar t"]))
        if ratarmount:
            (bench.work / "ratarmount.index").unlink(missing_ok=True)
            note("ratarmount", run(ratarmount))
            unmount(bench.mountpoint)
        shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)
        note("regfs index --layers", run([*REGFS, "index", "--layers", str(store.root)]))
    bench.results.add(table)


def _ratarmount(bench: Bench, packed: Path) -> list[str]:
    program = shutil.which("ratarmount", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        bench.results.note("left out: ratarmount: it is not installed")
        return []
    index = str(bench.work / "ratarmount.index")
    return [program, "--index-file", index, str(packed), str(bench.mountpoint)]


def _open(bench: Bench, store: StoreBuilder, layer: Blob) -> None:
    local = open_local(locate(str(store.root)))
    times = []
    for _ in range(bench.sizes.rounds * 5):
        layers = Layers(Contents(local), Path(os.environ["XDG_CACHE_HOME"]) / "regfs")
        began = time.perf_counter()
        layers.get(Digest.parse(layer.digest))
        times.append(time.perf_counter() - began)
        layers.close()
    local.close()
    bench.results.note(f"opening a built index: {statistics.median(times) * 1e3:.1f} ms")


@contextmanager
def _mounted(command: list[str], mountpoint: Path) -> Iterator[None]:
    seconds_of(command)
    try:
        yield
    finally:
        unmount(mountpoint)


def _read(bench: Bench, store: StoreBuilder, packed: Path, of: str) -> None:
    regfs = [*REGFS, "mount", str(store.root), str(bench.mountpoint)]
    ratarmount = _ratarmount(bench, packed)
    image = bench.mountpoint / _IMAGE
    table = Table(
        "inside", "inside-read", f"reading {of}, its index built", "s", (_SECONDS,), (_GZIP, _RATARMOUNT_FIND)
    )
    waits: list[float] = []

    def note(name: str, mount: list[str], command: list[str]) -> None:
        if not mount:
            table.add(name, _SECONDS, seconds_of(command))
            return
        with _mounted(mount, bench.mountpoint):
            table.add(name, _SECONDS, seconds_of(command))

    for turn in range(bench.sizes.slow_rounds):
        note(_GZIP, [], ["sh", "-c", f"gzip -dc {packed} | cat > /dev/null"])
        note("regfs: cat 00.tar", regfs, ["cat", str(image / "layers/00.tar")])
        note("regfs: find rootfs -ls", regfs, ["find", f"{image}/rootfs/", "-ls"])
        if ratarmount:
            note(_RATARMOUNT_FIND, ratarmount, ["find", f"{bench.mountpoint}/", "-ls"])
        with _mounted(regfs, bench.mountpoint):
            waits += _random_reads(image / "layers/00.tar", bench.sizes.reads, turn)
    bench.results.add(table)
    ordered = sorted(waits)
    bench.results.note(
        f"random reads of 128 KiB in 00.tar: mean {statistics.mean(waits) * 1e3:.1f} ms, "
        f"99th percentile {ordered[int(len(ordered) * 0.99)] * 1e3:.1f} ms"
    )


def _random_reads(path: Path, reads: int, seed: int) -> list[float]:
    places = random.Random(seed)
    size = path.stat().st_size
    waits = []
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for _ in range(reads):
            offset = places.randrange(size - _READ)
            began = time.perf_counter()
            os.pread(descriptor, _READ, offset)
            waits.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
    return waits
