"""Directories that somebody is reading: each READDIR goes on where the one before ended.

The kernel keeps no handle of a directory (NO_OPENDIR, so that it may cache listings), only the number of the
last name: a cookie. Here a cookie has the number of a reading, and the place in it. A reading that is under
way is a generator over the listing as it was when it began, so that a directory that changes meanwhile shows
nothing twice and misses nothing. One that was put away, or jumps, begins anew and passes over what went
before. Safe for many threads: a reading belongs to one at a time.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

from regfs.errors import RegfsError
from regfs.tree import Attributes, Child, Directory

#: Readings that are under way at the same time; those that were left alone longest are put away.
_MOST = 128

_PLACE_BITS = 32
_PLACE = (1 << _PLACE_BITS) - 1
_NUMBERS = 1 << 30


class Reading:
    """One reading of a directory: an iterator over what comes next, each with its cookie.

    `place` is how many names were given, `.` and `..` first.
    """

    __slots__ = ("_entries", "directory", "nodeid", "number", "place")

    def __init__(self, number: int, nodeid: int, directory: Directory, place: int) -> None:
        self.number = number
        self.nodeid = nodeid
        self.directory = directory
        self.place = place
        self._entries = _with_names_alone(directory) if directory.dear else directory.entries()
        if place > len(DOTS):
            next(islice(self._entries, place - len(DOTS) - 1, None), None)

    @property
    def cookie(self) -> int:
        """Where the next answer goes on behind the name that was given last."""
        return self.number << _PLACE_BITS | self.place

    def __iter__(self) -> Iterator[tuple[Child, Attributes | None]]:
        """Give what comes next, and count it as given. Raises what spoils the whole."""
        for entry in self._entries:
            self.place += 1
            yield entry

    def put_back(self, entry: tuple[Child, Attributes | None]) -> None:
        """Let what was got last come next."""
        self._entries = itertools.chain([entry], self._entries)
        self.place -= 1


#: Names that are in every directory, before its children.
DOTS = (b".", b"..")


def _with_names_alone(directory: Directory) -> Iterator[tuple[Child, Attributes | None]]:
    for child in directory.children():
        try:
            yield child, child.node.attributes() if child.node else None
        except RegfsError:
            yield child, None


class Listings:
    """The readings under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: OrderedDict[int, Reading] = OrderedDict()
        self._numbers = itertools.count(1)

    def begin(self, nodeid: int, directory: Directory, offset: int) -> Reading:
        """Give a reading from the beginning on, or from a cookie."""
        number, place = offset >> _PLACE_BITS, offset & _PLACE
        return Reading(number or next(self._numbers) % _NUMBERS, nodeid, directory, place)

    def go_on(self, nodeid: int, offset: int) -> Reading | None:
        """Give the reading that is at a cookie, if it is still under way. Nobody else has it then."""
        with self._lock:
            reading = self._under_way.pop(offset >> _PLACE_BITS, None)
        if reading is None or reading.place != offset & _PLACE or reading.nodeid != nodeid:
            return None
        return reading

    def put(self, reading: Reading) -> None:
        """Keep a reading for the next call."""
        with self._lock:
            self._under_way[reading.number] = reading
            if len(self._under_way) > _MOST:
                self._under_way.popitem(last=False)
