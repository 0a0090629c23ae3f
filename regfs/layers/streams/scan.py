"""Decompressing a blob once from its beginning to its end, and noting on the way where to begin later."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from regfs.layers.streams.bzip2 import BZIP2
from regfs.layers.streams.compression import Compression
from regfs.layers.streams.decoder import Decoder
from regfs.layers.streams.frames import FramesDecoder
from regfs.layers.streams.gzip import SPACING, GzipDecoder
from regfs.layers.streams.limits import Limits
from regfs.layers.streams.pieces import cut
from regfs.layers.streams.plain import PlainDecoder
from regfs.layers.streams.point import START, Note, Point
from regfs.layers.streams.xz import XZ
from regfs.layers.streams.zstd import ZSTD

#: Plain bytes that are given at once: few enough to stay in a processor's cache until they are used.
_PIECE = 256 << 10


def scan(
    compression: Compression,
    stored: Iterable[bytes],
    note: Note,
    limits: Limits,
    *,
    spacing: int | None = None,
) -> Iterator[bytes]:
    """Give the plain bytes of a blob in pieces of at most 256 KiB; tell `note` of each seek point in order.

    `stored` are all the bytes of the blob, in pieces of any size; they are taken to the end, with what stands
    behind the compressed data. Points are at least `spacing` plain bytes apart, or what suits the
    compression; how far apart they are in truth depends on who compressed the blob. A point is noted before
    the last plain bytes up to it are given. Nothing is kept of either.

    Raises LayerError when the blob turns out damaged, cut short or of another compression, after giving the
    bytes up to there, and LayerLimitError beyond the limits.
    """
    decoder = decode(compression, cut(stored), START, note, spacing)
    began = time.process_time()
    try:
        while piece := decoder.read(_PIECE):
            limits.check(decoder.position, time.process_time() - began)
            yield piece
    finally:
        decoder.close()


def decode(
    compression: Compression,
    stored: Iterator[bytes],
    start: Point,
    note: Note | None = None,
    spacing: int | None = None,
) -> Decoder:
    """Make the decoder of a compression, to begin at a point."""
    if compression is Compression.GZIP:
        return GzipDecoder(stored, start, note, SPACING if spacing is None else spacing)
    if compression is Compression.ZSTD:
        return FramesDecoder(ZSTD, stored, start, note, spacing)
    if compression is Compression.XZ:
        return FramesDecoder(XZ, stored, start, note, spacing)
    if compression is Compression.BZIP2:
        return FramesDecoder(BZIP2, stored, start, note, spacing)
    return PlainDecoder(stored)
