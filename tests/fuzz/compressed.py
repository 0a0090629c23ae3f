"""What is fuzzed of compressed blobs: the scan, its seek points, reads at any offset, seekable copies."""

from __future__ import annotations

import random
from contextlib import suppress

from regfs.errors import LayerError
from regfs.layers.index import SeekTable
from regfs.layers.streams import Compression, Limits, Reader, recognise, scan, transcode
from tests.streams import BytesSource, Points, cuts, piece

#: Plain bytes at which a scan gives up: enough to pass several points.
_LIMITS = Limits(4 << 20)


def stream(content: bytes) -> None:
    """Scan a blob, whole and in pieces; read it at any offset; then damaged, by the sound one's points.

    The first byte says how far the points are apart.
    """
    spacing, stored = (content[0] % 8) * 1000 + 1 if content else 1, content[1:]
    compression = recognise(stored[:8])
    points = Points()
    plain, error = _scan(compression, [stored], points, spacing)
    again, same = _scan(compression, cuts(stored, len(stored), 50), Points(), spacing)
    assert bool(error) == bool(same)
    assert error or again == plain
    if error:
        _read_with_wrong_points(compression, stored, points, len(plain))
        return
    _check_reads(Reader(BytesSource(stored), compression, len(plain), points), plain)
    _check_copy(plain)
    damaged = bytearray(stored)
    if damaged:
        damaged[content[0] * 7919 % len(damaged)] ^= 1 + content[0] % 255
        _read_with_wrong_points(compression, bytes(damaged), points, len(plain))


def seek_table(content: bytes) -> None:
    """Take bytes for a seekable copy: its table tells of all of it, or is refused."""
    for plain in (0, 1000, int.from_bytes(content[:2], "big")):
        with suppress(LayerError):
            table = SeekTable.read(BytesSource(content), len(content), plain)
            if plain:
                assert table.point(0).plain == 0
                assert table.point(plain - 1).stored <= len(content)


def _scan(
    compression: Compression, pieces: list[bytes], points: Points, spacing: int
) -> tuple[bytes, LayerError | None]:
    plain = bytearray()
    try:
        for part in scan(compression, pieces, points.note, _LIMITS, spacing=spacing):
            plain += part
    except LayerError as error:
        return bytes(plain), error
    return bytes(plain), None


def _check_reads(reader: Reader, plain: bytes) -> None:
    chance = random.Random(len(plain))
    for _ in range(8):
        offset = chance.randint(0, len(plain) + 3)
        size = chance.choice((0, 1, 100, 4096, 30_000))
        assert piece(reader, offset, size) == plain[offset : offset + size]
    reader.close()


def _read_with_wrong_points(compression: Compression, stored: bytes, points: Points, size: int) -> None:
    """Read what changed since its points were noted: other bytes may come, or the one error."""
    if not points.all or not size:
        return
    reader = Reader(BytesSource(stored), compression, size, points)
    for offset in range(0, size, max(size // 5, 1)):
        with suppress(LayerError):
            piece(reader, offset, 3000)
    reader.close()


def _check_copy(plain: bytes) -> None:
    copy, table = bytearray(), SeekTable()
    transcode([plain[:100_000]], copy.extend, table.note, frame=3000)
    length = min(len(plain), 100_000)
    packed = bytes(copy) + table.encode(length, len(copy))
    if length:
        found = SeekTable.read(BytesSource(packed), len(packed), length)
        _check_reads(Reader(BytesSource(packed), Compression.ZSTD, length, found.point), plain[:length])
