"""What the kernel was told of inside one image, or one layer: some forty bytes for each name.

A walk through `rootfs/` shows it hundreds of thousands of names, and it remembers them until it wants the
memory. What is inside lasts, so nothing is kept but how to find it again: the directory that it is in, and
its name there. Not safe for threads: `InodeTable` holds its lock.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from regfs.mount.kernel.slots import SlotIndex


class InsidePlace(NamedTuple):
    """Where something is: the number of its directory, 0 for the top, and its name there."""

    directory: int
    name: bytes


class Insides:
    """Numbers, from 1 on, of places."""

    __slots__ = ("_directories", "_ends", "_index", "_names")

    def __init__(self) -> None:
        self._directories = array("I", [0])
        self._names = bytearray()
        #: Where the name of each number ends.
        self._ends = array("Q", [0])
        self._index = SlotIndex()

    def __len__(self) -> int:
        return len(self._directories) - 1

    def place(self, number: int) -> InsidePlace:
        """Tell what a number stands for. Raises IndexError."""
        start, end = self._ends[number - 1], self._ends[number]
        return InsidePlace(self._directories[number], bytes(self._names[start:end]))

    def _is(self, number: int, place: InsidePlace) -> bool:
        directory, name = place
        names, ends = self._names, self._ends
        return self._directories[number] == directory and names[ends[number - 1] : ends[number]] == name

    def number(self, place: InsidePlace, most: int) -> int | None:
        """Give the number of a place, a new one if it has none; None if that were more than `most`."""
        key = hash(place)
        found = self._index.find(key, lambda number: self._is(number, place))
        if found is not None:
            return found
        number = len(self._directories)
        if number > most:
            return None
        self._directories.append(place.directory)
        self._names += place.name
        self._ends.append(len(self._names))
        self._index.add(key, number, lambda other: hash(self.place(other)))
        return number
