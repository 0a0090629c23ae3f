"""Inode numbers: 64 bits that depend on what a node is, never on when or in which order it was seen."""

from __future__ import annotations

from hashlib import blake2b

from regfs.oci import Digest

#: 0 means "no such file" to readdir(3), and 1 is the root of every FUSE mount.
ROOT = 1
_RESERVED = 2

#: Odd, so that no two nodes of a layer get the same number, and far apart: 2**64 divided by the golden ratio.
_STRIDE = 0x9E3779B97F4A7C15


def of_blob(digest: Digest) -> int:
    """Give a blob's inode: the first 64 bits of its digest, the same on every host."""
    return _allowed(int(digest.hex[:16], 16))


def of_child(parent: int, name: str) -> int:
    """Give the inode of what is no blob: it follows from the directory that holds it, and its name."""
    identity = parent.to_bytes(8, "big") + name.encode("utf-8", "surrogateescape")
    return _allowed(int.from_bytes(blake2b(identity, digest_size=8).digest(), "big"))


def of_node(layer: Digest, number: int) -> int:
    """Give the inode of what stands in a layer: the same wherever that layer shows, on every host."""
    return _allowed((of_blob(layer) + number * _STRIDE) % (1 << 64))


def _allowed(number: int) -> int:
    return number if number >= _RESERVED else number + _RESERVED
