"""What is read of an open layer: its tar, and the files in it. Safe for many threads."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Callable, Iterable
from typing import Protocol

from regfs.errors import LayerError
from regfs.layers.entry import Extent


class Tar(Protocol):
    """The uncompressed tar of a layer."""

    def read_tar(self, buffer: memoryview, offset: int, given_up: Callable[[], bool]) -> int:
        """Fill `buffer` from `offset` on; give the number of bytes, less only at the end."""

    def release(self) -> None:
        """Say that one who reads is done."""


class TarContent:
    """All of a layer's tar."""

    def __init__(self, tar: Tar, given_up: Callable[[], bool]) -> None:
        self._tar = tar
        self._given_up = given_up

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on. Raises LayerError, StoreError, NoRoomError, GivenUpError."""
        return self._tar.read_tar(buffer, offset, self._given_up)

    def close(self) -> None:
        """Let go of the layer."""
        self._tar.release()


class LayerFileContent:
    """One file: `size` bytes, of which the extents stand in the tar. All others are zeros."""

    def __init__(self, tar: Tar, size: int, extents: Iterable[Extent], given_up: Callable[[], bool]) -> None:
        self._tar = tar
        self._size = size
        self._given_up = given_up
        # A file may have a million extents, which as tuples would take ten times the memory.
        self._starts, self._ends, self._offsets = array("q"), array("q"), array("q")
        for start, length, offset in sorted(extent for extent in extents if extent.size):
            self._starts.append(start)
            self._ends.append(start + length)
            self._offsets.append(offset)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on. Raises LayerError, StoreError, NoRoomError, GivenUpError."""
        buffer = buffer[: max(self._size - offset, 0)]
        at, end = offset, offset + len(buffer)
        index = max(bisect.bisect_right(self._starts, offset) - 1, 0)
        while at < end and index < len(self._starts):
            start, stop = max(self._starts[index], at), min(self._ends[index], end)
            if start < stop:
                _zero(buffer[at - offset : start - offset])
                where = self._offsets[index] + start - self._starts[index]
                part = buffer[start - offset : stop - offset]
                if self._tar.read_tar(part, where, self._given_up) < len(part):
                    raise LayerError(f"the tar of the layer ends before byte {where + len(part)}")
                at = stop
            elif self._starts[index] >= end:
                break
            index += 1
        _zero(buffer[at - offset :])
        return len(buffer)

    def close(self) -> None:
        """Let go of the layer."""
        self._tar.release()


def _zero(buffer: memoryview) -> None:
    buffer[:] = bytes(len(buffer))
