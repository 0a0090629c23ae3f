"""Attributes as the C library's struct stat, for whatever machine fusepy declares it for."""

from __future__ import annotations

import ctypes
import struct
from operator import itemgetter

import fuse

from regfs.mount.owner import BLOCK_SIZE, Owner
from regfs.tree import Attributes, NodeType

SIZE: int = ctypes.sizeof(fuse.c_stat)

_NANO = 1_000_000_000

#: struct's letters for fields of so many bytes.
_LETTERS = {1: "B", 2: "H", 4: "I", 8: "Q"}

#: The fields that regfs fills, in the order in which `StatPacker.pack` lists their values.
_FIELDS = (
    "st_ino",
    "st_nlink",
    "st_mode",
    "st_uid",
    "st_gid",
    "st_rdev",
    "st_size",
    "st_blksize",
    "st_blocks",
    "st_atimespec",
    "st_mtimespec",
    "st_ctimespec",
)


class StatPacker:
    """Packs attributes in one go. Safe for many threads."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._in_order, self._struct = _form()

    def mode(self, kind: NodeType) -> int:
        """Give the mode of a node, with its type."""
        return self._owner.mode(kind)

    def pack(self, attributes: Attributes) -> bytes:
        """Give the bytes of the struct."""
        _, inode, links, size, blocks, mtime_ns, *_ = attributes
        mode, uid, gid, number = self._owner.rights(attributes)
        seconds, rest = divmod(mtime_ns, _NANO)
        values = (
            *(inode, links, mode, uid, gid, number, size, BLOCK_SIZE, blocks),
            *(seconds, rest, seconds, rest, seconds, rest),
        )
        return self._struct.pack(*self._in_order(values))


def _form() -> tuple[itemgetter[tuple[int, ...]], struct.Struct]:
    """Work out where each value lies: what puts them in the struct's order, and the struct itself."""
    places: list[tuple[int, str]] = []
    for name in _FIELDS:
        field = getattr(fuse.c_stat, name)
        if name.endswith("timespec"):
            half = field.size // 2
            letter = _LETTERS[half].lower()  # times before 1970 are negative
            places += [(field.offset, letter), (field.offset + half, letter)]
        else:
            places.append((field.offset, _LETTERS[field.size]))
    order = sorted(range(len(places)), key=lambda index: places[index][0])
    form, at = "=", 0
    for offset, letter in sorted(places):
        form += f"{offset - at}x{letter}"
        at = offset + struct.calcsize(f"={letter}")
    return itemgetter(*order), struct.Struct(f"{form}{SIZE - at}x")
