"""The stored bytes of a blob, piece by piece, as the decoders take them: none is empty, none is large."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from regfs.storage import Content

#: The most that a decoder is given at once, in bytes: a bound of its memory.
_LARGEST = 1 << 20

#: Bytes read at once from an open blob: a random read wants some 350 KB, the next in its order 50 KB.
_READ = 128 << 10


def cut(stored: Iterable[bytes]) -> Iterator[bytes]:
    """Give the same bytes in pieces that suit the decoders."""
    for piece in stored:
        if len(piece) <= _LARGEST:
            if piece:
                yield piece
        else:
            for start in range(0, len(piece), _LARGEST):
                yield piece[start : start + _LARGEST]


def read(source: Content, offset: int) -> Iterator[bytes]:
    """Read a blob from `offset` to its end."""
    buffer = bytearray(_READ)
    view = memoryview(buffer)
    while got := source.read_into(view, offset):
        yield bytes(view[:got])
        offset += got
