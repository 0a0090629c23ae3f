"""A file system for all that is measured: the same on each machine, and deleted in a moment."""

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
