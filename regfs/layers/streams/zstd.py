"""Zstandard: frames, one behind the other, and skippable ones, which hold something else.

BuildKit writes one frame, of gigabytes if need be; zstd:chunked one for each file, and its table of contents
in a skippable frame. Where the frames are large, `transcode` makes a copy that is of small ones.

Sources: RFC 8878, 3.1 (frames), 3.1.1.1.2 (window); "Zstandard Seekable Format" for the size of frames.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator

from regfs.errors import LayerError, LayerLimitError
from regfs.layers.streams.frames import FrameFormat
from regfs.layers.streams.inflate import WINDOW
from regfs.layers.streams.point import Note, Point

if sys.version_info >= (3, 14):
    from compression.zstd import (
        CompressionParameter,
        DecompressionParameter,
        ZstdCompressor,
        ZstdDecompressor,
        ZstdError,
        compress,
    )
else:
    from backports.zstd import (
        CompressionParameter,
        DecompressionParameter,
        ZstdCompressor,
        ZstdDecompressor,
        ZstdError,
        compress,
    )

#: The largest window is 2 to this power, in bytes: 1 GiB, as `zstd --long=30` writes it. The memory is taken
#: only as far as a frame has so much content. Such a frame is read by the child alone: of what is larger than
#: some MiB, a copy in small frames is made.
_WINDOW_LOG = 30

#: Plain bytes between points: frames are smaller in zstd:chunked, and then not each wants one.
_SPACING = 512 << 10

#: Plain bytes of a frame of a copy: what a random read decodes, in 0.3 ms; the copy is some percent larger
#: than one of large frames.
FRAME = 256 << 10

_DECOMPRESSION = {int(DecompressionParameter.window_log_max): _WINDOW_LOG}

#: What is compressed is made while somebody waits. The checksum finds what the disk did to it.
_LEVEL = 1
_COMPRESSION = {
    int(CompressionParameter.compression_level): _LEVEL,
    int(CompressionParameter.checksum_flag): 1,
}


def _begin() -> ZstdDecompressor:
    decompressor: ZstdDecompressor = ZstdDecompressor(options=_DECOMPRESSION)
    return decompressor


def _explain(reason: str) -> LayerError:
    # zstd's words for ZSTD_error_frameParameter_windowTooLarge; its number does not get through to here.
    if "too much memory" in reason:
        return LayerLimitError(f"more than {1 << _WINDOW_LOG} bytes of memory would be needed")
    return LayerError(reason)


def pack(window: bytes) -> bytes:
    """Compress a point's window, to keep it: by zstd in a tenth of the time that zlib takes."""
    packed: bytes = compress(window, _LEVEL)
    return packed


def unpack(packed: bytes) -> bytes:
    """Give the window again. Raises LayerError."""
    try:
        window: bytes = _begin().decompress(packed, WINDOW)
    except ZstdError as error:
        raise LayerError(str(error)) from error
    return window


ZSTD = FrameFormat("zstd", _begin, (ZstdError,), _explain, _SPACING)


def transcode(
    plain: Iterable[bytes], write: Callable[[bytes], object], note: Note, *, frame: int = FRAME
) -> None:
    """Write the plain bytes as independent zstd frames of `frame` plain bytes each, noting a point for each.

    The plain bytes may come in pieces of any size. `write` takes the frames in their order, whole.
    """
    compressor = ZstdCompressor(options=_COMPRESSION)
    position = stored = 0
    for content in _parts(plain, frame):
        # Given all of the content at once, zstd writes its size into the frame's header.
        packed = compressor.compress(content, ZstdCompressor.FLUSH_FRAME)
        note(Point(position, stored))
        write(packed)
        position += len(content)
        stored += len(packed)


def _parts(pieces: Iterable[bytes], size: int) -> Iterator[bytes | memoryview]:
    """Cut or join pieces to parts of `size` bytes each, but for the last."""
    gathered = bytearray()
    for piece in pieces:
        rest = memoryview(piece)
        if gathered:
            missing = size - len(gathered)
            gathered += rest[:missing]
            rest = rest[missing:]
            if len(gathered) < size:
                continue
            yield bytes(gathered)
            gathered.clear()
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
        gathered += rest
    if gathered:
        yield bytes(gathered)
