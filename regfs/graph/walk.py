"""Where readers are in a listing, so that what comes next can be read ahead: as a kernel does within a file.

Safe for many threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from regfs.registry.contents import Listing

#: Tags whose times are read ahead; images that are read ahead, at first and at most. An image takes some 13
#: round trips, one after the other: with 96 under way, seven or eight become known in each.
_TIMES = 1024
_FIRST_IMAGES = 4
_IMAGES = 96

#: Readers of one listing that are told apart.
_MOST_READERS = 8

#: Names that a reader may pass over, or that readers side by side may be out of order.
_SLACK = 4


class Reader:
    """Somebody who goes through the names in their order.

    `last` is the last name asked for, `ahead` the first that is not yet begun, by their positions; `window`
    tells how many are begun behind `last`.
    """

    __slots__ = ("ahead", "last", "window")

    def __init__(self, last: int, window: int) -> None:
        self.last = last
        self.ahead = last + 1
        self.window = window


class Readers:
    """All who go through the names of one listing.

    Who asks for the first name, or for two in a row, is taken to go on: `first` names are begun ahead, and
    twice as many with each name until they are `most`.
    """

    def __init__(self, names: Sequence[str], positions: Mapping[str, int], first: int, most: int) -> None:
        self._names = names
        self._positions = positions
        self._first = first
        self._most = most
        self._lock = Lock()
        self._readers: list[Reader] = []

    def asked(self, name: str, begin: Callable[[str], bool]) -> None:
        """Note that somebody asks for a name, and begin what follows, until `begin` gives False."""
        position = self._positions.get(name)
        if position is None:
            return
        with self._lock:
            reader = self._find(position)
            reader.ahead = max(reader.ahead, position + 1)
            end = min(position + 1 + reader.window, len(self._names))
            while reader.ahead < end and begin(self._names[reader.ahead]):
                reader.ahead += 1

    def missed(self, name: str) -> None:
        """Note that a name was not read ahead, or that it was forgotten since: the next is begun again."""
        position = self._positions.get(name)
        with self._lock:
            for reader in self._readers:
                if reader.last == position:
                    reader.ahead = reader.last + 1

    def _find(self, position: int) -> Reader:
        """Find who asks, or a new one; the latest is the last of them."""
        for reader in reversed(self._readers):
            if 0 <= position - reader.last <= _SLACK:
                self._readers.remove(reader)
                if position > reader.last:
                    reader.window = min(max(self._first, 2 * reader.window), self._most)
                    reader.last = position
                break
        else:
            reader = Reader(position, 0 if position else self._first)
            del self._readers[: 1 - _MOST_READERS]
        self._readers.append(reader)
        return reader


class Walk:
    """What is asked of the tags of one listing: their times (`ls -l`), their images (`find`, `du`)."""

    def __init__(self, listing: Listing) -> None:
        names = [tag for tag, sound in listing.tags.items() if sound]
        positions = {name: position for position, name in enumerate(names)}
        self.listing = listing
        self.times = Readers(names, positions, _TIMES, _TIMES)
        self.images = Readers(names, positions, _FIRST_IMAGES, _IMAGES)

    def __len__(self) -> int:
        return 1 + len(self.listing.tags)

    def again(self, listing: Listing) -> Walk:
        """Give who goes through a newer listing: the same, if it has the same tags."""
        if listing.tags != self.listing.tags:
            return Walk(listing)
        self.listing = listing
        return self
