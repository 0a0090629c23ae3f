"""Open files: one descriptor and one way of reading for an inode, however often it is open.

Three ways, the first that can be had: the kernel reads a file of the storage by itself (passthrough: root,
Linux 6.9); its bytes go through a pipe to the kernel, by splice(2), and never into this process; they are
copied. Where the storage is on a network the kernel must not read by itself: nobody could interrupt it.
Safe for many threads.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import logging
import os
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from regfs.errors import BadRequestError, UnreadableError
from regfs.mount.kernel import wire
from regfs.storage.protocol import descriptor_of
from regfs.tree import File
from regfs.tree.blob import BlobFile

_log = logging.getLogger(__name__)

#: ioctl(2) of /dev/fuse (FUSE_DEV_IOC_BACKING_OPEN, _CLOSE), and what it takes: descriptor, flags, padding.
_BACKING_OPEN, _BACKING_CLOSE = 0x4010E501, 0x4004E502
_BACKING = struct.Struct("=iIQ")

#: The largest READ that is asked for, in bytes.
MOST = 1 << 20

#: fcntl(2), F_SETPIPE_SZ. A pipe holds an answer's header, in a page of its own, and what is read.
_F_SETPIPE_SZ = 1031
_PIPE = 2 << 20
_PAGE = 4096


def max_read(options: Mapping[str, str | bool]) -> int:
    """Tell how large a READ may be: as an option says, or so that one goes through a pipe with its header."""
    value = options.get("max_read")
    most = MOST if os.geteuid() == 0 else MOST - _PAGE  # an ordinary user's pipe holds 1 MiB
    return min(max(int(float(value)), _PAGE), MOST) if isinstance(value, str) and float(value) else most


class OpenedFile:
    """What is open of one inode. `size`: bytes when it was opened; `descriptor` -1: it has none.

    `parts` gives the content as it lies in memory, where there is such a thing.
    """

    __slots__ = ("backing", "content", "descriptor", "node", "nodeid", "parts", "readers", "size")

    def __init__(self, nodeid: int, node: File) -> None:
        self.nodeid = nodeid
        self.node = node
        content = self.content = node.open()
        self.descriptor = descriptor_of(content)
        found = os.fstat(self.descriptor).st_size if self.descriptor >= 0 else node.attributes().size
        self.size = found
        self.parts: Callable[[int, int], list[memoryview]] | None = getattr(content, "parts", None)
        self.backing = 0
        self.readers = 0


class ReadPipe:
    """A pipe through which answers to READ go; one for each thread."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.room = self._widen()

    def _widen(self) -> int:
        for size in (_PIPE, _PIPE // 2):
            with suppress(OSError):
                return fcntl.fcntl(self.writing, _F_SETPIPE_SZ, size)
        return 0

    def fill(self, descriptor: int, offset: int, size: int, header: bytes) -> bool:
        """Put an answer in; tell whether all of it was there. If not, the pipe is of no more use."""
        os.write(self.writing, header)
        left = size
        while left:
            got = os.splice(descriptor, self.writing, left, offset_src=offset + size - left)
            if not got:
                return False
            left -= got
        return True

    def close(self) -> None:
        """Throw away what is in it."""
        os.close(self.reading)
        os.close(self.writing)


class OpenFiles:
    """The open files of one mount. `device`: that of /dev/fuse; `passthrough`: INIT agreed on it."""

    def __init__(self, device: int, *, passthrough: bool) -> None:
        self._device = device
        self._passthrough = passthrough
        self._lock = threading.Lock()
        self._by_node: dict[int, OpenedFile] = {}
        self._by_handle: dict[int, OpenedFile] = {}
        self._numbers = itertools.count(1)

    def open(self, nodeid: int, node: File) -> tuple[int, int, int]:
        """Open a file: gives handle, flags, backing number. Raises what is wrong with its bytes."""
        opened = OpenedFile(nodeid, node)
        with self._lock:
            known = self._by_node.get(nodeid)
            if known is None:
                self._by_node[nodeid] = opened
                if isinstance(node, BlobFile) and opened.descriptor >= 0 and self._passthrough:
                    opened.backing = self._backing(opened.descriptor)
            else:  # all that have one inode open must read in one way
                opened.content.close()
                opened = known
            opened.readers += 1
            handle = next(self._numbers)
            self._by_handle[handle] = opened
        return handle, wire.PASSTHROUGH if opened.backing else wire.KEEP_CACHE, opened.backing

    def _backing(self, descriptor: int) -> int:
        """Have the kernel read a file by itself; 0 if it will not."""
        try:
            number: int = fcntl.ioctl(self._device, _BACKING_OPEN, bytearray(_BACKING.pack(descriptor, 0, 0)))
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTTY, errno.ELOOP):
                _log.info("files are not read by the kernel itself: %s", error.strerror)
                self._passthrough = False
            return 0
        return number

    def node(self, nodeid: int) -> File | None:
        """Give the node of an inode that is open: its name may stand for something else by now."""
        opened = self._by_node.get(nodeid)
        return opened.node if opened else None

    def get(self, handle: int) -> OpenedFile:
        """Give what was opened. Raises BadRequestError."""
        try:
            return self._by_handle[handle]
        except KeyError:
            raise BadRequestError(f"no file is open as {handle}") from None

    def release(self, handle: int) -> None:
        """Close a file, if nobody else has its inode open."""
        with self._lock:
            opened = self.get(handle)
            del self._by_handle[handle]
            opened.readers -= 1
            if opened.readers:
                return
            del self._by_node[opened.nodeid]
            if opened.backing:
                with suppress(OSError):
                    fcntl.ioctl(self._device, _BACKING_CLOSE, struct.pack("=I", opened.backing))
        opened.content.close()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for opened in self._by_node.values():
                opened.content.close()
            self._by_node.clear()
            self._by_handle.clear()


def readable(opened: OpenedFile, offset: int, size: int) -> int:
    """Tell how many bytes a file has from `offset` on, at most `size`.

    Raises UnreadableError where it had more when it was opened: its end would pass for the whole.
    """
    now = os.fstat(opened.descriptor).st_size
    if now < opened.size and offset + size > now and offset < opened.size:
        raise UnreadableError(
            "open file", f"was cut from {opened.size} to {now} bytes", errno.EIO, denied=False
        )
    return max(0, min(size, now - offset))


def seek(opened: OpenedFile, offset: int, whence: int) -> int:
    """Find data or a hole, as lseek(2) does: what is computed has none but at its end. Raises OSError."""
    if whence not in (os.SEEK_DATA, os.SEEK_HOLE):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if opened.descriptor >= 0:
        return os.lseek(opened.descriptor, offset, whence)
    if not 0 <= offset < opened.size:
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    return offset if whence == os.SEEK_DATA else opened.size
