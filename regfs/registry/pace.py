"""How fast a store answers: whether reading in many threads hides anything.

Safe for many threads, without a lock: what they overwrite of each other is one measurement of many.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable

#: A store on a network that takes longer than this to tell of one file, in seconds, is read by many threads.
SLOW = 0.000_1

#: And one that takes longer than this is far, so that any number of questions may wait at once: on a network,
#: or on a disk that has to seek. A disk that takes less is not even slow: what one without moving parts takes
#: is the kernel's work, of which many threads make more.
FAR_NETWORK, FAR_DISK = 0.000_5, 0.002

#: So many slow calls tell that a store is slow, for so many seconds; each fast one takes the oldest back.
ENOUGH = 3
_BELIEVED = 10.0

#: A call of a slow store takes so many times as long as one that only gives Python's lock away and takes it
#: back: among many busy threads that alone may take longer than SLOW.
_APART = 4.0


#: A small call of the graph's looks at so many paths at most: a blob's file and the directories above it.
_PATHS = 5


def _yield() -> None:
    """Let go of Python's lock and take it again, as often as a small call does.

    By the fastest call that does so: to sleep for no time at all takes the kernel 50 us.
    """
    for _ in range(_PATHS):
        select.select((), (), (), 0)


class FarAway:
    """The pace of what is known to be far, whatever single answers took: some came from memory."""

    slow = far = True

    def now(self) -> float:
        """Tell any time: nothing is measured."""
        return 0.0

    def took(self, began: float) -> None:
        """Note nothing."""

    def expired(self) -> bool:
        """Tell that nothing has to be found out again."""
        return False


class Pace:
    """The moving measure of one store, from the times of single small calls, in seconds.

    `network` tells whether it is on one; `idle` is a call that waits for nothing but Python's lock.
    """

    def __init__(
        self,
        *,
        network: bool = False,
        clock: Callable[[], float] = time.perf_counter,
        idle: Callable[[], None] = _yield,
    ) -> None:
        self._clock = clock
        self._idle = idle
        self._slow, self._far = (SLOW, FAR_NETWORK) if network else (FAR_DISK, FAR_DISK)
        #: The last slow calls, each with what `idle` took just after.
        self._calls: tuple[tuple[float, float], ...] = ()
        self._until = 0.0
        #: Whether most of the last calls were slow, and as slow as of a far store. Old news, if `expired`.
        self.slow = self.far = False

    def now(self) -> float:
        """Tell the time, to measure a call with."""
        return self._clock()

    def took(self, began: float) -> None:
        """Note a call that began at `began` and has just ended."""
        now = self._clock()
        if now - began <= self._slow:
            self._calls = () if self.expired() else self._calls[1:]
            self.slow = self.slow and bool(self._calls)
            self.far = self.far and self.slow
            return
        self._idle()
        self._calls = (*self._calls, (now - began, self._clock() - now))[-ENOUGH:]
        self._until = now + _BELIEVED
        taken, idled = (sum(times) for times in zip(*self._calls, strict=True))
        self.slow = self.slow or (len(self._calls) == ENOUGH and taken > idled * _APART)
        self.far = self.slow and taken > self._far * len(self._calls)

    def expired(self) -> bool:
        """Tell whether the last slow call is so long ago that the next one alone decides."""
        return self._clock() > self._until
