"""kill -9 in the middle of an index and of a read.

Beside these: tests/unit/test_index_database.py kills a pass at each of its steps; test_inside_adversity.py
the process that reads a layer, and the mount with it; test_umount.py a mount that nobody reads.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.builder.media_types import OCI_LAYER
from tests.conftest import REGFS, Mount, output
from tests.faults.conftest import answer, blobs_told, is_error, listed, stored
from tests.mount.conftest import clear, mount_entry, processes_with, regfs, until

Make = Callable[..., Mount]

#: Enough for an index to take some tenths of a second.
IMAGES = 400
SIZE = 64 << 20


@pytest.fixture
def many(store: StoreBuilder) -> StoreBuilder:
    layer = store.blob(b"layer", "x/y")
    for number in range(IMAGES):
        config = store.blob(b'{"number": %d}' % number, "application/vnd.oci.image.config.v1+json")
        store.image(f"many/{number % 7}", f"v{number}", [layer], config)
    return store


def files_of_index(cache: Path) -> list[str]:
    """List the files of indexes, by their kinds."""
    return sorted(path.name.partition(".")[2] for path in cache.glob("regfs/graph-*/*/*.sqlite*"))


def test_an_index_that_is_killed_again_and_again_is_right_in_the_end(many: StoreBuilder, cache: Path) -> None:
    chooser = random.Random(11)
    for _ in range(6):
        command = [*REGFS, "index", str(many.root)]
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        time.sleep(chooser.uniform(0.1, 0.6))
        # Its readers as well, as when a machine runs out of memory.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = regfs("report", "blobs", "--format", "csv", many.root)
    assert done.returncode == 0, done.stderr
    assert sorted(line.partition(",")[0] for line in done.stdout.splitlines()[1:]) == stored(many)
    assert len([kind for kind in files_of_index(cache) if kind == "sqlite"]) == 1


@pytest.fixture
def nobody_left(many: StoreBuilder) -> Iterator[None]:
    """End the processes that a test left."""
    yield
    for process in processes_with(many.root):
        os.kill(process, signal.SIGKILL)


@pytest.mark.alone
def test_the_readers_of_an_index_end_when_it_is_killed_alone(many: StoreBuilder, nobody_left: None) -> None:
    process = subprocess.Popen([*REGFS, "index", str(many.root)], stdout=subprocess.DEVNULL)
    until(lambda: len(processes_with(many.root)) > 2 or process.poll() is not None, "it has readers")
    assert process.poll() is None, "it has ended before"
    process.kill()
    process.wait()
    until(lambda: not processes_with(many.root), "its readers have ended", 5)


@pytest.mark.alone
@pytest.mark.fuse
def test_a_mount_that_is_killed_in_the_middle_of_its_index_leaves_nothing_half_made(
    many: StoreBuilder, mount: Make, cache: Path
) -> None:
    made = mount(many)
    with subprocess.Popen(
        ["ls", made.path / "@orphans/sha256"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as reader:
        until(lambda: files_of_index(cache), "the index is begun")
        made.process.kill()
        _, complaint = reader.communicate(timeout=10)
    assert not list(cache.glob("regfs/graph-*/*/current")), "it was not caught in the middle"
    assert reader.returncode != 0
    assert complaint
    made.end(signal.SIGKILL)
    again = mount(many)
    assert blobs_told(again.path) == stored(many)
    assert len([kind for kind in files_of_index(cache) if kind == "sqlite"]) == 1


@pytest.fixture
def large(store: StoreBuilder) -> StoreBuilder:
    store.image("app", "1.0", [store.blob(random.Random(4).randbytes(SIZE), OCI_LAYER)])
    return store


@pytest.fixture
def background(large: StoreBuilder, mountpoint: Path) -> Iterator[int]:
    """The process of a mount that nobody's child is."""
    output(*REGFS, "mount", large.root, mountpoint)
    (process,) = processes_with(mountpoint)
    yield process
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


@pytest.mark.fuse
@pytest.mark.parametrize("clearing", ["fusermount -u", "regfs umount", "regfs mount"])
def test_readers_of_a_mount_that_is_killed_get_an_error_and_a_new_mount_works(
    background: int, large: StoreBuilder, mountpoint: Path, clearing: str
) -> None:
    file = mountpoint / "app/1.0/layers/00.tar"
    content = next(
        large.data(digest) for digest in stored(large) if large.data(digest).stat().st_size == SIZE
    )
    reader = subprocess.Popen(["cat", file], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert reader.stdout
    assert reader.stderr
    got = reader.stdout.read(1 << 20)
    os.kill(background, signal.SIGSTOP)  # so that the next read is under way when it is killed
    waiting = subprocess.Popen(["cat", mountpoint / "app/1.0/config.json"], stderr=subprocess.PIPE)
    os.kill(background, signal.SIGKILL)
    got += reader.stdout.read()
    status = reader.wait(10)
    if status == 0:  # the kernel reads the file by itself
        assert got == content.read_bytes()
    else:
        complaint = reader.stderr.read().decode()
        assert "not connected" in complaint or "connection abort" in complaint
        assert 1 << 20 <= len(got) <= SIZE
        assert content.read_bytes().startswith(got)
    assert waiting.wait(10) != 0
    for process in (reader, waiting):
        process.communicate()
    assert is_error(answer(lambda: listed(mountpoint)))
    if clearing != "regfs mount":
        command = ("fusermount", "-u") if clearing == "fusermount -u" else (*REGFS, "umount")
        output(*command, mountpoint)
        assert mount_entry(mountpoint) is None
    output(*REGFS, "mount", large.root, mountpoint)
    output("cmp", file, content)
    output(*REGFS, "umount", mountpoint)
    clear(mountpoint)
