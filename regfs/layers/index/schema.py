"""The tables of an index besides the tree's, and the seal by which a whole file is told from a damaged one.

The seal is the CRC-32 of the file, written last, into the four bytes of its header that SQLite leaves to
applications (sqlite.org/fileformat2.html, 1.3, "Application ID"). For the sum they count as zeros.
"""

from __future__ import annotations

import os
import zlib
from typing import Final, NamedTuple

from regfs.layers.tree import SCHEMA as TREE

#: An index of another version is thrown away. Raise it with every change of the tables or their meaning.
VERSION: Final = 3

SCHEMA: Final = f"""
{TREE}
-- Where decompression can begin (streams.Point). A window is compressed by zstd.
CREATE TABLE point (
    plain INTEGER PRIMARY KEY,
    stored INTEGER NOT NULL,
    bits INTEGER NOT NULL,
    window BLOB
);

-- The first entries that the tree cannot show, by the beginnings of their paths.
CREATE TABLE left_out (path BLOB NOT NULL);

-- One row: the fields of Meta.
CREATE TABLE meta (
    stored INTEGER NOT NULL,
    size INTEGER NOT NULL,
    diff_id TEXT NOT NULL,
    compression TEXT NOT NULL,
    gap INTEGER NOT NULL,
    nodes INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    verified INTEGER NOT NULL
);

PRAGMA user_version = {VERSION};
"""

#: Where the seal stands in the file, in bytes.
_SEAL = slice(68, 72)

_PIECE = 1 << 20


class Meta(NamedTuple):
    """What an index says of its layer. Sizes are in bytes.

    `stored` is the blob's size and `size` the uncompressed tar's; `diff_id` is the tar's digest (image-spec,
    config.md, "Layer DiffID"), `compression` the name of a Compression, `gap` the most bytes of the tar
    between two points. `skipped` counts the entries that the tree cannot show. Not `verified` is a layer
    whose digest is of an algorithm that cannot be computed here: only its DiffID tells whether it is whole.
    """

    stored: int
    size: int
    diff_id: str
    compression: str
    gap: int
    nodes: int
    skipped: int
    verified: bool


def seal(descriptor: int) -> None:
    """Write the seal of a file that is complete, and had none."""
    start, end = _SEAL.start, _SEAL.stop
    os.pwrite(descriptor, checksum(descriptor).to_bytes(end - start, "big"), start)


def sealed(descriptor: int) -> bool:
    """Tell whether a file is as it was when it was sealed. Raises OSError."""
    start, end = _SEAL.start, _SEAL.stop
    return os.pread(descriptor, end - start, start) == checksum(descriptor).to_bytes(end - start, "big")


def checksum(descriptor: int) -> int:
    """Compute what the seal is to be."""
    first = bytearray(os.pread(descriptor, _PIECE, 0))
    if len(first) < _SEAL.stop:
        return -1 & 0xFFFFFFFF
    first[_SEAL] = bytes(_SEAL.stop - _SEAL.start)
    total, offset = zlib.crc32(first), len(first)
    while piece := os.pread(descriptor, _PIECE, offset):
        total = zlib.crc32(piece, total)
        offset += len(piece)
    return total
