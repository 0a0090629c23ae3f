"""The header block of a tar: its checksum, its fields, its two ways to write numbers.

Sources: POSIX.1-2001, pax(1), "ustar Interchange Format"; the GNU tar manual, "Basic Tar Format" (GNU's
magic, base-256 numbers, times where ustar has the prefix); star(5), for star's shorter prefix. Where writers
differ from those, what Go's archive/tar reads is read, for that is what unpacks layers in container runtimes.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from regfs.errors import LayerError

_USTAR = b"ustar\0"
_GNU = b"ustar  \0"

#: Where star's headers, which have ustar's magic as well, hold a mark of their own and end the prefix early.
_STAR, _STAR_PREFIX = b"tar\0", 131

#: name, mode, uid, gid, size, mtime, (checksum,) type, link name, magic and version, (names of user and
#: group,) device major and minor, prefix, star's mark
_FIELDS = struct.Struct("100s8s8s8s12s12s8xc100s8s64x8s8s155s8x4s")

_SIZE, _CHECKSUM, _TYPE = slice(124, 136), slice(148, 156), slice(156, 157)
_CHECKSUM_AS_SPACES = 8 * ord(" ")


class Header(NamedTuple):
    """The fields of one header block, as they stand there. `mtime_ns` is in nanoseconds since 1970.

    `type` is the letter that says what the member is, `gnu` whether the block is of GNU's own format.
    """

    type: bytes
    path: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    target: bytes
    device: tuple[int, int]
    gnu: bool


def verify(block: bytes) -> None:
    """Compare the checksum of a header block of 512 bytes: LayerError if it is wrong.

    Old tars of Sun's and NeXT's kind added the bytes up as signed ones, which is accepted as well.
    """
    checksum = block[_CHECKSUM]
    stored = number(checksum)
    unsigned = sum(block) - sum(checksum) + _CHECKSUM_AS_SPACES
    if stored == unsigned:
        return
    high = sum(byte > 127 for byte in block) - sum(byte > 127 for byte in checksum)
    if stored != unsigned - 256 * high:
        raise LayerError(f"a header's checksum is {unsigned}, the header says {stored}")


def type_of(block: bytes) -> bytes:
    """Give the letter of a header block, without reading the rest of it."""
    return block[_TYPE]


def size_of(block: bytes) -> int:
    """Give the size in a header block, without reading the rest of it."""
    return number(block[_SIZE])


def parse_header(block: bytes) -> Header:
    """Read a header block whose checksum is right. LayerError for what is no number."""
    name, mode, uid, gid, size, mtime, kind, link, magic, major, minor, prefix, mark = _FIELDS.unpack(block)
    path = text(name)
    if prefix[0]:
        above = _prefix(magic, prefix, mark)
        path = above + b"/" + path if above else path
    device = (0, 0)
    if kind in (b"3", b"4") and magic.startswith(b"ustar"):
        device = (number(major), number(minor))
    return Header(
        kind,
        path,
        number(mode),
        number(uid),
        number(gid),
        number(size),
        number(mtime) * 1_000_000_000,
        text(link),
        device,
        magic == _GNU,
    )


def text(field: bytes) -> bytes:
    """Give a text field's content: up to the first NUL, or all of it."""
    return field.split(b"\0", 1)[0]


def number(field: bytes) -> int:
    """Read a number field: octal digits within spaces and NULs, nothing for 0, or base-256.

    LayerError for anything else.
    """
    if field[0] & 0x80:
        return _base_256(field)
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not digits.isdigit():
        digits = text(digits)  # some writers leave old bytes behind the NUL
    try:
        if digits.isdigit():  # int() alone would take signs and underscores as well
            return int(digits, 8)
    except ValueError:
        pass
    raise LayerError(f"{field!r} is no number")


def _base_256(field: bytes) -> int:
    """Read a number of GNU's and star's form: one bit as a mark, then two's complement, big-endian."""
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") - (1 << bits)
    if value >> (bits - 1):
        value -= 1 << bits
    if -(1 << 63) <= value < 1 << 63:
        return value
    raise LayerError(f"{field!r} is a number of more than 64 bits")


def _prefix(magic: bytes, prefix: bytes, mark: bytes) -> bytes:
    """Give what stands before a name that is too long for its field; empty for nothing.

    GNU's format has the times of access and change there. Go wrote prefixes under GNU's magic before 1.8,
    and with it Docker: what is no time, but ASCII, is taken for a prefix, as Go does since.
    """
    if magic.startswith(_USTAR):
        return text(prefix[:_STAR_PREFIX] if mark == _STAR else prefix)
    if magic == _GNU and not (_is_number(prefix[:12]) and _is_number(prefix[12:24])):
        above = text(prefix)
        return above if above.isascii() else b""
    return b""


def _is_number(field: bytes) -> bool:
    try:
        number(field)
    except LayerError:
        return False
    return True
