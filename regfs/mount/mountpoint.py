"""Where a file system may be mounted, and what is mounted there already."""

from __future__ import annotations

import errno
import logging
import os
import re
from contextlib import suppress
from typing import NamedTuple

from regfs.errors import MountpointError
from regfs.mount import programs

_log = logging.getLogger(__name__)

#: What stat(2) says of a mountpoint whose file system died.
_DEAD = {errno.ENOTCONN, errno.ECONNABORTED}

#: The type under which regfs shows in /proc/mounts.
TYPE = "fuse.regfs"

#: The type of what waits for a visitor (automount(8), systemd.automount(5)).
_TRIGGER = "autofs"

#: The name by which a process tells which mount it serves: in /proc/PID/fd, by the device's numbers.
MARK = "regfs on {}"


class Mounted(NamedTuple):
    """One line of /proc/self/mountinfo (proc(5)), as far as it matters here."""

    device: str
    mountpoint: str
    type: str
    source: str
    user_id: int | None


def mounted_at(path: str) -> Mounted | None:
    """Tell what is mounted at a path, topmost if there are several."""
    return topmost(os.path.realpath(path))


def topmost(real: str) -> Mounted | None:
    """Tell what is mounted at a path (absolute, no symlinks in it), which is not looked at."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        found = [entry for entry in map(_parse, lines) if entry.mountpoint == real]
    return found[-1] if found else None


def is_trigger(real: str) -> bool:
    """Tell whether a path (absolute, no symlinks in it) waits for a visitor, to have a mount made there."""
    mounted = topmost(real)
    return mounted is not None and mounted.type == _TRIGGER


def _parse(line: str) -> Mounted:
    before, _, after = line.partition(" - ")
    kind, source, options = [*after.split(), "", "", ""][:3]
    user = re.search(r"(?:^|,)user_id=(\d+)", options)
    _, _, device, _, mountpoint, *_ = before.split()
    return Mounted(device, _unescape(mountpoint), kind, _unescape(source), int(user[1]) if user else None)


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def check_mountpoint(path: str, store: str, *, source: str, nonempty: bool, uid: int) -> str:
    """See that a file system may be mounted at `path`; give its absolute path.

    A dead mount of our own that is left there is cleared away. `store` is the store's absolute path, or ""
    for one that is in no directory; `source` what the mount will show as its source: a second mount of either
    kind is refused, those of others may lie below. Raises MountpointError.
    """
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in _DEAD:
            _clear(path, uid)
        elif error.errno == errno.ENOENT:
            raise MountpointError(path, "does not exist; make it with mkdir") from error
        else:
            raise MountpointError(path, os.strerror(error.errno or 0)) from error
    real = os.path.realpath(path)
    if not os.path.isdir(real):
        raise MountpointError(path, "is not a directory")
    mounted = mounted_at(real)
    if mounted and (mounted.type == TYPE or mounted.source == source):
        raise MountpointError(
            path, f"is already a mount, of {mounted.source} ({mounted.type}); regfs umount {path} ends it"
        )
    if store and os.path.commonpath([real, store]) in (real, store):
        raise MountpointError(
            path, f"overlaps the store {store}: reading one would wait for the other; mount elsewhere"
        )
    if is_trigger(real):
        return real  # to list it would be a visit
    try:
        if not nonempty and os.listdir(real):
            raise MountpointError(path, "is not empty; choose another, or hide its files with -o nonempty")
    except PermissionError as error:
        raise MountpointError(path, "cannot be read: permission denied") from error
    return real


def _clear(path: str, uid: int) -> None:
    """Take away what a regfs that was killed has left at its mountpoint."""
    mounted = mounted_at(path)
    if mounted is None or mounted.type != TYPE or uid not in (0, mounted.user_id):
        kind = mounted.type if mounted else "unknown type"
        raise MountpointError(path, f"holds a dead mount ({kind}), not ours; clear it with: umount -l {path}")
    _log.info("%s: clearing a dead mount of %s", path, mounted.source)
    programs.unmount(path, lazy=True)


def mark_process(mountpoint: str) -> None:
    """Let `unmount` find this process, which serves the mount at a path (absolute, no symlinks in it)."""
    mounted = topmost(mountpoint)
    if mounted:
        with suppress(OSError):  # a sandbox may not have it: `unmount` does not wait then
            os.memfd_create(MARK.format(mounted.device))
