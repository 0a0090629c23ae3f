"""Compressed blobs in memory, and what a scan makes of them."""

from __future__ import annotations

import bisect
import random
import zlib
from collections.abc import Iterable

from regfs.layers.streams import Compression, Limits, Point, Reader, recognise, scan

AMPLE = Limits(1 << 40)


class BytesSource:
    """A blob in memory. It remembers the lowest offset that was read, and whether it was closed."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.lowest = len(content)
        self.closed = False

    def read_into(self, buffer: memoryview, offset: int) -> int:
        self.lowest = min(self.lowest, offset)
        piece = self.content[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self.closed = True


class Points:
    """Points in their order, as a database keeps them. It counts how often one was asked for."""

    def __init__(self) -> None:
        self.all: list[Point] = []
        self.asked = 0

    def note(self, point: Point) -> None:
        self.all.append(point)

    def __call__(self, offset: int) -> Point:
        self.asked += 1
        return self.all[bisect.bisect_right(self.all, offset, key=lambda point: point.plain) - 1]


class Scanned:
    """What a scan makes of a blob: its plain bytes and its points."""

    def __init__(
        self, stored: bytes, pieces: Iterable[bytes] | None = None, *, spacing: int | None = None
    ) -> None:
        self.stored = stored
        self.compression = recognise(stored[:10])
        self.points = Points()
        given = [stored] if pieces is None else pieces
        self.plain = b"".join(scan(self.compression, given, self.points.note, AMPLE, spacing=spacing))

    def reader(self) -> Reader:
        return Reader(BytesSource(self.stored), self.compression, len(self.plain), self.points)


def unpack(compression: Compression, stored: bytes) -> bytes:
    """Give the plain bytes by a scan."""
    return b"".join(scan(compression, [stored], lambda point: None, AMPLE))


def piece(reader: Reader, offset: int, size: int) -> bytes:
    """Read, and see that nothing behind the given size is touched."""
    buffer = bytearray(b"\xee" * (size + 1))
    got = reader.read_into(memoryview(buffer)[:size], offset)
    assert bytes(buffer[got:]) == b"\xee" * (size + 1 - got)
    return bytes(buffer[:got])


def cuts(content: bytes, seed: int, longest: int) -> list[bytes]:
    """Cut bytes into pieces of random sizes, some empty."""
    chance, pieces, at = random.Random(seed), [], 0
    while at < len(content):
        size = chance.randint(0, longest)
        pieces.append(content[at : at + size])
        at += size
    return pieces


def text(size: int, seed: int = 0) -> bytes:
    """Bytes that compress somewhat: noise, runs, and copies of what was up to 40,000 bytes before."""
    chance, made = random.Random(seed), bytearray()
    while len(made) < size:
        kind = chance.randrange(3)
        length = chance.choice((3, 20, 300))
        if kind == 0 or not made:
            made += chance.randbytes(length)
        elif kind == 1:
            made += bytes([chance.randrange(256)]) * length
        else:
            start = max(len(made) - chance.randint(1, 40_000), 0)
            made += made[start : start + length]
    return bytes(made[:size])


def gzip_member(
    plain: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY, memory: int = 1, flush: int = 0
) -> bytes:
    """One gzip member. Little `memory` makes many blocks, and a `flush` others in the middle."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31, memory, strategy)
    half = len(plain) // 2
    packed = packer.compress(plain[:half])
    if flush:
        packed += packer.flush(flush)
    return packed + packer.compress(plain[half:]) + packer.flush()
