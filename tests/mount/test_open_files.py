"""Files that are open while their tag moves, or while their blob is deleted."""

from __future__ import annotations

import hashlib
import mmap
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.builder.media_types import OCI_LAYER
from tests.conftest import Mount, output
from tests.mount.conftest import until

pytestmark = pytest.mark.fuse

TTL = 0.25
SIZES = {"smaller": 700_000, "larger": 9_000_000, "equal": 3_000_000}
OLD = random.Random(0).randbytes(SIZES["equal"])


class Moving:
    """A mounted image with one layer, and how to move its tag to another layer."""

    def __init__(self, store: StoreBuilder, path: Path) -> None:
        self.store = store
        self.image = path / "app" / "1.0"
        self.layer = self.image / "layers" / "00.tar"

    def push(self, content: bytes) -> None:
        self.store.image(
            "app", "1.0", [self.store.blob(content, OCI_LAYER)], annotations={"n": content[:400].hex()}
        )

    def move(self, content: bytes) -> None:
        """Move the tag, and wait until the kernel has been told of it by someone who looks."""
        self.push(content)
        time.sleep(TTL + 0.05)
        os.stat(self.layer)
        os.stat(self.image / "manifest.json")


@pytest.fixture
def moving(store: StoreBuilder, mount: Callable[..., Mount]) -> Moving:
    store.image("app", "1.0", [store.blob(OLD, OCI_LAYER)], annotations={"n": "old"})
    return Moving(store, mount(store, f"ttl={TTL}").path)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def rest(descriptor: int) -> bytes:
    """Read on to the end."""
    return b"".join(iter(lambda: os.read(descriptor, 100_000), b""))


@pytest.fixture(params=SIZES)
def new(request: pytest.FixtureRequest) -> bytes:
    """A layer that is smaller or larger than the old one, or as large."""
    return random.Random(1).randbytes(SIZES[request.param])


def test_a_layer_half_read_keeps_its_content_and_a_new_open_reads_the_new_one(
    moving: Moving, new: bytes
) -> None:
    with opened(moving.layer) as old:
        first = os.read(old, 50_000)
        moving.move(new)
        assert moving.layer.read_bytes() == new
        assert output("sha256sum", moving.layer).split()[0] == sha256(new)
        assert first + rest(old) == OLD
        assert os.pread(old, 1000, len(OLD) - 1000) == OLD[-1000:]
        assert moving.layer.read_bytes() == new
    assert moving.layer.read_bytes() == new
    time.sleep(TTL)
    assert os.stat(moving.layer).st_size == len(new)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_opened_before_the_move_and_read_after_it_has_the_old_bytes(
    moving: Moving, new: bytes
) -> None:
    manifest = (moving.image / "manifest.json").read_bytes()
    with opened(moving.layer) as layer, opened(moving.image / "manifest.json") as open_manifest:
        moving.move(new)
        assert rest(layer) == OLD
        assert rest(open_manifest) == manifest
    assert (moving.image / "manifest.json").read_bytes() != manifest


def test_the_old_content_stays_when_many_have_it_open_and_some_close(moving: Moving, new: bytes) -> None:
    with ExitStack() as stack:
        held = stack.enter_context(opened(moving.layer))
        with opened(moving.layer) as other:
            os.read(other, 10)
            moving.move(new)
        with opened(moving.layer) as fresh:
            assert rest(fresh) == new
        assert rest(held) == OLD
    assert moving.layer.read_bytes() == new


def test_copies_made_while_the_old_content_is_held_open_are_of_the_new(
    moving: Moving, new: bytes, tmp_path: Path
) -> None:
    with opened(moving.layer) as held:
        os.read(held, 10)
        moving.move(new)
        output("cp", moving.layer, tmp_path / "cp")
        output("dd", "bs=64k", f"if={moving.layer}", f"of={tmp_path / 'dd'}")
        assert (tmp_path / "cp").read_bytes() == new
        assert (tmp_path / "dd").read_bytes() == new
        assert rest(held) == OLD[10:]


def test_a_mapped_layer_keeps_its_content(moving: Moving, new: bytes) -> None:
    with opened(moving.layer) as descriptor:
        mapped = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    with mapped:
        assert len(mapped) == len(OLD)
        assert mapped[:1000] == OLD[:1000]
        moving.move(new)
        assert moving.layer.read_bytes() == new
        assert mapped[:] == OLD
    assert until_mapped(moving.layer) == new


def until_mapped(path: Path) -> bytes:
    """Map a file whole; just after a tag has moved it is read by direct I/O, which cannot be mapped."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with (
            suppress(OSError),
            opened(path) as descriptor,
            mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped,
        ):
            return mapped[:]
        time.sleep(0.1)
    raise AssertionError("never mapped")


def test_three_contents_are_open_at_once(moving: Moving) -> None:
    contents = [OLD, *(random.Random(seed).randbytes(1_000_000 * seed) for seed in (2, 5, 1))]
    with ExitStack() as stack:
        held = [stack.enter_context(opened(moving.layer))]
        for content in contents[1:]:
            moving.move(content)
            held.append(stack.enter_context(opened(moving.layer)))
        for descriptor, content in zip(held, contents, strict=True):
            assert rest(descriptor) == content


def test_a_blob_deleted_while_open_stays_readable(moving: Moving) -> None:
    digest = f"sha256:{sha256(OLD)}"
    with opened(moving.layer) as descriptor:
        assert os.read(descriptor, 10) == OLD[:10]
        moving.store.data(digest).unlink()
        assert rest(descriptor) == OLD[10:]
    until(lambda: unreadable(moving.layer), "the deletion shows")


def unreadable(path: Path) -> bool:
    try:
        with opened(path) as descriptor:
            rest(descriptor)
    except OSError:
        return True
    return False


def test_a_garbage_collection_that_recreates_the_directory_does_not_disturb_a_reader(moving: Moving) -> None:
    data = moving.store.data(f"sha256:{sha256(OLD)}")
    with opened(moving.layer) as descriptor:
        data.unlink()
        data.parent.rmdir()
        time.sleep(TTL)
        moving.store.write(data, OLD)
        assert rest(descriptor) == OLD
    assert moving.layer.read_bytes() == OLD


@pytest.mark.parametrize("size", [700_000, 5_000_000])
def test_an_open_file_has_the_size_of_what_it_reads_also_while_the_tag_moves(
    store: StoreBuilder, mount: Callable[..., Mount], size: int
) -> None:
    """As `tar` needs it: it reads as much as fstat(2) says."""
    store.image("app", "1.0", [store.blob(OLD, OCI_LAYER)], annotations={"n": "old"})
    moving = Moving(store, mount(store, "ttl=1").path)
    contents = [OLD, random.Random(2).randbytes(size)]
    for turn in range(1, 7):
        moving.push(contents[turn % 2])
        pushed = time.monotonic()
        seen = b""
        while seen != contents[turn % 2]:
            os.stat(moving.layer)
            with opened(moving.layer) as descriptor:
                told = os.fstat(descriptor).st_size
                seen = rest(descriptor)
            assert told == len(seen)
            assert time.monotonic() < pushed + 20
