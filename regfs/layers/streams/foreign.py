"""What a layer may be that is no tar, told by its first bytes: for the words of an error."""

from __future__ import annotations

from typing import Final, NamedTuple


class _Magic(NamedTuple):
    """What stands at an offset, and what it is then."""

    offset: int
    magic: bytes
    name: str


#: Bytes by which each can be told.
FIRST: Final = 2048

_MAGICS: Final = (
    # EROFS (fs/erofs/erofs_fs.h) leaves room for a boot sector: what comes first are zeros, like a tar's end.
    _Magic(1024, b"\xe2\xe1\xf5\xe0", "an EROFS file system"),
    _Magic(1080, b"\x53\xef", "an ext4 file system"),
    _Magic(0, b"hsqs", "a squashfs file system"),
    _Magic(0, b"SFAR", "a nydus file system"),
    _Magic(0, b"\x5d\x00\x00", "an lzma file"),
    _Magic(0, b"\x04\x22\x4d\x18", "an lz4 file"),
    _Magic(0, b"PK\x03\x04", "a zip file"),
    _Magic(0, b"070701", "a cpio archive"),
    _Magic(0, b"070702", "a cpio archive"),
    _Magic(0, b"\x7fELF", "a program"),
    _Magic(0, b'{"', "JSON"),
    _Magic(0, b"{\n", "JSON"),
    _Magic(0, b"{ ", "JSON"),
    _Magic(0, b"[{", "JSON"),
)


def foreign(first: bytes) -> str:
    """Name what some first bytes are the beginning of; "" if it may be a tar.

    The first bytes of a tar are a path, or zeros to its end. A path can be anything, so whoever asks looks
    first whether a header stands there.
    """
    for offset, magic, name in _MAGICS:
        if first[offset : offset + len(magic)] == magic:
            return name
    return ""
