"""The parts that an index is made by: its points, the copy's seek table, the threads, the cache directory."""

from __future__ import annotations

import io
import itertools
import os
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from regfs.errors import (
    GivenUpError,
    LayerError,
    LayerLimitError,
    LayerProcessError,
    MissingError,
    NoRoomError,
    RegfsError,
    TooLargeError,
    UnreadableError,
    UnsafeError,
)
from regfs.layers.builds import Build, Builds
from regfs.layers.cache import COPY, INDEX, LayerCache
from regfs.layers.index import LayerIndex, Meta, SeekTable, build_index, make_copy, open_index
from regfs.layers.index.pipeline import BlobSource, ahead, gathered
from regfs.layers.messages import Done, Failed, Job, Progress, decode_job, decode_reply, encode
from regfs.layers.streams import Compression, Point
from regfs.oci.digest import Digest
from tests.builder.layers import make_tar
from tests.conftest import need
from tests.streams import BytesSource, Points, Scanned, gzip_member, text

TAR = make_tar({"a": text(9_000_000, seed=1), "b/c": Random(2).randbytes(100_000), "b/empty": b""})
GZIPPED = gzip_member(TAR, memory=8)


def source(stored: bytes, told: list[int] | None = None, algorithm: str = "sha256") -> BlobSource:
    heard = [] if told is None else told
    return BlobSource(Digest.of(stored, algorithm), BytesSource(stored), len(stored), heard.append)


def built(path: Path, stored: bytes) -> tuple[Meta, LayerIndex]:
    meta = build_index(source(stored), str(path))
    index = open_index(path)
    assert index is not None
    return meta, index


# --- the index -------------------------------------------------------------------------------------


def test_an_index_says_what_its_layer_is(tmp_path: Path) -> None:
    told: list[int] = []
    meta = build_index(source(GZIPPED, told, "sha512"), str(tmp_path / "index"))
    index = open_index(tmp_path / "index")
    assert index is not None
    gap = meta.gap
    assert index.meta == meta
    assert meta == Meta(len(GZIPPED), len(TAR), str(Digest.of(TAR)), "GZIP", gap, 5, 0, True)
    assert told[-1] == len(GZIPPED)
    assert told == sorted(told)
    assert [member.name for member in index.tree.children(1)] == [b"a", b"b"]


def test_an_index_keeps_the_points_of_the_scan(tmp_path: Path) -> None:
    """Those in the middle of a member with their windows, and those at the beginning of one without."""
    stored = GZIPPED + b"".join(gzip_member(bytes(200_000)) for _ in range(10))
    meta, index = built(tmp_path / "index", stored)
    scanned = Scanned(stored)
    points = scanned.points.all
    assert {point.window is None for point in points} == {True, False}
    for point, after in zip(points, [*points[1:], None], strict=True):
        last = (after.plain if after else len(scanned.plain)) - 1
        assert index.point(point.plain) == point
        assert index.point(last) == point
    ends = [*[point.plain for point in points], len(scanned.plain)]
    assert meta.gap == max(end - start for start, end in itertools.pairwise(ends))


def test_a_layer_that_is_not_compressed_has_no_gap(tmp_path: Path) -> None:
    meta, _ = built(tmp_path / "index", TAR)
    assert (meta.compression, meta.gap, meta.size) == ("NONE", 0, len(TAR))


def test_small_frames_are_many_points_apart_from_another(tmp_path: Path) -> None:
    stored = subprocess.run(
        [need("zstd"), "-1", "-T2", "-B1M", "-c"], input=TAR, capture_output=True, check=True
    ).stdout
    meta, index = built(tmp_path / "index", stored)
    assert index.meta.compression == Compression.ZSTD.name
    assert meta.gap >= 512 << 10


def test_an_index_stays_readable_when_its_file_is_gone(tmp_path: Path) -> None:
    _, index = built(tmp_path / "index", GZIPPED)
    (tmp_path / "index").unlink()
    assert index.point(0).plain == 0
    assert [member.name for member in index.tree.children(1)] == [b"a", b"b"]
    tree = index.tree
    index.close()
    del index
    assert [member.name for member in tree.children(1)] == [b"a", b"b"]


def test_a_tree_of_too_many_directories_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are counted by the parser already; but each can make directories that no entry names."""
    from regfs.layers.index import building

    class Fewer:
        entries = 50

    monkeypatch.setattr(building, "TarLimits", Fewer)
    tar = make_tar({"/".join("abcdefghijklmnopqrst") + f"/{number}/x/y": b"" for number in range(40)})
    with pytest.raises(LayerLimitError, match="more than 50 directories and files"):
        build_index(source(tar), str(tmp_path / "index"))


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    built(tmp_path / "index", TAR)
    (tmp_path / "link").symlink_to("index")
    assert open_index(tmp_path / "link") is None
    (tmp_path / "directory").mkdir()
    assert open_index(tmp_path / "directory") is None
    assert open_index(tmp_path / "nothing") is None
    with pytest.raises(NoRoomError):
        build_index(source(TAR), str(tmp_path / "link"))


# --- the copy --------------------------------------------------------------------------------------


def test_the_seek_table_is_as_the_format_says(tmp_path: Path) -> None:
    path = tmp_path / "copy"
    make_copy(source(GZIPPED), str(path), str(Digest.of(TAR)))
    content = path.read_bytes()
    count, descriptor, magic = struct.unpack("<IBI", content[-9:])
    frames = -(-len(TAR) // (256 << 10))
    assert (count, descriptor, magic) == (frames, 0, 0x8F92EAB1)
    size = 8 * count + 9
    table = content[-size - 8 :]
    assert struct.unpack("<II", table[:8]) == (0x184D2A5E, size)
    sizes = list(struct.iter_unpack("<II", table[8:-9]))
    assert sum(stored for stored, _ in sizes) == len(content) - size - 8
    assert [plain for _, plain in sizes[:-1]] == [256 << 10] * (frames - 1)
    at, stored_at = 0, 0
    read = SeekTable.read(BytesSource(content), len(content), len(TAR))
    for stored, plain in sizes:
        assert read.point(at) == read.point(at + plain - 1) == Point(at, stored_at)
        at, stored_at = at + plain, stored_at + stored
    assert at == len(TAR)


def test_a_seek_table_that_is_not_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "copy"
    make_copy(source(TAR), str(path), str(Digest.of(TAR)))
    content = path.read_bytes()
    start = len(content) - 17 - 8 * struct.unpack("<I", content[-9:-5])[0]
    for at in range(start, len(content)):
        wrong = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(LayerError):
            SeekTable.read(BytesSource(wrong), len(wrong), len(TAR))
    for length in (0, 8, 9, 16, 1000, len(content) - 1):
        with pytest.raises(LayerError):
            SeekTable.read(BytesSource(content[:length]), length, len(TAR))
    with pytest.raises(LayerError):
        SeekTable.read(BytesSource(content), len(content), len(TAR) - 1)


def test_a_copy_of_another_tar_than_was_indexed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="and was sha256:"):
        make_copy(source(GZIPPED), str(tmp_path / "copy"), str(Digest.of(b"another")))


# --- the threads -----------------------------------------------------------------------------------


def test_pieces_come_through_in_order_and_errors_behind_them() -> None:
    def pieces() -> Iterator[bytes]:
        for number in range(100):
            yield b"%d" % number
        raise LayerError("at the end")

    given = ahead(pieces())
    taken = [next(given) for _ in range(100)]
    with pytest.raises(LayerError, match="at the end"):
        next(given)
    assert taken == [b"%d" % number for number in range(100)]
    assert list(ahead(iter([]))) == []


def test_no_more_is_made_ahead_than_can_wait() -> None:
    made: list[int] = []
    taken = threading.Semaphore(0)

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            made.append(number)
            taken.release()
            yield b"piece"

    given = ahead(pieces())
    next(given)
    for _ in range(9):
        taken.acquire()
    assert len(made) <= 11
    assert len(list(given)) == 999


def test_small_pieces_are_joined_and_large_ones_are_not() -> None:
    pieces = [bytes([number % 251]) * (1 + 977 * number % 5000) for number in range(1000)]
    pieces[500] = bytes(300_000)
    joined = list(gathered(iter(pieces)))
    assert b"".join(joined) == b"".join(pieces)
    assert len(joined) < 40
    assert all(joined)


# --- builds ----------------------------------------------------------------------------------------


def test_an_error_is_raised_in_each_thread_that_waits_as_its_own() -> None:
    both = threading.Event()

    def fail() -> int:
        both.wait()
        raise UnreadableError("data", "Input/output error", 5, denied=False)

    builds: Builds[int] = Builds()
    found = []
    with builds.joined("x", fail) as build, builds.joined("x", fail) as same:
        both.set()
        assert build is same
        for each in (build, same):
            with pytest.raises(UnreadableError) as raised:
                each.wait(lambda: False)
            found.append(raised.value)
    assert found[0] is not found[1]
    assert [error.errno for error in found] == [5, 5]
    builds.close()


def test_what_fails_by_a_fault_of_ours_is_raised_too_and_the_next_is_made() -> None:
    builds: Builds[int] = Builds()
    with builds.joined("x", lambda: 1 // 0) as build, pytest.raises(ZeroDivisionError):
        build.wait(lambda: False)
    with builds.joined("y", lambda: 5) as build:
        assert build.wait(lambda: False) == 5
    builds.close()


def test_no_more_than_two_are_made_side_by_side() -> None:
    builds: Builds[int] = Builds()
    gate, running, most = threading.Event(), [0], [0]
    lock = threading.Lock()

    def make() -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(30)
        with lock:
            running[0] -= 1
        return 1

    def want(name: str) -> Build[int]:
        with builds.joined(name, make) as build:
            build.wait(lambda: False)
        return build

    threads = [threading.Thread(target=want, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    with builds.joined("0", make) as build, pytest.raises(GivenUpError):
        build.wait(lambda: True)
    gate.set()
    for thread in threads:
        thread.join()
    assert most == [2]
    builds.close()


# --- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        LayerError("its tar is cut short"),
        LayerLimitError("too much"),
        LayerProcessError("killed"),
        MissingError("blobs/x"),
        UnsafeError("blobs/x", "symbolic link", "file"),
        TooLargeError("blobs/x", 5, 4),
        UnreadableError("blobs/x", "Permission denied", 13, denied=True),
        NoRoomError("/cache", "No space left on device"),
        LayerError("a name \udcff\n\x1b"),
    ],
)
def test_an_error_comes_out_of_the_child_as_it_was(error: RegfsError) -> None:
    digest = Digest.of(b"")
    reply = decode_reply(encode(Failed.of(error, digest)))
    assert isinstance(reply, Failed)
    again = reply.error()
    assert type(again) is type(error)
    if isinstance(error, LayerError):
        assert isinstance(again, LayerError)
        assert str(again).startswith(f"layer {digest}: ")
        assert str(again).isprintable()
    else:
        assert str(again) == str(error)
        assert again.__dict__ == error.__dict__


def test_messages_are_one_line_each() -> None:
    job = Job(Digest.of(b""), 5, "/cache/x\udcff", "sha256:1", seekable=False)
    for message in (job, Progress(1, 2), Done(5)):
        line = encode(message)
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
    assert decode_job(encode(job)) == job
    assert decode_reply(encode(Progress(1, 2))) == Progress(1, 2)


# --- the cache directory ---------------------------------------------------------------------------


def held() -> None:
    raise GivenUpError("somebody else has it")


def test_a_claim_is_held_against_all_others_until_it_ends(tmp_path: Path) -> None:
    cache, digest = LayerCache(tmp_path / "a" / "b", 1000), Digest.of(b"")
    target = cache.path(digest, INDEX)
    with cache.claimed(target, held) as claim:
        claim.new.write_bytes(b"half")
        with pytest.raises(GivenUpError), cache.claimed(target, held):
            pass
        with cache.claimed(cache.path(digest, COPY), held):
            assert claim.new.exists()  # its maker lives: it is not swept
    assert os.listdir(cache.directory) == []
    with cache.claimed(target, held) as claim:
        claim.new.write_bytes(b"whole")
        cache.publish(claim)
    assert os.listdir(cache.directory) == [target.name]


def test_claims_of_many_threads_exclude_each_other(tmp_path: Path) -> None:
    """Also in the moment in which one removes the lock that another has opened."""
    cache, inside, errors = LayerCache(tmp_path, 1000), [0], []
    target = cache.path(Digest.of(b""), INDEX)

    def work() -> None:
        for _ in range(50):
            with cache.claimed(target, lambda: None):
                inside[0] += 1
                if inside[0] != 1:
                    errors.append(inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(cache.directory) == []


def test_the_cache_counts_what_others_removed_as_gone(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, 100)
    paths = [cache.path(Digest.of(b"%d" % number), kind) for number in range(3) for kind in (INDEX, COPY)]
    for age, path in enumerate(paths):
        with cache.claimed(path, held) as claim:
            claim.new.write_bytes(bytes(30))
            cache.publish(claim)
        if path.exists():
            os.utime(path, (age, age))
    assert sorted(os.listdir(cache.directory)) == sorted(path.name for path in paths[3:])
    cache.discard(paths[0])
    (cache.directory / "something else").write_bytes(bytes(1000))
    with cache.claimed(paths[0], held) as claim:
        claim.new.write_bytes(bytes(10))
        cache.publish(claim)
    assert len(os.listdir(cache.directory)) == 5


def test_points_are_looked_up_as_the_tests_own_do() -> None:
    table, points = SeekTable(), Points()
    for number in range(100):
        for noted in (table, points):
            noted.note(Point(number * 7, number * 3))
    assert all(table.point(offset) == points(offset) for offset in range(800))
    assert io.BytesIO(table.encode(700, 300)).getbuffer().nbytes == 8 + 100 * 8 + 9
