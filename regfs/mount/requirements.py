"""What a machine needs for a mount, and what to install where it lacks it."""

from __future__ import annotations

import ctypes
import os

from regfs.errors import RequirementError
from regfs.mount import programs

DEVICE = "/dev/fuse"

#: fusepy is written for libfuse 2. Its soname first; the bare name is for systems that have no other.
LIBRARIES = ("libfuse.so.2", "libfuse.so")

#: One of these mounts for everyone but root, the first that is there; libfuse 2 runs the last.
HELPERS = ("fusermount3", "fusermount")

_WITHOUT = "Without a mount, regfs ls and regfs cat show the same tree."


def check_requirements(
    *, uid: int, device: str = DEVICE, fusepy: bool = False, path: str | None = None
) -> None:
    """See that a mount can be made at all. Raises RequirementError.

    `fusepy`: through libfuse. `path` is where programs are looked for, if not in $PATH.
    """
    if not os.path.exists(device):
        raise RequirementError(
            device,
            f"{device} is missing: load the kernel's module with modprobe fuse; start a container with "
            f"--device {device} --cap-add SYS_ADMIN. {_WITHOUT}",
        )
    if not os.access(device, os.R_OK | os.W_OK):
        raise RequirementError(
            device, f"{device} is not open to you: ask for read and write permission on it. {_WITHOUT}"
        )
    if fusepy:
        check_libfuse()
    helpers = HELPERS[-1:] if fusepy else HELPERS
    if uid != 0 and not programs.installed(helpers, path):
        raise RequirementError(
            helpers[0],
            f"{helpers[0]} is missing, which mounts for users other than root: apt-get install fuse3 "
            f"(Debian, Ubuntu), dnf install fuse3 (RHEL, Fedora), apk add fuse3 (Alpine). {_WITHOUT}",
        )


def check_libfuse(libraries: tuple[str, ...] = LIBRARIES) -> str:
    """Give the name of libfuse 2, which fusepy calls. Raises RequirementError."""
    library = next((name for name in libraries if _loads(name)), None)
    if library is None:
        raise RequirementError(
            "libfuse",
            f"libfuse 2 ({libraries[0]}) is missing: apt-get install libfuse2 (Debian, Ubuntu; libfuse2t64 "
            "from Debian 13 and Ubuntu 24.04), dnf install fuse-libs (RHEL, Fedora), apk add fuse (Alpine). "
            + _WITHOUT,
        )
    return library


def check_allow_other(*, uid: int, config: str = "/etc/fuse.conf") -> None:
    """See that `uid` may mount with allow_other. Raises RequirementError."""
    if uid == 0:
        return
    try:
        with open(config, encoding="utf-8", errors="replace") as lines:
            allowed = any(line.strip() == "user_allow_other" for line in lines)
    except OSError:
        allowed = False
    if not allowed:
        raise RequirementError(
            "user_allow_other",
            f"option allow_other: root must allow it to users first, by a line user_allow_other in {config}",
        )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
