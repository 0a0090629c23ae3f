"""Layers with real files in them."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
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


def make_layer(files: Mapping[str, bytes], compression: str = "gzip") -> bytes:
    """Pack files into a layer: `gzip`, `zstd`, `xz` or `none`."""
    tar = make_tar(files)
    if compression == "gzip":
        return gzip.compress(tar, mtime=0)
    if compression == "xz":
        return lzma.compress(tar)
    if compression == "zstd":
        import zstandard

        return zstandard.compress(tar)
    return tar
