"""Calls as libfuse makes them: with C structures and buffers, and no mount.

Imports fusepy, and so needs libfuse: conftest.py sees to that first.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import fuse

from regfs.mount.owner import Owner
from regfs.mount.portable.dispatch import Dispatch
from regfs.mount.portable.operations import Operations, PathLifetimes
from regfs.mount.portable.stat_struct import StatPacker
from regfs.storage import Storage
from tests.unit.fakes import FakeClock
from tests.unit.trees import tree_over

#: What stands behind each buffer: a call that writes too far is seen.
GUARD = b"\xa5" * 64


#: What libfuse passes to readdir (fuse.h, fuse_fill_dir_t).
FILLER = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(fuse.c_stat), fuse.c_off_t
)


class Listed(NamedTuple):
    name: bytes
    inode: int
    mode: int


class Calls:
    """One file system, and a method for each call of libfuse. What they give is 0, a length or -errno."""

    def __init__(self, store: Storage, *, owner: Owner | None = None, ttl: float = 0.0) -> None:
        self.clock = FakeClock()
        tree = tree_over(store, ttl=ttl, clock=self.clock)
        self.operations = Operations(tree, PathLifetimes.of(ttl), self.clock)
        # Without __init__, which would mount.
        self.dispatch = Dispatch.__new__(Dispatch)
        self.dispatch._operations = self.operations
        self.dispatch._packer = StatPacker(owner or Owner(1000, 1001, 0))

    def call(self, name: str, *arguments: Any) -> int:
        """Make one call the way fusepy hands it on."""
        answer = self.dispatch._wrapper(getattr(self.dispatch, name), *arguments)
        assert isinstance(answer, int)
        return answer

    def getattr(self, path: bytes) -> Any:
        """Give the filled struct stat, or -errno."""
        found = fuse.c_stat()
        ctypes.memset(ctypes.byref(found), 0xA5, ctypes.sizeof(found))
        return self.call("getattr", path, ctypes.pointer(found)) or found

    def readdir(self, path: bytes, room: int = 1 << 30) -> list[Listed] | int:
        listed: list[Listed] = []

        def filler(_buffer: object, name: bytes, found: Any, offset: int) -> int:
            assert offset == 0
            stat = found.contents if found else fuse.c_stat()
            listed.append(Listed(name, stat.st_ino, stat.st_mode))
            return int(len(listed) >= room)

        return self.call("readdir", path, None, FILLER(filler), 0, None) or listed

    def readlink(self, path: bytes, size: int = 4096) -> bytes | int:
        buffer = ctypes.create_string_buffer(GUARD * (size // len(GUARD) + 2))
        answer = self.call("readlink", path, buffer, size)
        assert buffer.raw[size : size + 64] == (GUARD * 2)[size % 64 : size % 64 + 64]
        return answer or buffer.value

    def open(self, path: bytes, flags: int = 0) -> Any:
        """Give the pointer to the struct fuse_file_info, or -errno."""
        info = fuse.fuse_file_info()
        info.flags = flags
        return self.call("open", path, ctypes.pointer(info)) or ctypes.pointer(info)

    def read(self, info: Any, size: int, offset: int) -> bytes | int:
        buffer = (ctypes.c_byte * (size + len(GUARD)))()
        ctypes.memmove(ctypes.addressof(buffer) + size, GUARD, len(GUARD))
        pointer = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_byte))
        answer = self.call("read", b"/unused", pointer, size, offset, info)
        assert bytes(memoryview(buffer).cast("B")[size:]) == GUARD
        return answer if answer < 0 else bytes(memoryview(buffer).cast("B")[:answer])

    def content(self, path: bytes) -> bytes:
        info = self.open(path)
        assert not isinstance(info, int), f"{path!r}: {info}"
        content = self.read(info, 1 << 22, 0)
        assert isinstance(content, bytes)
        assert self.call("release", path, info) == 0
        return content

    def getxattr(self, path: bytes, name: bytes, size: int) -> tuple[int, bytes]:
        return self._sized("getxattr", size, path, name)

    def listxattr(self, path: bytes, size: int) -> tuple[int, bytes]:
        return self._sized("listxattr", size, path)

    def _sized(self, call: str, size: int, *arguments: bytes) -> tuple[int, bytes]:
        buffer = ctypes.create_string_buffer(GUARD + bytes(size), size + len(GUARD))
        ctypes.memmove(buffer, bytes(size) + GUARD, size + len(GUARD))
        pointer = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_byte)) if size else None
        answer = self.call(call, *arguments, pointer, size)
        assert buffer.raw[size:] == GUARD
        return answer, buffer.raw[: max(0, min(answer, size))]

    def statfs(self) -> Any:
        found = fuse.c_statvfs()
        return self.call("statfs", b"/", ctypes.pointer(found)) or found
