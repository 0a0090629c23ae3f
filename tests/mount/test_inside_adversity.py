"""What is inside layers, when something is wrong: damage, no room, interrupts, processes that are killed."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, cannot_run, need, output, run
from tests.inside import APP, BASE, Item, Pushed, image, push, push_quickly, tar_of
from tests.mount.conftest import clear, until

pytestmark = pytest.mark.fuse

Make = Callable[..., Mount]

#: Does not compress. A child that is stopped as it starts has all of it before it.
NOISE = random.Random(1).randbytes(8 << 20)
LARGE = tar_of([Item("noise", NOISE), Item("end", b"end\n")])


def failure(ask: Callable[[Path], object], path: Path) -> int | None:
    """Give the errno of what is asked of a path; 0 if it succeeds."""
    try:
        ask(path)
    except OSError as error:
        return error.errno
    return 0


def kept(cache: Path) -> list[str]:
    """List what is kept of layers, by kinds."""
    directory = cache / "regfs/layers"
    return sorted(path.name.partition(".")[2] for path in directory.iterdir()) if directory.exists() else []


# --- damage ----------------------------------------------------------------------------------------------


def bit_flipped(store: StoreBuilder) -> Pushed:
    layer = push(store, tar_of(BASE))
    path = store.data(layer.blob.digest)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    return layer


def truncated(store: StoreBuilder) -> Pushed:
    """Pushed so: digest and size are right, but the gzip ends in the middle."""
    layer = push(store, tar_of(BASE))
    content = store.data(layer.blob.digest).read_bytes()
    return Pushed(store.blob(content[: len(content) // 2], layer.blob.media_type), layer.tar)


def of_another_diff_id(store: StoreBuilder) -> Pushed:
    return Pushed(push(store, tar_of(BASE)).blob, b"what the config says is the DiffID of this")


def no_tar(store: StoreBuilder) -> Pushed:
    return push(store, b"this is no tar\n" * 1000)


def cut_tar(store: StoreBuilder) -> Pushed:
    """A tar that ends in the middle of a file, in a sound gzip."""
    return push(store, tar_of([Item("file", NOISE[:100_000])])[:50_000])


def bomb(store: StoreBuilder) -> Pushed:
    """More zeros for each stored byte than any real layer has: zstd of 2 GiB is some 64 KB."""
    command = f"head -c 2147483648 /dev/zero | {need('zstd')} -3 -c"
    packed = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout
    return Pushed(store.blob(packed, "application/vnd.oci.image.layer.v1.tar+zstd"), b"?")


@pytest.mark.parametrize("damaged", [bit_flipped, truncated, of_another_diff_id, no_tar, cut_tar, bomb])
def test_a_damaged_layer_is_eio_inside_and_all_else_is_fine(
    store: StoreBuilder, mount: Make, tmp_path: Path, damaged: Callable[[StoreBuilder], Pushed]
) -> None:
    wrong, sound = damaged(store), push(store, tar_of(APP))
    image(store, "app", "1.0", [wrong, sound])
    image(store, "app", "sound", [sound])
    log = tmp_path / "regfs.log"
    top = mount(store, "", "--log-file", str(log)).path / "app"
    for name in ("rootfs", "rootfs/etc", "layers/00", "layers/00/etc/passwd", "layers/00.tar"):
        assert failure(os.listdir, top / "1.0" / name) == errno.EIO, name
    for name in ("rootfs/etc", "layers/00/etc/passwd", "layers/00.tar"):
        assert failure(os.stat, top / "1.0" / name) == errno.EIO, name
    for _ in range(3):
        assert run("cat", top / "1.0/layers/00.tar").stdout == ""
    lines = log.read_text().splitlines()
    warnings = [line for line in lines if " /app/1.0/layers/00.tar: " in line]
    assert len(warnings) == 1, lines
    assert wrong.blob.digest in warnings[0]
    assert "Traceback" not in log.read_text()
    stored = store.data(wrong.blob.digest).read_bytes()
    (shown,) = (top / "1.0/layers" / name for name in os.listdir(top / "1.0/layers") if name.startswith("00"))
    assert shown.read_bytes() == stored
    assert (top / "1.0/layers/01/srv/app.py").read_bytes() == b"print('hello')\n"
    assert (top / "sound/rootfs/srv/app.py").read_bytes() == b"print('hello')\n"
    assert "00" not in os.listdir(top / "1.0/layers")


def test_a_layer_that_is_not_stored_is_eio_until_it_is(
    store: StoreBuilder, mount: Make, tmp_path: Path
) -> None:
    lacking, sound = push(store, tar_of(BASE)), push(store, tar_of(APP))
    image(store, "app", "1.0", [lacking, sound])
    aside = store.data(lacking.blob.digest).rename(tmp_path / "aside")
    log = tmp_path / "regfs.log"
    top = mount(store, "ttl=0", "--log-file", str(log)).path / "app/1.0"
    for name in ("rootfs", "layers/00", "layers/00.tar"):
        assert failure(os.listdir, top / name) == errno.EIO
    assert lacking.blob.digest in log.read_text()
    assert (top / "layers/01/srv/app.py").exists()
    aside.rename(store.data(lacking.blob.digest))
    assert (top / "rootfs/etc/passwd").read_bytes() == BASE[1].content


def test_what_is_damaged_and_then_restored_is_read(store: StoreBuilder, mount: Make) -> None:
    """As when an administrator copies the blob back: another time, another size or not."""
    layer = bit_flipped(store)
    image(store, "app", "1.0", [layer])
    top = mount(store, "ttl=0").path / "app/1.0"
    assert failure(os.listdir, top / "rootfs") == errno.EIO
    store.data(layer.blob.digest).unlink()
    assert push(store, layer.tar).blob == layer.blob
    assert (top / "rootfs/etc/passwd").read_bytes() == BASE[1].content


# --- the cache directory ---------------------------------------------------------------------------------


@pytest.fixture
def tiny(as_root: None, cache: Path) -> Iterator[Path]:
    """The cache directory, on a file system of 64 KiB."""
    cache.mkdir(parents=True)
    done = run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", cache)
    if done.returncode != 0:
        cannot_run(f"no tmpfs can be mounted: {done.stderr}")
    yield cache
    clear(cache)


def test_a_full_cache_directory_is_enospc_until_it_has_room(
    store: StoreBuilder, mount: Make, tmp_path: Path, tiny: Path
) -> None:
    many = [Item(f"directory-{number % 50}/file-{number:05}", b"") for number in range(5000)]
    layer = push(store, tar_of(many))
    image(store, "app", "1.0", [layer])
    log = tmp_path / "regfs.log"
    top = mount(store, "", "--log-file", str(log)).path / "app/1.0"
    for name in ("rootfs", "layers/00", "layers/00.tar"):
        assert failure(os.listdir, top / name) == errno.ENOSPC
    assert "No space left" in run("ls", top / "rootfs").stderr
    assert str(tiny) in log.read_text()
    assert not {"sqlite", "sqlite.new"} & set(kept(tiny))
    assert (top / "layers/00.tar.gz").read_bytes() == store.data(layer.blob.digest).read_bytes()
    output("mount", "-o", "remount,size=64m", tiny)
    assert len(os.listdir(top / "rootfs")) == 50
    assert (top / "layers/00.tar").read_bytes() == layer.tar


def test_a_damaged_index_is_made_anew(store: StoreBuilder, mount: Make, cache: Path) -> None:
    layer = push(store, tar_of(BASE))
    image(store, "app", "1.0", [layer])
    made = mount(store)
    assert (made.path / "app/1.0/rootfs/etc/passwd").read_bytes() == BASE[1].content
    made.end()
    (index,) = (cache / "regfs/layers").glob("*.sqlite")
    for damage in (b"", b"SQLite format 3\0" + bytes(100), index.read_bytes()[:5000]):
        index.write_bytes(damage)
        made = mount(store)
        assert (made.path / "app/1.0/rootfs/etc/passwd").read_bytes() == BASE[1].content
        assert (made.path / "app/1.0/layers/00.tar").read_bytes() == layer.tar
        made.end()


# --- the process that reads a layer ----------------------------------------------------------------------


def children(of: int) -> list[int]:
    """Find the processes that read layers for a mount."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            _, _, rest = (directory / "stat").read_text().rpartition(") ")
            state, parent = rest.split()[:2]
            command = (directory / "cmdline").read_bytes()
            if int(parent) == of and state != "Z" and b"regfs.layers.child" in command:
                found.append(int(directory.name))
    return found


def alive(process: int) -> bool:
    return os.path.exists(f"/proc/{process}")


class Stalled(NamedTuple):
    """A mount in which somebody waits for a large layer; the process that reads it is stopped."""

    mount: Mount
    reader: subprocess.Popen[str]
    child: int

    @property
    def top(self) -> Path:
        return self.mount.path / "app/large"


@pytest.fixture
def large(store: StoreBuilder) -> StoreBuilder:
    image(store, "app", "large", [push_quickly(store, LARGE)])
    image(store, "app", "small", [push(store, tar_of(APP))])
    return store


def under_way(asked: Future[bytes], mount: Mount) -> bool:
    """Tell whether a process reads for what is asked, or there is an answer already."""
    return asked.done() or bool(children(mount.process.pid))


def catch(mount: Mount) -> int:
    """Stop the next process that reads a layer."""
    found: list[int] = []

    def caught() -> list[int]:
        found.extend(children(mount.process.pid))
        for child in found:
            os.kill(child, signal.SIGSTOP)
        return found

    until(caught, "a process reads the layer")
    (child,) = found
    return child


@pytest.fixture
def stalled(large: StoreBuilder, mount: Make) -> Iterator[Stalled]:
    made = mount(large)
    command = ["ls", str(made.path / "app/large/rootfs")]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child = catch(made)
    yield Stalled(made, reader, child)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGCONT)
    reader.kill()
    reader.communicate()


@pytest.mark.alone
def test_who_waits_for_a_layer_can_be_interrupted_and_others_go_on(stalled: Stalled) -> None:
    assert (stalled.mount.path / "app/small/rootfs/srv/app.py").read_bytes() == b"print('hello')\n"
    assert stalled.reader.poll() is None  # the process that reads stands still, so nothing can have come
    stalled.reader.send_signal(signal.SIGINT)
    assert stalled.reader.wait(20) == -signal.SIGINT
    os.kill(stalled.child, signal.SIGCONT)
    assert sorted(os.listdir(stalled.top / "rootfs")) == ["end", "noise"]
    assert (stalled.top / "rootfs/noise").read_bytes() == NOISE


@pytest.mark.alone
def test_the_image_can_be_listed_while_its_rootfs_is_waited_for(stalled: Stalled) -> None:
    """The kernel asks one thing of a directory at a time: to look `rootfs` up must not take a build."""
    listing = subprocess.Popen(["ls", stalled.top], stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: listing.poll() is not None, "the image's directory is listed", 5)
    finally:
        os.kill(stalled.child, signal.SIGCONT)
    assert listing.communicate()[0].split() == ["config.json", "layers", "manifest.json"]


@pytest.mark.alone
def test_one_who_gives_up_takes_nothing_from_another_who_waits(stalled: Stalled) -> None:
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit((stalled.top / "layers/00/end").read_bytes)
        stalled.reader.send_signal(signal.SIGINT)
        assert stalled.reader.wait(20) == -signal.SIGINT
        os.kill(stalled.child, signal.SIGCONT)
        assert other.result(30) == b"end\n"


@pytest.mark.alone
def test_a_reader_that_is_killed_is_an_error_and_the_next_access_works(stalled: Stalled) -> None:
    os.kill(stalled.child, signal.SIGKILL)
    told, complaint = stalled.reader.communicate(timeout=30)
    assert (told, "Input/output error" in complaint) == ("", True) or told.split() == ["end", "noise"]
    assert (stalled.top / "rootfs/noise").read_bytes() == NOISE
    assert (stalled.top / "layers/00.tar").read_bytes() == LARGE


def test_a_reader_that_is_killed_again_and_again_gives_no_wrong_byte(
    large: StoreBuilder, mount: Make, cache: Path
) -> None:
    made = mount(large)
    noise = random.Random(3)
    path = made.path / "app/large/layers/00.tar"
    with ThreadPoolExecutor(1) as threads:
        for _ in range(5):
            asked = threads.submit(path.read_bytes)
            until(partial(under_way, asked, made), "it is being read")
            time.sleep(noise.random() * 0.2)  # anywhere from its start to its end
            for child in children(made.process.pid):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            error = asked.exception(30)
            assert error is None or (isinstance(error, OSError) and error.errno == errno.EIO)
            assert error is not None or asked.result() == LARGE
    assert path.read_bytes() == LARGE
    assert kept(cache) == ["sqlite"]


def test_unmount_ends_the_process_and_the_next_build_leaves_nothing_half_made(
    stalled: Stalled, mount: Make, large: StoreBuilder, cache: Path
) -> None:
    assert stalled.mount.end() == 0
    stalled.reader.communicate(timeout=20)
    until(lambda: not alive(stalled.child), "the process that reads has ended")
    assert not alive(stalled.mount.process.pid) or stalled.mount.process.poll() is not None
    again = mount(large).path / "app/large"
    assert (again / "rootfs/noise").read_bytes() == NOISE
    assert kept(cache) == ["sqlite"]


def test_a_mount_that_is_killed_takes_the_process_with_it(
    stalled: Stalled, mount: Make, large: StoreBuilder, cache: Path
) -> None:
    os.kill(stalled.child, signal.SIGCONT)
    stalled.mount.end(signal.SIGKILL)
    stalled.reader.communicate(timeout=20)
    until(lambda: not alive(stalled.child), "the process that reads has ended")
    again = mount(large).path / "app/large"
    assert (again / "rootfs/noise").read_bytes() == NOISE
    assert kept(cache) == ["sqlite"]


def test_two_mounts_of_one_store_read_a_layer_once(
    stalled: Stalled, mount: Make, large: StoreBuilder
) -> None:
    other = mount(large)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit((other.path / "app/large/rootfs/noise").read_bytes)
        # The layer that it asked for first stands still: that it can read another tells that it waits.
        assert (other.path / "app/small/rootfs/srv/app.py").read_bytes() == b"print('hello')\n"
        # The child that read that one waits for another small layer, but not for long.
        until(lambda: not children(other.process.pid), "it has ended")
        os.kill(stalled.child, signal.SIGCONT)
        while not asked.done():
            assert children(other.process.pid) == []
        assert asked.result() == NOISE
    assert stalled.reader.communicate(timeout=30)[0].split() == ["end", "noise"]


def test_two_mounts_that_ask_at_once_agree(large: StoreBuilder, mount: Make, cache: Path) -> None:
    tops = [mount(large).path / "app/large" for _ in range(2)]
    with ThreadPoolExecutor(8) as threads:
        paths = [top / name for _ in range(2) for top in tops for name in ("rootfs/noise", "layers/00/noise")]
        assert all(content == NOISE for content in threads.map(Path.read_bytes, paths))
    assert (tops[0] / "layers/00.tar").read_bytes() == (tops[1] / "layers/00.tar").read_bytes() == LARGE
    assert kept(cache) == ["sqlite"]
