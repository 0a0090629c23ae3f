"""Inside a layer of 1.9 GB with 100,000 entries, beside gzip, tar and ratarmount on the same file."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from regfs.layers import Layers
from regfs.oci import Digest
from regfs.store import LocalStore, locate
from scripts.benchmarks.indexing import Run, run
from tests.builder import Blob, StoreBuilder

_REGFS = [sys.executable, "-m", "regfs"]
_RATARMOUNT = shutil.which("ratarmount", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")

_ENTRIES = 100_000
_SIZE = 1_900_000_000
_IMAGE = "big/1"
_READ = 128 << 10
_READS = 1000


def inside(work: Path, mountpoint: Path, rounds: int) -> None:
    """Build a layer's index, open it, read through it."""
    os.environ["XDG_CACHE_HOME"] = str(work / "cache")
    store = StoreBuilder(work / "registry")
    layer = _layer(store, work)
    packed = store.data(layer.digest)
    stored = packed.stat().st_size / 1e6
    print(f"\na gzip layer of {_ENTRIES:,} entries, {_SIZE / 1e9:.1f} GB, {stored:.0f} MB stored")
    _build(store, packed, work, mountpoint, rounds)
    _open(store, layer, rounds)
    _read(store, packed, work, mountpoint, rounds)


def _layer(store: StoreBuilder, work: Path) -> Blob:
    """Push one image of one layer: files of all sizes in directories of all sizes, half of it noise."""
    noise = random.Random(1)
    text = b" ".join(b"%x" % noise.getrandbits(20) for _ in range(200_000))
    plain = hashlib.sha256()
    packed = work / "layer.tar.gz"
    with packed.open("wb") as target:
        gzip = subprocess.Popen(["gzip", "-c"], stdin=subprocess.PIPE, stdout=target)
        assert gzip.stdin is not None

        class Both(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, piece: object) -> int:
                assert gzip.stdin is not None
                plain.update(piece)  # type: ignore[arg-type]
                return gzip.stdin.write(piece) or 0  # type: ignore[arg-type]

        with tarfile.open(fileobj=Both(), mode="w|") as archive:  # type: ignore[arg-type]
            for number in range(_ENTRIES):
                place = "many" if number < _ENTRIES // 5 else f"dir{number % 200}/sub{number % 7}"
                entry = tarfile.TarInfo(f"usr/{place}/file{number}")
                entry.size = min(int(noise.expovariate(_ENTRIES / (_SIZE * 0.96))), 1 << 20)
                entry.mtime = 1_700_000_000 + number
                start = noise.randrange(len(text))
                half = entry.size // 2
                content = (text[start:] + text)[:half] + noise.randbytes(entry.size - half)
                archive.addfile(entry, io.BytesIO(content))
        gzip.stdin.close()
        assert gzip.wait() == 0
    layer = store.blob(packed.read_bytes(), "application/vnd.oci.image.layer.v1.tar+gzip")
    packed.unlink()
    config = store.config(rootfs={"type": "layers", "diff_ids": [f"sha256:{plain.hexdigest()}"]})
    store.image("big", "1", [layer], config)
    return layer


def _build(store: StoreBuilder, packed: Path, work: Path, mountpoint: Path, rounds: int) -> None:
    runs: dict[str, list[Run]] = {}
    for _ in range(rounds):
        runs.setdefault("gzip -dc | tar t", []).append(run(["sh", "-c", f"gzip -dc {packed} | tar t"]))
        if _RATARMOUNT:
            runs.setdefault("ratarmount", []).append(_ratarmount_build(packed, work, mountpoint))
        shutil.rmtree(work / "cache", ignore_errors=True)
        runs.setdefault("regfs index --layers", []).append(
            run([*_REGFS, "index", "--layers", str(store.root)])
        )
    print("\nbuilding the index: seconds, MB of the largest process\n")
    first = statistics.median(one.seconds for one in runs["gzip -dc | tar t"])
    for name, found in runs.items():
        seconds = statistics.median(one.seconds for one in found)
        print(f"{name:34}{seconds:9.2f}{max(one.memory for one in found):9.0f}   {seconds / first:.2f}")


def _ratarmount_build(packed: Path, work: Path, mountpoint: Path) -> Run:
    index = work / "ratarmount.index"
    index.unlink(missing_ok=True)
    return _unmounting(mountpoint, lambda: run(_ratarmount(packed, work, mountpoint)))


def _ratarmount(packed: Path, work: Path, mountpoint: Path) -> list[str]:
    return [str(_RATARMOUNT), "--index-file", str(work / "ratarmount.index"), str(packed), str(mountpoint)]


def _unmounting(mountpoint: Path, mount: Callable[[], Run]) -> Run:
    try:
        return mount()
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)


def _open(store: StoreBuilder, layer: Blob, rounds: int) -> None:
    local = LocalStore(locate(str(store.root)))
    times = []
    for _ in range(rounds * 5):
        layers = Layers(local, Path(os.environ["XDG_CACHE_HOME"]) / "regfs")
        began = time.perf_counter()
        layers.get(Digest.parse(layer.digest))
        times.append(time.perf_counter() - began)
        layers.close()
    local.close()
    print(f"\nopening a built index: {statistics.median(times) * 1e3:.1f} ms")


@contextmanager
def _mounted(command: list[str], mountpoint: Path) -> Iterator[None]:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)


def _read(store: StoreBuilder, packed: Path, work: Path, mountpoint: Path, rounds: int) -> None:
    ours = [*_REGFS, "mount", str(store.root), str(mountpoint)]
    image = mountpoint / _IMAGE
    times: dict[str, list[float]] = {}
    waits: list[float] = []

    def note(name: str, command: list[str]) -> None:
        times.setdefault(name, []).append(run(command).seconds)

    for turn in range(rounds):
        note("gzip -dc", ["sh", "-c", f"gzip -dc {packed} > /dev/null"])
        with _mounted(ours, mountpoint):
            note("regfs: cat 00.tar", ["sh", "-c", f"cat {image}/layers/00.tar > /dev/null"])
        with _mounted(ours, mountpoint):
            waits += _random_reads(image / "layers/00.tar", turn)
        with _mounted(ours, mountpoint):
            note("regfs: find rootfs -ls", ["find", f"{image}/rootfs/", "-ls"])
        if _RATARMOUNT:
            with _mounted(_ratarmount(packed, work, mountpoint), mountpoint):
                note("ratarmount: find -ls", ["find", f"{mountpoint}/", "-ls"])
    print("\nreading through the mount: seconds\n")
    for name, found in times.items():
        print(f"{name:34}{statistics.median(found):9.2f}")
    ordered = sorted(waits)
    print(
        f"\nrandom reads of 128 KiB: mean {statistics.mean(waits) * 1e3:.1f} ms, "
        f"99th percentile {ordered[int(len(ordered) * 0.99)] * 1e3:.1f} ms"
    )


def _random_reads(path: Path, seed: int) -> list[float]:
    places = random.Random(seed)
    size = path.stat().st_size
    waits = []
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for _ in range(_READS):
            offset = places.randrange(size - _READ)
            began = time.perf_counter()
            os.pread(descriptor, _READ, offset)
            waits.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
    return waits
