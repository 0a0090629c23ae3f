"""Reading a compressed blob's plain bytes at any offset. Safe for many threads."""

from __future__ import annotations

from collections.abc import Callable

from regfs.errors import LayerError
from regfs.layers.streams import pieces
from regfs.layers.streams.compression import Compression
from regfs.layers.streams.decoder import Decoder
from regfs.layers.streams.point import Point
from regfs.layers.streams.runs import Runs
from regfs.layers.streams.scan import decode
from regfs.storage import Content


class Reader:
    """The plain bytes of `source`, as a Content of `size` bytes; `source` is closed with it.

    `points(offset)` gives the last point at or before an offset, as `scan` or `transcode` noted it. It is
    called by whatever thread reads. What was decoded from the middle of a gzip member is not checked against
    the member's CRC: `scan` has done that once.
    """

    def __init__(
        self, source: Content, compression: Compression, size: int, points: Callable[[int], Point]
    ) -> None:
        self._source = source
        self._compression = compression
        self._size = size
        self._points = points
        self._runs = Runs()

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on; give the number of bytes, less only at the end.

        Raises LayerError if the blob is not what its points and its size were noted of, and StoreError.
        """
        buffer = buffer[: max(self._size - offset, 0)]
        if not buffer:
            return 0
        if self._compression is Compression.NONE:
            got = self._source.read_into(buffer, offset)
            if got < len(buffer):
                raise LayerError(f"it ends after {offset + got} bytes, before it should")
            return got
        while True:
            turn = self._runs.turn(offset, len(buffer))
            with turn as run:
                if run.broken:
                    continue
                try:
                    if turn.repeated:
                        run.repeat(buffer, offset)
                    else:
                        run.go_on(buffer, offset, self._begin)
                except BaseException:
                    self._runs.give_up(run)
                    raise
                return len(buffer)

    def close(self) -> None:
        """Free the decoders and close the source."""
        self._runs.close()
        self._source.close()

    def _begin(self, offset: int) -> Decoder:
        """Make a decoder that begins at the point before `offset`."""
        point = self._points(offset)
        if not 0 <= point.plain <= offset:
            raise LayerError(f"the point for byte {offset} is noted at {point.plain}")
        return decode(self._compression, pieces.read(self._source, point.first), point)
