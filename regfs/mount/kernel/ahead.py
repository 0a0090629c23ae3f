"""Answers that are made before they are asked for, in parts, by whoever has nothing to answer.

A thread makes one part and looks whether a request has come, so whoever asks meanwhile waits for no more than
a part. Whoever asks for what is begun makes the rest himself. Safe for many threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from regfs.mount.kernel.foresight import Foresight, ListingAnswer

#: Seconds to wait for an answer that another thread makes, and between two looks.
_PATIENCE, _PAUSE = 1.0, 0.001


class _Unfinished(NamedTuple):
    """The answer for a directory, to be made part by part."""

    nodeid: int
    parts: Iterator[object]


class AnswersAhead:
    """What is expected by `foresight`, made by `make`: which gives whatever it likes after each part."""

    def __init__(self, foresight: Foresight, make: Callable[[int], Iterator[object]]) -> None:
        self._foresight = foresight
        self._make = make
        self._lock = threading.Lock()
        self._unfinished: _Unfinished | None = None

    def expected(self) -> int | None:
        """Give a directory whose answer is to be made, or gone on with; None if nothing is expected."""
        unfinished = self._unfinished
        return unfinished.nodeid if unfinished else self._foresight.next()

    def go_on(self, nodeid: int) -> None:
        """Make a part of the answer for a directory."""
        unfinished = self._take(nodeid) or _Unfinished(nodeid, self._make(nodeid))
        if next(unfinished.parts, None) is None:
            return
        with self._lock:
            if self._unfinished is None:
                self._unfinished = unfinished
                return
        _finish(unfinished)  # the thread was held up, and another is at the next

    def begun(self, nodeid: int, size: int) -> ListingAnswer | None:
        """Give the answer for a directory that is now asked for, with room for so many bytes; None: none.

        What is begun is made to its end, or waited for.
        """
        until = time.monotonic() + _PATIENCE
        while self._foresight.under_way(nodeid) and time.monotonic() < until:
            if unfinished := self._take(nodeid):
                _finish(unfinished)
            else:
                time.sleep(_PAUSE)
        return self._foresight.begun(nodeid, size)

    def _take(self, nodeid: int) -> _Unfinished | None:
        """Take what was begun for a directory, to go on with it."""
        with self._lock:
            found = self._unfinished
            if found is None or found.nodeid != nodeid:
                return None
            self._unfinished = None
        return found


def _finish(unfinished: _Unfinished) -> None:
    for _ in unfinished.parts:
        pass
