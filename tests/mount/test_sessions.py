"""What answers the kernel: our own session, or fusepy's; and what the kernel may do by itself."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, output, run
from tests.mount.conftest import mount_entry, regfs, until

pytestmark = pytest.mark.fuse

Make = Callable[..., Mount]


@pytest.fixture
def image(store: StoreBuilder) -> StoreBuilder:
    store.image("team/app", "1.0", [store.blob(b"layer" * 1000, "x/y")])
    return store


@pytest.mark.parametrize(
    ("session", "told"), [("auto", "FUSE 7."), ("kernel", "FUSE 7."), ("fusepy", "libfuse 2 and fusepy")]
)
def test_each_session_shows_the_same_and_the_log_says_which_it_is(
    image: StoreBuilder, mount: Make, session: str, told: str
) -> None:
    made = mount(image, f"session={session}")
    assert output("cat", made.path / "team/app/1.0/layers/00.bin") == "layer" * 1000
    assert output("ls", made.path / "team/app/1.0").split() == ["config.json", "layers", "manifest.json"]
    assert told in made.log.read_text()


def test_another_session_is_an_error_that_names_those_that_there_are(
    image: StoreBuilder, mountpoint: Path
) -> None:
    done = regfs("mount", image.root, mountpoint, "-o", "session=none")
    assert done.returncode == 2
    assert "auto, kernel, fusepy" in done.stderr


def test_a_mount_of_our_own_loads_no_libfuse(image: StoreBuilder, mount: Make) -> None:
    made = mount(image)
    os.listdir(made.path / "team")
    assert "libfuse" not in Path(f"/proc/{made.process.pid}/maps").read_text()


def test_root_needs_no_program_for_a_mount(
    image: StoreBuilder, mount: Make, as_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the image that scripts/Containerfile makes: no libfuse, no fusermount3."""
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        made = mount(image, "session=kernel")
    assert os.listdir(made.path) == ["team"]
    made.process.send_signal(signal.SIGTERM)
    assert made.process.wait(10) == 0
    assert mount_entry(made.path) is None


def test_auto_unmount_clears_up_behind_a_mount_that_is_killed(
    image: StoreBuilder, mount: Make, as_root: None
) -> None:
    made = mount(image, "auto_unmount")
    assert os.listdir(made.path) == ["team"]
    made.process.kill()
    made.process.wait()
    until(lambda: mount_entry(made.path) is None, "it is unmounted")
    assert os.listdir(made.path) == []


def test_a_signal_ends_a_mount_though_a_file_of_it_is_open(image: StoreBuilder, mount: Make) -> None:
    made = mount(image)
    descriptor = os.open(made.path / "team/app/1.0/manifest.json", os.O_RDONLY)
    made.process.send_signal(signal.SIGTERM)
    assert made.process.wait(10) == 0
    assert mount_entry(made.path) is None
    with suppress(OSError):  # close(2) tells that the mount is gone
        os.close(descriptor)


def test_seek_finds_data_and_the_end(image: StoreBuilder, mount: Make) -> None:
    path = mount(image).path / "team/app/1.0/layers/00.bin"
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert os.lseek(descriptor, 10, os.SEEK_DATA) == 10
        assert os.lseek(descriptor, 10, os.SEEK_HOLE) == 5000
        with pytest.raises(OSError, match=os.strerror(errno.ENOTTY)):
            fcntl.ioctl(descriptor, 0x6601, struct.pack("l", 0))
    finally:
        os.close(descriptor)


def test_directories_that_are_left_and_entered_again_are_the_same(image: StoreBuilder, mount: Make) -> None:
    """A shell whose directory was taken for another would say that it is deleted."""
    made = mount(image, "ttl=0.2")
    command = 'cd "$1" && for i in 1 2 3; do ls . >/dev/null && stat --format=%i . && sleep 0.3; done; pwd -P'
    done = run("sh", "-c", command, "sh", made.path / "team/app/1.0")
    *inodes, place = done.stdout.split()
    assert done.stderr == ""
    assert len(set(inodes)) == 1
    assert place == str(made.path / "team/app/1.0")
