"""File systems for what is measured: the same on each machine, and deleted in a moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def own_disk(work: Path, note: Callable[[str], None]) -> Iterator[Path]:
    """Give an empty directory on an ext4 in one sparse file below `work`, for the time of a with block.

    Where there can be none (who is not root may mount no file), `work` itself, and a note.
    """
    image, top = work / "disk", work / "top"
    top.mkdir()
    try:
        image.touch()
        os.truncate(image, _SIZE)
        prepare([*_MAKE, str(image)], {}, work)
        # Direct: or else each block that is read would be in memory twice.
        device = prepare(["losetup", "--find", "--show", "--direct-io=on", str(image)], {}, work).strip()
        try:
            prepare([*_MOUNT, device, str(top)], {}, work)
        finally:
            prepare(["losetup", "--detach", device], {}, work)  # at once, or when it is unmounted
    except (FailedError, OSError) as error:
        note(f"no file system of its own: {error}")
        with suppress(OSError):
            image.unlink()
        yield top
        return
    try:
        yield top
    finally:
        unmount(top)


@contextmanager
def in_memory(work: Path, note: Callable[[str], None]) -> Iterator[Path]:
    """Give an empty directory on a tmpfs, for what is to be made quickly, for the time of a with block.

    Where there can be none, a directory of `work`, and a note.
    """
    top = work / "memory"
    top.mkdir()
    try:
        if _available() < _FREE:
            raise FailedError(f"less than {_FREE >> 30} GiB of memory are free")
        size = f"size={_FREE},nr_inodes={_INODES}"
        prepare(["mount", "-t", "tmpfs", "-o", size, "regfs-bench", str(top)], {}, work)
    except (FailedError, OSError) as error:
        note(f"no file system in memory: {error}")
        yield top
        return
    try:
        yield top
    finally:
        unmount(top)


def _available() -> int:
    """Tell how much memory can be had without swapping (proc(5), /proc/meminfo)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0
