"""Unmounting as somebody else than the process of the mount: by umount(8), or fusermount3."""

from __future__ import annotations

import glob
import logging
import os
import select
import subprocess
import time
from contextlib import suppress

from regfs.errors import MountpointError
from regfs.mount.mountpoint import MARK, TYPE, Mounted, mounted_at

_log = logging.getLogger(__name__)

#: Seconds for which `unmount` waits for the process of a mount: a store may hold up its end for ever.
_PATIENCE = 10.0


def _servers(mounted: Mounted) -> list[int]:
    """Open the processes that serve a mount (pidfd_open(2)), as far as we may look at them."""
    mark = f"/memfd:{MARK.format(mounted.device)} (deleted)"
    found = []
    for descriptor in glob.iglob("/proc/[0-9]*/fd/*"):
        with suppress(OSError):  # it has ended, is another's, or the kernel cannot (before 5.3)
            if os.readlink(descriptor) == mark:
                found.append(os.pidfd_open(int(descriptor.split("/")[2])))
    return found


def unmount(path: str, *, lazy: bool = False) -> None:
    """Unmount a regfs, and see its process end. Raises MountpointError.

    `lazy` takes the name away at once, and the file system when its last file is closed: nobody waits.
    """
    mounted = mounted_at(path)
    if mounted is None:
        raise MountpointError(path, "is not mounted")
    if mounted.type != TYPE:
        raise MountpointError(path, f"holds another file system ({mounted.type}); umount(8) ends that")
    servers = [] if lazy else _servers(mounted)
    try:
        _run_umount(path, lazy=lazy)
        deadline = time.monotonic() + _PATIENCE
        for server in servers:
            if not select.select([server], [], [], max(0, deadline - time.monotonic()))[0]:
                _log.warning("%s: unmounted, but its process has not ended yet: it waits for the store", path)
    finally:
        for server in servers:
            os.close(server)


def _run_umount(path: str, *, lazy: bool) -> None:
    """Unmount with umount(8) for root, else with fusermount."""
    if os.geteuid() == 0:
        commands = [["umount", *(["-l"] if lazy else []), "--", path]]
    else:
        flags = ["-u", *(["-z"] if lazy else [])]
        commands = [[program, *flags, "--", path] for program in ("fusermount3", "fusermount")]
    reason = "neither fusermount3 nor fusermount is installed"
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return
        reason = done.stderr.strip().rpartition(": ")[2].rstrip(".") or f"{command[0]} failed"
        break
    if "busy" in reason:
        reason += ": something still uses it (lsof or fuser -m tell what); regfs umount --lazy detaches it"
    raise MountpointError(path, reason)
