"""Layers: holes of their true size under a digest at random, or tars with files in them."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import zlib
from typing import NamedTuple, Protocol

from scripts.generator.plan import SECOND


class Layer(NamedTuple):
    """A layer: hex digits of its digest and of its DiffID. `content` is None for a hole of `size` bytes."""

    digest: str
    diff_id: str
    size: int
    content: bytes | None
    made: str
    time: int


class Maker(Protocol):
    """Makes a layer: `weight` times the mean size, by a step of a build, at a time in nanoseconds."""

    def __call__(self, chance: random.Random, weight: float, made: str, time: int) -> Layer:
        """Make a layer that no other one equals."""


def sparse(mean: int) -> Maker:
    """Make holes; sizes are spread as those of real layers, most small and few large."""

    def make(chance: random.Random, weight: float, made: str, time: int) -> Layer:
        size = 200 + int(mean * weight * chance.lognormvariate(-0.5, 1.0))
        return Layer(chance.randbytes(32).hex(), chance.randbytes(32).hex(), size, None, made, time)

    return make


def real(chance: random.Random, weight: float, made: str, time: int) -> Layer:
    """Make a tar of some files, gzip'd: a few KiB."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _fill(archive, chance, weight, time // SECOND)
    gzip = zlib.compressobj(wbits=31)
    content = gzip.compress(plain.getbuffer()) + gzip.flush()
    digest, diff_id = (hashlib.sha256(data).hexdigest() for data in (content, plain.getbuffer()))
    return Layer(digest, diff_id, len(content), content, made, time)


def _fill(archive: tarfile.TarFile, chance: random.Random, weight: float, mtime: int) -> None:
    place = f"opt/{chance.getrandbits(24):06x}"
    for name in ("opt", place):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, mtime
        archive.addfile(entry)
    for number in range(1 + int(4 * weight)):
        entry = tarfile.TarInfo(f"{place}/part{number}")
        content = chance.randbytes(int(chance.expovariate(1 / 400))) + b"option = value\n" * chance.randrange(
            200
        )
        entry.size, entry.mode, entry.mtime = len(content), 0o644, mtime
        archive.addfile(entry, io.BytesIO(content))
    link = tarfile.TarInfo("opt/current")
    link.type, link.linkname, link.mtime = tarfile.SYMTYPE, place.partition("/")[2], mtime
    archive.addfile(link)
