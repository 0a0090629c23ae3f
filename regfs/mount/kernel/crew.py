"""The threads of a session: one leads, and the next takes over where it is held up.

The leader reads a request, answers it, and reads the next: nothing is handed from thread to thread, which
would cost more than most answers. A watcher looks every few milliseconds, while requests come, whether the
leader is still at the same one: then it is at a slow disk, a dead server, or waits for a layer, and another
thread takes the lead. So a request that is stuck holds up no other, and there are as many threads as are
stuck, and one.

INTERRUPT (somebody pressed Ctrl-C, or was killed) is read by the leader, which may answer the request that
it names (`interrupts`): each request is answered by the first thread that claims it. So the caller is free at
once; the thread that is stuck finds its request claimed, and is silent. When as many threads are stuck as
there may be, the leader touches no storage: it reads on, for INTERRUPT and FORGET, and lays the rest aside
for the first thread that is free.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Seconds after which another thread takes the lead, and of quiet after which the watcher sleeps.
_TOO_LONG = 0.003
_QUIET = 0.15

#: Threads at most, and the seconds after which one that has nothing to do ends.
_MOST = 64
_IDLE = 10.0


class Work(Generic[T]):
    """A request that was read. `task` is what it asks. Whoever claims it answers it, nobody else."""

    __slots__ = ("_claimed", "_lock", "deposed", "task", "unique")

    def __init__(self, unique: int, task: T, lock: threading.Lock) -> None:
        self.unique = unique
        self.task = task
        self.deposed = False
        self._claimed = False
        self._lock = lock

    def claim(self) -> bool:
        """Tell whether the caller is to answer."""
        with self._lock:
            claimed, self._claimed = self._claimed, True
        return not claimed

    @property
    def given_up(self) -> bool:
        """Whether somebody has answered: nobody waits any more."""
        return self._claimed


class Crew(Generic[T]):
    """Threads that serve a source of requests until it ends.

    `read` waits for the next request and gives its number and itself, None at the end; `serve` answers one;
    `quick` tells of those that never touch the storage; `meanwhile` gives what may be done while none has
    come (its number is 0); `on_end` is called when there are no more. None of them raises.
    """

    def __init__(
        self,
        read: Callable[[], tuple[int, T] | None],
        serve: Callable[[Work[T]], None],
        quick: Callable[[T], bool],
        meanwhile: Callable[[], T | None] = lambda: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._read = read
        self._serve = serve
        self._quick = quick
        self._meanwhile = meanwhile
        self._on_end = on_end
        self._lead = threading.Lock()
        self._lock = threading.Lock()
        self._here = threading.local()
        self._current: Work[T] | None = None
        self._under_way: dict[int, Work[T]] = {}
        self._aside: deque[Work[T]] = deque()
        self._idle = 0
        self._stuck = 0
        self._busy = threading.Event()
        self.ended = threading.Event()

    def start(self) -> None:
        """Begin to serve."""
        threading.Thread(target=self._watch, name="watcher", daemon=True).start()
        self._hire()

    def _hire(self) -> None:
        try:
            threading.Thread(target=self._run, name="session", daemon=True).start()
        except RuntimeError as error:  # the next that is free leads
            _log.warning("no thread can be started: %s", error)

    def end(self) -> None:
        """Have all threads end as soon as they are free."""
        self.ended.set()
        self._busy.set()
        self._on_end()

    def given_up(self) -> bool:
        """Tell whether nobody waits for what the calling thread is at."""
        work: Work[T] | None = getattr(self._here, "work", None)
        return self.ended.is_set() or (work is not None and work.given_up)

    def under_way(self, unique: int) -> T | None:
        """Give a request that somebody is at, and that nobody has answered yet."""
        with self._lock:
            work = self._under_way.get(unique)
        return None if work is None or work.given_up else work.task

    def take(self, unique: int) -> bool:
        """Take a request off those under way, to answer it; tell whether that is the caller's to do."""
        with self._lock:
            work = self._under_way.get(unique)
        return work is not None and work.claim()

    # --- the threads -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self.ended.is_set() and self._take_lead():
            self._at_the_lead()

    def _take_lead(self) -> bool:
        """Wait to lead; tell whether that came in time."""
        with self._lock:
            self._idle += 1
        led = self._lead.acquire(timeout=_IDLE)
        with self._lock:
            self._idle -= 1
            # Between the two somebody may have counted on this thread.
            return led or self._lead.acquire(blocking=False)

    def _at_the_lead(self) -> None:
        """Serve requests until another takes over, or there are no more."""
        while not self.ended.is_set():
            task = None if self._stuck >= _MOST else self._meanwhile()
            found = self._read() if task is None else (0, task)
            if found is None:
                self.end()
                break
            work = Work(found[0], found[1], self._lock)
            if self._stuck >= _MOST and not self._quick(work.task):
                self._lay_aside(work)
                continue
            self._current = work
            if not self._busy.is_set():
                self._busy.set()
            self._do(work)
            with self._lock:
                self._current = None if self._current is work else self._current
                deposed = work.deposed
                if deposed:
                    self._stuck -= 1
                    self._under_way.pop(work.unique, None)
            if deposed:
                self._do_what_was_laid_aside()
                return
        self._lead.release()

    def _do(self, work: Work[T]) -> None:
        self._here.work = work
        try:
            self._serve(work)
        finally:
            self._here.work = None

    def _lay_aside(self, work: Work[T]) -> None:
        with self._lock:
            self._under_way[work.unique] = work
            self._aside.append(work)

    def _do_what_was_laid_aside(self) -> None:
        while True:
            with self._lock:
                if not self._aside:
                    return
                work = self._aside.popleft()
            if not work.given_up:
                self._do(work)
            with self._lock:
                self._under_way.pop(work.unique, None)

    def _watch(self) -> None:
        """See every few milliseconds that the leader is not held up."""
        quiet, last = 0.0, None
        while not self.ended.is_set():
            time.sleep(_TOO_LONG)
            current = self._current
            if current is not None and current is last:
                self._depose(current)
                current = None
            quiet = quiet + _TOO_LONG if current is None else 0.0
            last = current
            if quiet > _QUIET:
                self._busy.clear()
                if self._current is None:
                    self._busy.wait()
                quiet = 0.0

    def _depose(self, work: Work[T]) -> None:
        """Have another thread lead."""
        with self._lock:
            if self._current is not work:
                return
            work.deposed = True
            self._current = None
            self._stuck += 1
            self._under_way[work.unique] = work
            alone = self._idle == 0
        self._lead.release()
        if alone:
            self._hire()
