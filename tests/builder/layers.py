"""Layers with real files in them."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Mapping

MTIME = 1_700_000_000


def make_tar(files: Mapping[str, bytes]) -> bytes:
    """Pack files into a tar; the same files always give the same bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mtime = MTIME
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


def _gzip(content: bytes) -> bytes:
    """Compress to one member; unlike gzip.compress, to the same bytes with every version of Python."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    check = struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)
    return header + deflate.compress(content) + deflate.flush() + check


def make_layer(files: Mapping[str, bytes], compression: str = "gzip") -> bytes:
    """Pack files into a layer: `gzip`, `zstd`, `xz` or `none`."""
    tar = make_tar(files)
    if compression == "gzip":
        return _gzip(tar)
    if compression == "xz":
        return lzma.compress(tar)
    if compression == "zstd":
        import zstandard

        return zstandard.compress(tar)
    return tar
