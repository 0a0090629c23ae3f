"""Who waits for an answer and got a signal: whether that is to end the waiting.

The kernel tells of any signal (INTERRUPT), and of the first one only. But a program hears EINTR of a file
that it never hears of on a disk, and many take it for a failure: those with timers, with children that end,
with a debugger. So the same goes as for NFS: only what ends the program ends its waiting; and what somebody
types to end it (SIGINT, SIGQUIT), whether it has a handler for that or not. Else its signals are looked at
again until it is answered. Safe for many threads.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

#: Seconds between two looks.
_PAUSE = 0.05

#: What somebody types; and what ends nobody who has no handler (signal(7)).
_TYPED = frozenset({signal.SIGINT, signal.SIGQUIT})
_HARMLESS = frozenset(
    {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
    | {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
)


def _mask(numbers: frozenset[signal.Signals]) -> int:
    return sum(1 << (number - 1) for number in numbers)


_TYPED_MASK, _HARMLESS_MASK = _mask(_TYPED), _mask(_HARMLESS)


def is_to_end(status: str) -> bool:
    """Tell whether a thread has a signal that ends its waiting, by its /proc/PID/status (proc(5))."""
    masks = {
        name: int(value, 16)
        for name, _, value in (line.partition(":") for line in status.splitlines())
        if name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")
    }
    came = (masks["SigPnd"] | masks["ShdPnd"]) & ~masks["SigBlk"] & ~masks["SigIgn"]
    return bool(came & (_TYPED_MASK | ~(masks["SigCgt"] | _HARMLESS_MASK)))


def _gives_up(pid: int) -> bool:
    """Tell whether a thread is to wait no more. One that cannot be seen has ended, or is elsewhere (0)."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return is_to_end(file.read())
    except (OSError, KeyError, ValueError):
        return True


class Interrupts:
    """Those who got a signal and wait on.

    `waits` gives the thread that waits for a request, None if nobody does any more; `end` ends that.
    """

    def __init__(self, waits: Callable[[int], int | None], end: Callable[[int], None]) -> None:
        self._waits = waits
        self._end = end
        self._lock = threading.Lock()
        self._undecided: set[int] = set()

    def came(self, unique: int) -> None:
        """Hear that who waits for a request got a signal."""
        if not self._goes_on(unique):
            return
        with self._lock:
            alone = not self._undecided
            self._undecided.add(unique)
        if alone:
            try:
                threading.Thread(target=self._watch, name="interrupts", daemon=True).start()
            except RuntimeError:  # no thread can be had: nobody could look again
                with self._lock:
                    undecided, self._undecided = self._undecided, set()
                for each in undecided:
                    self._end(each)

    def _goes_on(self, unique: int) -> bool:
        """Tell whether a request is still waited for, and end that if it is time."""
        pid = self._waits(unique)
        if pid is None:
            return False
        if _gives_up(pid):
            self._end(unique)
            return False
        return True

    def _watch(self) -> None:
        """Look again at all that wait, until none does."""
        while True:
            time.sleep(_PAUSE)
            with self._lock:
                undecided = list(self._undecided)
            done = [unique for unique in undecided if not self._goes_on(unique)]
            with self._lock:
                self._undecided.difference_update(done)
                if not self._undecided:
                    return
