"""However a layer is compressed and cut: a scan gives its bytes, and every read is a slice of them."""

from __future__ import annotations

import itertools
import lzma
import random
import struct
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regfs.errors import LayerError
from regfs.layers.streams import START, Compression, Point, Reader, gzip, inflate, recognise, scan, transcode
from tests.property.conftest import tried
from tests.streams import AMPLE, BytesSource, Points, Scanned, cuts, gzip_member, piece, text, unpack

if sys.version_info >= (3, 14):
    from compression.zstd import CompressionParameter, ZstdCompressor
else:
    from backports.zstd import CompressionParameter, ZstdCompressor

SIZES = st.one_of(st.integers(0, 300), st.integers(0, 100_000))
CONTENT = st.one_of(
    st.binary(max_size=300),
    st.builds(text, SIZES, st.integers(0, 1 << 32)),
    st.builds(lambda size, seed: random.Random(seed).randbytes(size), SIZES, st.integers(0, 1 << 32)),
)


class Made(NamedTuple):
    """A compressed blob, and what it is of."""

    stored: bytes
    plain: bytes


def always(point: Point) -> Callable[[int], Point]:
    """Give the same point for every offset."""
    return lambda offset: point


@st.composite
def gzip_blobs(draw: st.DrawFn) -> Made:
    """Members of every kind of block, some empty, and what may stand behind them."""
    member = st.builds(
        lambda plain, *options: Made(gzip_member(plain, *options), plain),
        CONTENT,
        st.sampled_from([0, 1, 6, 9]),
        st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE]),
        st.sampled_from([1, 2, 9]),
        st.sampled_from([0, zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK]),
    )
    members = draw(st.lists(member, min_size=1, max_size=5))
    behind = draw(st.sampled_from([b"", b"", b"\0", bytes(1000), b"garbage", b"\0" * 9 + b"\x1f\x8b"]))
    return Made(b"".join(made.stored for made in members) + behind, b"".join(made.plain for made in members))


def skippable(content: bytes, number: int = 0) -> bytes:
    """A skippable frame (RFC 8878, 3.1.2)."""
    return struct.pack("<II", 0x184D2A50 + number, len(content)) + content


def zstd_frame(plain: bytes, level: int = 1, *, sized: bool = True) -> bytes:
    """A frame with a checksum; if not `sized`, as zstd writes it of what it does not know the length of."""
    options = {
        int(CompressionParameter.compression_level): level,
        int(CompressionParameter.checksum_flag): 1,
    }
    packer = ZstdCompressor(options=options)
    if sized:
        return bytes(packer.compress(plain, ZstdCompressor.FLUSH_FRAME))
    return bytes(packer.compress(plain) + packer.flush())


@st.composite
def zstd_blobs(draw: st.DrawFn) -> Made:
    """Frames, with and without a size, and skippable frames before, between and behind them."""
    frame = st.builds(
        lambda plain, level, sized: Made(zstd_frame(plain, level, sized=sized), plain),
        CONTENT,
        st.sampled_from([-5, 1, 3, 12]),
        st.booleans(),
    )
    skipped = st.builds(
        lambda content, number: Made(skippable(content, number), b""), CONTENT, st.integers(0, 15)
    )
    frames = draw(st.lists(st.one_of(frame, skipped), min_size=1, max_size=6))
    return Made(b"".join(made.stored for made in frames), b"".join(made.plain for made in frames))


@st.composite
def xz_blobs(draw: st.DrawFn) -> Made:
    """Streams of every check, with padding behind each."""
    stored = plain = b""
    for content in draw(st.lists(CONTENT, min_size=1, max_size=3)):
        check = draw(st.sampled_from([lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256]))
        stored += lzma.compress(content, check=check, preset=0) + bytes(4 * draw(st.integers(0, 3)))
        plain += content
    return Made(stored, plain)


BLOBS = st.one_of(gzip_blobs(), zstd_blobs(), xz_blobs())


@given(BLOBS, st.integers(0, 1 << 32), st.sampled_from([1, 7, 5000]), st.sampled_from([1, 5000, 40_000]))
def test_a_scan_gives_the_bytes_and_points_far_enough_apart_however_the_blob_is_cut(
    made: Made, seed: int, longest: int, spacing: int
) -> None:
    whole = Scanned(made.stored, spacing=spacing)
    assert whole.plain == made.plain
    cut = Scanned(made.stored, cuts(made.stored, seed, longest), spacing=spacing)
    assert cut.plain == made.plain
    for found in (whole.points.all, cut.points.all):
        assert found[0] == START
        for before, after in itertools.pairwise(found):
            assert after.plain - before.plain >= spacing
            assert after.stored > before.stored


@pytest.mark.parametrize("name", ["system", "zlib-ng"])
@given(gzip_blobs(), st.sampled_from([1, 5000]))
def test_each_zlib_finds_places_where_each_can_begin(name: str, made: Made, spacing: int) -> None:
    ng = inflate.zlib_ng()
    assert ng is not None, "the extra `test` brings it"
    each = {"system": inflate.system_zlib(), "zlib-ng": ng}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip, "fastest", lambda: each[name])
        scanned = Scanned(made.stored, spacing=spacing)
        assert scanned.plain == made.plain
        for other in each:
            patch.setattr(gzip, "fastest", lambda other=other: each[other])
            for point in scanned.points.all[:20]:
                reader = Reader(BytesSource(made.stored), scanned.compression, len(made.plain), always(point))
                assert piece(reader, point.plain, len(made.plain)) == made.plain[point.plain :]
                reader.close()


@given(BLOBS, st.sampled_from([1, 5000]), st.integers(0, 1 << 32))
def test_every_point_is_a_place_to_begin(made: Made, spacing: int, seed: int) -> None:
    scanned = Scanned(made.stored, spacing=spacing)
    points = scanned.points.all
    for point in random.Random(seed).sample(points, min(len(points), 20)):
        if point.plain == len(made.plain):
            continue  # nothing is left to read: an empty member or frame begins there
        source = BytesSource(made.stored)
        reader = Reader(source, scanned.compression, len(made.plain), always(point))
        assert piece(reader, point.plain, len(made.plain)) == made.plain[point.plain :]
        assert source.lowest == point.first
        if point.window is not None:
            assert made.plain[: point.plain].endswith(point.window)
        reader.close()


@given(BLOBS, st.sampled_from([1000, 20_000]), st.integers(0, 1 << 32))
def test_every_read_is_the_slice(made: Made, spacing: int, seed: int) -> None:
    scanned = Scanned(made.stored, spacing=spacing)
    reader, chance = scanned.reader(), random.Random(seed)
    offset = 0
    for _ in range(60):
        if chance.random() < 0.4:
            offset = chance.randint(0, len(made.plain) + 10)
        size = chance.choice((0, 1, 100, 4096, 30_000))
        assert piece(reader, offset, size) == made.plain[offset : offset + size]
        offset += size
    reader.close()


@tried(0.15)
@given(BLOBS, st.integers(0, 1 << 32))
def test_eight_threads_at_once_read_the_slices(made: Made, seed: int) -> None:
    scanned = Scanned(made.stored, spacing=10_000)
    reader = scanned.reader()

    def read(number: int) -> None:
        chance, offset = random.Random(seed + number), 0
        for _ in range(40):
            if chance.random() < 0.3:
                offset = chance.randint(0, len(made.plain))
            size = chance.randint(1, 9000)
            assert piece(reader, offset, size) == made.plain[offset : offset + size]
            offset += size

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(read, number) for number in range(8)]:
            done.result()
    reader.close()


@given(CONTENT, st.integers(50, 50_000), st.integers(1, 20_000), st.integers(0, 1 << 32))
def test_a_copy_is_of_independent_frames_and_has_a_point_for_each(
    plain: bytes, frame: int, longest: int, seed: int
) -> None:
    written, points = bytearray(), Points()
    transcode(cuts(plain, seed, longest), written.extend, points.note, frame=frame)
    assert [point.plain for point in points.all] == list(range(0, len(plain), frame))
    starts = [point.stored for point in points.all]
    for point, end in zip(points.all, [*starts[1:], len(written)], strict=False):
        one = unpack(Compression.ZSTD, bytes(written[point.stored : end]))
        assert one == plain[point.plain : point.plain + frame]
    reader = Reader(BytesSource(bytes(written)), Compression.ZSTD, len(plain), points)
    offset = seed % (len(plain) + 1)
    assert piece(reader, offset, longest) == plain[offset : offset + longest]
    reader.close()


@given(BLOBS, st.data())
def test_a_scan_of_a_damaged_blob_raises_no_other_error(made: Made, data: st.DataObject) -> None:
    stored = bytearray(made.stored)
    for _ in range(data.draw(st.integers(1, 3))):
        stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    with suppress(LayerError):
        unpack(recognise(made.stored[:8]), bytes(stored))


@given(st.sampled_from(Compression), st.binary(max_size=200), st.booleans())
def test_any_bytes_raise_the_one_error_or_nothing(
    compression: Compression, stored: bytes, magic: bool
) -> None:
    first = {
        Compression.GZIP: b"\x1f\x8b\x08\0",
        Compression.ZSTD: b"\x28\xb5\x2f\xfd",
        Compression.XZ: b"\xfd7zXZ\0",
    }
    with suppress(LayerError):
        unpack(compression, first.get(compression, b"") * magic + stored)


@given(BLOBS, st.data())
def test_a_reader_of_a_damaged_blob_raises_its_error_or_reads_on(made: Made, data: st.DataObject) -> None:
    scanned = Scanned(made.stored, spacing=3000)
    stored = bytearray(made.stored)
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    stored = stored[: data.draw(st.integers(0, len(stored)))]
    reader = Reader(BytesSource(bytes(stored)), scanned.compression, len(made.plain), scanned.points)
    for offset in range(0, len(made.plain), max(len(made.plain) // 5, 1)):
        want = made.plain[offset : offset + 2000]
        with suppress(LayerError):
            assert len(piece(reader, offset, 2000)) == len(want)
    reader.close()


@given(BLOBS, st.integers(1, 5000))
def test_a_size_that_is_too_large_is_an_error_and_not_a_short_read(made: Made, more: int) -> None:
    scanned = Scanned(made.stored)
    source = BytesSource(made.stored)
    reader = Reader(source, scanned.compression, len(made.plain) + more, scanned.points)
    with pytest.raises(LayerError, match="before it should"):
        piece(reader, 0, len(made.plain) + more)
    reader.close()


@given(BLOBS, st.integers(0, 100_000))
def test_the_stored_bytes_are_taken_to_the_end(made: Made, more: int) -> None:
    given = cuts(made.stored, more, 3000)
    pieces = iter(given)
    for _ in scan(recognise(made.stored[:8]), pieces, lambda point: None, AMPLE):
        pass
    assert next(pieces, None) is None
