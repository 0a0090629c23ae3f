"""Who runs against whom: each one mounts the same content, or an equal tree, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Contestant(NamedTuple):
    """`command` mounts in the foreground (None: nothing to mount); `path` is what is read."""

    name: str
    command: list[str] | None
    path: str


def contestants(
    store: Path, tree: Path, below_mount: str, below_tree: str, mountpoint: Path
) -> list[Contestant]:
    """Set up the four: `below_*` is the path to read in the mounted store, and in the equal real tree."""
    shown = str(mountpoint / below_mount)
    return [
        Contestant(
            "regfs", [sys.executable, "-m", "regfs", "mount", "-f", str(store), str(mountpoint)], shown
        ),
        Contestant(
            "fusepy's stock dispatch",
            [sys.executable, "-m", "scripts.benchmarks.stock", str(store), str(mountpoint)],
            shown,
        ),
        Contestant(
            "bindfs", ["bindfs", "-f", "-r", str(tree), str(mountpoint)], str(mountpoint / below_tree)
        ),
        Contestant("plain file system", None, str(tree / below_tree)),
    ]


@contextmanager
def mounted(contestant: Contestant, mountpoint: Path) -> Iterator[None]:
    """Mount for the time of a with block."""
    if contestant.command is None:
        yield
        return
    process = subprocess.Popen(contestant.command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not os.path.ismount(mountpoint):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{contestant.name} did not mount")
            time.sleep(0.02)
        yield
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)
        process.wait()


def drop_caches() -> bool:
    """Make the next run a cold one; only root can."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except PermissionError:
        return False
    return True
