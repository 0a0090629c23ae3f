"""Mounting without libfuse: mount(2) as root, fusermount3 (or fusermount) for all others.

Gives the descriptor of /dev/fuse over which the kernel then speaks. mount.fuse(8) has the options.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from regfs.errors import MountpointError

_log = logging.getLogger(__name__)

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

#: Run for those who may not mount, in this order.
HELPERS = ("fusermount3", "fusermount")

#: What the helper tells the number of its end of the socket by (libfuse, mount.c).
_COMMFD = "_FUSE_COMMFD"

#: Waits for the end of this process, which is that of its standard input, and unmounts then if no word came
#: before. The mount is known by its device: another that was made there meanwhile is left.
_WAITER = """
read -r word && exit 0
while read -r _ _ device _; do [ "$device" = "$1" ] && shift && exec "$@"; done </proc/self/mountinfo
"""


def mount(fsname: str, mountpoint: str, options: Mapping[str, str | bool], max_read: int) -> int:
    """Mount at an absolute path, read-only; gives the descriptor. Raises MountpointError.

    `max_read`: bytes of the largest READ.
    """
    device = _mount_ourselves(fsname, mountpoint, options, max_read) if os.geteuid() == 0 else None
    return _mount_by_helper(fsname, mountpoint, options, max_read) if device is None else device


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
    if number == errno.EPERM and _helper():
        return None
    raise MountpointError(mountpoint, f"cannot be mounted: {os.strerror(number)}")


def _helper() -> str | None:
    return next((found for name in HELPERS if (found := shutil.which(name))), None)


def escaped(text: str) -> str:
    """Escape a value for fusermount, which splits its options at commas."""
    return text.replace("\\", "\\\\").replace(",", "\\,")


def _mount_by_helper(fsname: str, mountpoint: str, options: Mapping[str, str | bool], max_read: int) -> int:
    """Mount by fusermount3 or fusermount, which sends the descriptor over a socket."""
    helper = _helper()
    if helper is None:
        raise MountpointError(mountpoint, f"neither {' nor '.join(HELPERS)} is installed")
    flags = [name for name, flag in _FLAGS.items() if flag and options.get(name)]
    told = [
        "ro",
        "nosuid",
        "nodev",
        f"fsname={escaped(fsname)}",
        f"subtype={SUBTYPE}",
        f"max_read={max_read}",
    ]
    told += [*_given(options), *flags]
    if os.path.basename(helper) == "fusermount" and options.get("nonempty"):
        told.append("nonempty")  # fusermount3 knows no such option, and needs none
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [helper, "-o", ",".join(told), "--", mountpoint],
            pass_fds=[theirs.fileno()],
            env={**os.environ, _COMMFD: str(theirs.fileno())},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        theirs.close()
        received = socket.recv_fds(ours, 1, 1)[1] if done.returncode == 0 else []
    if not received:
        said = done.stderr.decode(errors="replace").strip() or f"{helper} failed ({done.returncode})"
        raise MountpointError(mountpoint, said.removeprefix(f"{helper}: "))
    os.set_inheritable(received[0], False)
    return received[0]


def _lazily(mountpoint: str) -> list[str]:
    """Give the command that detaches a mount."""
    if os.geteuid() == 0:
        return ["umount", "-l", "--", mountpoint]
    return [_helper() or HELPERS[0], "-u", "-z", "--", mountpoint]


def unmount(mountpoint: str) -> None:
    """Detach a mount, busy or not; what is no mount any more is let pass."""
    if (
        os.geteuid() == 0
        and ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(mountpoint), _MNT_DETACH) == 0
    ):
        return
    with suppress(OSError):
        done = subprocess.run(_lazily(mountpoint), capture_output=True, text=True, check=False)
        if done.returncode:
            _log.info("%s: %s", mountpoint, done.stderr.strip())


class AutoUnmount:
    """Unmounts when this process is killed (option auto_unmount): a child of its own waits for that."""

    def __init__(self, mountpoint: str, device: str) -> None:
        """`device` is that of the mount, as /proc/self/mountinfo has it."""
        self._waiter = subprocess.Popen(
            ["sh", "-c", _WAITER, "sh", device, *_lazily(mountpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def close(self) -> None:
        """Have the child end without a deed."""
        with suppress(OSError):
            self._waiter.communicate(b"unmounted\n")
