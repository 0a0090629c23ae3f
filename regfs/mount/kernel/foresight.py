"""Which directory a walk lists next, and the answers that were made before it asks for them.

find, du, tar and rsync list a directory to its end, and then each directory in it, in the order of the
listing. So it is known what comes next, and the thread that answers makes that while the walker is at what it
was given, where it would sleep otherwise. What was foreseen and not asked for soon is taken back: the kernel
was never told of it. One walk at a time; two side by side are answered as they ask. Safe for many threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

#: A walk is one that came twice in a row where it was expected: `ls` of one directory has nothing foreseen.
_STEPS = 2

#: Answers that are made ahead, and the seconds for which one is good: none is much older than it may be.
_AHEAD = 3
_GOOD = 0.05

#: Directories of a way that are remembered.
_LONGEST = 20_000


class KernelAnswer(NamedTuple):
    """The body of an answer, and the numbers that it tells the kernel: it counts them as known."""

    body: bytes
    told: list[int]


class ListingAnswer(NamedTuple):
    """An answer to READDIRPLUS, with the numbers of the directories in it."""

    answer: KernelAnswer
    below: list[int]


class _Made(NamedTuple):
    """What was made for a directory (None: it cannot be listed), with room for `size` bytes."""

    listed: ListingAnswer | None
    size: int
    until: float


class Foresight:
    """The way of the walk that was seen last. `take_back` is given each answer that was made for nothing."""

    def __init__(
        self, take_back: Callable[[KernelAnswer], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._take_back = take_back
        self._clock = clock
        self._lock = threading.Lock()
        #: Directories in the order in which the walk comes to them, the next one last.
        self._way: list[int] = []
        #: The directory that is being listed, and how many on the way are in it.
        self._here = 0
        self._below_here = 0
        self._steps = 0
        self._made: dict[int, _Made] = {}

    def begun(self, nodeid: int, size: int) -> ListingAnswer | None:
        """Note that somebody lists a directory from its beginning; give the answer, if it was made."""
        with self._lock:
            if self._way and self._way[-1] == nodeid:
                self._way.pop()
                self._steps += 1
            else:
                self._way.clear()
                self._steps = 0
            self._here, self._below_here = nodeid, 0
            made = self._made.pop(nodeid, None)
            useless = [] if self._steps else self._drop_all()
            if made and (made.size > size or made.until < self._clock()):
                useless.append(made.listed)
                made = None
        self._give_back(useless)
        return made.listed if made else None

    def listed(self, nodeid: int, below: list[int]) -> None:
        """Note which directories the next part of a listing has."""
        with self._lock:
            if nodeid == self._here:
                place = len(self._way) - self._below_here
                self._way[place:place] = reversed(below)
                self._below_here += len(below)
                del self._way[:-_LONGEST]

    def next(self) -> int | None:
        """Give a directory whose listing will be asked for, and was not made yet."""
        if self._steps < _STEPS or len(self._made) >= _AHEAD:
            return None
        with self._lock:
            for nodeid in self._way[: -_AHEAD - 1 : -1]:
                if nodeid not in self._made:
                    return nodeid
        return None

    def made(self, nodeid: int, listed: ListingAnswer | None, size: int) -> None:
        """Keep an answer until it is asked for."""
        with self._lock:
            before = self._made.get(nodeid)
            self._made[nodeid] = _Made(listed, size, self._clock() + _GOOD)
        self._give_back([before.listed] if before else [])

    def forget(self, nodeid: int) -> None:
        """Drop what was made for a directory that nobody can ask for any more."""
        if nodeid in self._made:
            with self._lock:
                made = self._made.pop(nodeid, None)
            self._give_back([made.listed] if made else [])

    def _drop_all(self) -> list[ListingAnswer | None]:
        dropped = [made.listed for made in self._made.values()]
        self._made.clear()
        return dropped

    def _give_back(self, useless: list[ListingAnswer | None]) -> None:
        for listed in useless:
            if listed is not None:
                self._take_back(listed.answer)
