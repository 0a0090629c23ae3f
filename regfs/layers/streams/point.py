"""A place where decompression can begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Point(NamedTuple):
    """A place where decompression can begin, of one of two kinds.

    - `window` is None: at byte `stored` of the blob begins a gzip member, a zstd frame or the xz stream, with
      its own header, and nothing before it matters.
    - `window` is bytes (gzip only): a deflate block begins there, in the middle of a member, and may copy
      from the `window`, which is the last plain bytes of this member before it: at most 32 KiB, and fewer
      (or b"") where the member has no more. The block begins with the upper `bits` bits (0 to 7) of the byte
      before `stored`.

    `plain` is the offset among the uncompressed bytes.
    """

    plain: int
    stored: int
    bits: int = 0
    window: bytes | None = None

    @property
    def first(self) -> int:
        """The offset of the first stored byte that is needed to begin here."""
        return self.stored - 1 if self.bits else self.stored


#: Where every stream begins.
START = Point(0, 0)

#: What is told of each point as a stream passes it.
Note = Callable[[Point], object]

#: A distance between points that no stream has: only the point at the start is noted.
NEVER = 1 << 62
