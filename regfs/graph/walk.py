"""Who goes through a listing, so that what comes next can be asked together, as a kernel reads ahead.

Safe for many threads.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from threading import Lock
from typing import NamedTuple

from regfs.registry.contents import Listing


class Window(NamedTuple):
    """How many names are asked for ahead, when a walk begins and at most."""

    first: int
    most: int


#: Links of tags, where the storage is far: one thread each; and where they are near: one look for all.
FAR_LINKS, NEAR_LINKS = Window(1024, 1024), Window(4, 64)

#: Images of a slow storage. One takes some 13 round trips, one after the other: with 96 under way, seven or
#: eight become known in each.
IMAGES = Window(4, 96)

#: Walks through one listing that are told apart.
_MOST_WALKERS = 8

#: Names that a walk may pass over behind what it was answered together, or that walks side by side may be out
#: of order.
_SLACK = 4


class Walker:
    """One walk: `last` is the last name asked for, `ahead` the first not yet begun, by their positions.

    `window` tells how many are begun behind `last`.
    """

    __slots__ = ("ahead", "last", "window")

    def __init__(self, last: int, window: int) -> None:
        self.last = last
        self.ahead = last + 1
        self.window = window


class Walkers:
    """All walks through one listing.

    Who asks for the first name, or for two in a row, is taken to go on: a window of names is begun ahead, and
    twice as many with each name until they are the most.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._lock = Lock()
        self._walkers: list[Walker] = []

    def asked(self, name: str, window: Window, begin: Callable[[str], bool]) -> None:
        """Note that somebody asks for a name, and begin what follows, until `begin` gives False."""
        position = self._position(name)
        if position is None:
            return
        with self._lock:
            walker = self._find(position, window)
            walker.ahead = max(walker.ahead, position + 1)
            end = min(position + 1 + walker.window, len(self._names))
            while walker.ahead < end and begin(self._names[walker.ahead]):
                walker.ahead += 1

    def missed(self, name: str) -> None:
        """Note that a name was not asked for, or that the answer was forgotten: the next is begun again."""
        position = self._position(name)
        with self._lock:
            for walker in self._walkers:
                if walker.last == position:
                    walker.ahead = walker.last + 1

    def _position(self, name: str) -> int | None:
        position = bisect_left(self._names, name)
        return position if position < len(self._names) and self._names[position] == name else None

    def _find(self, position: int, window: Window) -> Walker:
        """Find the walk that asks, or a new one; the latest is the last of them."""
        for walker in reversed(self._walkers):
            if walker.last <= position <= max(walker.ahead, walker.last) + _SLACK:
                self._walkers.remove(walker)
                if position > walker.last:
                    walker.window = min(max(window.first, 2 * walker.window), window.most)
                    walker.last = position
                break
        else:
            walker = Walker(position, 0 if position else window.first)
            del self._walkers[: 1 - _MOST_WALKERS]
        self._walkers.append(walker)
        return walker


class Walk:
    """What is asked of the tags of one listing: their links (`ls -l`), their images (`find`, `du`)."""

    def __init__(self, listing: Listing) -> None:
        names = [tag for tag, sound in listing.tags.items() if sound]
        self.listing = listing
        self.links = Walkers(names)
        self.images = Walkers(names)

    def __len__(self) -> int:
        return 1 + len(self.listing.tags)

    def again(self, listing: Listing) -> Walk:
        """Give the walk through a newer listing: the same, if it has the same tags."""
        if listing.tags != self.listing.tags:
            return Walk(listing)
        self.listing = listing
        return self
