"""What regfs asks of the machine it runs on."""

from __future__ import annotations

import gc
import os
import signal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes


def boot() -> str:
    """Name this run of the machine (proc(5), /proc/sys/kernel/random/boot_id).

    What was written without waiting for the disk is whole as long as the machine has not gone down since.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return os.urandom(8).hex()  # cannot be told: each call is another


def host() -> str:
    """Name this machine among those that may share a file system (machine-id(5), and the host's name)."""
    try:
        number = Path("/etc/machine-id").read_text().strip()
    except OSError:
        number = ""
    return f"{number} {os.uname().nodename}"


#: Types of file systems whose answers come from another machine, or from another program that may ask one.
#: Those of FUSE have the program's name behind a dot.
_SERVED = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "fuse", "fuseblk", "gfs2", "glusterfs", "gpfs", "lustre", "nfs"}
    | {"nfs4", "ocfs2", "orangefs", "panfs", "smb3", "smbfs", "virtiofs", "vboxsf", "vmhgfs"}
)


#: Types of file systems that count in a directory's links, beside its own two, the directories in it: no
#: fewer, no more, and at once.
_COUNTING = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs"})


def on_network(path: str) -> bool:
    """Tell whether a directory's file system is on a network, or of a program that may ask one.

    What is not there yet will be where the directory above it is. False where that cannot be told.
    """
    try:
        kind = _type_of_file_system(os.stat(path).st_dev)
    except FileNotFoundError:
        above = os.path.dirname(os.path.abspath(path))
        return above != path and on_network(above)
    except OSError:
        return False
    return kind in _SERVED or kind.startswith("fuse.")


@cache
def counts_directories(device: int) -> bool:
    """Tell whether the links of a directory on a file system, `st_dev`, tell how many directories are in it.

    inode(7) promises that of none. False where it cannot be told. Each file system is looked at once.
    """
    return _type_of_file_system(device) in _COUNTING


def _type_of_file_system(device: int) -> str:
    """Name the type of a mounted file system (proc(5), /proc/pid/mountinfo); "" where it cannot be told."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        mounted, _, filesystem = line.partition(" - ")
        if mounted.split(" ", 3)[2] == wanted:
            return filesystem.partition(" ")[0]
    return ""


def can_open(count: int) -> bool:
    """Tell whether this process can open so many more descriptors."""
    opened: list[int] = []
    try:
        while len(opened) < count:
            opened += os.pipe()
    except OSError:
        return False
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return True


def _c_library() -> ctypes.CDLL:
    import ctypes  # only now: it takes a while to load, and few need it

    return ctypes.CDLL(None)


#: prctl(2).
_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have the kernel kill this process when the thread ends that made it, of the process `parent`."""
    _c_library().prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it had ended before
        os._exit(1)


#: mallopt(3): how many arenas, and from how many bytes on a piece is mapped by itself.
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3
_ARENAS, _MAPPED = 2, 256 << 10


def hold_little_memory() -> None:
    """Have glibc give back what is freed, before any thread is started.

    Left to itself it gives each thread an arena, and keeps ever larger pieces in them: a process with many
    threads that lives for months then holds twice of what it uses. Other C libraries have no such call.
    """
    library = _c_library()
    if hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, _ARENAS)
        library.mallopt(_M_MMAP_THRESHOLD, _MAPPED)


#: mallopt(3): how much free memory at a heap's end is given back. And more than the size of any part that is
#: taken out of a store's answer.
_M_TRIM_THRESHOLD = -1
_PARTS = 16 << 20


def reuse_large_pieces() -> None:
    """Have glibc use what was freed for the next piece of the same size: of megabytes, many a second.

    For whoever reads an object store, after `hold_little_memory`: to map each part anew takes twice the
    processor's time of reading it (0.77 s for 500 MB, 0.24 without).
    """
    library = _c_library()
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _PARTS)
        library.mallopt(_M_TRIM_THRESHOLD, 2 * _PARTS)


#: Containers that are made before Python looks for cycles among them (gc, `threshold0`; 700 unless told).
_BETWEEN_COLLECTIONS = 10_000


def collect_cycles_seldom() -> None:
    """Have Python look for cycles seldom: it goes through all that is cached, and little makes any."""
    gc.freeze()
    gc.set_threshold(_BETWEEN_COLLECTIONS)


def give_back() -> None:
    """Give what was freed back to the kernel: by itself glibc does so only at the end of a heap.

    Takes some milliseconds. Other C libraries have no such call.
    """
    library = _c_library()
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def make_private(directory: Path) -> None:
    """Make a directory, and those above it that are missing, for their owner alone. Raises OSError.

    Not by `parents`: those would get modes by the umask, and the XDG Base Directory Specification wants 0700
    for all.
    """
    for each in (*reversed(directory.parents), directory):
        each.mkdir(mode=0o700, exist_ok=True)
