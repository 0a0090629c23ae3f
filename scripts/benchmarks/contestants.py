"""Who runs against whom: each one mounts the same content, or an equal tree, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from scripts.benchmarks.processes import REGFS, FailedError, last_line, prepare

PLAIN, BINDFS, OURS = "plain file system", "bindfs", "regfs"
FUSEPY = "regfs through fusepy"
RESTIC, BORG, STOCK = "restic mount", "borg mount", "fusepy's stock dispatch"

#: Seconds until a mount must be there.
_PATIENCE = 60.0


class Contestant(NamedTuple):
    """`command` mounts in the foreground (None: nothing to mount); the tree then shows at `top`."""

    name: str
    command: list[str] | None
    top: Path
    environment: Mapping[str, str] = {}
    #: It takes several times as long as the others, and so has fewer rounds.
    slow: bool = False


class Ground(NamedTuple):
    """A store, a tree equal to what regfs shows of it, and where to mount and keep what that needs."""

    store: Path
    tree: Path
    mountpoint: Path
    work: Path


def ours(ground: Ground) -> Contestant:
    """Mount the store."""
    return Contestant(
        OURS, [*REGFS, "mount", "-f", str(ground.store), str(ground.mountpoint)], ground.mountpoint
    )


def fusepy(ground: Ground) -> Contestant:
    """Mount the store by the session that takes over where our own cannot be had."""
    command = [*REGFS, "mount", "-f", "-o", "session=fusepy", str(ground.store), str(ground.mountpoint)]
    return Contestant(FUSEPY, command, ground.mountpoint)


def stock(ground: Ground) -> Contestant:
    """Mount the store by regfs without its own dispatch: see stock.py."""
    command = [sys.executable, "-m", "scripts.benchmarks.stock", str(ground.store), str(ground.mountpoint)]
    return Contestant(STOCK, command, ground.mountpoint, slow=True)


def bindfs(ground: Ground) -> Contestant:
    """Mount the equal tree by a file system in C that passes all calls on."""
    return Contestant(
        BINDFS, ["bindfs", "-f", "-r", str(ground.tree), str(ground.mountpoint)], ground.mountpoint
    )


def plain(ground: Ground) -> Contestant:
    """Mount nothing: the equal tree itself."""
    return Contestant(PLAIN, None, ground.tree)


def restic(ground: Ground) -> Contestant:
    """Back the tree up, to mount that."""
    repository = ["restic", "-r", str(ground.work / "restic")]
    environment = {"RESTIC_PASSWORD": "bench"}
    prepare([*repository, "init"], environment, ground.tree)
    prepare([*repository, "backup", "-q", "."], environment, ground.tree)
    (snapshot,) = json.loads(prepare([*repository, "snapshots", "--json"], environment, ground.tree))
    top = ground.mountpoint / "ids" / snapshot["short_id"]
    return Contestant(RESTIC, [*repository, "mount", str(ground.mountpoint)], top, environment, slow=True)


def borg(ground: Ground) -> Contestant:
    """Back the tree up, to mount that. borg reads the names of all files before the mount is there."""
    repository = str(ground.work / "borg")
    environment = {
        "BORG_BASE_DIR": str(ground.work / "borg.home"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }
    prepare(["borg", "init", "-e", "none", repository], environment, ground.tree)
    prepare(["borg", "create", "-C", "none", f"{repository}::tree", "."], environment, ground.tree)
    command = ["borg", "mount", "-f", f"{repository}::tree", str(ground.mountpoint)]
    return Contestant(BORG, command, ground.mountpoint, environment, slow=True)


def ready(
    makers: list[Callable[[Ground], Contestant]], ground: Ground, note: Callable[[str], None]
) -> list[Contestant]:
    """Make contestants, and see that each mounts and shows what the tree has; tell who does not."""
    wanted = sorted(os.listdir(ground.tree))
    found = []
    for maker in makers:
        try:
            contestant = maker(ground)
            with mounted(contestant, ground.mountpoint):
                if sorted(os.listdir(contestant.top)) != wanted:
                    raise FailedError("it shows another tree")
        except (FailedError, OSError) as error:
            note(f"left out: {maker.__name__}: {error}")
            continue
        found.append(contestant)
    return found


@contextmanager
def mounted(contestant: Contestant, mountpoint: Path) -> Iterator[int | None]:
    """Mount for the time of a with block; gives the process. Raises FailedError."""
    if contestant.command is None:
        yield None
        return
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                contestant.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, **contestant.environment},
            )
        except FileNotFoundError as error:
            raise FailedError(f"{contestant.command[0]} is not installed") from error
        try:
            deadline = time.monotonic() + _PATIENCE
            while not os.path.ismount(mountpoint):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise FailedError(f"did not mount: {last_line(log.read())}")
                time.sleep(0.02)
            yield process.pid
        finally:
            _end(process, mountpoint)


def _end(process: subprocess.Popen[bytes], mountpoint: Path) -> None:
    """Unmount, and see the process end."""
    if os.path.ismount(mountpoint):
        unmount(mountpoint)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def unmount(mountpoint: Path) -> None:
    """Unmount, waiting a little for those who still look at it."""
    command = ["umount"] if os.geteuid() == 0 else ["fusermount", "-u"]
    for _ in range(20):
        if subprocess.run([*command, str(mountpoint)], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run([*command, "-l" if command == ["umount"] else "-z", str(mountpoint)], check=True)
