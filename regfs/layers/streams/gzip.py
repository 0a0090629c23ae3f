"""Gzip: members, one behind the other, each a header, deflate blocks, and a CRC and length that are checked.

Most layers are one member; pigz and eStargz can write many, the latter one for each file. What stands behind
the last is passed over, as gzip(1) does, unless it begins as a member does.

Sources: RFC 1952, 2.2 and 2.3; for zero bytes and other garbage behind the end, what gzip(1) does.
"""

from __future__ import annotations

from collections.abc import Iterator

from regfs.errors import LayerError
from regfs.layers.streams.inflate import ROOM, Inflater, fastest
from regfs.layers.streams.point import NEVER, START, Note, Point

#: Plain bytes between points: half of them is what a random read has to decode first, some 2 ms; and a point
#: has a window of 32 KiB to be kept. (LAYERS.md has the measurements: 1, 2 and 4 MiB.)
SPACING = 1 << 20

#: Plain bytes between points at the beginnings of members: these have no window. Small members take longer.
_SPACING_OF_MEMBERS = 512 << 10

#: RFC 1952, 2.3.1: ID1 and ID2.
_MAGIC = b"\x1f\x8b"
#: RFC 1952, 2.3.1: CRC32 and ISIZE, behind the last block.
_TRAILER = 8


class GzipDecoder:
    """Decodes from a point on, through all members that follow.

    `stored` gives the blob's bytes from `start.first` on. With a `note`, it is told of points at least
    `spacing` plain bytes apart, the first at the start. A member's CRC and length are checked if it was begun
    at its header.
    """

    def __init__(
        self, stored: Iterator[bytes], start: Point = START, note: Note | None = None, spacing: int = SPACING
    ) -> None:
        self.position = start.plain
        self._stored = stored
        self._note = note
        self._spacing = spacing
        #: From which position on a point is to be noted, and one at the beginning of a member.
        self._due = self._member_due = start.plain if note else NEVER
        #: The offset in the blob of the end of what the inflater was fed.
        self._fed = start.first
        self._dry = False
        self._finished = False
        self._inflater = Inflater(fastest())
        self._inside = start.window is not None
        try:
            self._begin(start)
        except BaseException:
            self.close()
            raise

    def _begin(self, start: Point) -> None:
        if start.window is None:
            self._pass()
            return
        piece = next(self._stored, b"") if start.bits else b""
        if start.bits and not piece:
            raise self._cut_short()
        value = piece[0] >> (8 - start.bits) if piece else 0
        self._inflater.begin_inside(start.window, start.bits, value)
        self._fed += len(piece)
        self._inflater.feed(piece[1:])

    def read(self, most: int) -> bytes:
        """Give the next plain bytes, as many as one call can."""
        inflater, filled, most = self._inflater, 0, min(most, ROOM)
        while filled < most and not self._finished:
            if not inflater.waiting:
                self._feed()
            room, way = most - filled, self._due - self.position
            stop = way <= 0 and not self._dry
            if 0 < way < room:
                room = way
            try:
                got = inflater.inflate(filled, room, stop=stop)
            except LayerError as error:
                raise LayerError(
                    f"its gzip data is damaged near byte {self._offset}: {error.reason}"
                ) from error
            filled += got
            self.position += got
            if inflater.ended:
                self._next_member()
            elif self._dry and not got:
                raise self._cut_short()
            elif stop and inflater.at_block:
                self._pass(inflater.window())
        return inflater.output(filled)

    def close(self) -> None:
        """Free what zlib holds."""
        self._inflater.close()

    @property
    def _offset(self) -> int:
        return self._fed - self._inflater.waiting

    def _feed(self) -> None:
        """Give the inflater the next stored bytes in place of none."""
        piece = next(self._stored, b"")
        self._dry = not piece
        self._fed += len(piece)
        self._inflater.feed(piece)

    def _gather(self, size: int) -> None:
        """Bring together at least `size` stored bytes that are not used, if there are so many."""
        while self._inflater.waiting < size and not self._dry:
            rest = self._inflater.rest()
            self._feed()
            self._inflater.feed(rest + self._inflater.rest())

    def _next_member(self) -> None:
        """Go on behind a member's last block, or its trailer, with the next member or to the end."""
        inflater = self._inflater
        if self._inside:
            self._inside = False
            self._gather(_TRAILER)
            if inflater.waiting < _TRAILER:
                raise self._cut_short()
            inflater.feed(inflater.rest()[_TRAILER:])
        if not inflater.goes_on_with(_MAGIC):
            self._gather(len(_MAGIC))
            if not _is_member(inflater.rest()):
                self._end()
                return
        inflater.begin_member()
        if self.position >= self._member_due:
            self._pass()

    def _end(self) -> None:
        """End where no member follows. The stored bytes are taken to their end all the same."""
        self._finished = True
        for piece in self._stored:
            self._fed += len(piece)

    def _pass(self, window: bytes | None = None) -> None:
        """Note a point here, in the middle of a member if there is a window."""
        if self._note is not None:
            bits = 0 if window is None else self._inflater.bits
            self._note(Point(self.position, self._offset, bits, window))
            self._due = self.position + self._spacing
            self._member_due = self.position + min(self._spacing, _SPACING_OF_MEMBERS)

    def _cut_short(self) -> LayerError:
        return LayerError(f"its gzip data ends in the middle, at byte {self._offset}")


def _is_member(rest: bytes) -> bool:
    """Tell whether what follows a member is another, if a damaged one: of the magic, one byte is enough.

    So a single wrong byte does not end the data, as it would if it made garbage of a member.
    """
    return rest[:1] == _MAGIC[:1] or rest[1:2] == _MAGIC[1:]
