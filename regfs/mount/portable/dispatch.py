"""libfuse's calls, by ctypes: a subclass of fusepy's FUSE that skips its conversions.

fusepy decodes each path, builds a dict for each stat and a bytes object for each read. Here paths stay
bytes, a stat is packed in one go, and read(2) fills libfuse's own buffer; ARCHITECTURE.md has the figures.
Every call comes in on one of libfuse's threads, and only `_wrapper` catches errors.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
from collections.abc import Callable
from typing import Any

import fuse

from regfs.errors import RegfsError, StoreGoneError, printable
from regfs.mount.errnos import ASKED_WRONGLY, errno_of
from regfs.mount.owner import Owner
from regfs.mount.portable.operations import Operations
from regfs.mount.portable.stat_struct import SIZE, StatPacker
from regfs.tree import NodeType

_log = logging.getLogger(__name__)

#: Directories of a listing get these before their children (readdir(3)).
_DOTS = (b".", b"..")

#: fuse.h's fuse_fill_dir_t, as a call that keeps Python's lock: it only copies a name, and a listing makes a
#: hundred thousand of them.
_FILLER = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, fuse.c_off_t)

_view_memory = ctypes.pythonapi.PyMemoryView_FromMemory
_view_memory.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
_view_memory.restype = ctypes.py_object
_WRITABLE = 0x200  # PyBUF_WRITE


class Supported(fuse.Operations):
    """Tells fusepy which calls exist: those that are not None. None of its methods is ever called.

    Without `access`, `flush` and the like the kernel stops asking at once, which saves calls for each file.
    """

    use_ns = True
    access = None
    flush = None
    fsync = None
    fsyncdir = None
    ioctl = None
    opendir = None
    releasedir = None


class Dispatch(fuse.FUSE):
    """The calls that libfuse makes. To construct one mounts, and returns when it is unmounted.

    `ready` is called once, when the kernel has accepted the mount. `options` go to libfuse, by keyword
    only: given a list, fusepy 3.0.1 mounts read-write without a word.
    """

    def __init__(
        self,
        operations: Operations,
        mountpoint: str,
        owner: Owner,
        ready: Callable[[], None],
        options: dict[str, str | bool],
    ) -> None:
        self._operations = operations
        self._packer = StatPacker(owner)
        self._ready = ready
        keywords: dict[str, Any] = {"foreground": True, **options}
        super().__init__(Supported(), mountpoint, **keywords)

    @staticmethod
    def _wrapper(call: Callable[..., int | None], *arguments: Any) -> int:
        """Stand around every call: here errors become errno, and nothing else leaves for C."""
        try:
            return call(*arguments) or 0
        except RegfsError as error:
            number = errno_of(error)
            if number not in ASKED_WRONGLY and not isinstance(error, StoreGoneError):
                _log.warning("%s: %s", _place(arguments), error)
            return -number
        except BaseException:  # noqa: BLE001 - ctypes would print it and answer at random
            _log.exception("%s: unexpected error, please report it", _place(arguments))
            return -errno.EIO

    def init(self, _connection: object) -> None:
        """Note that the kernel has accepted the mount."""
        self._ready()

    def destroy(self, _private_data: object) -> None:
        """Do nothing: the process is about to end."""

    def getattr(self, path: bytes, buf: Any) -> None:
        """Fill a struct stat."""
        ctypes.memmove(buf, self._packer.pack(self._operations.attributes(path)), SIZE)

    def fgetattr(self, path: bytes, buf: Any, _fip: Any) -> None:
        """Fill a struct stat for an open file: the kernel keeps one for each path, so as for the path."""
        self.getattr(path, buf)

    def readdir(self, path: bytes, buf: Any, filler: Any, _offset: int, _fip: Any) -> None:
        """Hand over a whole listing; of each stat, libfuse takes the inode and the type."""
        fill = ctypes.cast(filler, _FILLER)
        found = fuse.c_stat()
        stat = ctypes.addressof(found)
        modes = {kind: self._packer.mode(kind) for kind in NodeType}
        children = self._operations.children(path)
        for dots in _DOTS:
            fill(buf, dots, None, 0)
        for name, kind, number, *_ in children:
            found.st_ino = number
            found.st_mode = modes[kind]
            if fill(buf, self._operations.name(name), stat, 0):
                break

    def readlink(self, path: bytes, buf: Any, size: int) -> None:
        """Copy a link's target, cut to the buffer, with a NUL byte."""
        target = self._operations.target(path)[: size - 1] + b"\0"
        ctypes.memmove(buf, target, len(target))

    def open(self, path: bytes, fip: Any) -> int:
        """Open a file, which is read around the page cache: that has one set of pages for each path."""
        info = fip.contents
        if info.flags & (os.O_ACCMODE | os.O_TRUNC):
            return -errno.EROFS
        info.fh, info.direct_io = self._operations.open(path), True
        return 0

    def read(self, _path: bytes, buf: Any, size: int, offset: int, fip: Any) -> int:
        """Read straight into libfuse's buffer."""
        return self._operations.read(fip.contents.fh, _view_memory(buf, size, _WRITABLE), offset)

    def release(self, _path: bytes, fip: Any) -> None:
        """Close a file."""
        self._operations.release(fip.contents.fh)

    def getxattr(self, path: bytes, name: bytes, value: Any, size: int, *_position: int) -> int:
        """Copy one extended attribute."""
        return _copy(self._operations.xattr(path, name), value, size)

    def listxattr(self, path: bytes, namebuf: Any, size: int) -> int:
        """Copy the names of the extended attributes."""
        return _copy(self._operations.xattr_names(path), namebuf, size)

    def statfs(self, _path: bytes, buf: Any) -> None:
        """Fill a struct statvfs with the figures of the file system that holds the store."""
        space, found = self._operations.space(), buf.contents
        found.f_bsize = space.block_size
        found.f_frsize = space.fragment_size
        found.f_blocks = space.blocks
        found.f_bfree = space.blocks_free
        found.f_bavail = space.blocks_available
        found.f_files = space.files
        found.f_ffree = space.files_free
        found.f_favail = space.files_available
        found.f_namemax = space.longest_name

    def _refuse(self, *_arguments: Any) -> int:
        """Answer every call that would change something. The kernel asks none: the mount is `ro`."""
        return -errno.EROFS

    mknod = mkdir = unlink = rmdir = symlink = rename = link = chmod = chown = truncate = _refuse
    write = setxattr = removexattr = create = ftruncate = utimens = _refuse


def interrupted() -> bool:
    """Tell whether nobody waits for this thread: who asked was interrupted, or the mount ends."""
    context = fuse._libfuse.fuse_get_context().contents
    if not context.fuse:  # a thread of our own, which libfuse knows nothing of
        return False
    return bool(fuse._libfuse.fuse_interrupted() or _exited(context.fuse))


_exited = fuse._libfuse.fuse_exited
_exited.argtypes = (ctypes.c_void_p,)


def _copy(content: bytes, buffer: Any, size: int) -> int:
    """Copy an attribute as getxattr(2) does: a size of 0 only asks how long it is."""
    if size == 0:
        return len(content)
    if len(content) > size:
        return -errno.ERANGE
    ctypes.memmove(buffer, content, len(content))
    return len(content)


def _place(arguments: tuple[Any, ...]) -> str:
    """Name what a call was about, for the log."""
    path = arguments[0] if arguments else None
    return printable(path.decode("utf-8", "backslashreplace")) if isinstance(path, bytes) else "open file"
