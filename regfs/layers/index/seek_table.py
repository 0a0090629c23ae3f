"""The table at the end of a seekable copy: how long each of its frames is, stored and plain.

It is a skippable frame, which zstd(1) passes over: 8 bytes for each frame, and a footer of 9 bytes. Numbers
are of 4 bytes, little-endian. (facebook/zstd, contrib/seekable_format, zstd_seekable_compression_format.md)
"""

from __future__ import annotations

import bisect
import struct
from array import array

from regfs.errors import LayerError
from regfs.layers.streams import Point
from regfs.storage.protocol import Content

_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1

#: Magic number and size of a skippable frame; stored and plain size of one frame; the number of frames, a
#: descriptor (0: no checksums, zstd's own frames have them) and the format's magic number.
_HEADER = struct.Struct("<II")
_SIZES = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")


class SeekTable:
    """Where the frames of a copy begin. Filled by one thread; then any may look up points."""

    def __init__(self) -> None:
        self._plain = array("Q")
        self._stored = array("Q")

    def note(self, point: Point) -> None:
        """Add the next frame."""
        self._plain.append(point.plain)
        self._stored.append(point.stored)

    def point(self, offset: int) -> Point:
        """Give the last point at or before an offset."""
        index = bisect.bisect_right(self._plain, offset) - 1
        return Point(self._plain[index], self._stored[index])

    def encode(self, plain: int, stored: int) -> bytes:
        """Give the table as it stands behind the frames, which have so many bytes in all."""
        count = len(self._plain)
        sizes = bytearray()
        for index in range(count):
            last = index + 1 == count
            end, stored_end = (plain, stored) if last else (self._plain[index + 1], self._stored[index + 1])
            sizes += _SIZES.pack(stored_end - self._stored[index], end - self._plain[index])
        return _HEADER.pack(_SKIPPABLE, len(sizes) + _FOOTER.size) + sizes + _FOOTER.pack(count, 0, _SEEKABLE)

    @classmethod
    def read(cls, copy: Content, length: int, plain: int) -> SeekTable:
        """Read the table of a copy of `length` bytes, which is of `plain` uncompressed ones.

        Raises LayerError if it is not that.
        """
        count, descriptor, magic = _FOOTER.unpack(_read(copy, length - _FOOTER.size, _FOOTER.size))
        size = _SIZES.size * count + _FOOTER.size
        start = length - size - _HEADER.size
        if magic != _SEEKABLE or descriptor or start < 0:
            raise LayerError("the copy has no seek table")
        content = _read(copy, start, _HEADER.size + size - _FOOTER.size)
        if _HEADER.unpack_from(content) != (_SKIPPABLE, size):
            raise LayerError("the copy's seek table is damaged")
        table, at, stored_at = cls(), 0, 0
        for stored_size, plain_size in _SIZES.iter_unpack(content[_HEADER.size :]):
            table.note(Point(at, stored_at))
            at += plain_size
            stored_at += stored_size
        if (at, stored_at) != (plain, start):
            raise LayerError("the copy's seek table is of another layer")
        return table


def _read(copy: Content, offset: int, size: int) -> bytes:
    buffer = bytearray(size)
    if offset < 0 or copy.read_into(memoryview(buffer), offset) < size:
        raise LayerError("the copy is cut short")
    return bytes(buffer)
