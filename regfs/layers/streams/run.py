"""A decoder on its way through the plain bytes, and the queue of the reads that wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from regfs.errors import LayerError
from regfs.layers.streams.decoder import Decoder

#: Plain bytes that are decoded at once and thrown away, on the way from a point to a read.
_STEP = 128 << 10


class Stretch(NamedTuple):
    """Plain bytes from one offset to another."""

    start: int
    end: int

    def holds(self, offset: int, size: int) -> bool:
        """Tell whether `size` bytes from `offset` on all lie here."""
        return self.start <= offset and offset + size <= self.end


class Run:
    """One decoder on its way.

    `end`, `skipped`, `steady` and `queue` tell of it as it will be when all reads are done that wait for it
    now; they belong to whoever holds the lock of the runs. All else belongs to the read whose turn it is.
    """

    __slots__ = ("_decoder", "_kept", "_kept_from", "broken", "end", "queue", "skipped", "steady")

    def __init__(self) -> None:
        #: Where it stands.
        self.end = 0
        #: What it passed last without a read of it, which is kept.
        self.skipped = Stretch(0, 0)
        #: Whether it went on from one read to another.
        self.steady = False
        #: Free as soon as the last read in the queue is done.
        self.queue = threading.Lock()
        #: Whether a read failed: it is of no use any more.
        self.broken = False
        self._decoder: Decoder | None = None
        self._kept = b""
        self._kept_from = 0

    def repeat(self, buffer: memoryview, offset: int) -> None:
        """Give bytes that were skipped."""
        start = offset - self._kept_from
        buffer[:] = self._kept[start : start + len(buffer)]

    def go_on(self, buffer: memoryview, offset: int, begin: Callable[[int], Decoder]) -> None:
        """Go on to `offset` and decode what fills the buffer. The first time `begin` makes the decoder.

        Raises LayerError, for damage and if the plain bytes end before.
        """
        if self._decoder is None:
            decoder = self._decoder = begin(offset)
            for _ in _decode(decoder, offset):
                pass
        else:
            decoder = self._decoder
            if decoder.position < offset:
                self._kept_from = decoder.position
                self._kept = b"".join(_decode(decoder, offset))
        filled = 0
        for piece in _decode(decoder, offset + len(buffer)):
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)

    def close(self) -> None:
        """Free the decoder."""
        if self._decoder is not None:
            self._decoder.close()


def _decode(decoder: Decoder, end: int) -> Iterator[bytes]:
    """Decode all bytes up to `end`, in pieces."""
    while decoder.position < end:
        piece = decoder.read(min(end - decoder.position, _STEP))
        if not piece:
            raise LayerError(f"it ends after {decoder.position} bytes uncompressed, before it should")
        yield piece
