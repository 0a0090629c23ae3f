"""Which directory a walk lists next, and the answers that were made before it asks for them.

find, du, tar and rsync list a directory to its end, and then each directory in it, in the order of the
listing. So it is known what comes next, and the thread that answers makes that while the walker is at what it
was given, where it would sleep otherwise. What was foreseen and not asked for soon is taken back: the kernel
was never told of it. One walk at a time; two side by side are answered as they ask. Safe for many threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from regfs.tree import Directory

#: A walk is one that came twice in a row where it was expected: `ls` of one directory has nothing foreseen.
_STEPS = 2

#: Answers that are made ahead, and the seconds for which one is good: none is much older than it may be.
AHEAD = 8
_GOOD = 0.25

#: Directories of a way that are remembered.
_LONGEST = 20_000


class KernelAnswer(NamedTuple):
    """The body of an answer, and the numbers that it tells the kernel: it counts them as known."""

    body: bytes
    told: list[int]


class ListingAnswer(NamedTuple):
    """An answer to READDIRPLUS, with the directories in it by their numbers."""

    answer: KernelAnswer
    below: dict[int, Directory]


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
        #: Those that are begun: a thread may be held up, and another shall make what comes behind.
        self._under_way: set[int] = set()

    def begun(self, nodeid: int, size: int) -> ListingAnswer | None:
        """Note that somebody lists a directory from its beginning; give the answer, if it was made."""
        now = self._clock()
        with self._lock:
            if self._way and self._way[-1] == nodeid:
                self._way.pop()
                self._steps += 1
            else:
                self._way.clear()
                self._steps = 0
            self._here, self._below_here = nodeid, 0
            made = self._made.pop(nodeid, None)
            old = [number for number, other in self._made.items() if not self._steps or other.until < now]
            useless = [self._made.pop(number).listed for number in old]
            if made and (made.size > size or made.until < now):
                useless.append(made.listed)
                made = None
        self._give_back(useless)
        return made.listed if made else None

    def listed(self, nodeid: int, below: Collection[int]) -> None:
        """Note which directories the next part of a listing has."""
        with self._lock:
            if nodeid == self._here:
                place = len(self._way) - self._below_here
                self._way[place:place] = reversed(list(below))
                self._below_here += len(below)
                del self._way[:-_LONGEST]

    def next(self) -> int | None:
        """Give a directory whose listing will be asked for, and was not made yet."""
        if self._steps < _STEPS or len(self._made) >= AHEAD:
            return None
        with self._lock:
            for nodeid in self._way[: -AHEAD - 1 : -1]:
                if nodeid not in self._made and nodeid not in self._under_way:
                    return nodeid
        return None

    def begin(self, nodeid: int) -> None:
        """Note that somebody makes the answer for a directory: `made` is to follow."""
        with self._lock:
            self._under_way.add(nodeid)

    def under_way(self, nodeid: int) -> bool:
        """Tell whether the answer for a directory is begun."""
        return nodeid in self._under_way

    def made(self, nodeid: int, answers: Mapping[int, ListingAnswer | None], size: int) -> None:
        """Keep the answer for a directory, with those for what is in it, until they are asked for.

        Not if the walk has come by meanwhile: nobody would ask, and what is kept is in the way of the next.
        """
        until = self._clock() + _GOOD
        with self._lock:
            self._under_way.discard(nodeid)
            useless = list(answers.values())
            if nodeid in self._way[-AHEAD - 1 :]:
                useless = [self._made[number].listed for number in answers if number in self._made]
                for number, listed in answers.items():
                    self._made[number] = _Made(listed, size, until)
        self._give_back(useless)

    def forget(self, nodeid: int) -> None:
        """Drop what was made for a directory that nobody can ask for any more."""
        if nodeid in self._made:
            with self._lock:
                made = self._made.pop(nodeid, None)
            self._give_back([made.listed] if made else [])

    def _give_back(self, useless: Iterable[ListingAnswer | None]) -> None:
        for listed in useless:
            if listed is not None:
                self._take_back(listed.answer)
