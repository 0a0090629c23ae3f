"""The kernel's side of FUSE, as far as a read-only directory needs it: bytes in, values out, and back.

The layouts are those of linux/fuse.h, protocol 7.31. libfuse does not serve here: version 3.14.0 never tells
the kernel that names of one directory may be looked up side by side, as NFS does.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple


class Opcode(IntEnum):
    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    READLINK = 5
    OPEN = 14
    READ = 15
    STATFS = 17
    RELEASE = 18
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42


#: The kernel waits for no answer to these.
UNANSWERED = {Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT}

#: Bytes that one request can have: more than the kernel insists on (FUSE_MIN_READ_BUFFER).
LARGEST = 1 << 17

_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_INIT_IN = struct.Struct("<IIII")
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_ATTRIBUTES = struct.Struct("<6Q10I")
_ENTRY_OUT = struct.Struct("<4Q2I")
_ATTRIBUTES_OUT = struct.Struct("<QII")
_OPEN_OUT = struct.Struct("<QII")
_READ_IN = struct.Struct("<QQI")
_STATFS_OUT = struct.Struct("<5Q4I24x")
_DIRENT = struct.Struct("<QQII")

_MAJOR, _MINOR = 7, 31

#: FUSE_ASYNC_READ, FUSE_PARALLEL_DIROPS.
_FLAGS = 1 << 0 | 1 << 18

_BILLION = 1_000_000_000


class Request(NamedTuple):
    """What the kernel asks: the node and, behind the header, what the opcode needs."""

    opcode: int
    unique: int
    node: int
    pid: int
    body: bytes


def parse(raw: bytes) -> Request:
    _, opcode, unique, node, _, _, pid, _, _ = _IN.unpack_from(raw)
    return Request(opcode, unique, node, pid, raw[_IN.size :])


def name_of(body: bytes) -> str:
    return os.fsdecode(body.rstrip(b"\0"))


def read_of(body: bytes) -> tuple[int, int, int]:
    """Give handle, offset and size of a READ or READDIR."""
    handle, offset, size = _READ_IN.unpack_from(body)
    return handle, offset, size


def handle_of(body: bytes) -> int:
    return int(struct.unpack_from("<Q", body)[0])


def answer(unique: int, body: bytes = b"", error: int = 0) -> bytes:
    return _OUT.pack(_OUT.size + len(body), -error, unique) + body


def init(body: bytes) -> bytes:
    _, _, read_ahead, flags = _INIT_IN.unpack_from(body)
    return _INIT_OUT.pack(_MAJOR, _MINOR, read_ahead, flags & _FLAGS, 1000, 1000, 4096, 1, 256, 0, 0)


def attributes(found: os.stat_result, cached: float) -> bytes:
    return _ATTRIBUTES_OUT.pack(*_time(cached), 0) + _attributes(found)


def entry(node: int, found: os.stat_result, cached: float) -> bytes:
    seconds, nanoseconds = _time(cached)
    return _ENTRY_OUT.pack(node, 1, seconds, seconds, nanoseconds, nanoseconds) + _attributes(found)


def nothing(cached: float) -> bytes:
    """Say that there is no such name, which the kernel may remember."""
    seconds, nanoseconds = _time(cached)
    return _ENTRY_OUT.pack(0, 0, seconds, 0, nanoseconds, 0) + bytes(_ATTRIBUTES.size)


def opened(handle: int) -> bytes:
    return _OPEN_OUT.pack(handle, 0, 0)


def space(found: os.statvfs_result) -> bytes:
    return _STATFS_OUT.pack(
        *(found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree),
        *(found.f_bsize, found.f_namemax, found.f_frsize, 0),
    )


def entries(names: Sequence[tuple[str, int]], offset: int, size: int) -> bytes:
    """Give as many names with their modes as have room, from the one at `offset` on."""
    page = bytearray()
    for number, (name, mode) in enumerate(names[offset:], offset + 1):
        raw = os.fsencode(name)
        one = _DIRENT.pack(number, number, len(raw), mode >> 12) + raw
        one += bytes(-len(one) % 8)
        if len(page) + len(one) > size:
            break
        page += one
    return bytes(page)


def _attributes(found: os.stat_result) -> bytes:
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    return _ATTRIBUTES.pack(
        *(found.st_ino, found.st_size, found.st_blocks),
        *(time // _BILLION for time in times),
        *(time % _BILLION for time in times),
        *(found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0),
    )


def _time(seconds: float) -> tuple[int, int]:
    return int(seconds), int(seconds % 1 * _BILLION)


def mode_of(listed: os.DirEntry[str]) -> int:
    if listed.is_symlink():
        return stat.S_IFLNK
    return stat.S_IFDIR if listed.is_dir(follow_symlinks=False) else stat.S_IFREG
