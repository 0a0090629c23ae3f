"""Streams of frames, each of which one of Python's own decompressors decodes: zstd's frames, xz's streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from regfs.errors import LayerError
from regfs.layers.streams.point import NEVER, START, Note, Point

#: Stored bytes that a decompressor is fed at once. What it leaves behind the end of a frame is copied by
#: Python, so with small frames more would cost more.
_FED = 32 << 10

#: Plain bytes that one call can give.
_ROOM = 1 << 20


class Decompressor(Protocol):
    """Decodes one frame: lzma.LZMADecompressor and zstd's ZstdDecompressor are such."""

    @property
    def eof(self) -> bool:
        """Whether the frame has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without input."""

    @property
    def unused_data(self) -> bytes:
        """The input behind the frame's end."""

    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes:
        """Give at most `max_length` plain bytes."""


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """What differs from format to format.

    `begin` makes the decompressor of the next frame, and `explain` an error of what its decompressor raised,
    which are `errors`. Between frames may stand zero bytes in multiples of `padding`, none if that is 0.
    `spacing` is the least distance of points in plain bytes.
    """

    name: str
    begin: Callable[[], Decompressor]
    errors: tuple[type[Exception], ...]
    explain: Callable[[str], LayerError]
    spacing: int
    padding: int = 0


class FramesDecoder:
    """Decodes from the beginning of a frame on, through all that follow. A frame's checksum is checked.

    `stored` gives the blob's bytes from there on. With a `note`, it is told of the beginnings of frames that
    are at least `spacing` plain bytes apart (the format's own, if None), the first at the start.
    """

    def __init__(
        self,
        form: FrameFormat,
        stored: Iterator[bytes],
        start: Point = START,
        note: Note | None = None,
        spacing: int | None = None,
    ) -> None:
        self.position = start.plain
        self._format = form
        self._stored = stored
        self._note = note
        self._spacing = form.spacing if spacing is None else spacing
        self._due = start.plain if note else NEVER
        #: The stored bytes at hand, how many of them are used, and the offset in the blob of their end.
        self._piece = memoryview(b"")
        self._used = 0
        self._fed = start.stored
        self._begin()

    def read(self, most: int) -> bytes:
        """Give the next plain bytes, as they come."""
        most = min(most, _ROOM)
        while True:
            frame = self._frame
            if frame.eof:
                self._pad()
                if not self._more():
                    return b""
                self._begin()
                continue
            data = self._take() if frame.needs_input else b""
            try:
                plain = frame.decompress(data, most)
            except self._format.errors as error:
                explained = self._format.explain(str(error))
                where = f"its {self._format.name} data cannot be decompressed near byte {self._offset}"
                raise type(explained)(f"{where}: {explained.reason}") from error
            if frame.eof:
                self._used -= len(frame.unused_data)
            if plain:
                self.position += len(plain)
                return plain

    def close(self) -> None:
        """Free what is at hand."""
        self._piece = memoryview(b"")

    @property
    def _offset(self) -> int:
        return self._fed - len(self._piece) + self._used

    def _begin(self) -> None:
        """Begin a frame here, and note the point if one is due."""
        self._frame = self._format.begin()
        if self._note is not None and self.position >= self._due:
            self._note(Point(self.position, self._offset))
            self._due = self.position + self._spacing

    def _more(self) -> bool:
        """Tell whether there are stored bytes that are not used yet."""
        if self._used == len(self._piece):
            self._piece = memoryview(next(self._stored, b""))
            self._used = 0
            self._fed += len(self._piece)
        return bool(self._piece)

    def _take(self) -> memoryview:
        if not self._more():
            raise LayerError(f"its {self._format.name} data ends in the middle, at byte {self._offset}")
        data = self._piece[self._used : self._used + _FED]
        self._used += len(data)
        return data

    def _pad(self) -> None:
        """Pass over the zero bytes between frames."""
        zeros = 0
        while self._format.padding and self._more() and not self._piece[self._used]:
            rest = bytes(self._piece[self._used :])
            found = len(rest) - len(rest.lstrip(b"\0"))
            self._used += found
            zeros += found
        if zeros and zeros % self._format.padding:
            raise LayerError(
                f"its {self._format.name} data is padded by {zeros} bytes, at byte {self._offset}"
            )
