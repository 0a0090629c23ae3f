"""What a blob is by its first bytes, when nothing refers to it any more.

Sources: RFC 1952 (gzip), RFC 8878 (zstd: frames and skippable frames), the xz and bzip2 formats' magic
numbers; POSIX, pax(1), "ustar Interchange Format", for the magic of a tar.
"""

from __future__ import annotations

import zlib

from regfs.oci.kinds import media_type_of
from regfs.oci.media_types import OCI_LAYER

#: Bytes that are enough to tell: a tar's magic is in its first 512, which a compressed start must contain.
ENOUGH = 4096

_USTAR = slice(257, 262)
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"  # behind a byte from 0x50 to 0x5f
_XZ = b"\xfd7zXZ\0"
_BZIP2 = b"BZh"


def recognise(start: bytes) -> tuple[str, str]:
    """Tell the suffix and media type of a blob by its first bytes: `.tar.gz`, `.json`, else `.bin`.

    Gives as media type what a registry's client would have called it; empty for what is not known.
    """
    if start[_USTAR] == b"ustar":
        return ".tar", OCI_LAYER
    if start.startswith(_GZIP):
        return (".tar.gz", f"{OCI_LAYER}+gzip") if _tar_in_gzip(start) else (".gz", "application/gzip")
    if start.startswith(_ZSTD) or (start[1:4] == _SKIPPABLE and start[0] & 0xF0 == 0x50):
        return ".tar.zst", f"{OCI_LAYER}+zstd"
    if start.startswith(_XZ):
        return ".tar.xz", f"{OCI_LAYER}+xz"
    if start.startswith(_BZIP2):
        return ".tar.bz2", f"{OCI_LAYER}+bzip2"
    if start.lstrip()[:1] == b"{":
        return ".json", media_type_of(start) or "application/json"
    return ".bin", ""


def _tar_in_gzip(start: bytes) -> bool:
    """Tell whether a gzip's content begins as a tar; an empty layer's does with zeros."""
    try:
        content = zlib.decompressobj(wbits=31).decompress(start, 512)
    except zlib.error:
        return False
    return content[_USTAR] == b"ustar" or not content.strip(b"\0")
