"""The bytes of an object, by ranges that are read ahead.

Whoever reads in order gets ranges of 1 MiB and more, up to 8, and the next four under way; whoever reads here
and there gets what he asks for, rounded. No stream is held open: a slow reader would have it cut off. Safe
for many threads. It has no descriptor: nothing but regfs can read it.
"""

from __future__ import annotations

import errno
import threading
from typing import NamedTuple

from regfs.errors import MissingError, UnreadableError
from regfs.storage.objects.bucket import Bucket
from regfs.storage.objects.requests import Asked

_KIB, _MIB = 1 << 10, 1 << 20

#: Bytes of all that is read ahead, or kept, for all objects that are open.
_ROOM = 64 * _MIB

#: Ranges of whoever reads in order: the first, and the largest; and how many are under way behind his.
_FIRST, _LARGEST, _AHEAD = _MIB, 8 * _MIB, 4

#: What is read at once of whoever reads here and there.
_RANDOM = 256 * _KIB

#: A read so near to the last is one in order: the kernel's come side by side, not quite one after the other.
_NEAR = 2 * _MIB


class Blocks:
    """The room for what is read ahead."""

    def __init__(self, room: int = _ROOM) -> None:
        self._lock = threading.Lock()
        self._free = room

    def take(self, size: int, *, anyway: bool = False) -> bool:
        """Take room, if there is some; `anyway`, if there is none: for what somebody waits for."""
        with self._lock:
            if size > self._free and not anyway:
                return False
            self._free -= size
            return True

    @property
    def free(self) -> int:
        """The bytes of room that are left; less than none, where more was waited for."""
        return self._free

    def give(self, size: int) -> None:
        """Give room back."""
        with self._lock:
            self._free += size


class Piece(NamedTuple):
    """Some bytes of an object, which are there or under way."""

    start: int
    end: int
    asked: Asked[memoryview]


class ObjectContent:
    """An open object of so many bytes."""

    def __init__(self, bucket: Bucket, key: str, size: int, blocks: Blocks) -> None:
        self._bucket = bucket
        self._key = key
        self._size = size
        self._blocks = blocks
        self._lock = threading.Lock()
        self._pieces: list[Piece] = []
        #: Where a read in order would go on, and how much it would ask for.
        self._next = 0
        self._step = _FIRST

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on. Raises UnreadableError, StoreAwayError."""
        wanted = min(len(buffer), self._size - offset)
        filled = 0
        while filled < wanted:
            piece = self._piece(offset + filled, wanted - filled)
            content = self._bytes(piece)
            skip = offset + filled - piece.start
            part = content[skip : skip + wanted - filled]
            buffer[filled : filled + len(part)] = part
            filled += len(part)
        return filled

    def view(self, offset: int, size: int) -> memoryview | None:
        """Give what stands there as it was received; None if it came in several pieces, or ends before.

        Raises as `read_into`.
        """
        if size > self._size - offset:
            return None
        piece = self._piece(offset, size)
        skip = offset - piece.start
        part = self._bytes(piece)[skip : skip + size]
        return part if len(part) == size else None

    def _bytes(self, piece: Piece) -> memoryview:
        try:
            content = piece.asked.wait(self._bucket.given_up, self._key)
        except MissingError as error:
            self._drop(piece)
            said = "was deleted while it was read"
            raise UnreadableError(self._key, said, errno.EIO, denied=False) from error
        except BaseException:
            if piece.asked.done:  # else others may wait for it
                self._drop(piece)
            raise
        if len(content) != piece.end - piece.start:
            self._drop(piece)
            raise UnreadableError(self._key, "has become shorter while it was read", errno.EIO, denied=False)
        return content

    def _piece(self, offset: int, wanted: int) -> Piece:
        """Give the piece that holds what stands at an offset; begin to read it, and those behind it."""
        with self._lock:
            in_order = -_NEAR <= offset - self._next <= _NEAR
            found = self._at(offset)
            if found is None:
                if in_order:
                    found = self._begin(offset, _up_to(offset, self._step), anyway=True)
                else:
                    self._step = _FIRST
                    self._forget(self._pieces)
                    start = offset // _RANDOM * _RANDOM
                    end = -(-(offset + wanted) // _RANDOM) * _RANDOM
                    found = self._begin(start, end - start, anyway=True)
                assert found is not None  # noqa: S101 - `anyway`
            if in_order:
                self._read_ahead(offset)
            self._next = max(offset + wanted, self._next) if in_order else offset + wanted
            return found

    def _at(self, offset: int) -> Piece | None:
        return next((piece for piece in self._pieces if piece.start <= offset < piece.end), None)

    def _begin(self, start: int, size: int, *, anyway: bool = False) -> Piece | None:
        """Begin to read a piece, up to where the next one stands."""
        end = min([start + size, self._size, *(piece.start for piece in self._pieces if piece.start > start)])
        if not self._blocks.take(end - start, anyway=anyway):
            return None
        piece = Piece(start, end, self._bucket.begin_range(self._key, start, end))
        self._pieces.append(piece)
        return piece

    def _read_ahead(self, offset: int) -> None:
        """Let go of what lies behind, and begin what comes next."""
        self._forget([piece for piece in self._pieces if piece.end <= offset - _NEAR])
        here = self._at(offset)
        if here is None or self._next == 0:  # a first read is not yet one in order
            return
        end, ahead = here.end, 0
        while ahead < _AHEAD and end < self._size:
            following = self._at(end)
            if following is None:
                self._step = min(2 * self._step, _LARGEST)
                following = self._begin(end, _up_to(end, self._step))
                if following is None:
                    return
            end, ahead = following.end, ahead + 1

    def _drop(self, piece: Piece) -> None:
        with self._lock:
            self._forget([piece])

    def _forget(self, pieces: list[Piece]) -> None:
        for piece in list(pieces):
            if piece in self._pieces:
                self._pieces.remove(piece)
                self._blocks.give(piece.end - piece.start)

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            self._forget(self._pieces)


def _up_to(start: int, step: int) -> int:
    """Tell how many bytes there are up to the next multiple of a step.

    Stores keep objects in parts of some MiB: a range that begins inside of two has both read by the server.
    """
    return step - start % step
