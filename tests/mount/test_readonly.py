"""Every way to write through a mount is EROFS, for root as well, and leaves the store as it was."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, run
from tests.mount.conftest import snapshot

pytestmark = pytest.mark.fuse

SAID = "Read-only file system"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, mount_module: Callable[..., Mount]) -> Path:
    store = StoreBuilder(tmp_path_factory.mktemp("store") / "registry")
    store.image("team/app", "1.0")
    store.image("team/app", "2.0")
    return mount_module(store.root).path / "team" / "app" / "1.0"


COMMANDS = {
    "touch a new file": 'touch "$1/new"',
    "touch a file": 'touch "$1/manifest.json"',
    "mkdir": 'mkdir "$1/new"',
    "rm": 'rm -f "$1/manifest.json"',
    "rm -r": 'rm -rf "$1/layers"',
    "rmdir": 'rmdir "$1/layers"',
    "mv": 'mv "$1/manifest.json" "$1/other.json"',
    "mv a tag": 'mv "$1" "$1-old"',
    "ln": 'ln "$1/manifest.json" "$1/hard"',
    "ln -s": 'ln -s manifest.json "$1/soft"',
    "chmod": 'chmod 777 "$1/manifest.json"',
    "chmod a directory": 'chmod 777 "$1"',
    "chown": 'chown 1:1 "$1/manifest.json"',
    "truncate": 'truncate -s 0 "$1/manifest.json"',
    "setfattr": 'setfattr -n user.mine -v x "$1/manifest.json"',
    "setfattr of regfs's own": 'setfattr -n user.regfs.digest -v x "$1/manifest.json"',
    "setfattr -x": 'setfattr -x user.regfs.digest "$1/manifest.json"',
    "mknod": 'mknod "$1/device" c 1 3',
    "mkfifo": 'mkfifo "$1/fifo"',
    "redirect": 'echo x > "$1/manifest.json"',
    "append": 'echo x >> "$1/manifest.json"',
    "redirect to a new file": 'echo x > "$1/new"',
    "cp into": 'cp /dev/null "$1/new"',
    "dd": 'dd if=/dev/zero of="$1/manifest.json" conv=notrunc count=1',
    "sed -i": 'sed -i s/a/b/ "$1/manifest.json"',
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_shell_command_that_writes_is_told_read_only(image: Path, command: str) -> None:
    before = snapshot(image)
    done = run("sh", "-c", command, "sh", image)
    assert done.returncode != 0
    assert SAID in done.stderr
    assert snapshot(image) == before
    assert sorted(os.listdir(image.parent)) == ["1.0", "2.0"]


CALLS: dict[str, Callable[[Path], object]] = {
    "open for writing": lambda path: os.open(path, os.O_WRONLY),
    "open for both": lambda path: os.open(path, os.O_RDWR),
    "open and truncate": lambda path: os.open(path, os.O_RDONLY | os.O_TRUNC),
    "create": lambda path: os.open(path.with_name("new"), os.O_CREAT | os.O_WRONLY | os.O_EXCL),
    "unnamed file": lambda path: os.open(path.parent, os.O_TMPFILE | os.O_RDWR),
    "utime": lambda path: os.utime(path, (1, 1)),
    "rename over": lambda path: os.replace(path, path.with_name("config.json")),
    "unlink": lambda path: os.unlink(path),
    "removexattr": lambda path: os.removexattr(path, "user.regfs.kind"),
    "setxattr": lambda path: os.setxattr(path, "user.regfs.kind", b"x"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_system_call_that_writes_is_erofs(image: Path, call: Callable[[Path], object]) -> None:
    with pytest.raises(OSError, match=SAID) as caught:
        call(image / "manifest.json")
    assert caught.value.errno == errno.EROFS


def test_reading_is_not_refused(image: Path) -> None:
    assert os.access(image / "manifest.json", os.R_OK)
    assert not os.access(image / "manifest.json", os.W_OK)
    assert (image / "manifest.json").read_bytes().startswith(b"{")
