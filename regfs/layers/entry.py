"""One entry of a layer's tar: what it says of one path, and where its content lies.

(image-spec, layer.md, "File Types" and "File Attributes"; POSIX.1-2001, pax.)
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple


class EntryType(enum.IntEnum):
    """What an entry makes. A hard link is a second name for another entry's file."""

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2
    HARDLINK = 3
    CHARACTER = 4
    BLOCK = 5
    FIFO = 6


class Extent(NamedTuple):
    """A run of bytes of a sparse file: where in the file, how long, where in the tar."""

    start: int
    size: int
    offset: int


class TarEntry(NamedTuple):
    """One entry. Names are bytes as they stand in the tar, which may be no UTF-8.

    `mode` has the permission bits alone, with setuid, setgid and sticky (07777); `size` is the file's, in
    bytes, holes counted; `mtime_ns` is in nanoseconds since 1970 and may be negative; `target` is what a
    symlink points to or the path that a hard link names, `device` the major and minor number. A file's
    content is the `size` bytes of the tar from `offset` on, or `extents` with zeros between, if it is
    sparse. `xattrs` are by their full names (`security.capability`).
    """

    path: bytes
    type: EntryType
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    offset: int = 0
    extents: tuple[Extent, ...] | None = None
    xattrs: Mapping[bytes, bytes] = {}
