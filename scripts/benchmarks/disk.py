"""File systems for what is measured: the same on each machine, and deleted in a moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from scripts.benchmarks.contestants import unmount
from scripts.benchmarks.processes import FailedError, prepare

#: Bytes and inodes that it has room for; it takes of the disk below what is written.
_SIZE, _INODES = 60 << 30, 8_000_000

#: No journal, since nobody needs it after a crash, and nothing that the kernel does later by itself.
_MAKE = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-N", str(_INODES)]
_MOUNT = ["mount", "-o", "noatime,noinit_itable"]

#: Bytes of memory that must be free for the stores that grow: that of 100,000 tags takes some 7 GB.
_FREE = 12 << 30


def own_disk(work: Path, note: Callable[[str], None]) -> AbstractContextManager[Path]:
    """Give an empty directory on an ext4 in one sparse file below `work`, for the time of a with block.

    Where there can be none (who is not root may mount no file), one of `work`, and a note.
    """
    return _mounted(work / "top", lambda top: _mount_file(work / "disk", top), note)


def in_memory(work: Path, note: Callable[[str], None]) -> AbstractContextManager[Path]:
    """Give an empty directory on a tmpfs, for what is to be made quickly, for the time of a with block.

    Where there can be none, one of `work`, and a note.
    """
    return _mounted(work / "memory", _mount_memory, note)


@contextmanager
def _mounted(top: Path, mount: Callable[[Path], None], note: Callable[[str], None]) -> Iterator[Path]:
    top.mkdir()
    try:
        mount(top)
    except (FailedError, OSError) as error:
        note(f"no file system of its own for {top.name}: {error}")
        yield top
        return
    try:
        yield top
    finally:
        unmount(top)


def _mount_file(image: Path, top: Path) -> None:
    try:
        image.touch()
        os.truncate(image, _SIZE)
        prepare([*_MAKE, str(image)], {}, top)
        # Direct: or else each block that is read would be in memory twice.
        device = prepare(["losetup", "--find", "--show", "--direct-io=on", str(image)], {}, top).strip()
        try:
            prepare([*_MOUNT, device, str(top)], {}, top)
        finally:
            prepare(["losetup", "--detach", device], {}, top)  # at once, or when it is unmounted
    except (FailedError, OSError):
        image.unlink(missing_ok=True)
        raise


def _mount_memory(top: Path) -> None:
    if _available() < _FREE:
        raise FailedError(f"less than {_FREE >> 30} GiB of memory are free")
    size = f"size={_FREE},nr_inodes={_INODES}"
    prepare(["mount", "-t", "tmpfs", "-o", size, "regfs-bench", str(top)], {}, top)


def _available() -> int:
    """Tell how much memory can be had without swapping (proc(5), /proc/meminfo)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0
