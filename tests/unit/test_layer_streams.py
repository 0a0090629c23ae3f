"""Decompression with random access: what the real tools write, what is damaged, and how decoders are kept."""

from __future__ import annotations

import bz2
import itertools
import lzma
import random
import struct
import subprocess
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from regfs.errors import LayerError, LayerLimitError, UnreadableError
from regfs.layers.streams import (
    START,
    Compression,
    Limits,
    Point,
    Reader,
    inflate,
    recognise,
    scan,
    transcode,
)
from tests.conftest import need
from tests.streams import AMPLE, BytesSource, Points, Scanned, gzip_member, piece, text, unpack

GZIP, ZSTD, XZ, BZIP2 = Compression.GZIP, Compression.ZSTD, Compression.XZ, Compression.BZIP2

#: As the tools see it: larger than a point's spacing, in part compressible.
PLAIN = text(5_000_000, seed=1)

#: The same by real programs, from standard input, which tells them no size.
COMMANDS = [
    "gzip -1",
    "gzip -9",
    "gzip --rsyncable",
    "zstd -3",
    "zstd -1 -T2 -B1M",
    "zstd -3 --long=27",
    "zstd -1 --long=28",
    "zstd --no-check",
    "zstd -19 --single-thread",
    "xz -0",
    "xz -1 -T2 --block-size=1MiB",
    "xz -0 --check=none",
    "bzip2 -1",
    "bzip2 -9",
]


def packed(command: str, plain: bytes) -> bytes:
    program, *options = command.split()
    return subprocess.run(
        [need(program), *options, "-c"], input=plain, capture_output=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def layer() -> Scanned:
    """A gzip layer of many points."""
    return Scanned(gzip_member(PLAIN, memory=8), spacing=200_000)


@pytest.mark.parametrize(
    ("first", "compression"),
    [
        (b"\x1f\x8b\x08\x00", GZIP),
        (b"\x1f\x8b\x07\x00", Compression.NONE),
        (b"\x28\xb5\x2f\xfd\x00", ZSTD),
        (b"\x50\x2a\x4d\x18", ZSTD),
        (b"\x5f\x2a\x4d\x18", ZSTD),
        (b"\x60\x2a\x4d\x18", Compression.NONE),
        (b"\xfd7zXZ\x00", XZ),
        (b"\xfd7zXZ", Compression.NONE),
        (b"etc/passwd\0", Compression.NONE),
        (b"", Compression.NONE),
    ],
)
def test_the_first_bytes_tell_the_compression(first: bytes, compression: Compression) -> None:
    assert recognise(first) is compression


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
def test_what_real_programs_write_is_read(command: str) -> None:
    scanned = Scanned(packed(command, PLAIN))
    assert scanned.plain == PLAIN
    reader, chance = scanned.reader(), random.Random(1)
    for _ in range(8):
        offset = chance.randrange(len(PLAIN))
        assert piece(reader, offset, 100_000) == PLAIN[offset : offset + 100_000]
    reader.close()


@pytest.mark.parametrize(
    ("command", "behind"), [("gzip", b""), ("gzip", bytes(700)), ("zstd", b""), ("xz", b""), ("bzip2", b"")]
)
def test_files_that_were_put_together_are_read_as_the_program_reads_them(command: str, behind: bytes) -> None:
    parts = [packed(command, part) for part in (PLAIN[:70_000], b"", PLAIN[70_000:90_000])]
    stored = b"".join(parts) + behind
    told = subprocess.run([need(command), "-dcq"], input=stored, capture_output=True, check=False)
    assert Scanned(stored).plain == told.stdout == PLAIN[:90_000]


def test_points_in_a_member_are_at_every_bit_and_begin_with_their_window(layer: Scanned) -> None:
    dense = Scanned(gzip_member(PLAIN[:300_000]), spacing=1).points.all
    inside = [point for point in dense if point.window is not None]
    assert {point.bits for point in inside} == set(range(8))
    assert {len(point.window or b"") for point in inside[-9:]} == {32768}
    assert 20 <= len(layer.points.all) <= 25


def test_many_small_members_have_few_points() -> None:
    member = gzip_member(bytes(1000))
    points = Scanned(member * 6000).points.all
    assert points[0] == START
    assert all(point.window is None for point in points)
    assert len(points) == 12  # one for each 512 KiB of 6 MB


def test_a_point_behind_an_empty_block_has_an_empty_window_and_is_no_header() -> None:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    stored = packer.flush(zlib.Z_FULL_FLUSH) + packer.compress(b"plain") + packer.flush()
    source, point = BytesSource(stored), Point(0, 15, 0, b"")  # a header of 10 bytes, a stored block of 5
    reader = Reader(source, GZIP, 5, lambda offset: point)
    assert piece(reader, 0, 5) == b"plain"
    assert source.lowest == 15


def blobs() -> dict[str, tuple[bytes, bytes, set[int]]]:
    """Small blobs; what they are of; and the sizes to which each may be cut and still be whole."""
    one, two = b"one" * 30, b"and two"
    members = [gzip_member(one), gzip_member(b""), gzip_member(two)]
    frames = [packed("zstd", one), struct.pack("<II", 0x184D2A51, 5) + b"12345", packed("zstd", two)]
    streams = [lzma.compress(one), bytes(4), lzma.compress(two)]
    bzipped = [bz2.compress(one), bz2.compress(b""), bz2.compress(two)]
    made = {}
    for name, parts in (("gzip", members), ("zstd", frames), ("xz", streams), ("bzip2", bzipped)):
        ends = set(itertools.accumulate(len(part) for part in parts))
        made[name] = (b"".join(parts), one + two, ends)
    return made


@pytest.mark.parametrize("name", ["gzip", "zstd", "xz", "bzip2"])
def test_what_is_cut_short_anywhere_is_an_error(name: str) -> None:
    stored, plain, ends = blobs()[name]
    for size in range(len(stored)):
        if size in ends:
            assert plain.startswith(unpack(Compression(name), stored[:size]))
        else:
            with pytest.raises(LayerError, match=r"ends in the middle|padded"):
                unpack(Compression(name), stored[:size])


@pytest.mark.parametrize("name", ["gzip", "zstd", "xz", "bzip2"])
def test_every_wrong_bit_is_an_error_or_does_no_harm(name: str) -> None:
    stored, plain, _ = blobs()[name]
    raised = 0
    for place in range(8 * len(stored)):
        wrong = bytearray(stored)
        wrong[place // 8] ^= 1 << place % 8
        try:
            assert unpack(Compression(name), bytes(wrong)) == plain
        except LayerError:
            raised += 1
    assert raised > 4 * len(stored)


@pytest.mark.parametrize(("place", "reason"), [(-8, "incorrect data check"), (-4, "incorrect length check")])
def test_a_wrong_crc_and_a_wrong_length_are_errors(place: int, reason: str) -> None:
    stored = bytearray(gzip_member(PLAIN[:1000]))
    stored[place] ^= 1
    with pytest.raises(LayerError, match=reason):
        unpack(GZIP, bytes(stored))


@pytest.mark.parametrize("behind", [b"\0", b"\0\x1f\x8b\x08", b"x", b"garbage"])
def test_what_stands_behind_the_last_member_is_passed_over(behind: bytes) -> None:
    for pieces in (
        [gzip_member(b"plain") + behind],
        [gzip_member(b"plain"), *(bytes([one]) for one in behind)],
    ):
        assert b"".join(scan(GZIP, pieces, lambda point: None, AMPLE)) == b"plain"


@pytest.mark.parametrize(
    "behind", [b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x08\0", b"\x1f\x8a\x08\0", b"\x1e\x8b\x08\0"]
)
def test_a_member_that_is_damaged_or_cut_short_is_not_taken_for_garbage(behind: bytes) -> None:
    with pytest.raises(LayerError):
        unpack(GZIP, gzip_member(b"plain") + behind)


@pytest.mark.parametrize("compression", [GZIP, ZSTD, XZ, BZIP2])
@pytest.mark.parametrize("stored", [b"", b"\0", b"none of these", zlib.compress(b"plain")])
def test_other_bytes_are_an_error(compression: Compression, stored: bytes) -> None:
    with pytest.raises(LayerError):
        unpack(compression, stored)


def test_a_layer_without_compression_is_read_as_it_is() -> None:
    scanned = Scanned(PLAIN)
    assert (scanned.compression, scanned.plain, scanned.points.all) == (Compression.NONE, PLAIN, [])
    reader = scanned.reader()
    assert piece(reader, 4_999_990, 50) == PLAIN[-10:]
    short = Reader(BytesSource(b"12345"), Compression.NONE, 6, Points())
    assert piece(short, 1, 4) == b"2345"
    with pytest.raises(LayerError, match="ends after 5 bytes"):
        piece(short, 1, 5)


@pytest.mark.parametrize("command", ["gzip", "zstd", "xz -0", "bzip2 -1"])
def test_a_bomb_is_stopped_at_the_limit(command: str) -> None:
    bomb = packed(command, bytes(20_000_000))
    given: list[bytes] = []
    with pytest.raises(LayerLimitError, match="more than 1000000 bytes"):
        given.extend(scan(recognise(bomb), [bomb], lambda point: None, Limits(1_000_000)))
    assert sum(map(len, given)) <= 1_000_000


def test_a_layer_may_be_large_but_not_slow() -> None:
    assert Limits().plain == 64 << 30
    Limits().check(1 << 30, 60.0 + 1000)
    with pytest.raises(LayerLimitError, match="seconds of the processor for 1000 bytes"):
        Limits().check(1000, 61.0)


def test_a_window_larger_than_a_gibibyte_is_beyond_the_limits() -> None:
    # RFC 8878, 3.1.1.1: a descriptor of 0, a window of 2**30 or 2**31; then a last, raw, empty block.
    frames = [b"\x28\xb5\x2f\xfd\0" + bytes([log - 10 << 3]) + b"\x01\0\0" for log in (30, 31)]
    assert unpack(ZSTD, frames[0]) == b""
    with pytest.raises(LayerLimitError, match="more than 1073741824 bytes of memory"):
        unpack(ZSTD, frames[1])


def test_an_xz_dictionary_larger_than_a_gibibyte_is_beyond_the_limits() -> None:
    # The .xz File Format, 3.1 and 5.3.1: the dictionary's size is byte 4 of its header, CRC-32 at its end.
    stored = bytearray(lzma.compress(b"plain"))
    assert stored[12:16] == b"\x02\0\x21\x01"
    stored[16] = 37
    stored[20:24] = struct.pack("<I", zlib.crc32(stored[12:20]))
    with pytest.raises(LayerLimitError, match="memory"):
        unpack(XZ, bytes(stored))


@pytest.mark.parametrize("command", ["gzip", "zstd", "xz -0", "bzip2 -1"])
def test_memory_is_bounded_however_far_a_read_has_to_go(command: str) -> None:
    stored = packed(command, bytes(30_000_000) + b"end")
    reader = Reader(BytesSource(stored), recognise(stored), 30_000_003, lambda offset: START)
    tracemalloc.start()
    try:
        assert piece(reader, 29_999_999, 100) == b"\0end"
        assert (
            sum(len(part) for part in scan(recognise(stored), [stored], lambda point: None, AMPLE))
            == 30_000_003
        )
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
        reader.close()


def test_a_reader_closes_its_source() -> None:
    source = BytesSource(b"")
    Reader(source, GZIP, 0, Points()).close()
    assert source.closed


def test_a_point_behind_the_offset_is_an_error() -> None:
    reader = Reader(BytesSource(gzip_member(b"plain")), GZIP, 5, lambda offset: Point(3, 0))
    with pytest.raises(LayerError, match="the point for byte 2"):
        piece(reader, 2, 1)


def test_a_reader_in_sequence_begins_once(layer: Scanned) -> None:
    reader, before = layer.reader(), layer.points.asked
    for offset in range(0, len(PLAIN), 100_000):
        assert piece(reader, offset, 100_000) == PLAIN[offset : offset + 100_000]
    assert layer.points.asked == before + 1
    reader.close()


def test_reads_ahead_in_another_order_begin_once(layer: Scanned) -> None:
    reader, before = layer.reader(), layer.points.asked
    for first in range(0, 4_000_000, 200_000):
        for offset in (first + 100_000, first) if first else (first, first + 100_000):
            assert piece(reader, offset, 100_000) == PLAIN[offset : offset + 100_000]
    assert layer.points.asked == before + 1
    reader.close()


def test_readers_at_random_places_leave_those_in_sequence_their_decoders() -> None:
    wide = Scanned(gzip_member(random.Random(4).randbytes(30_000_000), level=0, memory=9))
    begun: list[int] = []

    def points(offset: int) -> Point:
        begun.append(offset)
        return wide.points(offset)

    reader = Reader(BytesSource(wide.stored), GZIP, len(wide.plain), points)
    sequences = (0, 700_000, 1_400_000, 2_100_000)
    elsewhere = itertools.cycle(range(3_000_000, 29_000_000, 600_000))  # too far apart to go on to the next
    for step in range(12):
        places = [first + 10_000 * step for first in sequences]
        # Four readers begin side by side, with some reads between; once they went on, any number may be.
        places += [next(elsewhere) for _ in range(20 if step > 1 else 3)]
        for offset in places:
            assert piece(reader, offset, 10_000) == wide.plain[offset : offset + 10_000]
    assert tuple(offset for offset in begun if offset < 3_000_000) == sequences
    reader.close()


def test_a_read_from_within_a_member_goes_on_with_the_next() -> None:
    parts = [PLAIN[:100_000], b"", PLAIN[100_000:150_000]]
    scanned = Scanned(b"".join(map(gzip_member, parts)), spacing=30_000)
    inside = next(point for point in scanned.points.all if point.window)
    reader = Reader(BytesSource(scanned.stored), GZIP, 150_000, lambda offset: inside)
    assert piece(reader, inside.plain, 150_000) == PLAIN[inside.plain : 150_000]
    reader.close()


class Breaking(BytesSource):
    """A blob whose storage fails once when told to."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.broken = False

    def read_into(self, buffer: memoryview, offset: int) -> int:
        if self.broken:
            self.broken = False
            raise UnreadableError("data", "Input/output error", 5, denied=False)
        return super().read_into(buffer, offset)


def test_a_read_that_failed_does_not_harm_the_next() -> None:
    noise = random.Random(3).randbytes(1_000_000)
    source = Breaking(gzip_member(noise, level=0))
    reader = Reader(source, GZIP, len(noise), lambda offset: START)
    assert piece(reader, 0, 1000) == noise[:1000]
    source.broken = True
    with pytest.raises(UnreadableError):
        piece(reader, 1000, 900_000)
    assert piece(reader, 1000, 900_000) == noise[1000:901_000]


class Held(BytesSource):
    """A blob whose first read waits to be let go; then it fails if told to."""

    def __init__(self, content: bytes, *, fails: bool) -> None:
        super().__init__(content)
        self.reached, self.go, self.fails = threading.Event(), threading.Event(), fails

    def read_into(self, buffer: memoryview, offset: int) -> int:
        if not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(30)
            if self.fails:
                raise UnreadableError("data", "Input/output error", 5, denied=False)
        return super().read_into(buffer, offset)


@pytest.mark.parametrize("fails", [False, True])
def test_a_read_that_follows_on_one_still_running_goes_on_from_it_or_begins_itself(fails: bool) -> None:
    source, begun = Held(gzip_member(PLAIN[:100_000]), fails=fails), []

    def points(offset: int) -> Point:
        begun.append(offset)
        return START

    reader = Reader(source, GZIP, 100_000, points)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(piece, reader, 0, 10_000)
        assert source.reached.wait(30)
        later = [threads.submit(piece, reader, offset, 10_000) for offset in (10_000, 20_000)]
        source.go.set()
        if fails:
            with pytest.raises(UnreadableError):
                first.result(30)
        else:
            assert first.result(30) == PLAIN[:10_000]
        assert [read.result(30) for read in later] == [PLAIN[10_000:20_000], PLAIN[20_000:30_000]]
    assert begun[0] == 0
    if not fails:
        assert begun == [0]
    reader.close()


def test_eight_threads_read_the_same_bytes_as_one(layer: Scanned) -> None:
    written, points = bytearray(), Points()
    transcode([PLAIN], written.extend, points.note)
    copy = Reader(BytesSource(bytes(written)), ZSTD, len(PLAIN), points)
    for reader in (layer.reader(), copy):

        def read(number: int, reader: Reader = reader) -> None:
            chance, offset = random.Random(number), number * 500_000
            for _ in range(40):
                at = offset if number % 2 else chance.randrange(len(PLAIN))
                assert piece(reader, at, 60_000) == PLAIN[at : at + 60_000]
                offset += 60_000

        with ThreadPoolExecutor(8) as threads:
            for done in [threads.submit(read, number) for number in range(8)]:
                done.result()
        reader.close()


def test_a_copy_has_frames_of_256_kib_that_zstd_itself_can_check() -> None:
    written, points = bytearray(), Points()
    transcode([PLAIN[:1_000_000], PLAIN[1_000_000:]], written.extend, points.note)
    assert len(points.all) == -(-len(PLAIN) // (256 << 10))
    assert packed("zstd -d", bytes(written)) == PLAIN
    written[len(written) // 2] ^= 1
    with pytest.raises(LayerError):
        unpack(ZSTD, bytes(written))


def test_a_machine_without_zlib_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "_SYSTEM", "libnothing-of-the-kind.so.1")
    monkeypatch.setattr(inflate, "_ZLIB_NG", "nothing_of_the_kind.at_all")
    inflate.fastest.cache_clear()
    try:
        with pytest.raises(LayerError, match="zlib is missing"):
            unpack(GZIP, gzip_member(b"plain"))
        assert unpack(ZSTD, packed("zstd", b"plain")) == b"plain"
    finally:
        inflate.fastest.cache_clear()


def test_an_extension_that_shows_no_library_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "_ZLIB_NG", "_ctypes")
    assert inflate.zlib_ng() is None
