"""The bytes of an object, by ranges that are read ahead.

Whoever reads in order gets ranges of 1 MiB and more, up to 32, which he reads while they come, and the next
one is asked for before he needs it; whoever reads here and there gets what he asks for, rounded. A range is
received as fast as it comes, whoever reads it: a stream that waits for a slow reader would be cut off. Safe
for many threads. It has no descriptor: nothing but regfs can read it.
"""

from __future__ import annotations

import errno
import threading
import time
from collections import deque

from regfs.errors import GivenUpError, MissingError, UnreadableError
from regfs.storage.objects.bucket import Bucket
from regfs.storage.objects.requests import wait

_KIB, _MIB = 1 << 10, 1 << 20

#: Bytes of all that is read ahead, or kept, for all objects that are open.
_ROOM = 64 * _MIB

#: Ranges of whoever reads in order: the first; the largest; and the largest of a store that gives a second
#: `_FAST` bytes through one connection. Others are read by more connections. A server that is near takes a
#: third more of its processor's time for the same bytes in ranges of 8 MiB as in those of 32 (SeaweedFS).
_FIRST, _LARGE, _LARGEST, _FAST = _MIB, 8 * _MIB, 32 * _MIB, 80 * _MIB

#: Bytes that are there or under way behind what he reads.
_AHEAD = 24 * _MIB

#: What is read at once of whoever reads here and there.
_RANDOM = 256 * _KIB

#: A read so near to the last is one in order: the kernel's come side by side, not quite one after the other.
_NEAR = 4 * _MIB


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


class Range:
    """Bytes of an object from `start` up to `end` that were asked for; `at`: up to where they are there.

    `start` moves as its first parts are let go. Used under the content's lock.
    """

    __slots__ = ("_parts", "at", "end", "ended", "error", "start", "wanted")

    def __init__(self, start: int, end: int) -> None:
        self.start = self.at = start
        self.end = end
        #: Whether it is to go on, and whether nothing more will come, and what was wrong.
        self.wanted = True
        self.ended = False
        self.error: BaseException | None = None
        self._parts: deque[tuple[int, memoryview]] = deque()

    def came(self, part: memoryview) -> None:
        """Keep what came next."""
        self._parts.append((self.at, part))
        self.at += len(part)

    def part(self, offset: int) -> memoryview | None:
        """Give what is there from an offset on, as far as one part goes; None if it was let go."""
        for start, part in self._parts:
            if start <= offset < start + len(part):
                return part[offset - start :]
        return None

    def let_go(self, before: int) -> int:
        """Forget the parts that end before an offset; tell how many bytes those are."""
        start = self.start
        while self._parts and self._parts[0][0] + len(self._parts[0][1]) <= before:
            self.start += len(self._parts.popleft()[1])
        return self.start - start


class ObjectContent:
    """An open object of so many bytes."""

    def __init__(self, bucket: Bucket, key: str, size: int, blocks: Blocks) -> None:
        self._bucket = bucket
        self._key = key
        self._size = size
        self._blocks = blocks
        #: The lock, and what is told when bytes came.
        self._came = threading.Condition()
        self._ranges: list[Range] = []
        #: Where a read in order would go on, how much it would ask for, and the most.
        self._next = 0
        self._step = _FIRST
        self._most = _LARGE
        self._closed = False

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on. Raises UnreadableError, StoreAwayError."""
        filled = 0
        for part in self.parts(offset, len(buffer)):
            buffer[filled : filled + len(part)] = part
            filled += len(part)
        return filled

    def parts(self, offset: int, size: int) -> list[memoryview]:
        """Give what `read_into` would, as it was received. Raises as that."""
        end = min(offset + size, self._size)
        found: list[memoryview] = []
        while offset < end:
            part = self._part(offset, end - offset)
            if part is not None:
                found.append(part[: end - offset])
                offset += len(found[-1])
        return found

    def _part(self, offset: int, wanted: int) -> memoryview | None:
        """Wait for what stands at an offset; None if another reader had it let go meanwhile."""
        with self._came:
            if self._closed:
                raise GivenUpError(self._key)
            found = self._range(offset, wanted)
            wait(
                lambda seconds: self._came.wait_for(lambda: found.at > offset or found.ended, seconds),
                self._bucket.given_up,
                self._key,
            )
            if found.at > offset or not found.wanted:
                return found.part(offset)
            self._forget([found])
        if isinstance(found.error, MissingError):
            said = "was deleted while it was read"
            raise UnreadableError(self._key, said, errno.EIO, denied=False) from found.error
        if found.error is not None:
            raise found.error
        raise UnreadableError(self._key, "has become shorter while it was read", errno.EIO, denied=False)

    def _range(self, offset: int, wanted: int) -> Range:
        """Give the range that holds what stands at an offset; begin to read it, and what comes behind it."""
        in_order = -_NEAR <= offset - self._next <= _NEAR
        found = self._at(offset)
        if found is None and in_order:
            found = self._begin(offset, needed=True)
        elif found is None:
            self._step = _FIRST
            self._forget(self._ranges)
            start, end = offset // _RANDOM * _RANDOM, -(-(offset + wanted) // _RANDOM) * _RANDOM
            found = self._ask(start, end, needed=True)
        assert found is not None  # noqa: S101 - `needed`
        if in_order:
            self._read_ahead(offset, found.end)
        self._next = max(offset + wanted, self._next) if in_order else offset + wanted
        return found

    def _at(self, offset: int) -> Range | None:
        return next((found for found in self._ranges if found.start <= offset < found.end), None)

    def _begin(self, start: int, *, needed: bool = False) -> Range | None:
        """Begin to read in order, as much as there is room for; None where there is none, unless `needed`.

        Up to a multiple of the step: stores keep objects in parts of some MiB, and have to read both of those
        that a range begins inside of.
        """
        step = self._step
        while True:
            last = step <= _FIRST
            found = self._ask(start, start + step - start % step, needed=needed and last)
            if found is not None or last:
                return found
            step //= 2

    def _ask(self, start: int, end: int, *, needed: bool) -> Range | None:
        """Begin to read a range, up to where another stands."""
        end = min([end, self._size, *(other.start for other in self._ranges if other.start > start)])
        if not self._blocks.take(end - start, anyway=needed):
            return None
        asked = Range(start, end)
        self._ranges.append(asked)
        began = time.monotonic()

        def came(part: memoryview) -> bool:
            with self._came:
                if asked.wanted:
                    asked.came(part)
                    self._came.notify_all()
                return asked.wanted

        def ended(error: BaseException | None) -> None:
            seconds = time.monotonic() - began
            with self._came:
                if asked.at == end and end - start >= _LARGE:
                    self._most = _LARGEST if end - start > _FAST * seconds else _LARGE
                asked.ended, asked.error = True, error
                self._came.notify_all()

        self._bucket.begin_range(self._key, start, end, came, ended)
        return asked

    def _read_ahead(self, offset: int, end: int) -> None:
        """Let go of what lies behind an offset, and begin what comes after the range that ends at `end`."""
        self._forget([found for found in self._ranges if found.end <= offset - _NEAR])
        for found in self._ranges:
            self._blocks.give(found.let_go(offset - _NEAR))
        if self._next == 0:  # a first read is not yet one in order
            return
        while end < self._size and end - offset < _AHEAD:
            following = self._at(end)
            if following is None:
                self._step = min(2 * self._step, self._most)
                following = self._begin(end)
                if following is None:
                    return
            end = following.end

    def _forget(self, ranges: list[Range]) -> None:
        for found in list(ranges):
            if found in self._ranges:
                self._ranges.remove(found)
                self._blocks.give(found.end - found.start)
                found.wanted = found.ended  # else whoever waits for it has to ask anew

    def close(self) -> None:
        """Let go of all."""
        with self._came:
            self._closed = True
            self._forget(self._ranges)
