"""Xz: streams, one behind the other, with padding between.

Python's lzma begins nowhere but at a stream's start, and most files are one stream. So the only point is that
of the first, and for reading at random a copy is made. (The .xz File FrameFormat, 2.2 "Stream Padding".)
"""

from __future__ import annotations

import lzma

from regfs.errors import LayerError, LayerLimitError
from regfs.layers.streams.frames import FrameFormat
from regfs.layers.streams.point import NEVER

#: Bytes that a decoder may take: a dictionary of 1 GiB, as with zstd, and what is around it. xz -9 has one of
#: 64 MiB.
_MEMORY = (1 << 30) + (64 << 20)


def _begin() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY)


def _explain(reason: str) -> LayerError:
    # The words of Python's lzma for LZMA_MEMLIMIT_ERROR; its number does not get through to here.
    if "Memory usage limit" in reason:
        return LayerLimitError(f"more than {_MEMORY} bytes of memory would be needed")
    return LayerError(reason)


XZ = FrameFormat("xz", _begin, (lzma.LZMAError,), _explain, NEVER, padding=4)
