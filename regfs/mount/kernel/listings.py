"""Directories that somebody is reading: each READDIR goes on where the one before ended.

The kernel keeps no handle of a directory (NO_OPENDIR, so that it may cache listings), only the number of the
last name: a cookie. Here a cookie has the number of a reading, and the place in it. A reading that is under
way is a generator over the listing as it was when it began, so that a directory that changes meanwhile shows
nothing twice and misses nothing. One that was put away, or jumps, begins anew and passes over what went
before. The cookie of the last name is END in each directory: the kernel asks once more behind it, and that
needs nothing to be kept or known. Safe for many threads: a reading belongs to one at a time.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

from regfs.errors import RegfsError
from regfs.tree import Attributes, Child, Directory, NodeType

#: Readings that are under way at the same time; those that were left alone longest are put away.
_MOST = 128

_PLACE_BITS = 32
_PLACE = (1 << _PLACE_BITS) - 1
_NUMBERS = 1 << 30

#: The cookie of the last name; no reading has the number.
END = _NUMBERS << _PLACE_BITS

#: By a name of its own: to look up a member of an enum takes as long as to call a function.
_DIRECTORY = NodeType.DIRECTORY

#: One name, with what stat(2) tells of it.
ListedName = tuple[Child, Attributes | None]

#: Names that are in every directory, before its children.
DOTS = (b".", b"..")


class Reading:
    """One reading of a directory: `entries` is what comes next, behind the name that has the `cookie`.

    Whoever takes one of them gives it the next cookie.
    """

    __slots__ = ("cookie", "directory", "entries", "nodeid")

    def __init__(self, cookie: int, nodeid: int, directory: Directory) -> None:
        self.cookie = cookie
        self.nodeid = nodeid
        self.directory = directory
        children = _with_names_alone(directory) if directory.dear else directory.entries()
        self.entries: Iterator[ListedName] = itertools.chain(_dots(directory), children)
        if place := cookie & _PLACE:
            next(islice(self.entries, place - 1, None), None)

    def put_back(self, entry: ListedName) -> None:
        """Let what was got last come next."""
        self.entries = itertools.chain([entry], self.entries)


def _dots(directory: Directory) -> list[ListedName]:
    number = directory.inode
    return [(Child(".", _DIRECTORY, number), None), (Child("..", _DIRECTORY, number), None)]


def _with_names_alone(directory: Directory) -> Iterator[ListedName]:
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
        return Reading(offset or next(self._numbers) % _NUMBERS << _PLACE_BITS, nodeid, directory)

    def go_on(self, nodeid: int, offset: int) -> Reading | None:
        """Give the reading that is at a cookie, if it is still under way. Nobody else has it then."""
        with self._lock:
            reading = self._under_way.pop(offset >> _PLACE_BITS, None)
        if reading is None or reading.cookie != offset or reading.nodeid != nodeid:
            return None
        return reading

    def put(self, reading: Reading) -> None:
        """Keep a reading for the next call."""
        with self._lock:
            self._under_way[reading.cookie >> _PLACE_BITS] = reading
            if len(self._under_way) > _MOST:
                self._under_way.popitem(last=False)
