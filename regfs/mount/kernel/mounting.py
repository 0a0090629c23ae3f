"""Mounting without libfuse: mount(2) as root, fusermount3 (or fusermount) for all others (`programs`).

Gives the descriptor of /dev/fuse over which the kernel then speaks. mount.fuse(8) has the options.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping

from regfs.errors import MountpointError
from regfs.mount import programs

DEVICE = "/dev/fuse"

#: The type under which the mount shows: `fuse.` and this.
SUBTYPE = "regfs"

#: mount(2) and umount2(2).
_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_FLAGS = {
    "noexec": 8,
    "sync": 16,
    "dirsync": 128,
    "noatime": 1024,
    "exec": 0,
    "async": 0,
    "atime": 0,
}
_MNT_DETACH = 2

#: Options that go to the kernel as they are.
_FOR_KERNEL = ("allow_other", "default_permissions")


def mount(fsname: str, mountpoint: str, options: Mapping[str, str | bool], max_read: int) -> int:
    """Mount at an absolute path, read-only; gives the descriptor. Raises MountpointError.

    `max_read`: bytes of the largest READ.
    """
    device = _mount_ourselves(fsname, mountpoint, options, max_read) if os.geteuid() == 0 else None
    if device is not None:
        return device
    flags = [name for name, flag in _FLAGS.items() if flag and options.get(name)]
    told = [f"subtype={SUBTYPE}", f"max_read={max_read}", *_given(options), *flags]
    return programs.mount_by_helper(fsname, mountpoint, told, nonempty=bool(options.get("nonempty")))


def _given(options: Mapping[str, str | bool]) -> list[str]:
    """List what the kernel is told besides: allow_root is allow_other to it."""
    given = [name for name in _FOR_KERNEL if options.get(name)]
    if options.get("allow_root") and "allow_other" not in given:
        given.append("allow_other")
    return given


def _mount_ourselves(
    fsname: str, mountpoint: str, options: Mapping[str, str | bool], max_read: int
) -> int | None:
    """Mount by mount(2); None where that is not allowed, as in a container without CAP_SYS_ADMIN."""
    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise MountpointError(mountpoint, f"{DEVICE}: {error.strerror}") from error
    identity = f"rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
    data = ",".join([f"fd={device}", identity, *_given(options), f"max_read={max_read}"])
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    for name, flag in _FLAGS.items():
        flags |= flag if options.get(name) else 0
    library = ctypes.CDLL(None, use_errno=True)
    source, place = os.fsencode(fsname), os.fsencode(mountpoint)
    if library.mount(source, place, f"fuse.{SUBTYPE}".encode(), ctypes.c_ulong(flags), data.encode()) == 0:
        return device
    number = ctypes.get_errno()
    os.close(device)
    if number == errno.EPERM and programs.helper():
        return None
    raise MountpointError(mountpoint, f"cannot be mounted: {os.strerror(number)}")


def unmount(mountpoint: str) -> None:
    """Detach a mount, busy or not; what is no mount any more is let pass."""
    if os.geteuid() == 0:
        library = ctypes.CDLL(None, use_errno=True)
        if library.umount2(os.fsencode(mountpoint), _MNT_DETACH) == 0 or ctypes.get_errno() != errno.EPERM:
            return
    programs.detach(mountpoint)
