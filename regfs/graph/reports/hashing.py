"""Reading a blob to its end, to hash it: no faster than it may, and until it is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from regfs.storage import Content

#: Bytes that are hashed at once.
_PIECE = 1 << 20


class Hashing(Protocol):
    """One of hashlib's."""

    def update(self, data: memoryview, /) -> None:
        """Take in more."""


def feed(content: Content, hashings: Sequence[Hashing], passes: Callable[[int], bool]) -> bool:
    """Have all bytes of a content hashed; False if it was stopped before the end.

    `passes` is told of bytes that were read, and tells whether to go on. Raises StoreError, StoreAwayError.
    """
    buffer = memoryview(bytearray(_PIECE))
    offset = 0
    while got := content.read_into(buffer, offset):
        for hashing in hashings:
            hashing.update(buffer[:got])
        offset += got
        if not passes(got):
            return False
    return True


class Throttle:
    """Lets so many bytes pass in a second; None lets all pass."""

    def __init__(
        self,
        rate: float | None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, size: int) -> None:
        """Wait until `size` more bytes may be read."""
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            start = max(now, self._free_at)
            self._free_at = start + size / self._rate
        if start > now:
            self._pause(start - now)
