"""How a layer blob is compressed: told by its first bytes, never by a media type, which may say anything."""

from __future__ import annotations

import enum

#: RFC 1952, 2.3.1: ID1, ID2, and CM, of which only 8 (deflate) was ever in use.
_GZIP = b"\x1f\x8b\x08"
#: RFC 8878, 3.1.1: the magic number of a frame, little-endian.
_ZSTD = b"\x28\xb5\x2f\xfd"
#: RFC 8878, 3.1.2: a skippable frame has one of 16 magic numbers, 0x184D2A50 to 0x184D2A5F.
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
#: The .xz File Format, 2.1.1.1.
_XZ = b"\xfd7zXZ\x00"
#: bzip2: the level, a digit, stands between; then a block begins, or the stream ends. The first path of a tar
#: could begin as the first part does, but hardly go on like this.
_BZIP2, _BZIP2_NEXT = b"BZh", (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")


class Compression(enum.Enum):
    """What a layer's tar is wrapped in. The values are for people."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"


def recognise(first: bytes) -> Compression:
    """Tell the compression by the first bytes of the content; ten are enough."""
    if first.startswith(_GZIP):
        return Compression.GZIP
    if first.startswith(_ZSTD) or (first[:1] and first[0] >> 4 == 5 and first[1:4] == _ZSTD_SKIPPABLE):
        return Compression.ZSTD
    if first.startswith(_XZ):
        return Compression.XZ
    if first.startswith(_BZIP2) and first[4:10] in _BZIP2_NEXT:
        return Compression.BZIP2
    return Compression.NONE
