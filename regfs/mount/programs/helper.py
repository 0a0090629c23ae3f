"""What fusermount3 (or fusermount) does for those who may not mount, and how a killed mount is unmounted."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from regfs.errors import MountpointError
from regfs.mount.requirements import HELPERS

_log = logging.getLogger(__name__)


#: What the helper tells the number of its end of the socket by (libfuse, mount.c).
_COMMFD = "_FUSE_COMMFD"

#: Waits for the end of this process, which is that of its standard input, and unmounts then if no word came
#: before. The mount is known by its device: another that was made there meanwhile is left.
_WAITER = """
read -r word && exit 0
while read -r _ _ device _; do [ "$device" = "$1" ] && shift && exec "$@"; done </proc/self/mountinfo
"""


def installed(names: Sequence[str], path: str | None = None) -> str | None:
    """Find the first program that is installed, in $PATH unless told otherwise."""
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def helper() -> str | None:
    """Find the helper, if one is installed."""
    return installed(HELPERS)


def escaped(text: str) -> str:
    """Escape a value for fusermount, which splits its options at commas."""
    return text.replace("\\", "\\\\").replace(",", "\\,")


def mount_by_helper(fsname: str, mountpoint: str, options: Sequence[str], *, nonempty: bool) -> int:
    """Have a helper mount, read-only: it sends the descriptor over a socket. Raises MountpointError."""
    program = helper()
    if program is None:
        raise MountpointError(mountpoint, f"neither {' nor '.join(HELPERS)} is installed")
    told = ["ro", "nosuid", "nodev", f"fsname={escaped(fsname)}", *options]
    if os.path.basename(program) == "fusermount" and nonempty:
        told.append("nonempty")  # fusermount3 knows no such option, and needs none
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [program, "-o", ",".join(told), "--", mountpoint],
            pass_fds=[theirs.fileno()],
            env={**os.environ, _COMMFD: str(theirs.fileno())},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        theirs.close()
        received = socket.recv_fds(ours, 1, 1)[1] if done.returncode == 0 else []
    if not received:
        said = done.stderr.decode(errors="replace").strip() or f"{program} failed ({done.returncode})"
        raise MountpointError(mountpoint, said.removeprefix(f"{program}: "))
    os.set_inheritable(received[0], False)
    return received[0]


def _detaching(mountpoint: str, program: str | None) -> list[str]:
    """Give the command that detaches a mount: umount(8), or the helper."""
    return [program, "-u", "-z", "--", mountpoint] if program else ["umount", "-l", "--", mountpoint]


def detach(mountpoint: str) -> None:
    """Have the helper detach a mount; what is no mount any more is let pass."""
    with suppress(OSError):
        command = _detaching(mountpoint, helper() or HELPERS[0])
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            _log.info("%s: %s", mountpoint, done.stderr.strip())


class AutoUnmount:
    """Unmounts when this process is killed (option auto_unmount): a child of its own waits for that."""

    def __init__(self, mountpoint: str, device: str) -> None:
        """`device` is that of the mount, as /proc/self/mountinfo has it."""
        program = None if os.geteuid() == 0 else helper() or HELPERS[0]
        self._waiter = subprocess.Popen(
            ["sh", "-c", _WAITER, "sh", device, *_detaching(mountpoint, program)],
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
