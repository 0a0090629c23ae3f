"""The layers of a store, opened: real blobs by the real tools, real child processes, real trouble."""

from __future__ import annotations

import errno
import fcntl
import gc
import hashlib
import io
import os
import random
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from regfs.errors import (
    GivenUpError,
    LayerError,
    LayerLimitError,
    LayerProcessError,
    MissingError,
    NoRoomError,
    RegfsError,
    UnreadableError,
    UnsafeError,
)
from regfs.layers import Layer, Layers, keeping, process
from regfs.layers.streams import Compression
from regfs.oci.digest import Digest
from regfs.registry import Contents, layout, open_local
from regfs.storage import Content, FileStat
from tests.builder import StoreBuilder
from tests.builder.layers import make_tar
from tests.conftest import cannot_run, need
from tests.unit.memory_store import MemoryStore

pytestmark = pytest.mark.long

#: Some compress well, some not at all; the third is empty, the last is of no whole blocks.
FILES = {
    "etc/words": b"".join(b"%d word\n" % number for number in range(60_000)),
    "etc/noise": random.Random(1).randbytes(700_000),
    "etc/nothing": b"",
    "usr/odd": random.Random(2).randbytes(1001),
}
TAR = make_tar(FILES)

#: What is no problem to read at random only through a copy: one frame of more than 8 MiB.
LARGE_FILES = {"large": FILES["etc/words"] * 15, "behind": b"end"}
LARGE_TAR = make_tar(LARGE_FILES)

COMMANDS = {
    "gzip -6": Compression.GZIP,
    "gzip -1": Compression.GZIP,
    "zstd -3": Compression.ZSTD,
    "zstd -1 -T2 -B512K": Compression.ZSTD,
    "xz -1": Compression.XZ,
    "bzip2 -1": Compression.BZIP2,
    "cat": Compression.NONE,
}


def packed(command: str, plain: bytes) -> bytes:
    program, *options = command.split()
    options += [] if program == "cat" else ["-c"]
    return subprocess.run([need(program), *options], input=plain, capture_output=True, check=True).stdout


def diff_id_of(plain: bytes) -> str:
    return f"sha256:{hashlib.sha256(plain).hexdigest()}"


class Ground:
    """A store, a cache directory, and all that hear of progress."""

    def __init__(self, store: StoreBuilder, cache: Path) -> None:
        self.builder = store
        self.store = open_local(str(store.v2))
        self.cache = cache
        self.now = 0.0
        self.built: list[Digest] = []
        self._opened: list[Layers] = []

    def put(self, content: bytes) -> Digest:
        return Digest.parse(self.builder.blob(content).digest)

    def put_as(self, digest: str, content: bytes) -> Digest:
        self.builder.write(self.builder.data(digest), content)
        return Digest.parse(digest)

    def layers(self, cache: Path | None = None, cache_size: int = 5_000_000_000, **keys: int) -> Layers:
        layers = Layers(
            Contents(self.store),
            cache or self.cache,
            cache_size=cache_size,
            **keys,
            progress=self._told,
            clock=lambda: self.now,
        )
        self._opened.append(layers)
        return layers

    def _told(self, digest: Digest, read: int, size: int) -> None:
        if read == size:
            self.built.append(digest)

    def kept(self) -> list[str]:
        directory = self.cache / "layers"
        return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []

    def index(self, digest: Digest) -> Path:
        return self.cache / "layers" / f"{digest.algorithm}-{digest.hex}.sqlite"

    def copy(self, digest: Digest) -> Path:
        return self.index(digest).with_suffix(".zst")

    def close(self) -> None:
        for layers in self._opened:
            layers.close()
        self.store.close()


@pytest.fixture
def ground(store: StoreBuilder, cache: Path) -> Iterator[Ground]:
    ground = Ground(store, cache)
    yield ground
    ground.close()


def piece(content: Content, offset: int, size: int) -> bytes:
    """Read, and see that nothing behind the given size is touched."""
    buffer = bytearray(b"\xee" * (size + 1))
    got = content.read_into(memoryview(buffer)[:size], offset)
    assert bytes(buffer[got:]) == b"\xee" * (size + 1 - got)
    return bytes(buffer[:got])


def file_of(layer: Layer, path: str) -> bytes:
    """Read a file of a layer by its path."""
    number = 1
    for part in path.split("/"):
        member = layer.tree.find(number, os.fsencode(part))
        assert member is not None
        number = member.id
    content = layer.open_file(number)
    try:
        return piece(content, 0, layer.tree.node(number).size + 10)
    finally:
        content.close()


def children() -> list[int]:
    """Find the children of this process that build, by proc(5)."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"regfs.layers.child" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def unlocked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def big(size: int = 40_000_000) -> bytes:
    """A layer whose build takes some time."""
    return make_tar({"big": random.Random(size).randbytes(size)})


def stopped_children(number: int) -> list[int]:
    """Stop so many children as soon as they are there."""
    stopped: set[int] = set()

    def stop() -> bool:
        for child in set(children()) - stopped:
            os.kill(child, signal.SIGSTOP)
            stopped.add(child)
        return len(stopped) == number

    until(stop)
    return sorted(stopped)


@contextmanager
def stopped_build(ground: Ground, digest: Digest) -> Iterator[int]:
    """Within `with`, the child that builds a layer is stopped; gives its process."""
    layers = ground.layers()
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(layers.get, digest)
        (child,) = stopped_children(1)
        try:
            yield child
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)
            with suppress(RegfsError):
                building.result()


# --- what is read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_a_layer_is_told_and_read_however_it_is_compressed(ground: Ground, command: str) -> None:
    stored = packed(command, TAR)
    digest = ground.put(stored)
    layer = ground.layers().get(digest, diff_id_of(TAR))
    assert (layer.digest, layer.diff_id, layer.size) == (digest, diff_id_of(TAR), len(TAR))
    assert layer.stored is COMMANDS[command]
    content = layer.open()
    chance = random.Random(3)
    offsets = [0, 1, 511, 512, len(TAR) - 1, len(TAR), len(TAR) + 5]
    offsets += [chance.randrange(len(TAR)) for _ in range(50)]
    for offset in offsets:
        size = chance.choice([1, 512, 4096, 131_072])
        assert piece(content, offset, size) == TAR[offset : offset + size]
    assert piece(content, 0, len(TAR) + 1) == TAR
    content.close()
    for path, wanted in FILES.items():
        assert file_of(layer, path) == wanted


def test_files_that_tar_made_sparse_have_zeros_in_their_holes(ground: Ground, tmp_path: Path) -> None:
    above = tmp_path / "files"
    above.mkdir()
    with (above / "holes").open("wb") as file:
        for start in (1_000_000, 3_000_000, 7_654_321):
            file.seek(start)
            file.write(random.Random(start).randbytes(5000))
        file.truncate(9_000_000)
    (above / "none").touch()
    os.truncate(above / "none", 4_000_000)
    for form in ("--format=gnu", "--format=posix"):
        made = subprocess.run(
            [need("tar"), "-S", form, "-C", str(above), "-cf", "-", "."], capture_output=True, check=True
        ).stdout
        assert len(made) < 1_000_000
        layer = ground.layers().get(ground.put(packed("gzip", made)), diff_id_of(made))
        for name in ("holes", "none"):
            assert file_of(layer, name) == (above / name).read_bytes()
        member = layer.tree.find(1, b"holes")
        assert member is not None
        content, whole = layer.open_file(member.id), (above / "holes").read_bytes()
        for offset in (0, 999_000, 1_003_000, 2_999_999, 7_659_000, 8_999_999, 9_000_000):
            assert piece(content, offset, 4096) == whole[offset : offset + 4096]


def test_what_is_no_file_has_no_content(ground: Ground) -> None:
    layer = ground.layers().get(ground.put(TAR))
    with pytest.raises(LayerError, match="is no file"):
        layer.open_file(1)


def test_many_layers_are_opened_in_their_order(ground: Ground) -> None:
    tars = [make_tar({"number": b"%d" % number}) for number in range(5)]
    wanted = [(ground.put(packed("gzip", tar)), diff_id_of(tar)) for tar in tars]
    layers = ground.layers()
    found = layers.get_all([*wanted, wanted[0]])
    assert [file_of(layer, "number") for layer in found] == [b"0", b"1", b"2", b"3", b"4", b"0"]
    assert layers.get_all([]) == []
    assert found[0] is found[-1]


def test_sha512_and_an_index_that_another_store_has_made(ground: Ground) -> None:
    stored = packed("gzip", TAR)
    digest = ground.put_as(f"sha512:{hashlib.sha512(stored).hexdigest()}", stored)
    assert ground.layers().get(digest).size == len(TAR)
    assert ground.layers().get(digest).size == len(TAR)
    assert ground.built == [digest]


def test_a_digest_that_cannot_be_computed_wants_the_diff_id(ground: Ground) -> None:
    digest = ground.put_as("blake3:" + "12" * 32, packed("gzip", TAR))
    if digest.computable:
        pytest.skip("blake3 can be computed here")
    layers = ground.layers()
    with pytest.raises(LayerError, match="blake3 cannot be computed here, and no DiffID is known"):
        layers.get(digest)
    with pytest.raises(LayerError, match="its image says"):
        layers.get(digest, diff_id_of(b""))
    assert layers.get(digest, diff_id_of(TAR)).size == len(TAR)


# --- what is damaged -------------------------------------------------------------------------------


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


GZIPPED = packed("gzip", TAR)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GZIPPED[: len(GZIPPED) // 2], "ends in the middle"),
        (flipped(GZIPPED, len(GZIPPED) // 2), "damaged"),
        (flipped(GZIPPED, 4), "its content is sha256:"),  # the time in the header, which nothing checks
        (GZIPPED + b"\0" * 10, "its content is sha256:"),
        (flipped(packed("zstd", TAR), 50_000), "cannot be decompressed"),
        (packed("xz -0", TAR)[:-50_000], "ends in the middle"),
        (packed("gzip", TAR[:50_000]), "cut short"),
        (packed("gzip", random.Random(4).randbytes(5000)), "tar cannot be read"),
        (b"no tar at all, and far too short for one", "cut short"),
        (flipped(TAR, 3), "checksum"),
        (flipped(TAR, 5000), "its content is sha256:"),
    ],
)
def test_damage_is_told_and_nothing_of_it_is_kept(ground: Ground, content: bytes, reason: str) -> None:
    right = diff_id_of(GZIPPED)  # as good as any: what is stored is not this
    digest = ground.put_as(right, content)
    layers = ground.layers()
    for _ in range(2):
        with pytest.raises(LayerError, match=reason) as raised:
            layers.get(digest)
        assert str(digest) in str(raised.value)
    assert ground.kept() == []


def test_a_blob_with_the_right_digest_that_holds_no_tar(ground: Ground) -> None:
    digest = ground.put(random.Random(5).randbytes(100_000))
    with pytest.raises(LayerError, match="tar cannot be read"):
        ground.layers().get(digest)
    assert ground.kept() == []


def test_another_diff_id_than_the_images_is_refused_each_time_and_the_index_stays(ground: Ground) -> None:
    digest = ground.put(GZIPPED)
    layers = ground.layers()
    for _ in range(2):
        with pytest.raises(LayerError) as raised:
            layers.get(digest, diff_id_of(b"another"))
        for text in (str(digest), diff_id_of(b"another"), diff_id_of(TAR)):
            assert text in str(raised.value)
    assert layers.get(digest, diff_id_of(TAR)).diff_id == diff_id_of(TAR)
    assert layers.get(digest).diff_id == diff_id_of(TAR)
    assert ground.built == [digest]


def test_errors_of_the_child_come_out_as_they_were(ground: Ground) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("large")
        entry.pax_headers = {"comment": "x" * (2 << 20)}
        archive.addfile(entry)
    digest = ground.put(packed("gzip", file.getvalue()))
    with pytest.raises(LayerLimitError, match="are allowed"):
        ground.layers().get(digest)
    linked = ground.put(GZIPPED)
    path = ground.builder.data(str(linked))
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(UnsafeError, match="symbolic link") as raised:
        ground.layers().get(linked)
    assert (raised.value.got, raised.value.want) == ("symbolic link", "file")
    assert ground.kept() == []


def test_a_blob_that_is_not_there(ground: Ground) -> None:
    with pytest.raises(MissingError):
        ground.layers().get(Digest.of(b"nobody pushed this"))
    assert ground.kept() == []


def test_damage_is_remembered_for_a_minute_or_until_the_blob_is_another(ground: Ground) -> None:
    digest = ground.put_as(diff_id_of(GZIPPED), flipped(GZIPPED, 4))
    layers = ground.layers()

    def fails(built: int) -> None:
        with pytest.raises(LayerError, match="its content is"):
            layers.get(digest)
        assert len(ground.built) == built

    fails(1)
    ground.now = 59
    fails(1)
    ground.now = 61
    fails(2)
    fails(2)
    ground.put_as(str(digest), GZIPPED)  # mended
    assert layers.get(digest).size == len(TAR)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: os.truncate(path, path.stat().st_size // 2),
        lambda path: os.truncate(path, 0),
        lambda path: path.write_bytes(random.Random(6).randbytes(path.stat().st_size)),
        lambda path: path.write_bytes(flipped(path.read_bytes(), path.stat().st_size - 100)),
        lambda path: path.write_bytes(flipped(path.read_bytes(), 63)),  # user_version
        lambda path: path.write_bytes(path.read_bytes() + bytes(4096)),
    ],
)
def test_an_index_that_is_not_whole_is_built_anew(ground: Ground, spoil: Callable[[Path], object]) -> None:
    digest = ground.put(GZIPPED)
    ground.layers().get(digest)
    spoil(ground.index(digest))
    layer = ground.layers().get(digest)
    assert file_of(layer, "etc/words") == FILES["etc/words"]
    assert ground.built == [digest, digest]
    ground.layers().get(digest)
    assert len(ground.built) == 2


def test_an_index_is_not_believed_of_a_blob_of_another_size(ground: Ground) -> None:
    digest = ground.put(GZIPPED)
    ground.layers().get(digest)
    ground.put_as(str(digest), GZIPPED[:-100])
    with pytest.raises(LayerError, match="ends in the middle"):
        ground.layers().get(digest)
    assert ground.kept() == []


def test_an_index_is_not_believed_of_a_blob_that_was_written_to_since(ground: Ground) -> None:
    digest = ground.put(GZIPPED)
    layers = ground.layers()
    assert layers.get(digest).size == len(TAR)
    ground.put_as(str(digest), flipped(GZIPPED, len(GZIPPED) // 2))
    ground.now += 1.1
    for each in (layers, ground.layers()):
        with pytest.raises(LayerError, match="damaged"):
            each.get(digest)
    ground.put_as(str(digest), GZIPPED)
    assert layers.get(digest).size == ground.layers().get(digest).size == len(TAR)


def test_a_blob_from_the_future_is_looked_into_once(ground: Ground) -> None:
    digest = ground.put(GZIPPED)
    os.utime(ground.builder.data(str(digest)), (time.time(), time.time() + 1e6))
    ground.layers().get(digest)
    ground.layers().get(digest)
    assert ground.built == [digest]


# --- once, and side by side ------------------------------------------------------------------------


def test_eight_threads_that_want_one_layer_wait_for_one_child(ground: Ground) -> None:
    digest = ground.put(packed("gzip -1", big(5_000_000)))
    layers, barrier = ground.layers(), threading.Barrier(8)

    def get() -> Layer:
        barrier.wait()
        return layers.get(digest)

    with ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(get) for _ in range(8)]]
    assert len({id(layer) for layer in found}) == 1
    assert ground.built == [digest]


ANOTHER = """
import sys
from pathlib import Path
from regfs.layers import Layers
from regfs.oci.digest import Digest
from regfs.registry import Contents, open_local

built = []
layers = Layers(
    Contents(open_local(sys.argv[1])),
    Path(sys.argv[2]),
    progress=lambda digest, *of: built.append(of[0] == of[1]),
)
print("begun", flush=True)
print(layers.get(Digest.parse(sys.argv[3])).size, sum(built), flush=True)
"""


def another(ground: Ground, digest: Digest) -> subprocess.Popen[str]:
    """Another process that opens a layer; it prints the tar's size, and how many indexes it built."""
    return subprocess.Popen(
        [sys.executable, "-c", ANOTHER, str(ground.builder.v2), str(ground.cache), str(digest)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_that_want_one_layer_build_it_once(ground: Ground) -> None:
    tar = big()
    digest = ground.put(tar)
    with stopped_build(ground, digest):
        process = another(ground, digest)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
    answer, _ = process.communicate()
    assert answer == f"{len(tar)} 0\n"
    assert ground.kept() == [ground.index(digest).name]


def test_a_child_that_is_killed_is_told_once_and_the_next_question_builds_anew(ground: Ground) -> None:
    digest = ground.put(big(200_000_000))
    layers = ground.layers()
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(layers.get, digest)
        index = ground.index(digest)
        until(index.with_name(f"{index.name}.new").exists)
        for child in children():
            os.kill(child, signal.SIGKILL)
        with pytest.raises(LayerProcessError, match="killed by SIGKILL"):
            building.result()
    assert ground.kept() == []
    assert layers.get(digest).size > 200_000_000


def test_a_child_ends_with_its_parent_and_what_it_left_is_swept(ground: Ground) -> None:
    digest, other = ground.put(big(200_000_000)), ground.put(GZIPPED)
    process = another(ground, digest)
    new = ground.index(digest).with_name(f"{ground.index(digest).name}.new")
    until(new.exists)
    listed = Path(f"/proc/{process.pid}/task").glob("*/children")
    (child,) = [int(number) for path in listed for number in path.read_text().split()]
    process.kill()
    process.communicate()
    until(lambda: unlocked(new.with_suffix(".lock")))
    until(lambda: ended(child))
    assert new.exists()
    ground.layers().get(other)
    assert ground.kept() == [ground.index(other).name]
    ground.layers().get(digest)


def test_what_a_killed_process_left_of_the_same_layer_does_not_stand_in_the_way(ground: Ground) -> None:
    digest = ground.put(GZIPPED)
    index = ground.index(digest)
    index.parent.mkdir(parents=True)
    for ending in (".new", ".lock"):
        index.with_name(index.name + ending).write_bytes(b"left")
    assert ground.layers().get(digest).size == len(TAR)
    assert ground.kept() == [index.name]


def test_what_is_typed_at_the_terminal_does_not_reach_the_child(ground: Ground) -> None:
    with stopped_build(ground, ground.put(big())) as child:
        assert os.getsid(child) == child != os.getsid(0)


# --- giving up -------------------------------------------------------------------------------------


def test_who_gives_up_waits_no_longer_while_others_go_on(ground: Ground) -> None:
    digest, other = ground.put(big()), ground.put(GZIPPED)
    with stopped_build(ground, digest) as child:
        layers = ground.layers()
        asked: list[bool] = []

        def given_up() -> bool:
            asked.append(len(asked) == 3)
            return asked[-1]

        with pytest.raises(GivenUpError):
            layers.get_all([(other, ""), (digest, "")], given_up=given_up)
        assert asked == [False, False, False, True]
        assert not ended(child)
        assert layers.get(other).size == len(TAR)
    assert layers.get(digest).size > 40_000_000
    assert ground.built.count(digest) == 1


def test_what_nobody_waits_for_any_more_is_not_begun(ground: Ground) -> None:
    running = [ground.put(big(size)) for size in (40_000_000, 40_000_001)]
    waiting = ground.put(GZIPPED)
    layers = ground.layers()
    with ThreadPoolExecutor(2) as pool:
        building = [pool.submit(layers.get, digest) for digest in running]
        stopped = stopped_children(2)
        with pytest.raises(GivenUpError):
            layers.get(waiting, given_up=lambda: True)
        assert sorted(children()) == stopped
        for child in stopped:
            os.kill(child, signal.SIGCONT)
        for future in building:
            future.result()
    assert waiting not in ground.built


def test_closing_ends_the_children_and_the_waiting(ground: Ground) -> None:
    digest = ground.put(big())
    layers = ground.layers()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(layers.get, digest)
        stopped_children(1)
        layers.close()
        with pytest.raises(GivenUpError):
            waiting.result()
    assert children() == []
    assert ground.kept() == []
    with pytest.raises(GivenUpError):
        layers.get(digest)


# --- the seekable copy -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["zstd -3", "xz -0"])
def test_a_copy_is_made_by_the_first_read_and_zstd_reads_it(ground: Ground, command: str) -> None:
    digest = ground.put(packed(command, LARGE_TAR))
    layer = ground.layers().get(digest, diff_id_of(LARGE_TAR))
    member = layer.tree.find(1, b"behind")
    assert member is not None
    content = layer.open_file(member.id)
    assert ground.kept() == [ground.index(digest).name]
    assert piece(content, 0, 10) == b"end"
    assert ground.kept() == [ground.index(digest).name, ground.copy(digest).name]
    assert file_of(layer, "large") == LARGE_FILES["large"]
    unpacked = subprocess.run(["zstd", "-dc", str(ground.copy(digest))], capture_output=True, check=True)
    assert unpacked.stdout == LARGE_TAR
    again = ground.layers().get(digest)
    assert file_of(again, "large") == LARGE_FILES["large"]
    assert ground.built == [digest, digest]  # the index, the copy


def test_threads_that_read_first_together_wait_for_one_copy(ground: Ground) -> None:
    digest = ground.put(packed("zstd", LARGE_TAR))
    layer = ground.layers().get(digest)
    barrier = threading.Barrier(8)

    def read(number: int) -> bool:
        content = layer.open()
        barrier.wait()
        offset = number * 1_000_000
        same = piece(content, offset, 300_000) == LARGE_TAR[offset : offset + 300_000]
        content.close()
        return same

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))
    assert ground.built == [digest, digest]


def test_threads_that_find_a_copy_damaged_together_wait_for_another(ground: Ground) -> None:
    digest = ground.put(packed("zstd", LARGE_TAR))
    file_of(ground.layers().get(digest), "behind")
    copy = ground.copy(digest)
    size = copy.stat().st_size
    with copy.open("r+b") as file:
        file.write(random.Random(9).randbytes(size * 9 // 10))
    layer = ground.layers().get(digest)
    barrier = threading.Barrier(8)

    def read(number: int) -> bool:
        content = layer.open()
        barrier.wait()
        same = piece(content, number * 500_000, 1000) == LARGE_TAR[number * 500_000 :][:1000]
        content.close()
        return same

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))
    assert ground.built == [digest] * 3


@pytest.mark.parametrize("at", [0.5, 1.0])
def test_a_damaged_copy_is_made_anew(ground: Ground, at: float) -> None:
    digest = ground.put(packed("zstd", LARGE_TAR))
    file_of(ground.layers().get(digest), "large")
    copy = ground.copy(digest)
    copy.write_bytes(flipped(copy.read_bytes(), int(at * (copy.stat().st_size - 1))))
    assert file_of(ground.layers().get(digest), "large") == LARGE_FILES["large"]
    assert ground.built == [digest] * 3


def test_a_blob_that_is_damaged_by_now_gives_no_copy(ground: Ground) -> None:
    stored = packed("zstd --no-check", LARGE_TAR)
    digest = ground.put(stored)
    layer = ground.layers().get(digest)
    content = layer.open()
    other = packed("zstd --no-check", LARGE_TAR.replace(b"7 word", b"8 word"))
    with ground.builder.data(str(digest)).open("r+b") as file:
        file.write(other)
        file.truncate()
    with pytest.raises(LayerError, match="before"):
        piece(content, 0, 10)
    assert ground.kept() == [ground.index(digest).name]


def test_a_read_that_waits_for_a_copy_can_be_given_up(ground: Ground) -> None:
    tar = make_tar({"noise": random.Random(7).randbytes(40_000_000)})
    digest = ground.put(packed("zstd -1", tar))
    layer = ground.layers().get(digest)
    with pytest.raises(GivenUpError):
        piece(layer.open(given_up=lambda: True), 0, 10)
    assert piece(layer.open(), 20_000_000, 1000) == tar[20_000_000:20_001_000]


# --- room ------------------------------------------------------------------------------------------


def test_the_cache_is_private(ground: Ground) -> None:
    digest = ground.put(packed("zstd", LARGE_TAR))
    file_of(ground.layers().get(digest), "behind")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (ground.cache, ground.cache / "layers")]
    assert modes == [0o700, 0o700]
    for path in (ground.cache / "layers").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_least_recently_used_go_first_and_what_is_open_stays_readable(ground: Ground) -> None:
    tars = [make_tar({"number": b"%d" % number}) for number in range(4)]
    digests = [ground.put(packed("gzip", tar)) for tar in tars]
    first = ground.layers().get(digests[0])
    room = 3 * ground.index(digests[0]).stat().st_size
    layers = ground.layers(cache_size=room)
    for age, digest in enumerate(digests[:3]):
        layers.get(digest)
        os.utime(ground.index(digest), (age, age))
    ground.layers().get(digests[0])  # in use again
    layers.get(digests[3])
    assert ground.kept() == sorted(ground.index(digests[number]).name for number in (0, 2, 3))
    ground.index(digests[0]).unlink()
    assert file_of(first, "number") == b"0"


def test_what_is_larger_than_the_cache_is_served_and_goes_when_the_next_comes(ground: Ground) -> None:
    digests = [ground.put(packed("gzip", make_tar({"number": b"%d" % number}))) for number in range(2)]
    layers = ground.layers(cache_size=1)
    for number, digest in enumerate(digests):
        assert file_of(layers.get(digest), "number") == b"%d" % number
        assert ground.kept() == [ground.index(digest).name]


@contextmanager
def file_system(path: Path, options: str) -> Iterator[Path]:
    """A small file system in memory, which takes root."""
    path.mkdir(parents=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True)
    if made.returncode:
        cannot_run(f"no tmpfs can be mounted: {made.stderr.decode()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_is_no_room_and_all_is_well_when_there_is_some(ground: Ground, tmp_path: Path) -> None:
    digest, large = ground.put(GZIPPED), ground.put(packed("zstd", LARGE_TAR))
    with file_system(tmp_path / "small", "size=1m") as small:
        filler = small / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - 16384)
        layers = ground.layers(small)
        for _ in range(2):
            with pytest.raises(NoRoomError, match=r"full|No space"):
                layers.get(digest)
            assert list((small / "layers").iterdir()) == []
        os.truncate(filler, 500_000)
        assert file_of(layers.get(digest), "usr/odd") == FILES["usr/odd"]
        layer = layers.get(large)
        with pytest.raises(NoRoomError):
            file_of(layer, "behind")
        assert not list((small / "layers").glob("*.new"))
        filler.unlink()
        layers.close()


def test_a_cache_that_is_read_only_is_no_room_but_what_is_there_is_used(
    ground: Ground, tmp_path: Path
) -> None:
    digest, other = ground.put(GZIPPED), ground.put(TAR)
    with file_system(tmp_path / "fixed", "size=4m") as fixed:
        ground.layers(fixed).get(digest)
        subprocess.run(["mount", "-o", "remount,ro", str(fixed)], check=True)
        layers = ground.layers(fixed)
        assert file_of(layers.get(digest), "usr/odd") == FILES["usr/odd"]
        with pytest.raises(NoRoomError, match="Read-only"):
            layers.get(other)
        layers.close()


def test_a_cache_directory_whose_name_is_no_utf_8(ground: Ground, tmp_path: Path) -> None:
    cache = tmp_path / os.fsdecode(b"not \xff utf-8, with % and ? and #")
    digest = ground.put(packed("zstd", LARGE_TAR))
    assert file_of(ground.layers(cache).get(digest), "behind") == b"end"
    assert file_of(ground.layers(cache).get(digest), "behind") == b"end"
    assert ground.built == [digest, digest]


def test_a_cache_directory_that_cannot_be_made(ground: Ground, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NoRoomError, match="File exists"):
        ground.layers(tmp_path / "file" / "cache").get(ground.put(GZIPPED))


# --- what it takes ---------------------------------------------------------------------------------


def test_a_child_takes_little_memory_whatever_the_layer(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    file = io.BytesIO()
    content = random.Random(8).randbytes(100_000) + LARGE_FILES["large"][:2_900_000]
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in range(100):
            entry = tarfile.TarInfo(f"d/{number}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    caplog.set_level("DEBUG", "regfs.layers.process")
    digest = ground.put(packed("gzip -1", file.getvalue()))
    assert ground.layers().get(digest).size > 300_000_000
    (record,) = [record for record in caplog.records if record.name == "regfs.layers.process"]
    assert isinstance(record.args, tuple)
    peak = record.args[1]
    assert isinstance(peak, int)
    assert 5 < peak < 80


def test_the_blob_of_a_layer_that_nobody_reads_any_more_is_closed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blobs() -> int:
        targets = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        return sum(path.startswith(ground.store.root) and path.endswith("/data") for path in targets)

    monkeypatch.setattr(keeping, "_REST_AFTER", 0.2)
    layers = ground.layers()
    digests = [ground.put(packed("gzip", make_tar({"number": b"%d" % number}))) for number in range(3)]
    held = [layers.get(digest) for digest in digests]
    assert blobs() == 0
    first = held[0].open()
    for layer in held:
        assert len(file_of(layer, "number")) == 1
    assert blobs() == 3
    until(lambda: blobs() == 1)
    assert first.read_into(memoryview(bytearray(1000)), 0) == 1000
    first.close()
    until(lambda: blobs() == 0)
    assert file_of(held[0], "number") == b"0"
    layers.close()
    assert blobs() == 0


def test_two_hundred_layers_leave_no_descriptors_behind(ground: Ground) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    stored = [make_tar({"number": b"%d" % number}) for number in range(200)]
    digests = [ground.put(content) for content in stored]
    before = descriptors()
    layers = ground.layers()
    held = layers.get(digests[0])
    for layer in layers.get_all([(digest, "") for digest in digests]):
        assert len(file_of(layer, "number")) in (1, 2, 3)
    del layer
    assert descriptors() <= before + 4 * 64 + 10
    assert layers.get(digests[0]) is held
    layers.close()
    assert descriptors() <= before + 3
    assert file_of(held, "number") == b"0"
    del held
    assert descriptors() <= before


# --- blobs that are no files of this machine -------------------------------------------------------


class Elsewhere:
    """Blobs in a store in memory, whose content has no descriptor; the one of a digest may break off."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self._contents = Contents(self._store)
        self.fails_at = 1 << 62

    def put(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self._store.write(layout.blob_data(digest), content)
        return digest

    def blob(self, digest: Digest) -> FileStat:
        return self._contents.blob(digest)

    def open_blob(self, digest: Digest) -> Content:
        content = self._contents.open_blob(digest)
        return BreaksOff(content, self.fails_at)


class BreaksOff:
    """Content that cannot be read from some byte on."""

    def __init__(self, content: Content, fails_at: int) -> None:
        self._content = content
        self._fails_at = fails_at
        self.close = content.close

    def read_into(self, buffer: memoryview, offset: int) -> int:
        if offset + len(buffer) > self._fails_at:
            raise UnreadableError("far away", "Connection reset by peer", errno.ECONNRESET, denied=False)
        return self._content.read_into(buffer, offset)


@pytest.fixture
def elsewhere(cache: Path) -> Iterator[tuple[Elsewhere, Layers]]:
    blobs = Elsewhere()
    layers = Layers(blobs, cache)
    yield blobs, layers
    layers.close()


@pytest.mark.parametrize("command", ["gzip -6", "zstd -3", "cat"])
def test_layers_are_read_of_a_storage_whose_content_has_no_descriptor(
    elsewhere: tuple[Elsewhere, Layers], command: str
) -> None:
    blobs, layers = elsewhere
    wanted = [(FILES, blobs.put(packed(command, TAR))), (LARGE_FILES, blobs.put(packed(command, LARGE_TAR)))]
    for files, digest in wanted:
        layer = layers.get(digest)
        for path, content in files.items():
            assert file_of(layer, path) == content


def test_content_that_breaks_off_is_no_damaged_layer(elsewhere: tuple[Elsewhere, Layers]) -> None:
    """What the child makes of it is that the blob is cut short; but nobody has seen its end."""
    blobs, layers = elsewhere
    blobs.fails_at = 400_000
    digest = blobs.put(packed("gzip", TAR))
    with pytest.raises(UnreadableError, match="far away: Connection reset"):
        layers.get(digest)
    blobs.fails_at = 1 << 62
    assert layers.get(digest).size == len(TAR)


def test_a_child_that_ends_early_ends_the_feeding(elsewhere: tuple[Elsewhere, Layers]) -> None:
    blobs, layers = elsewhere
    digest = blobs.put(b"no tar at all" + random.Random(5).randbytes(5_000_000))
    with pytest.raises(LayerError):
        layers.get(digest)
    assert [thread for thread in threading.enumerate() if thread.name == "feeder"] == []


# --- many small layers -----------------------------------------------------------------------------


def test_small_layers_share_a_child(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """To start one takes 60 ms, many times what a small layer does."""
    started: list[process.ChildProcess] = []

    class Counted(process.ChildProcess):
        def __init__(self) -> None:
            super().__init__()
            started.append(self)

    monkeypatch.setattr(process, "ChildProcess", Counted)
    digests = [ground.put(packed("gzip", make_tar({"number": b"%d" % number}))) for number in range(150)]
    layers = ground.layers()
    found = layers.get_all([(digest, "") for digest in digests])
    assert [file_of(layer, "number") for layer in found] == [b"%d" % number for number in range(150)]
    assert len(started) <= 4
    until(lambda: not children())


def test_a_damaged_layer_among_small_ones_spoils_no_other(ground: Ground) -> None:
    digests = [ground.put(packed("gzip", make_tar({"number": b"%d" % number}))) for number in range(10)]
    digests.insert(5, ground.put(packed("gzip", TAR)[:-1000]))
    layers = ground.layers()
    told = []
    for digest in digests:
        try:
            told.append(file_of(layers.get(digest), "number"))
        except LayerError as error:
            told.append(str(error).encode())
    assert str(digests[5]).encode() in told.pop(5)
    assert told == [b"%d" % number for number in range(10)]


def test_a_layer_of_more_zeros_than_a_gibibyte_is_read(ground: Ground) -> None:
    """As of a large lastlog: deflate makes a thousandth of it, and no real layer is refused for that."""
    size = 1025 << 20
    entry = tarfile.TarInfo("var/log/lastlog")
    entry.size = size
    deflate = zlib.compressobj(1, wbits=31)
    stored = [deflate.compress(entry.tobuf())]
    stored += [deflate.compress(bytes(1 << 20)) for _ in range(1025)]
    stored += [deflate.compress(bytes(1024)), deflate.flush()]
    layer = ground.layers().get(ground.put(b"".join(stored)))
    assert layer.size == size + 512 + 1024
    member = layer.tree.find(1, b"var")
    assert member is not None
    with pytest.raises(LayerLimitError, match="max_layer_size= allows more"):
        ground.layers(ground.cache / "other", max_layer_size=1 << 30).get(layer.digest)
