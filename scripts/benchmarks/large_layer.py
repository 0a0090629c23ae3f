"""A layer as large as they come: files of all sizes in directories of all sizes, half of it noise."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import tarfile
from pathlib import Path
from typing import IO

from tests.builder import Blob, StoreBuilder


class _Hashing(io.RawIOBase):
    """Passes on what is written, and hashes it."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        self.hash.update(piece)
        self._target.write(piece)
        return len(piece)


def large_layer(store: StoreBuilder, work: Path, entries: int, size: int) -> Blob:
    """Push one image, big:1, of one gzip layer that has `size` bytes uncompressed."""
    packed = work / "layer.tar.gz"
    with packed.open("wb") as target:
        gzip = subprocess.Popen(["gzip", "-c"], stdin=subprocess.PIPE, stdout=target)
        assert gzip.stdin is not None
        plain = _Hashing(gzip.stdin)
        with tarfile.open(fileobj=plain, mode="w|") as archive:
            _fill(archive, entries, size)
        gzip.stdin.close()
        assert gzip.wait() == 0
    layer = store.blob(packed.read_bytes(), "application/vnd.oci.image.layer.v1.tar+gzip")
    packed.unlink()
    config = store.config(rootfs={"type": "layers", "diff_ids": [f"sha256:{plain.hash.hexdigest()}"]})
    store.image("big", "1", [layer], config)
    return layer


def _fill(archive: tarfile.TarFile, entries: int, size: int) -> None:
    noise = random.Random(1)
    text = b" ".join(b"%x" % noise.getrandbits(20) for _ in range(200_000))
    for number in range(entries):
        place = "many" if number < entries // 5 else f"dir{number % 200}/sub{number % 7}"
        entry = tarfile.TarInfo(f"usr/{place}/file{number}")
        entry.size = min(int(noise.expovariate(entries / (size * 0.96))), 1 << 20)
        entry.mtime = 1_700_000_000 + number
        start = noise.randrange(len(text))
        half = entry.size // 2
        content = (text[start:] + text)[:half] + noise.randbytes(entry.size - half)
        archive.addfile(entry, io.BytesIO(content))
